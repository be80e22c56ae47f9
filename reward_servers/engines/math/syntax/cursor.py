"""A position in the tokens, and the loop of a Pratt parser over a table of handlers.

Handlers take a `Cursor` and read what belongs to them; which token calls which handler is the
table's knowledge (see `grammar`), so handlers know each other only where one needs the other.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from reward_servers.engines.math.errors import AnswerSyntaxError, LimitExceededError
from reward_servers.engines.math.nodes import Node
from reward_servers.engines.math.policy import Limits
from reward_servers.engines.math.syntax.tokens import Token

ANY = 0
REL, SET, RATIO, ADD, UNIT, MUL, SIGN, POW, POST = 10, 20, 25, 30, 35, 40, 50, 60, 70
"""Binding powers, from loose to tight; `expression(ADD)` reads a term, `expression(ADD - 1)` a sum."""


@dataclass(frozen=True, slots=True)
class Table:
    """Which handler reads what.

    Attributes:
        prefix: Where an expression begins, by the kind of the token.
        opening: The same for operators, by their text; `begin:` stands for all environments.
        infix: After an operand, by the kind of the token; None where the token does not go on.
    """

    prefix: Mapping[str, Callable[[Cursor], Node]]
    opening: Mapping[str, Callable[[Cursor], Node]]
    infix: Mapping[str, Callable[[Cursor, Node, int], Node | None]]


class Cursor:
    """State of one parse: the tokens, the position, and what encloses it."""

    def __init__(self, tokens: list[Token], limits: Limits, table: Table, *, plain_units: bool = False) -> None:
        self.tokens = tokens
        self.limits = limits
        self.table = table
        self.plain_units = plain_units  # letters behind a number may be its unit
        self.at = 0
        self.depth = 0  # open brackets of any kind
        self.level = 0  # levels of recursion
        self.bars = 0  # open absolute values: a further bar closes
        self.braces = 0  # open sets: a bar or a colon ends the element
        self.integrals = 0  # open integrals: `dx` ends the body
        self.outward = False  # inside `]a,b[` or `[a,b[`: an opening bracket closes

    @property
    def token(self) -> Token:
        """The token under the cursor."""
        return self.tokens[self.at]

    @property
    def previous(self) -> Token:
        """The token before the cursor, the end token at the start."""
        return self.tokens[self.at - 1]

    def peek(self, ahead: int = 1) -> Token:
        """A later token, the end token past the end."""
        return self.tokens[min(self.at + ahead, len(self.tokens) - 1)]

    def advance(self, count: int = 1) -> None:
        """Pass over tokens that were looked at."""
        self.at += count

    def take(self) -> Token:
        """Move on and return the token left behind."""
        token = self.tokens[self.at]
        if token.kind != "end":
            self.at += 1
        return token

    def is_op(self, *texts: str) -> bool:
        """Whether the cursor is on one of these operators."""
        token = self.tokens[self.at]
        return token.kind == "op" and token.text in texts

    def is_word(self, *words: str) -> bool:
        """Whether the cursor is on one of these words, in any case."""
        token = self.tokens[self.at]
        return token.kind == "word" and token.text.lower() in words

    def expect(self, text: str) -> None:
        """Pass over an operator that must be here."""
        if not self.is_op(text):
            raise AnswerSyntaxError(f"expected {text!r}", self.token.pos)
        self.at += 1

    def enter(self) -> None:
        """Count one more level of recursion; `leave` takes it back.

        Raises:
            LimitExceededError: The answer is nested too deeply.
        """
        self.level += 1
        if self.level > self.limits.depth:
            raise LimitExceededError("depth", f"nested deeper than {self.limits.depth}")

    def leave(self) -> None:
        """Return from a level; not needed on the way of an exception, which ends the parse."""
        self.level -= 1

    def expression(self, power: int) -> Node:
        """Parse what binds tighter than `power`."""
        left = self.prefix()
        infix = self.table.infix
        while (handler := infix.get(self.tokens[self.at].kind)) is not None:
            following = handler(self, left, power)
            if following is None:
                break
            left = following
        return left

    def prefix(self) -> Node:
        """An atom or a prefix operator."""
        self.enter()
        token = self.tokens[self.at]
        handler = self.table.prefix.get(token.kind)
        if handler is None:
            raise AnswerSyntaxError("an answer breaks off", token.pos)
        node = handler(self)
        self.leave()
        return node
