r"""Units written like variables in a reference: `300 K`, `12 m/s`, `5 \mu m`, `8.3 J/(mol K)`.

A reference may be read so, for it is not written to please a grader: a space between the number and the letters tells
them from factors, and nothing may follow them.
"""

from __future__ import annotations

from reward_servers.engines.math.nodes import Node, Quantity, symbols
from reward_servers.engines.math.syntax.cursor import REL, Cursor
from reward_servers.engines.math.vocabulary.units import COMPOUND_LETTERS, MICRO, PLAIN_LETTERS, known_unit, unit_form

_AFTER = frozenset({"", ",", ";", ".", "and", "or"})


def plain_unit(cursor: Cursor, left: Node, power: int) -> Node | None:
    """The number with the unit under the cursor, None where the letters may be factors or only part of the answer."""
    if not cursor.plain_units or power > REL or cursor.depth or not cursor.token.spaced or symbols(left):
        return None
    parts: list[str] = []
    atoms = 0
    ahead = 0
    below = False
    while True:
        token = cursor.peek(ahead)
        unit = _atom(cursor, ahead)
        if unit is not None:
            if parts[-1:] not in ([], ["/"], ["*"]):
                parts.append("*")
            parts.append(unit[0])
            atoms += 1
            ahead += unit[1]
        elif token.text == "^" and parts and (exponent := _exponent(cursor, ahead + 1)) is not None:
            parts.append("^" + exponent[0])
            ahead += 1 + exponent[1]
        elif token.text in ("/", "*") and parts and parts[-1] not in ("/", "*"):
            parts.append(token.text)
            ahead += 1
            if cursor.peek(ahead).text == "(" and parts[-1] == "/" and not below:
                below, ahead = True, ahead + 1
        elif token.text == ")" and below:
            below, ahead = False, ahead + 1
        else:
            break
    if not atoms or below or cursor.peek(ahead).text.lower() not in _AFTER:
        return None
    lone = cursor.token.kind == "let" and atoms == 1 and len(parts) == 1
    if lone and cursor.token.text not in PLAIN_LETTERS:
        return None
    form = unit_form(parts)
    if not form:
        return None
    cursor.advance(ahead)
    return Quantity(left, form)


def _atom(cursor: Cursor, ahead: int) -> tuple[str, int] | None:
    """A unit at a token and how many tokens spell it, None where there is none."""
    token, following = cursor.peek(ahead), cursor.peek(ahead + 1)
    if token.kind == "cmd" and token.text == "mu" and following.kind == "let" and following.text in MICRO:
        return MICRO[following.text], 2
    if token.kind == "let" and token.text in COMPOUND_LETTERS:
        return token.text, 1
    if token.kind == "word" and known_unit(token.text) is not None:
        return token.text, 1
    return None


def _exponent(cursor: Cursor, ahead: int) -> tuple[str, int] | None:
    """The whole exponent at a token and how many tokens it takes."""
    braced = cursor.peek(ahead).text == "{"
    start = ahead + braced
    negative = cursor.peek(start).text == "-"
    digits = cursor.peek(start + negative).text
    length = 2 * braced + negative + 1
    closed = not braced or cursor.peek(ahead + length - 1).text == "}"
    return ("-" * negative + digits, length) if digits.isdigit() and closed else None
