"""What may stand around a number: fractions of mixed numbers, percent, units, currency, ratios, clocks."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

from ._errors import AnswerSyntaxError
from ._nodes import Call, Node, Num, Quantity, Rel, Seq, Sym, Text, symbols
from ._tables import names
from ._units import compatible, known_unit, unit_form
from ._words import SCALE_WORDS, number_from_words

if TYPE_CHECKING:
    from ._parser import Parser

_CURRENCIES = {"currency": "dollar", "currency€": "euro", "currency£": "gbp", "currency¥": "yen", "currency₹": "rupee"}
_UPRIGHT_UNITS = frozenset("mgshLlNJWVAKF")
_LAST_UNITS = frozenset("CMT")
_PERCENT_WORDS = frozenset({"percent", "pct", "percentage"})
_STOP_WORDS = names("and or where for with when such that if")
_OHMS = {"k": "kohm", "M": "megaohm"}
_UNIT, _MUL, _POST = 35, 40, 70


def mixed(parser: Parser, whole: Num) -> Num:
    r"""`2\frac13`, `2 1/3`, `2½` as one number; anything else leaves the whole number alone."""
    token = parser.token
    if token.kind == "num" and token.num is not None:
        if token.text in "½⅓⅔¼¾⅕⅖⅗⅘⅙⅚⅛⅜⅝⅞⅐⅑⅒":
            parser.at += 1
            return Num(whole.value + token.num.value)
        below = parser.peek(2)
        if (
            token.text.isdigit()
            and parser.peek().text == "/"
            and below.kind == "num"
            and below.text.isdigit()
            and token.spaced
        ):
            return _mixed(parser, whole, token.num, below.num, 3)
    if token.kind == "cmd" and token.text in ("frac", "dfrac", "tfrac", "cfrac", "nicefrac"):
        return _mixed_frac(parser, whole)
    return whole


def _mixed(parser: Parser, whole: Num, top: Num | None, below: Num | None, length: int) -> Num:
    if top is None or below is None or not 0 < top.value < below.value:
        return whole
    parser.at += length
    return Num(whole.value + top.value / below.value)


def _mixed_frac(parser: Parser, whole: Num) -> Num:
    saved = parser.at
    parser.at += 1
    digits: list[int] = []
    while len(digits) < 2:
        token = parser.token
        if token.kind == "num" and token.text.isdigit():
            if len(digits) == 0 and len(token.text) == 2:
                digits += [int(token.text[0]), int(token.text[1])]
            else:
                digits.append(int(token.text))
            parser.at += 1
        elif (
            token.text == "{"
            and parser.peek().kind == "num"
            and parser.peek().text.isdigit()
            and parser.peek(2).text == "}"
        ):
            digits.append(int(parser.peek().text))
            parser.at += 3
        else:
            break
    if len(digits) == 2 and 0 < digits[0] < digits[1]:
        return Num(whole.value + Fraction(digits[0], digits[1]))
    parser.at = saved
    return whole


def postfix(parser: Parser, left: Node, text: str) -> Node | None:
    """Signs after an operand: `!`, `%`, degrees, primes."""
    parser.at += 1
    if text == "!":
        if parser.is_op("!"):
            parser.at += 1
            return Call("fact2", (left,))
        return Call("fact", (left,))
    if text == "%":
        if isinstance(left, Call) and left.head == "percent":
            raise AnswerSyntaxError("a percentage of percent", parser.token.pos)
        return Call("percent", (left,))
    if text == "'" and isinstance(left, Num):
        return Quantity(left, "foot")
    if text == "‰":
        return Call("div", (left, Num(Fraction(1000))))
    if text == "degree":
        return temperature(parser, left) or Call("deg", (left,))
    raise AnswerSyntaxError("a prime that belongs to nothing", parser.token.pos)


def temperature(parser: Parser, left: Node) -> Node | None:
    r"""`20^\circ C`: the letter after a degree sign that makes it a temperature."""
    token = parser.token
    name = {"C": "celsius", "F": "fahrenheit"}.get(token.text) if token.kind == "let" else None
    if token.kind == "word" and known_unit(token.text) in ("celsius", "fahrenheit"):
        name = known_unit(token.text)
    if name is None:
        return None
    parser.at += 1
    return Quantity(left, name)


def currency(parser: Parser) -> Node:
    r"""`\$18`, `€5`: a currency sign before its amount."""
    unit_name = _CURRENCIES[parser.take().text]
    value = parser.expression(_UNIT)
    if isinstance(value, Quantity):
        if compatible(value.unit, unit_name):
            return value
        raise AnswerSyntaxError("two currencies", parser.token.pos)
    if parser.token.kind == "word" and known_unit(parser.token.text) == unit_name:
        parser.at += 1
    return Quantity(value, unit_name)


def trailing_currency(parser: Parser, left: Node) -> Node:
    """`1,000.99€`: the sign after the amount."""
    return Quantity(left, _CURRENCIES[parser.take().text])


def ratio(parser: Parser, left: Node) -> Node:
    """`3:4` as a ratio, `8:00` as a time of day where it looks like one."""
    tokens = parser.tokens
    hour = tokens[parser.at - 1]
    parser.at += 1
    minute = parser.token
    looks = (
        hour.kind == minute.kind == "num"
        and len(hour.text) <= 2
        and len(minute.text) == 2
        and minute.text.isdigit()
        and hour.text.isdigit()
        and int(minute.text) < 60
        and int(hour.text) <= 24
    )
    if looks and isinstance(left, Num) and minute.num is not None and parser.peek().text not in (":", "/", "^"):
        parser.at += 1
        return Call("clock", (left, minute.num, _meridian(parser)))
    right = parser.expression(25)
    if isinstance(left, Call) and left.head in ("ratio", "clock"):
        return Call("ratio", (*[a for a in left.args if not isinstance(a, Text)], right))
    return Call("ratio", (left, right))


def _meridian(parser: Parser) -> Text:
    token = parser.token
    if token.kind == "word" and token.text.lower() in ("am", "pm"):
        parser.at += 1
        return Text(token.text.lower())
    return Text("")


def starts_unit(parser: Parser, left: Node) -> bool:
    r"""Whether an upright letter after `left` is a unit (`5\,\mathrm{m}`)."""
    token = parser.token
    if isinstance(left, Sym):
        return False
    # A C or T before anything else may be a constant, a number of choices or a transposition.
    return token.text in _UPRIGHT_UNITS or (
        token.text in _LAST_UNITS and parser.peek().text in ("", "}", ",", ";", ")")
    )


def word(parser: Parser, left: Node, strength: int) -> Node | None:
    """A word after an operand: a scale, percent, degrees, an operator in words, or a unit."""
    low = parser.token.text.lower()
    if low in _STOP_WORDS:
        return None
    if low in SCALE_WORDS and isinstance(left, Num) and strength < _POST:
        parser.at += 1
        return Num(left.value * SCALE_WORDS[low])
    if low in _PERCENT_WORDS and strength < _POST:
        parser.at += 1
        return Call("percent", (left,))
    if low == "per" and parser.peek().text.lower() == "cent" and strength < _POST:
        parser.at += 2
        return Call("percent", (left,))
    if low in ("degrees", "degree", "deg") and strength < _POST:
        parser.at += 1
        return temperature(parser, left) or Call("deg", (left,))
    if low in ("am", "pm") and isinstance(left, Num) and left.value <= 12:
        return Call("clock", (left, Num(Fraction(0)), _meridian(parser)))
    if low == "mod":
        if strength >= _MUL:
            return None
        parser.at += 1
        return Call("rem", (left, parser.expression(_MUL)))
    if low == "choose" and strength < _MUL:
        parser.at += 1
        return Call("binom", (left, parser.expression(_MUL)))
    if low == "to" and strength < 25:
        parser.at += 1
        return Call("ratio", (left, parser.expression(25)))
    if low == "times" and strength < _MUL:
        parser.at += 1
        return Call("mul", (left, parser.expression(_MUL)))
    if low == "and":
        return None
    if strength >= _UNIT:
        return None
    return unit(parser, left)


def unit(parser: Parser, left: Node) -> Node:
    """Collect a unit phrase after a value."""
    start = parser.token.pos
    parts: list[str] = []
    below = False  # inside the brackets of "J/(mol K)"
    while True:
        token = parser.token
        if (token.text == "(" and parts[-1:] == ["/"] and parser.peek().kind in ("word", "let") and not below) or (
            token.text == ")" and below
        ):
            below = not below
        elif (token.kind == "word" and token.text.lower() not in _STOP_WORDS) or (
            token.kind == "let" and (token.upright or parts[-1:] in (["/"], ["*"]))
        ):
            parts.append(token.text)
        elif token.kind == "op" and token.text in ("/", "*", "-") and _goes_on(parser) and parts:
            parts.append({"-": "*"}.get(token.text, token.text))
        elif token.kind == "op" and token.text == "^" and parts:
            parts.append("^" + _exponent(parser))
            continue
        elif token.kind == "op" and token.text == "." and parts and parser.peek().kind in ("word", "let"):
            pass
        else:
            break
        parser.at += 1
    form = unit_form(parts)
    if form is None or below:
        raise AnswerSyntaxError("words after a value that are no unit", start)
    if number_from_words(parts) is not None:
        raise AnswerSyntaxError("two numbers", start)
    return Quantity(left, form) if form else left


def _goes_on(parser: Parser) -> bool:
    """Whether a unit goes on behind the sign under the cursor."""
    following = parser.peek()
    bracket = parser.token.text == "/" and following.text == "("
    return (parser.peek(2) if bracket else following).kind in ("word", "let")


def ohms(parser: Parser, left: Node) -> Node | None:
    r"""`4\,\Omega`, `4\ k\Omega` at the end of an element; None where the letter may be a variable."""
    ahead = 1 if parser.token.text in _OHMS else 0
    if parser.peek(ahead).text != "Omega" or parser.peek(ahead).kind != "cmd" or symbols(left):
        return None
    following = parser.peek(ahead + 1)
    if following.kind != "end" and following.text not in (",", ";", "}", ")", "]"):
        return None
    unit_name = _OHMS.get(parser.token.text, "ohm")
    parser.at += ahead + 1
    return Quantity(left, unit_name)


def remark(parser: Parser, left: Node) -> Node:
    """`42 (forty-two)`, `15 (cm)`, `7/2 (or 3.5)`: parentheses repeat the value or give its unit."""
    start = parser.take().pos
    if parser.token.text.lower() in ("since", "because"):
        return _reasoned(parser, left)
    if parser.token.text.lower() in ("or", "approximately", "about"):
        approximate = parser.take().text.lower() != "or"
        if parser.token.text.lower() in ("approximately", "about"):
            approximate = bool(parser.take())
        again = parser.expression(0)
        parser.expect(")")
        return Rel(("~",), (left, again)) if approximate else Seq("or", (left, again))
    parts: list[str] = []
    while parser.token.kind == "word" or (parser.is_op("-", "/", "^", "*") and parts):
        parts.append(parser.take().text)
    parser.expect(")")
    number = number_from_words([p for p in parts if p != "-"])
    if number is not None:
        if isinstance(left, Num) and number == left.value:
            return left
        raise AnswerSyntaxError("two numbers", start)
    form = unit_form(parts)
    if not form:
        raise AnswerSyntaxError("words in parentheses", start)
    return Quantity(left, form)


def _reasoned(parser: Parser, left: Node) -> Node:
    """`4 (since x > 0)`: the reason, up to its bracket, is no part of the value."""
    depth = 1
    while depth:
        token = parser.take()
        if token.kind == "end":
            raise AnswerSyntaxError("an unclosed bracket", token.pos)
        depth += {"(": 1, ")": -1}.get(token.text, 0)
    return left


def unit_fraction(parser: Parser, left: Node) -> Node | None:
    r"""`60 \frac{\text{km}}{\text{h}}`: a fraction of words is a unit; None where it is a number."""
    token = parser.peek(2)
    if parser.peek().text != "{" or not (token.kind == "word" or (token.kind == "let" and token.upright)):
        return None
    parts: list[str] = []
    at = parser.at + 1
    for closing in range(2):
        if parser.tokens[at].text != "{":
            return None
        at += 1
        while parser.tokens[at].text != "}":
            part = parser.tokens[at]
            if part.kind == "end":
                return None
            exponent = part.text == "^" and parser.tokens[at + 1].kind == "num"
            parts.append("^" + parser.tokens[at + 1].text if exponent else part.text)
            at += 2 if exponent else 1
        at += 1
        if not closing:
            parts.append("/")
    form = unit_form(parts)
    if not form:
        return None
    parser.at = at
    return Quantity(left, form)


def _exponent(parser: Parser) -> str:
    from ._commands import raw_script

    parser.at += 1
    text = raw_script(parser).replace("−", "-")
    return text if text.lstrip("-").isdigit() else "?"
