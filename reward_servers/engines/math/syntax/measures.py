"""What may stand around a number: fractions of mixed numbers, percent, units, currency, ratios, clocks."""

from __future__ import annotations

from fractions import Fraction

from reward_servers.engines.math.errors import AnswerSyntaxError
from reward_servers.engines.math.nodes import Call, Head, Kind, Node, Num, Quantity, Rel, Seq, Sym, Text, symbols
from reward_servers.engines.math.syntax import numerals
from reward_servers.engines.math.syntax.cursor import ANY, MUL, POST, RATIO, UNIT, Cursor
from reward_servers.engines.math.syntax.scripts import raw_script
from reward_servers.engines.math.vocabulary.tables import names
from reward_servers.engines.math.vocabulary.units import MICRO, compatible, known_unit, unit_form
from reward_servers.engines.math.vocabulary.words import SCALE_WORDS, number_from_words

CURRENCIES = {"currency": "dollar", "currency€": "euro", "currency£": "gbp", "currency¥": "yen", "currency₹": "rupee"}
_UPRIGHT_UNITS = frozenset("mgshLlNJWVAKF")
_LAST_UNITS = frozenset("CMT")
_PERCENT_WORDS = frozenset({"percent", "pct", "percentage"})
_STOP_WORDS = names("and or where for with when such that if")
_ARTICLES = (Sym("A"), Sym("a"))
_OHMS = {"k": "kohm", "M": "megaohm"}


def mixed(cursor: Cursor, whole: Num) -> Num:
    r"""`2\frac13`, `2 1/3`, `2½` as one number; anything else leaves the whole number alone."""
    token = cursor.token
    if token.kind == "num" and token.num is not None:
        if token.text in "½⅓⅔¼¾⅕⅖⅗⅘⅙⅚⅛⅜⅝⅞⅐⅑⅒":
            cursor.advance()
            return Num(whole.value + token.num.value)
        below = cursor.peek(2)
        if (
            token.text.isdigit()
            and cursor.peek().text == "/"
            and below.kind == "num"
            and below.text.isdigit()
            and token.spaced
        ):
            return _mixed(cursor, whole, token.num, below.num, 3)
    if token.kind == "cmd" and token.text in ("frac", "dfrac", "tfrac", "cfrac", "nicefrac"):
        return _mixed_frac(cursor, whole)
    return whole


def _mixed(cursor: Cursor, whole: Num, top: Num | None, below: Num | None, length: int) -> Num:
    if top is None or below is None or not 0 < top.value < below.value:
        return whole
    cursor.advance(length)
    return Num(whole.value + top.value / below.value)


def _mixed_frac(cursor: Cursor, whole: Num) -> Num:
    saved = cursor.at
    cursor.advance()
    digits: list[int] = []
    while len(digits) < 2:
        token = cursor.token
        if token.kind == "num" and token.text.isdigit():
            if len(digits) == 0 and len(token.text) == 2:
                digits += [int(token.text[0]), int(token.text[1])]
            else:
                digits.append(int(token.text))
            cursor.advance()
        elif (
            token.text == "{"
            and cursor.peek().kind == "num"
            and cursor.peek().text.isdigit()
            and cursor.peek(2).text == "}"
        ):
            digits.append(int(cursor.peek().text))
            cursor.advance(3)
        else:
            break
    if len(digits) == 2 and 0 < digits[0] < digits[1]:
        return Num(whole.value + Fraction(digits[0], digits[1]))
    cursor.at = saved
    return whole


def postfix(cursor: Cursor, left: Node, text: str) -> Node | None:
    """Signs after an operand: `!`, `%`, degrees, primes."""
    cursor.advance()
    if text == "!":
        if cursor.is_op("!"):
            cursor.advance()
            return Call(Head.FACT2, (left,))
        return Call(Head.FACT, (left,))
    if text == "%":
        if isinstance(left, Call) and left.head == Head.PERCENT:
            raise AnswerSyntaxError("a percentage of percent", cursor.token.pos)
        return Call(Head.PERCENT, (left,))
    if text == "'" and isinstance(left, Num):
        return Quantity(left, "foot")
    if text == "‰":
        return Call(Head.DIV, (left, Num(Fraction(1000))))
    if text == "degree":
        return temperature(cursor, left) or Call(Head.DEG, (left,))
    raise AnswerSyntaxError("a prime that belongs to nothing", cursor.token.pos)


def temperature(cursor: Cursor, left: Node) -> Node | None:
    r"""`20^\circ C`: the letter after a degree sign that makes it a temperature."""
    token = cursor.token
    name = {"C": "celsius", "F": "fahrenheit"}.get(token.text) if token.kind == "let" else None
    if token.kind == "word" and known_unit(token.text) in ("celsius", "fahrenheit"):
        name = known_unit(token.text)
    if name is None:
        return None
    cursor.advance()
    return Quantity(left, name)


def currency(cursor: Cursor) -> Node:
    r"""`\$18`, `€5`: a currency sign before its amount."""
    unit_name = CURRENCIES[cursor.take().text]
    value = cursor.expression(UNIT)
    if isinstance(value, Quantity):
        if compatible(value.unit, unit_name):
            return value
        raise AnswerSyntaxError("two currencies", cursor.token.pos)
    if cursor.token.kind == "word" and known_unit(cursor.token.text) == unit_name:
        cursor.advance()
    return Quantity(value, unit_name)


def trailing_currency(cursor: Cursor, left: Node) -> Node:
    """`1,000.99€`: the sign after the amount."""
    return Quantity(left, CURRENCIES[cursor.take().text])


def ratio(cursor: Cursor, left: Node) -> Node:
    """`3:4` as a ratio, `8:00` as a time of day where it looks like one."""
    hour = cursor.previous
    cursor.advance()
    minute = cursor.token
    looks = (
        hour.kind == minute.kind == "num"
        and len(hour.text) <= 2
        and len(minute.text) == 2
        and minute.text.isdigit()
        and hour.text.isdigit()
        and int(minute.text) < 60
        and int(hour.text) <= 24
    )
    if looks and isinstance(left, Num) and minute.num is not None and cursor.peek().text not in (":", "/", "^"):
        cursor.advance()
        return Call(Head.CLOCK, (left, minute.num, _meridian(cursor)))
    seconds = cursor.peek(2).num if looks and cursor.peek().text == ":" else None
    if seconds is not None and minute.num is not None and cursor.peek(3).text.lower() in ("am", "pm"):
        cursor.advance(3)
        return Call(Head.CLOCK, (left, Num(minute.num.value + seconds.value / 60), _meridian(cursor)))
    right = cursor.expression(RATIO)
    if isinstance(left, Call) and left.head in (Head.RATIO, Head.CLOCK):
        return Call(Head.RATIO, (*[a for a in left.args if not isinstance(a, Text)], right))
    return Call(Head.RATIO, (left, right))


def _meridian(cursor: Cursor) -> Text:
    token = cursor.token
    if token.kind == "word" and token.text.lower() in ("am", "pm"):
        cursor.advance()
        return Text(token.text.lower())
    return Text("")


def starts_unit(cursor: Cursor, left: Node) -> bool:
    r"""Whether an upright letter after `left` is a unit (`5\,\mathrm{m}`)."""
    token = cursor.token
    if isinstance(left, Sym):
        return False
    # A C or T before anything else may be a constant, a number of choices or a transposition.
    return token.text in _UPRIGHT_UNITS or (
        token.text in _LAST_UNITS and cursor.peek().text in ("", "}", ",", ";", ")")
    )


def word(cursor: Cursor, left: Node, strength: int) -> Node | None:
    """A word after an operand: a scale, percent, degrees, an operator in words, or a unit."""
    low = cursor.token.text.lower()
    if low in _STOP_WORDS:
        return None
    if low in SCALE_WORDS and isinstance(left, Num) and strength < POST:
        cursor.advance()
        return Num(left.value * SCALE_WORDS[low])
    if low in _PERCENT_WORDS and strength < POST:
        cursor.advance()
        return Call(Head.PERCENT, (left,))
    if low == "per" and cursor.peek().text.lower() == "cent" and strength < POST:
        cursor.advance(2)
        return Call(Head.PERCENT, (left,))
    if low in ("degrees", "degree", "deg", "度") and strength < POST:
        cursor.advance()
        return temperature(cursor, left) or Call(Head.DEG, (left,))
    if low in ("am", "pm") and isinstance(left, Num) and left.value <= 12:
        return Call(Head.CLOCK, (left, Num(Fraction(0)), _meridian(cursor)))
    if low == "mod":
        if strength >= MUL:
            return None
        cursor.advance()
        return Call(Head.REM, (left, cursor.expression(MUL)))
    if low == "choose" and strength < MUL:
        cursor.advance()
        return Call(Head.BINOM, (left, cursor.expression(MUL)))
    if low == "out" and cursor.peek().text.lower() == "of" and strength < MUL:
        cursor.advance(2)
        return Call(Head.DIV, (left, cursor.expression(MUL)))
    if low in ("repeating", "recurring") and isinstance(left, Num) and strength < POST:
        return _recurring(cursor, left)
    if low == "to" and strength < RATIO:
        cursor.advance()
        return Call(Head.RATIO, (left, cursor.expression(RATIO)))
    if low == "times" and strength < MUL:
        cursor.advance()
        return Call(Head.MUL, (left, cursor.expression(MUL)))
    if low == "and":
        return None
    if strength >= UNIT:
        return None
    return unit(cursor, left)


def _recurring(cursor: Cursor, left: Num) -> Node:
    """`0.1666 repeating`: the decimal whose end goes on as it looks."""
    numeral = cursor.previous.text
    repeated = numerals.recurring(numeral) if cursor.previous.kind == "num" else None
    if repeated is None:
        raise AnswerSyntaxError("digits that show no repeating pattern", cursor.token.pos)
    cursor.advance()
    return repeated


def unit(cursor: Cursor, left: Node) -> Node:
    """Collect a unit phrase after a value."""
    start = cursor.token.pos
    if left in _ARTICLES and not (cursor.token.text in ("unit", "units") or known_unit(cursor.token.text)):
        raise AnswerSyntaxError("an article and its noun", start)
    if cursor.token.text in MICRO and isinstance(left, Call) and left.head is Head.MUL and left.args[-1] == Sym("mu"):
        factors = left.args[:-1]
        return Quantity(factors[0] if len(factors) == 1 else Call(Head.MUL, factors), MICRO[cursor.take().text])
    parts: list[str] = []
    below = False  # inside the brackets of "J/(mol K)"
    while True:
        token = cursor.token
        if (token.text == "(" and parts[-1:] == ["/"] and cursor.peek().kind in ("word", "let") and not below) or (
            token.text == ")" and below
        ):
            below = not below
        elif (token.kind == "word" and token.text.lower() not in _STOP_WORDS) or (
            token.kind == "let" and (token.upright or parts[-1:] in (["/"], ["*"]))
        ):
            parts.append(token.text)
        elif token.kind == "op" and token.text in ("/", "*", "-") and _goes_on(cursor) and parts:
            parts.append({"-": "*"}.get(token.text, token.text))
        elif token.kind == "op" and token.text == "^" and parts:
            parts.append("^" + _exponent(cursor))
            continue
        elif token.kind == "op" and token.text == "." and parts and cursor.peek().kind in ("word", "let"):
            pass
        else:
            break
        cursor.advance()
    form = unit_form(parts)
    if form is None or below:
        raise AnswerSyntaxError("words after a value that are no unit", start)
    if number_from_words(parts) is not None:
        raise AnswerSyntaxError("two numbers", start)
    return Quantity(left, form) if form else left


def _goes_on(cursor: Cursor) -> bool:
    """Whether a unit goes on behind the sign under the cursor."""
    following = cursor.peek()
    bracket = cursor.token.text == "/" and following.text == "("
    return (cursor.peek(2) if bracket else following).kind in ("word", "let")


def ohms(cursor: Cursor, left: Node) -> Node | None:
    r"""`4\,\Omega`, `4\ k\Omega` at the end of an element; None where the letter may be a variable."""
    ahead = 1 if cursor.token.text in _OHMS else 0
    if cursor.peek(ahead).text != "Omega" or cursor.peek(ahead).kind != "cmd" or symbols(left):
        return None
    following = cursor.peek(ahead + 1)
    if following.kind != "end" and following.text not in (",", ";", "}", ")", "]"):
        return None
    unit_name = _OHMS.get(cursor.token.text, "ohm")
    cursor.advance(ahead + 1)
    return Quantity(left, unit_name)


def remark(cursor: Cursor, left: Node) -> Node:
    """`42 (forty-two)`, `15 (cm)`, `7/2 (or 3.5)`: parentheses repeat the value or give its unit."""
    start = cursor.take().pos
    if cursor.token.text.lower() in ("since", "because"):
        return _reasoned(cursor, left)
    if cursor.token.text.lower() in ("or", "approximately", "about"):
        approximate = cursor.take().text.lower() != "or"
        if cursor.token.text.lower() in ("approximately", "about"):
            approximate = bool(cursor.take())
        again = cursor.expression(ANY)
        cursor.expect(")")
        return Rel(("~",), (left, again)) if approximate else Seq(Kind.OR, (left, again))
    parts: list[str] = []
    while cursor.token.kind == "word" or (cursor.is_op("-", "/", "^", "*") and parts):
        parts.append(cursor.take().text)
    cursor.expect(")")
    number = number_from_words([p for p in parts if p != "-"])
    if number is not None:
        if isinstance(left, Num) and number == left.value:
            return left
        raise AnswerSyntaxError("two numbers", start)
    form = unit_form(parts)
    if not form:
        raise AnswerSyntaxError("words in parentheses", start)
    return Quantity(left, form)


def _reasoned(cursor: Cursor, left: Node) -> Node:
    """`4 (since x > 0)`: the reason, up to its bracket, is no part of the value."""
    depth = 1
    while depth:
        token = cursor.take()
        if token.kind == "end":
            raise AnswerSyntaxError("an unclosed bracket", token.pos)
        depth += {"(": 1, ")": -1}.get(token.text, 0)
    return left


def unit_fraction(cursor: Cursor, left: Node) -> Node | None:
    r"""`60 \frac{\text{km}}{\text{h}}`: a fraction of words is a unit; None where it is a number."""
    token = cursor.peek(2)
    if cursor.peek().text != "{" or not (token.kind == "word" or (token.kind == "let" and token.upright)):
        return None
    parts: list[str] = []
    at = cursor.at + 1
    for closing in range(2):
        if cursor.tokens[at].text != "{":
            return None
        at += 1
        while cursor.tokens[at].text != "}":
            part = cursor.tokens[at]
            if part.kind == "end":
                return None
            exponent = part.text == "^" and cursor.tokens[at + 1].kind == "num"
            parts.append("^" + cursor.tokens[at + 1].text if exponent else part.text)
            at += 2 if exponent else 1
        at += 1
        if not closing:
            parts.append("/")
    form = unit_form(parts)
    if not form:
        return None
    cursor.at = at
    return Quantity(left, form)


def _exponent(cursor: Cursor) -> str:
    cursor.advance()
    text = raw_script(cursor).replace("−", "-")
    return text if text.lstrip("-").isdigit() else "?"
