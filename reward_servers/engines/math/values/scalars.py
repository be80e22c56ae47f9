"""Equality of two scalar expressions, in the order of cost.

Identical trees, exact rationals, rational identities in a prime field, then enclosures: of the constant itself, or at
seeded points where both sides are defined over the reals.
"""

from __future__ import annotations

from fractions import Fraction
from functools import lru_cache
from itertools import islice
from typing import Any, NamedTuple

from reward_servers.engines.math.errors import LimitExceededError
from reward_servers.engines.math.nodes import (
    UNEVALUATED,
    Call,
    Const,
    Head,
    Node,
    Num,
    Sym,
    children,
    has_const,
    has_head,
    heads,
    heads_in,
    integer,
    rebuild,
    substitute,
    symbols,
    walk,
)
from reward_servers.engines.math.policy import Limits
from reward_servers.engines.math.values import field
from reward_servers.engines.math.values.balls import LOCK, Evaluator, NoValueError, Spread, UnsupportedOperationError
from reward_servers.engines.math.values.exact import UndefinedValueError, exact
from reward_servers.engines.math.values.integers import constants_of, integer_points, step_points


class Answer(NamedTuple):
    """`same` is None where nothing could be decided; `rule` and `why` go into the judgement."""

    same: bool | None
    rule: str
    why: str = ""


OPAQUE = heads("apply sum prod int lim diff norm det tr rank arg dim ker sup inf Pr endless mod")
_SYMBOLIC_OPAQUE = heads("gcd lcm fact2")
_ABSTRACTED = OPAQUE | _SYMBOLIC_OPAQUE
_STEPS = heads("floor ceil sign max min rem")
_LOGARITHM = frozenset({Head.LOG})
_START, _FINAL = 128, 448

# Magnitude and signs of the sample points, round by round: small, middling and large positive values first (roots and
# logarithms are defined there), then mixed signs, then far out.
_ROUNDS = (
    (0.15, 0.9, 0),
    (0.15, 0.9, 0),
    (1.1, 3.0, 0),
    (1.1, 3.0, 0),
    (0.1, 0.95, 1),
    (0.1, 0.95, 1),
    (0.3, 3.0, 1),
    (0.3, 3.0, 1),
    (0.3, 3.0, 1),
    (4.0, 9.0, 0),
    (12.0, 40.0, 0),
    (100.0, 900.0, 0),
    (5.0, 60.0, 1),
)
_WANTED, _WANTED_INTEGERS = 3, 8


@lru_cache(maxsize=4096)
def sample(name: str, round_: int) -> Fraction:
    """The value of a variable in a round, from its name alone."""
    from hashlib import blake2b

    low, high, signs = _ROUNDS[round_]
    digest = blake2b(f"real:{round_}:{name}".encode(), digest_size=8).digest()
    share = Fraction(int.from_bytes(digest[:6], "big"), 2**48)
    value = Fraction(low) + (Fraction(high) - Fraction(low)) * share
    return -value if signs and digest[7] & 1 else value


def same_scalar(left: Node, right: Node, limits: Limits, integers: frozenset[str] = frozenset()) -> Answer:
    """Whether two scalar expressions have the same value wherever both are defined.

    Args:
        left: One expression.
        right: The other.
        limits: The bounds.
        integers: Names of the variables that stand for integers; the others are real.

    Raises:
        LimitExceededError: The comparison would pass a bound.
        UndefinedValueError: A constant side has no value.
    """
    if left == right:
        return Answer(True, "identical")
    present = heads_in(left) | heads_in(right)
    opaque = False
    if not _ABSTRACTED.isdisjoint(present):
        opaque = not UNEVALUATED.isdisjoint(present) or _gcd_of_symbols(left) or _gcd_of_symbols(right)
        left, right = _abstracted(left, right, limits)
        if left == right:
            return Answer(True, "identical after renaming")
    answer = _exactly(left, right, limits)
    if answer is None:
        if Head.LOG in present and (has_head(left, _LOGARITHM) or has_head(right, _LOGARITHM)):
            answer = _with_logarithms(left, right, limits, integers)
        else:
            answer = _enclosed(left, right, limits, integers)
    if opaque and answer.same is False:
        # The parts that became symbols may be related: different symbols prove nothing.
        return Answer(None, "opaque", "operators that only a symbolic stage can compare")
    return answer


def _gcd_of_symbols(node: Node) -> bool:
    return any(isinstance(n, Call) and n.head in _SYMBOLIC_OPAQUE and symbols(n) for n in walk(node))


def _exactly(left: Node, right: Node, limits: Limits) -> Answer | None:
    huge: LimitExceededError | None = None
    values: list[Fraction | None] = []
    for side in (left, right):
        try:
            values.append(exact(side, limits.bits))
        except LimitExceededError as exc:
            huge = exc
            values.append(None)
    if values[0] is not None and values[1] is not None:
        return Answer(values[0] == values[1], "exact", f"{_short(values[0])} vs {_short(values[1])}")
    rational = field.same(left, right)
    if rational is not None:
        names = symbols(left) | symbols(right)
        return Answer(rational, "rational identity", "as functions of " + ", ".join(sorted(names)) if names else "")
    if huge is not None and not symbols(left) and not symbols(right):
        return _huge(left, right, limits)
    return None


def _huge(left: Node, right: Node, limits: Limits) -> Answer:
    """Numbers too long to write out: their sizes may still differ."""
    try:
        answer = _constants(left, right, limits, complex_=False)
    except (NoValueError, UnsupportedOperationError, OverflowError):
        answer = Answer(None, "size")
    if answer.same is False:
        return answer
    raise LimitExceededError("bits", "a number too long to write out")


def _short(value: Fraction) -> str:
    return str(value) if value.numerator.bit_length() + value.denominator.bit_length() < 400 else "a long rational"


def _with_logarithms(left: Node, right: Node, limits: Limits, integers: frozenset[str]) -> Answer:
    """`log` without a base is natural in one book and decimal in another: either reading may hold."""
    result = Answer(None, "logarithm")
    for base in (None, integer(10)):
        result = same_scalar(_set_base(left, base), _set_base(right, base), limits, integers)
        if result.same:
            return result
    return result


def _set_base(node: Node, base: Node | None) -> Node:
    node = rebuild(node, lambda child: _set_base(child, base))
    if isinstance(node, Call) and node.head == Head.LOG:
        return Call(Head.LN, node.args) if base is None else Call(Head.LOGB, (*node.args, base))
    return node


# Enclosures -----------------------------------------------------------------------------------


def _enclosed(left: Node, right: Node, limits: Limits, integers: frozenset[str]) -> Answer:
    names = sorted(symbols(left) | symbols(right))
    try:
        if names:
            integer_names = tuple(name for name in names if name in integers)
            decision = _at_integers(left, right, names, integer_names, limits) if integer_names else None
            return decision or _at_points(left, right, names, limits)
        complex_ = has_const(left, "i") or has_const(right, "i")
        if not complex_:
            try:
                return _constants(left, right, limits, complex_=False)
            except NoValueError:
                pass
        return _constants(left, right, limits, complex_=True)
    except NoValueError:
        return Answer(False, "undefined", "a side has no finite value")
    except (UnsupportedOperationError, OverflowError):
        return Answer(None, "unsupported", "an operation without a numeric meaning")


def _pair(
    left: Node, right: Node, env: dict[str, Fraction], precision: int, spread: Spread, complex_: bool
) -> tuple[Any, Any]:
    import flint

    with LOCK, flint.ctx.workprec(precision):
        evaluator = Evaluator(env, complex_, spread)
        return evaluator.value(left), evaluator.value(right)


def _overlap(a: Any, b: Any) -> bool:
    return bool(a.overlaps(b))


def _constants(left: Node, right: Node, limits: Limits, *, complex_: bool) -> Answer:
    spread = Spread(fuel=limits.fuel, watch=True)
    a, b = _pair(left, right, {}, _START, spread, complex_)
    if not _overlap(a, b):
        return Answer(False, "enclosure", f"disjoint at {_START} bits")
    needed = _FINAL + 2 * (spread.high - spread.low) + 2 * spread.literal
    if needed > limits.precision:
        raise LimitExceededError("precision", f"{needed} bits needed to tell the sides apart")
    a, b = _pair(left, right, {}, needed, Spread(fuel=limits.fuel), complex_)
    if not _overlap(a, b):
        return Answer(False, "enclosure", f"disjoint at {needed} bits")
    if not (_narrow(a, needed) and _narrow(b, needed)):
        return Answer(None, "enclosure", "enclosures too wide to tell")
    return Answer(True, "enclosure", f"agree to {needed} bits")


def _narrow(value: Any, precision: int) -> bool:
    bound = (value.abs_upper() + 1) * 2.0 ** -min(precision // 2, 1000)
    return all(bool(part.rad() <= bound) for part in (value.real, value.imag))


def _exactly_at_points(left: Node, right: Node, names: list[str], limits: Limits) -> Answer | None:
    """Step functions of rational arguments: exact values at the sample points, None where they are not rational."""
    agreed = 0
    for round_ in range(len(_ROUNDS)):
        env: dict[Node, Node] = {Sym(name): Num(sample(name, round_)) for name in names}
        try:
            a, b = exact(substitute(left, env), limits.bits), exact(substitute(right, env), limits.bits)
        except UndefinedValueError:
            continue
        if a is None or b is None:
            return None
        if a != b:
            return Answer(False, "exact at points", f"different in round {round_}")
        agreed += 1
    return Answer(True, "exact at points", f"equal at {agreed} points") if agreed >= _WANTED else None


def _at_integers(left: Node, right: Node, names: list[str], whole: tuple[str, ...], limits: Limits) -> Answer | None:
    """Integer variables at integer points, the others at real ones; None where too few points say anything."""
    agreed = 0
    points = integer_points(whole, constants_of(left, right))
    for round_, point in enumerate(islice(points, _affordable(left, right))):
        env = {name: sample(name, round_ % len(_ROUNDS)) for name in names} | point
        is_same = _same_at(left, right, env, limits)
        if is_same is False:
            return Answer(False, "at integers", f"different at {_point_text(point)}")
        agreed += is_same is True
    return Answer(True, "at integers", f"equal at {agreed} points") if agreed >= _WANTED_INTEGERS else None


def _jump_apart(left: Node, right: Node, names: list[str], limits: Limits) -> Answer | None:
    """A point at which step functions differ, sought where they jump; None where there is none."""
    for point in islice(step_points(tuple(names), constants_of(left, right)), _affordable(left, right)):
        if _same_at(left, right, point, limits) is False:
            return Answer(False, "at jumps", f"different at {_point_text(point)}")
    return None


def _affordable(left: Node, right: Node) -> int:
    """How many points may be tried: fewer for long expressions."""
    size = sum(1 for side in (left, right) for _ in walk(side))
    return max(40, 20_000 // size)


def _point_text(point: dict[str, Fraction]) -> str:
    return ", ".join(f"{name} = {value}" for name, value in point.items())


def _same_at(left: Node, right: Node, env: dict[str, Fraction], limits: Limits) -> bool | None:
    """Whether both sides have one value at a point; None where either has none, or it cannot be told."""
    table: dict[Node, Node] = {Sym(name): Num(value) for name, value in env.items()}
    left, right = substitute(left, table), substitute(right, table)
    try:
        a, b = exact(left, limits.bits), exact(right, limits.bits)
        if a is not None and b is not None:
            return a == b
        complex_ = has_const(left, "i") or has_const(right, "i")
        x, y = _pair(left, right, {}, 2 * _START, Spread(fuel=limits.fuel), complex_)
    except (NoValueError, UnsupportedOperationError, OverflowError, UndefinedValueError, LimitExceededError):
        return None
    if not _overlap(x, y):
        return False
    return True if _narrow(x, _START) and _narrow(y, _START) else None


def _at_points(left: Node, right: Node, names: list[str], limits: Limits) -> Answer:
    if has_head(left, _STEPS) or has_head(right, _STEPS):
        stepped = _exactly_at_points(left, right, names, limits)
        if stepped is None or stepped.same:
            stepped = _jump_apart(left, right, names, limits) or stepped
        if stepped is not None:
            return stepped
    complex_ = has_const(left, "i") or has_const(right, "i")
    fuel, agreed = limits.fuel, 0
    for round_ in range(len(_ROUNDS)):
        env = {name: sample(name, round_) for name in names}
        spread = Spread(fuel=fuel, watch=agreed == 0)
        try:
            a, b = _pair(left, right, env, 2 * _START, spread, complex_)
        except NoValueError:
            fuel = spread.fuel
            continue
        fuel = spread.fuel
        if not _overlap(a, b):
            return Answer(False, "enclosure at points", f"disjoint in round {round_}")
        if _narrow(a, _START) and _narrow(b, _START):
            agreed += 1
    if agreed < _WANTED:
        return Answer(None, "enclosure at points", f"both sides defined at {agreed} points only")
    return Answer(True, "enclosure at points", f"agree at {agreed} points to {2 * _START} bits")


# Opaque parts ---------------------------------------------------------------------------------


def _abstracted(left: Node, right: Node, limits: Limits) -> tuple[Node, Node]:
    """Replace parts without a numeric meaning by symbols, equal parts by equal symbols."""
    opaque: list[Node] = []
    for side in (left, right):
        _collect(side, opaque)
    if not opaque or len(opaque) > 64:
        return left, right
    table: dict[Node, Node] = {}
    classes: list[Node] = []
    for node in opaque:
        for number, representative in enumerate(classes):
            if _same_opaque(node, representative, limits):
                table[node] = Const(f"part {number}")
                break
        else:
            table[node] = Const(f"part {len(classes)}")
            classes.append(node)
    symbols_by_node = {node: _as_symbol(value) for node, value in table.items()}
    return substitute(left, symbols_by_node), substitute(right, symbols_by_node)


def _as_symbol(node: Node) -> Node:
    assert isinstance(node, Const)
    return Sym(node.name)


def _collect(node: Node, nodes: list[Node]) -> None:
    if isinstance(node, Call) and (node.head in OPAQUE or (node.head in _SYMBOLIC_OPAQUE and symbols(node))):
        if node not in nodes:
            nodes.append(node)
        return
    for child in children(node):
        _collect(child, nodes)


def _same_opaque(a: Node, b: Node, limits: Limits) -> bool:
    if not (isinstance(a, Call) and isinstance(b, Call) and a.head == b.head and len(a.args) == len(b.args)):
        return False
    first, second = a.args, b.args
    if a.head in (Head.SUM, Head.PROD, Head.LIM, Head.INT) and first[1] != second[1]:
        # Bound variables may be renamed.
        second = tuple(substitute(s, {second[1]: first[1]}) for s in second)
    if a.head == Head.APPLY and first[0] != second[0]:
        return False
    for x, y in zip(first, second, strict=True):
        if x == y:
            continue
        try:
            if not same_scalar(x, y, limits).same:
                return False
        except UndefinedValueError:
            return False
    return True


def sign_of(node: Node, limits: Limits) -> int | None:
    """The sign of a real constant: -1, 0 or 1; None where it cannot be told."""
    try:
        value = exact(node, limits.bits)
        if value is not None:
            return (value > 0) - (value < 0)
        with LOCK:
            a, zero = _pair(node, Num(Fraction(0)), {}, 2 * _START, Spread(fuel=limits.fuel), False)
    except (NoValueError, UnsupportedOperationError, OverflowError, LimitExceededError, UndefinedValueError):
        return None
    if a > zero:
        return 1
    if a < zero:
        return -1
    return 0 if same_scalar(node, Num(Fraction(0)), limits).same else None
