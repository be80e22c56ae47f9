"""The state of one lexing: the text, the tokens so far, and what encloses the position."""

from __future__ import annotations

from abc import ABC, abstractmethod

from reward_servers.engines.math.errors import AnswerSyntaxError, LimitExceededError
from reward_servers.engines.math.nodes import Num
from reward_servers.engines.math.policy import Limits
from reward_servers.engines.math.syntax.tokens import Token, TokenKind


class Scanner(ABC):
    """What lexing functions share; `run` lexes a stretch of the text in place."""

    def __init__(self, text: str, limits: Limits) -> None:
        self.text = text
        self.limits = limits
        self.tokens: list[Token] = []
        self.depth = 0
        self.spaced = False
        self.doubled = "\\begin" not in text and "\\\\" in text

    def push(self, kind: TokenKind, text: str, pos: int, num: Num | None = None, *, upright: bool = False) -> None:
        """Append a token."""
        if len(self.tokens) >= self.limits.tokens:
            raise LimitExceededError("tokens", f"more than {self.limits.tokens}")
        self.tokens.append(Token(kind, text, pos, num, upright, self.spaced))
        self.spaced = False

    def operator(self, name: str, pos: int) -> None:
        """Append an operator known by name, keeping count of brackets."""
        if name in ("\\{", "<|", "("):
            self.depth += 1
        elif name in ("\\}", "|>", ")"):
            self.depth = max(0, self.depth - 1)
        if name == "and_sign":
            self.push("word", "and", pos)
        elif name == "_blank":
            raise AnswerSyntaxError("a blank", pos)
        else:
            self.push("op", name, pos)

    @abstractmethod
    def run(self, pos: int, end: int, *, in_text: bool) -> None:
        """Lex a stretch of the text; in text mode letters make words."""
