"""Tokens to a tree: the table of the grammar, and the operators between operands.

`parse` is the whole interface.  Binding strength, from loose to tight: `or`, `;`, `,`/`and`, relations,
set operations, ratios, sums, units, products, signs, powers, postfix signs.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from reward_servers.engines.math.errors import AnswerSyntaxError, LimitExceededError
from reward_servers.engines.math.nodes import BOUNDS, Call, Head, Node, Rel, Sym, depth_of, neg
from reward_servers.engines.math.policy import Limits
from reward_servers.engines.math.syntax import bases, brackets, commands, measures, powers, wording
from reward_servers.engines.math.syntax.cursor import (
    ADD,
    ANY,
    MUL,
    POST,
    POW,
    RATIO,
    REL,
    SET,
    SIGN,
    UNIT,
    Cursor,
    Table,
)
from reward_servers.engines.math.syntax.environments import environment
from reward_servers.engines.math.syntax.factors import braced, extended, product
from reward_servers.engines.math.syntax.items import alternatives
from reward_servers.engines.math.syntax.lexer import Lexer
from reward_servers.engines.math.syntax.operators import union_over
from reward_servers.engines.math.syntax.plain_units import plain_unit
from reward_servers.engines.math.syntax.scripts import argument_all

_PACKED = re.compile(r"\s*(?P<mark>`+|\*\*|['\"“‘])(?P<inner>.+?)(?:(?P=mark)|[”’])\s*", re.S)
_THIN = re.compile(r"(?<=[0-9])\\!(?=[0-9])")
_BRACED_DIGITS = re.compile(r"(?<=[0-9])\{([0-9]+)\}(?=[0-9])")
_DECIMAL_COMMA = re.compile(r"(?<![0-9,}])([0-9]{1,9})\{,\}([0-9]{1,2}|[0-9]{4,9})(?![0-9{,])")


def parse(text: str, limits: Limits, *, plain_units: bool = False) -> Node:
    """Read one answer.

    Args:
        text: The answer alone, as extracted; LaTeX, plain text or unicode.
        limits: Bounds on characters, tokens, digits and depth.
        plain_units: Whether letters apart from a number may be its unit (`300 K`), as in a reference.

    Raises:
        AnswerSyntaxError: The text is no answer of this grammar; says where.
        LimitExceededError: A bound was passed.
    """
    packed = _PACKED.fullmatch(text)
    if packed is not None and packed["mark"] not in packed["inner"]:
        text = packed["inner"]  # marks of code, bold or quotation around the whole
    text = _joined_digits(text)
    based = bases.numeral(text) if "_" in text or "base" in text or text.startswith("0") else None
    if based is not None:
        return based
    tokens = Lexer(text, limits).lex()
    while tokens[-2:-1] and tokens[-2].kind == "op" and tokens[-2].text in (".", ",", ";", ":"):
        del tokens[-2]
    if len(tokens) == 1:
        raise AnswerSyntaxError("nothing to read", 0)
    cursor = Cursor(tokens, limits, _TABLE, plain_units=plain_units)
    node = alternatives(cursor)
    if cursor.token.kind != "end":
        raise AnswerSyntaxError(f"unexpected {cursor.token.text!r}", cursor.token.pos)
    if depth_of(node) > limits.height:
        raise LimitExceededError("height", f"a tree higher than {limits.height}")
    return node


def _joined_digits(text: str) -> str:
    r"""Digits that TeX sets together: `20\!21`, `2{0}21`; and the braced comma of a decimal, `4{,}5`."""
    if "\\!" in text:
        text = _THIN.sub("", text)
    if "{" not in text:
        return text
    if "\\" not in text and "^" not in text and "_" not in text:
        text = _BRACED_DIGITS.sub(r"\1", text)
    return _DECIMAL_COMMA.sub(r"\1.\2", text) if "{,}" in text else text


# Where an expression begins ---------------------------------------------------------------------


def _number(cursor: Cursor) -> Node:
    token = cursor.take()
    assert token.num is not None
    if cursor.is_op("_") and token.text.isdigit():
        return bases.subscripted(cursor, token)
    if token.num.value.denominator == 1 and token.num.places == 0:
        return measures.mixed(cursor, token.num)
    return token.num


def _leading_relation(cursor: Cursor) -> Node:
    """`= 5` and `< 5` at the very beginning: what stands on the left was left out."""
    token = cursor.token
    if cursor.at == 0 and token.text == "=":
        cursor.advance()
        return cursor.expression(REL)
    if cursor.at == 0 and token.text == "~":
        return Sym("□")
    if cursor.at == 0 and token.text in BOUNDS:
        return Sym("□")
    raise AnswerSyntaxError(f"unexpected {token.text!r}", token.pos)


def _opening(cursor: Cursor) -> Node:
    text = cursor.token.text
    handler = _TABLE.opening.get("begin:" if text.startswith("begin:") else text)
    if handler is None:
        raise AnswerSyntaxError(f"unexpected {text!r}", cursor.token.pos)
    return handler(cursor)


def _minus(cursor: Cursor) -> Node:
    cursor.advance()
    return neg(cursor.expression(SIGN))


def _bullet(cursor: Cursor) -> Node:
    """A mark before the whole answer, as in a list."""
    if cursor.at > 0:
        raise AnswerSyntaxError("unexpected '*'", cursor.token.pos)
    cursor.advance()
    return cursor.expression(ANY)


def _plus(cursor: Cursor) -> Node:
    cursor.advance()
    return cursor.expression(SIGN)


def _plus_minus(cursor: Cursor) -> Node:
    head = Head.PM if cursor.take().text == "±" else Head.MP
    return Call(head, (cursor.expression(SIGN - 1),))


# After an operand -------------------------------------------------------------------------------


def _relation(cursor: Cursor, left: Node, power: int) -> Node | None:
    if power >= REL:
        return None
    ops: list[str] = []
    terms = [left]
    while cursor.token.kind == "rel":
        ops.append(cursor.take().text)
        if cursor.peek(0).kind == "end" and ops[-1] == "=" and len(terms) == 1:
            raise AnswerSyntaxError("an answer breaks off", cursor.token.pos)
        terms.append(cursor.expression(REL))
    return Rel(tuple(ops), tuple(terms))


def _operator(cursor: Cursor, left: Node, power: int) -> Node | None:
    text = cursor.token.text
    if text in _CLOSERS or text.startswith("end:"):
        return None
    handler = _OPERATORS.get("begin:" if text.startswith("begin:") else text)
    if handler is not None:
        return handler(cursor, left, power)
    if power >= REL:
        return None
    raise AnswerSyntaxError(f"unexpected {text!r}", cursor.token.pos)


def _sign_after(cursor: Cursor, left: Node, power: int) -> Node | None:
    return measures.postfix(cursor, left, cursor.token.text) if power < POST else None


def _raised(cursor: Cursor, left: Node, power: int) -> Node | None:
    return powers.power(cursor, left) if power < POW else None


def _times(cursor: Cursor, left: Node, power: int) -> Node | None:
    if power >= MUL:
        return None
    divided = cursor.take().text == "/"
    right = cursor.expression(MUL)
    return Call(Head.DIV, (left, right)) if divided else extended(cursor, Head.MUL, left, right)


def _add(cursor: Cursor, left: Node, power: int) -> Node | None:
    if power >= ADD:
        return None
    negative = cursor.take().text == "-"
    right = cursor.expression(ADD)
    return extended(cursor, Head.ADD, left, neg(right) if negative else right)


def _add_or_subtract(cursor: Cursor, left: Node, power: int) -> Node | None:
    if power >= ADD:
        return None
    head = Head.PM if cursor.take().text == "±" else Head.MP
    return Call(head, (left, cursor.expression(ADD)))


def _set_operation(cursor: Cursor, left: Node, power: int) -> Node | None:
    if power >= SET:
        return None
    head = _SET_OPERATIONS[cursor.take().text]
    return Call(head, (left, cursor.expression(SET)))


def _colon(cursor: Cursor, left: Node, power: int) -> Node | None:
    return None if cursor.braces or power >= RATIO else measures.ratio(cursor, left)


def _bar(cursor: Cursor, left: Node, power: int) -> Node | None:
    return None if cursor.bars or cursor.braces else product(cursor, left, power)


def _bars(cursor: Cursor, left: Node, power: int) -> Node | None:
    if cursor.bars or power >= REL:
        return None
    raise AnswerSyntaxError("unexpected '||'", cursor.token.pos)


def _parenthesis(cursor: Cursor, left: Node, power: int) -> Node | None:
    following = cursor.peek()
    if following.kind == "word" and following.text.lower() == "mod":
        return _parenthesised_modulus(cursor, left) if power < REL else None
    if following.kind == "word" and power < POST:
        return measures.remark(cursor, left)
    return product(cursor, left, power)


def _parenthesised_modulus(cursor: Cursor, left: Node) -> Node:
    """`3 (mod 7)`."""
    cursor.advance(2)
    modulus = cursor.expression(ANY)
    cursor.expect(")")
    return Call(Head.MOD, (left, modulus))


def _currency_after(cursor: Cursor, left: Node, power: int) -> Node | None:
    if cursor.peek().kind in ("end", "op", "rel"):
        return measures.trailing_currency(cursor, left)
    if power >= REL:
        return None
    raise AnswerSyntaxError(f"unexpected {cursor.token.text!r}", cursor.token.pos)


def _nothing(cursor: Cursor, left: Node, power: int) -> Node | None:
    return None


def _letter(cursor: Cursor, left: Node, power: int) -> Node | None:
    if power < UNIT:
        if (measured := plain_unit(cursor, left, power)) is not None:
            return measured
        if cursor.token.upright and measures.starts_unit(cursor, left):
            return measures.unit(cursor, left)
        if cursor.peek().text == "Omega" and (ohms := measures.ohms(cursor, left)) is not None:
            return ohms
    return product(cursor, left, power)


def _command(cursor: Cursor, left: Node, power: int) -> Node | None:
    name = cursor.token.text
    handler = _COMMANDS.get(name)
    if handler is not None:
        return handler(cursor, left, power)
    if power < UNIT:
        if name == "mu" and (measured := plain_unit(cursor, left, power)) is not None:
            return measured
        if name.endswith("frac") and (measured := measures.unit_fraction(cursor, left)) is not None:
            return measured
        if "Omega" in (name, cursor.peek().text) and (ohms := measures.ohms(cursor, left)) is not None:
            return ohms
    return product(cursor, left, power)


def _word(cursor: Cursor, left: Node, power: int) -> Node | None:
    measured = plain_unit(cursor, left, power)
    return measures.word(cursor, left, power) if measured is None else measured


def _choose(cursor: Cursor, left: Node, power: int) -> Node | None:
    if cursor.braces or power > MUL:
        return None
    cursor.advance()
    return Call(Head.BINOM, (left, cursor.expression(MUL)))


def _modulus(cursor: Cursor, left: Node, power: int) -> Node | None:
    if power >= REL and not isinstance(left, Rel):
        return None
    cursor.advance()
    return Call(Head.MOD, (left, argument_all(cursor)))


def _remainder(cursor: Cursor, left: Node, power: int) -> Node | None:
    if power >= MUL:
        return None
    cursor.advance()
    return Call(Head.REM, (left, cursor.expression(MUL)))


def _incomplete(cursor: Cursor, left: Node, power: int) -> Node | None:
    raise AnswerSyntaxError("an incomplete answer", cursor.token.pos)


# Tables -----------------------------------------------------------------------------------------

_CLOSERS = frozenset({")", "]", "}", "\\}", "|>", ",", ";", "&", "\\\\", "rfloor", "rceil", "."})
_SET_OPERATIONS = {"∪": Head.UNION, "∩": Head.INTERSECT, "\\": Head.SETMINUS}
_OPERATORS: dict[str, Callable[[Cursor, Node, int], Node | None]] = {
    **dict.fromkeys(("!", "%", "'", "degree", "‰"), _sign_after),
    "^": _raised,
    **dict.fromkeys(("*", "/"), _times),
    **dict.fromkeys(("+", "-"), _add),
    **dict.fromkeys(("±", "∓"), _add_or_subtract),
    **dict.fromkeys(_SET_OPERATIONS, _set_operation),
    ":": _colon,
    "|": _bar,
    "||": _bars,
    "(": _parenthesis,
    **dict.fromkeys(("[", "{", "lfloor", "lceil", "<|", "begin:"), product),
    "\\{": braced,
    **dict.fromkeys(measures.CURRENCIES, _currency_after),
    **dict.fromkeys(("∧", "∨", "_", "?", "circ"), _nothing),
}
_COMMANDS: dict[str, Callable[[Cursor, Node, int], Node | None]] = {
    **dict.fromkeys(("over", "atop"), _nothing),
    "choose": _choose,
    "pmod": _modulus,
    **dict.fromkeys(("bmod", "mod"), _remainder),
    "dots": _incomplete,
}
_TABLE = Table(
    prefix={
        "num": _number,
        "let": commands.letter,
        "cmd": commands.command,
        "word": wording.words,
        "rel": _leading_relation,
        "op": _opening,
    },
    opening={
        "-": _minus,
        "+": _plus,
        "*": _bullet,
        **dict.fromkeys(("±", "∓"), _plus_minus),
        **dict.fromkeys(("(", "[", "]"), brackets.bracketed),
        "\\{": brackets.braces,
        "{": brackets.group,
        "<|": brackets.angles,
        **dict.fromkeys(("|", "||"), brackets.bars),
        **dict.fromkeys(("lfloor", "lceil"), brackets.rounded),
        **dict.fromkeys(measures.CURRENCIES, measures.currency),
        "begin:": environment,
        "∪": union_over,
        **dict.fromkeys(("^", "_"), powers.left_script),
    },
    infix={
        "rel": _relation,
        "op": _operator,
        "word": _word,
        "cmd": _command,
        "let": _letter,
        "num": product,
    },
)
