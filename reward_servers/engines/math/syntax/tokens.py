"""Tokens: what the lexer makes of the characters and the grammar reads."""

from __future__ import annotations

from typing import Literal, NamedTuple, TypeAlias

from reward_servers.engines.math.nodes import Num

TokenKind: TypeAlias = Literal["num", "let", "word", "cmd", "rel", "op", "end"]


class Token(NamedTuple):
    """One token.

    Attributes:
        kind: What it is: a number, letter, word, command, relation, operator, or the end.
        text: Its text, or the name of the operator.
        pos: Where it begins in the answer.
        num: The value of a number.
        upright: Whether a letter was set upright, as in a text group.
        spaced: Whether space stood before it.
    """

    kind: TokenKind
    text: str
    pos: int
    num: Num | None = None
    upright: bool = False
    spaced: bool = False
