"""Units, percent, angles, ratios, times of day and numerals in a base."""

from __future__ import annotations

from fractions import Fraction

from reward_servers.engines.math.compare.context import Context
from reward_servers.engines.math.nodes import (
    Call,
    Const,
    Head,
    Kind,
    Node,
    Num,
    Quantity,
    Seq,
    Sym,
    Text,
    heads,
    integer,
    symbols,
)
from reward_servers.engines.math.policy import Limits
from reward_servers.engines.math.values.exact import exact
from reward_servers.engines.math.values.scalars import Answer
from reward_servers.engines.math.vocabulary.units import (
    COMPOUND_LETTERS,
    MICRO,
    compatible,
    in_dollars,
    is_generic,
    known_unit,
)

_PI_OVER_180 = Call(Head.DIV, (Const("pi"), integer(180)))
_SCALES = {
    "s": ("time", 1),
    "min": ("time", 60),
    "h": ("time", 3600),
    "day": ("time", 86400),
    "inch": ("length", 1),
    "foot": ("length", 12),
    "yard": ("length", 36),
    "oz": ("weight", 1),
    "lb": ("weight", 16),
}
"""Units that are named together in one amount, in the smallest of their kind."""
_HUNDRED = integer(100)
MEASURES = heads("percent deg clock ratio mod base")
_SIGNED = heads("percent deg clock ratio")


def quantities(context: Context, gold: Node, answer: Node) -> Answer:
    """A unit on at least one side."""
    mode = context.policy.units
    gold, answer = _priced(gold), _priced(answer)
    if isinstance(gold, Quantity) and not isinstance(answer, Quantity):
        answer = _as_quantity(answer, gold.unit) or with_unit(gold.value, answer)
    if isinstance(answer, Quantity) and not isinstance(gold, Quantity):
        gold = _as_quantity(gold, answer.unit) or gold
    if isinstance(gold, Quantity) and isinstance(answer, Quantity):
        money = _money(context, gold, answer)
        if money is not None:
            return money
        if mode != "ignore" and not compatible(gold.unit, answer.unit):
            return Answer(False, "unit", f"{gold.unit} is not {answer.unit}")
        return _labelled("unit", context.equal(gold.value, answer.value))
    if isinstance(gold, Quantity):
        if gold.unit == "rad" and inside(answer, Head.DEG) is not None:
            return _labelled("degrees as radians", context.scalar(gold.value, answer))
        if mode == "require" and not is_generic(gold.unit):
            return Answer(False, "unit", f"{gold.unit} is missing")
        if mode != "ignore" and _conflict(gold, answer):
            return Answer(False, "unit", f"{gold.unit} is another kind of measure")
        return _labelled("unit dropped", context.equal(gold.value, answer))
    assert isinstance(answer, Quantity)
    if answer.unit == "rad" and inside(gold, Head.DEG) is not None:
        return _labelled("degrees as radians", context.scalar(gold, answer.value))
    if mode != "ignore" and _conflict(answer, gold):
        return Answer(False, "unit", f"{answer.unit} is another kind of measure")
    return _labelled("unit added", context.equal(gold, answer.value))


def total(node: Node, limits: Limits) -> tuple[str, Fraction] | None:
    """A duration, length or weight given in one unit or several (`1 hour 30 minutes`), in the smallest unit.

    Returns:
        The kind of measure and the amount, None where the node is no such amount.
    """
    parts = node.items if isinstance(node, Seq) and node.kind is Kind.LIST else (node,)
    kinds: set[str] = set()
    amount = Fraction(0)
    for part in parts:
        scale = _SCALES.get(part.unit) if isinstance(part, Quantity) else None
        value = exact(part.value, limits.bits) if isinstance(part, Quantity) else None
        if scale is None or value is None:
            return None
        kinds.add(scale[0])
        amount += value * scale[1]
    return (kinds.pop(), amount) if len(kinds) == 1 else None


def with_unit(gold: Node, answer: Node) -> Node:
    """The answer as a number with its unit, where its letters cannot be variables: the gold has none."""
    names = symbols(answer)
    if symbols(gold) or not names or not names <= COMPOUND_LETTERS | {"mu"}:
        return answer
    return _as_quantity(answer, None) or answer


def _signed(node: Node) -> bool:
    return isinstance(node, Call) and node.head in _SIGNED


def _conflict(quantity: Quantity, plain: Node) -> bool:
    """Whether a unit faces a percent sign, a degree sign, a ratio or a time of day."""
    if not _signed(plain) or _signed(quantity.value):
        return False
    assert isinstance(plain, Call)
    return not (plain.head == Head.DEG and quantity.unit in ("celsius", "fahrenheit"))


def _priced(node: Node) -> Node:
    """`$5 per pound` is an amount of money, whatever it buys."""
    if isinstance(node, Quantity) and isinstance(node.value, Quantity) and node.unit.endswith("^-1"):
        return node.value
    return node


def _money(context: Context, gold: Quantity, answer: Quantity) -> Answer | None:
    a, b = exact(gold.value, context.limits.bits), exact(answer.value, context.limits.bits)
    if a is None or b is None or gold.unit == answer.unit:
        return None
    gold_dollars, answer_dollars = in_dollars(a, gold.unit), in_dollars(b, answer.unit)
    if gold_dollars is None or answer_dollars is None:
        return None
    return Answer(gold_dollars == answer_dollars, "money", f"{gold_dollars} vs {answer_dollars} dollars")


def _labelled(rule: str, answer: Answer) -> Answer:
    return answer._replace(rule=f"{rule}, {answer.rule}")


def measures(context: Context, gold: Node, answer: Node) -> Answer:
    """A percent sign, an angle, a ratio, a time of day or a numeral in a base on at least one side."""
    present = {n.head for n in (gold, answer) if isinstance(n, Call)} & MEASURES
    if Head.DEG in present and len(present) == 2:
        return Answer(False, "measure", "an angle is no percentage, ratio or time of day")
    if Head.BASE in present:
        return _based(gold, answer)
    if Head.CLOCK in present or Head.RATIO in present:
        return _ratios(context, gold, answer)
    if Head.PERCENT in present:
        return _percent(context, gold, answer)
    return _angles(context, gold, answer)


def _percent(context: Context, gold: Node, answer: Node) -> Answer:
    gold_inner, answer_inner = inside(gold, Head.PERCENT), inside(answer, Head.PERCENT)
    if gold_inner is not None and answer_inner is not None:
        return _labelled("percent", context.equal(gold_inner, answer_inner))
    if gold_inner is not None:
        if not context.policy.percent:
            return Answer(False, "percent", "the percent sign is missing")
        dropped = _labelled("percent sign dropped", context.equal(gold_inner, answer))
        return (
            dropped
            if dropped.same
            else _labelled("percent", context.scalar(Call(Head.DIV, (gold_inner, _HUNDRED)), answer))
        )
    assert answer_inner is not None
    value = _labelled("percent", context.equal(gold, Call(Head.DIV, (answer_inner, _HUNDRED))))
    if value.same or not context.policy.percent or not _is_percent_number(gold, context.limits):
        return value
    return _labelled("percent sign added", context.equal(gold, answer_inner))


def _is_percent_number(gold: Node, limits: Limits) -> bool:
    """Whether a bare gold may be a number of percent: 40 may, 1/4 is meant as it stands."""
    value = exact(gold, limits.bits)
    return value is None or abs(value) >= 1 or value == 0


def _angles(context: Context, gold: Node, answer: Node) -> Answer:
    gold_inner, answer_inner = inside(gold, Head.DEG), inside(answer, Head.DEG)
    if gold_inner is not None and answer_inner is not None:
        return _labelled("degrees", context.equal(gold_inner, answer_inner))
    inner, plain = (gold_inner, answer) if gold_inner is not None else (answer_inner, gold)
    assert inner is not None
    dropped = _labelled("degree sign", context.scalar(inner, plain))
    if dropped.same:
        return dropped
    return _labelled("degrees as radians", context.scalar(Call(Head.MUL, (inner, _PI_OVER_180)), plain))


def _ratios(context: Context, gold: Node, answer: Node) -> Answer:
    clocks = [n for n in (gold, answer) if inside(n, Head.CLOCK) is not None]
    if len(clocks) == 2:
        return _clocks(gold, answer)
    parts, other_parts = _ratio_parts(gold), _ratio_parts(answer)
    if parts is None or other_parts is None:
        plain, ratio = (gold, other_parts) if parts is None else (answer, parts)
        if ratio is None or len(ratio) != 2:
            return Answer(False, "ratio", "not a ratio")
        if len(clocks) == 1 and isinstance(plain, Num) and ratio[1] == Num(Fraction(0)):
            return _labelled("time of day", context.equal(plain, ratio[0]))
        if _signed(plain) and len(clocks) == 1:
            return Answer(False, "time of day", "another kind of measure")
        if any(isinstance(c, Call) and c.args[2] != Text("") for c in clocks):
            return Answer(False, "time of day", "a time of day is no quotient")
        return _labelled("ratio", context.scalar(plain, Call(Head.DIV, (ratio[0], ratio[1]))))
    if len(parts) != len(other_parts):
        return Answer(False, "ratio", "a different number of parts")
    for k in range(1, len(parts)):
        cross = context.scalar(Call(Head.MUL, (parts[0], other_parts[k])), Call(Head.MUL, (other_parts[0], parts[k])))
        if not cross.same:
            return _labelled("ratio", cross)
    return Answer(True, "ratio")


def _clocks(gold: Node, answer: Node) -> Answer:
    times = [_minutes(n) for n in (gold, answer)]
    if None in times:
        return Answer(gold == answer, "time of day")
    (a, halves), (b, other_halves) = times  # type: ignore[misc]
    if halves and other_halves:
        return Answer(a == b, "time of day")
    # Without a.m. or p.m. on one side the hand positions must agree.
    is_same = a % 720 == b % 720 if halves or other_halves else a == b
    return Answer(is_same, "time of day")


def _based(gold: Node, answer: Node) -> Answer:
    gold_digits, answer_digits = _digits(gold), _digits(answer)
    if gold_digits is None or answer_digits is None:
        return Answer(False, "base", "not a numeral")
    if (
        gold_digits[1] is None
        and answer_digits[1] not in (None, 10)
        and len(set(gold_digits[0]) | {"0", "1"}) == 2
        and len(gold_digits[0]) < 4
    ):
        # A short gold such as 10 is a decimal number, one such as 1011 may have lost its base.
        return Answer(False, "base", f"{gold_digits[0]} is no numeral in base {answer_digits[1]}")
    if gold_digits[1] is not None and answer_digits[1] is not None and gold_digits[1] != answer_digits[1]:
        return Answer(False, "base", f"base {gold_digits[1]} is not base {answer_digits[1]}")
    return Answer(gold_digits[0] == answer_digits[0], "base", f"numeral {gold_digits[0]} vs {answer_digits[0]}")


def _as_quantity(node: Node, unit: str | None) -> Node | None:
    """`10m`, `30 m/s` for a gold in these units: the letters are the gold's unit, not variables."""
    numbers: list[Node] = []
    powers: dict[str, int] = {}
    if not _unit_factors(node, 1, numbers, powers) or not powers or not numbers:
        return None
    form = "*".join(sorted(f"{n}^{p}" if p != 1 else n for n, p in powers.items() if p))
    value = numbers[0] if len(numbers) == 1 else Call(Head.MUL, tuple(numbers))
    return Quantity(value, form) if unit is None or form == unit else None


def _unit_factors(node: Node, power: int, numbers: list[Node], powers: dict[str, int]) -> bool:
    """Split a product into numbers and letters that spell units."""
    match node:
        case Sym(name):
            unit = known_unit(name)
            if unit is None or "*" in unit:
                return False
            powers[unit] = powers.get(unit, 0) + power
            return True
        case Quantity(value, unit) if "*" not in unit and "^" not in unit and power == 1:
            powers[unit] = powers.get(unit, 0) + 1
            return _unit_factors(value, 1, numbers, powers)
        case Call(Head.MUL, args):
            return all(_unit_factors(a, power, numbers, powers) for a in _with_micro(args))
        case Call(Head.DIV, (top, below)) if symbols(node):
            return _unit_factors(top, power, numbers, powers) and _unit_factors(below, -power, numbers, powers)
        case Call(Head.POW, (Sym() as base, Num(exponent))) if exponent.denominator == 1:
            return _unit_factors(base, power * exponent.numerator, numbers, powers)
        case _ if symbols(node) or power != 1:
            return False
        case _:
            numbers.append(node)
            return True


def _with_micro(args: tuple[Node, ...]) -> tuple[Node, ...]:
    """Factors with a `mu` and the unit behind it as one unit."""
    joined: list[Node] = []
    for arg in args:
        if joined and joined[-1] == Sym("mu") and isinstance(arg, Sym) and arg.name in MICRO:
            joined[-1] = Sym(MICRO[arg.name])
        else:
            joined.append(arg)
    return tuple(joined)


def _ratio_parts(node: Node) -> tuple[Node, ...] | None:
    if isinstance(node, Call) and node.head == Head.RATIO:
        return node.args
    if isinstance(node, Call) and node.head == Head.CLOCK:
        return node.args[:2]
    return None


def _minutes(node: Node) -> tuple[Fraction, bool] | None:
    """Minutes after midnight, and whether the half of the day was said."""
    if not (isinstance(node, Call) and isinstance(node.args[0], Num) and isinstance(node.args[1], Num)):
        return None
    hour, minute, half = node.args[0].value, node.args[1].value, node.args[2]
    assert isinstance(half, Text)
    if half.key:
        hour = hour % 12 + (12 if half.key == "pm" else 0)
    return hour * 60 + minute, bool(half.key) or hour > 12


def _digits(node: Node) -> tuple[str, int | None] | None:
    """The numeral and its base, None for a base that was not written."""
    if isinstance(node, Call) and node.head == Head.BASE:
        digits, base = node.args
        assert isinstance(digits, Text)
        assert isinstance(base, Num)
        return digits.key, int(base.value)
    if isinstance(node, Num) and node.value.denominator == 1 and node.value >= 0:
        return str(node.value), None
    if isinstance(node, Num) and node.places and node.value >= 0:
        whole, rest = divmod(node.value * 10**node.places, 10**node.places)
        return f"{whole or ''}.{int(rest):0{node.places}d}", None
    letters: list[str] = []
    stack = [node]
    while stack:
        part = stack.pop()
        if isinstance(part, Call) and part.head in (Head.MUL, Head.SPELLED):
            stack.extend(reversed(part.args))
        elif isinstance(part, Num) and part.value.denominator == 1:
            letters.append(str(part.value))
        elif isinstance(part, Sym) and part.name.upper() in "ABCDEF":
            letters.append(part.name.upper())
        else:
            return None
    return "".join(letters), None


def inside(node: Node, head: Head) -> Node | None:
    """The first argument of a node with that head, else None."""
    return node.args[0] if isinstance(node, Call) and node.head == head else None
