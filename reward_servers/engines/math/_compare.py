"""Compare an answer with a gold, kind by kind, cheapest test first.

`Comparison.same` is the whole interface.  The gold leads: what it is decides how the answer is read.
"""

from __future__ import annotations

from fractions import Fraction

from . import _containers, _relations
from ._exact import Undefined, exact
from ._nodes import (
    ARITHMETIC,
    EMPTY,
    INFINITY,
    UNEVALUATED,
    Call,
    Const,
    Interval,
    Matrix,
    Node,
    Num,
    Quantity,
    Rel,
    Seq,
    Sym,
    Text,
    has_const,
    has_head,
    integer,
    symbols,
    walk,
)
from ._policy import Policy
from ._rounding import rounds_to, within
from ._scalars import OPAQUE, Answer, same_scalar
from ._units import compatible, in_dollars, known_unit

_PI_OVER_180 = Call("div", (Const("pi"), integer(180)))
_HUNDRED = integer(100)
_MEASURES = frozenset({"percent", "deg", "clock", "ratio", "mod", "base"})
_LETTERS_OF_FAMILIES = frozenset("knmljKNMt")


class Comparison:
    """One policy applied to pairs of nodes."""

    def __init__(self, policy: Policy) -> None:
        self.policy = policy
        self.limits = policy.limits

    def same(self, gold: Node, answer: Node) -> Answer:
        """Whether `answer` is an acceptable form of `gold`.

        Raises:
            LimitExceeded: A bound was passed.
        """
        if gold == answer:
            return Answer(True, "identical")
        refused = self._refused(gold, answer)
        if refused is not None:
            return refused
        try:
            return self._dispatch(gold, answer)
        except Undefined as exc:
            return Answer(False, "undefined", str(exc))

    def _refused(self, gold: Node, answer: Node) -> Answer | None:
        """What the policy refuses in the form of an answer, whatever its value."""
        if not self.policy.operators and has_head(answer, UNEVALUATED) and not has_head(gold, UNEVALUATED):
            return Answer(False, "restated question", "an unevaluated sum, product, integral, limit or derivative")
        if not self.policy.arithmetic and has_head(answer, ARITHMETIC) and not has_head(gold, ARITHMETIC):
            return Answer(False, "unevaluated", "arithmetic left undone")
        if self.policy.reduced and _unreduced(answer):
            return Answer(False, "unreduced", "a fraction not in lowest terms")
        if self.policy.integers_literal and isinstance(gold, Num) and gold.value.denominator == 1 and not _literal(answer):
            return Answer(False, "not a literal integer", "the gold is an integer")
        return None

    def _dispatch(self, gold: Node, answer: Node) -> Answer:
        if isinstance(gold, Text) or isinstance(answer, Text):
            return Answer(gold == answer, "text")
        if _inside(gold, "mod") is not None or _inside(answer, "mod") is not None:
            return _relations.same_residue(self, gold, answer)
        if isinstance(gold, Rel) or isinstance(answer, Rel) or _containers.is_set_of_reals(gold, answer):
            return _relations.same(self, gold, answer)
        if _is_collection(gold) or _is_collection(answer):
            return _containers.same(self, gold, answer)
        if isinstance(gold, Matrix) or isinstance(answer, Matrix):
            return _containers.same_matrix(self, gold, answer)
        if isinstance(gold, Quantity) or isinstance(answer, Quantity):
            return self._quantities(gold, answer)
        if _measure(gold) or _measure(answer):
            return self._measures(gold, answer)
        return self.scalar(gold, answer)

    # Scalars ---------------------------------------------------------------------------------

    def scalar(self, gold: Node, answer: Node) -> Answer:
        """Two expressions with one value each."""
        for node in (gold, answer):
            if any(isinstance(n, Seq | Rel | Interval | Matrix | Text) for n in walk(node)):
                return Answer(False, "kind", "not the same kind of object")
        if _infinite(gold) or _infinite(answer):
            return Answer(gold == answer, "infinity")
        if any(isinstance(n, Const) and n.name not in ("pi", "e", "i", "oo") and not n.name.startswith("side")
               for side in (gold, answer) for n in walk(side)):
            return Answer(gold == answer, "constant")
        gold_symbols, answer_symbols = symbols(gold), symbols(answer)
        if gold_symbols != answer_symbols:
            renamed = self._renamed(gold, answer, gold_symbols, answer_symbols)
            if renamed is not None:
                return renamed
        answer_ = same_scalar(gold, answer, self.limits)
        if answer_.same is False:
            if _integration_constant(gold) and (constant := self._up_to_constant(gold, answer)) is not None:
                return constant
            return self._tolerant(gold, answer, answer_)
        return answer_

    def _tolerant(self, gold: Node, answer: Node, strict: Answer) -> Answer:
        policy = self.policy
        if not (policy.tolerance or policy.gold_precision or policy.float_rounding is not None) or symbols(gold) or symbols(answer):
            return strict
        if policy.tolerance and within(gold, answer, policy.tolerance, self.limits):
            return Answer(True, "tolerance", f"within {policy.tolerance:g} of the gold")
        if policy.gold_precision and isinstance(gold, Num) and gold.places and rounds_to(answer, gold, gold.places, self.limits):
            return Answer(True, "rounded to the gold", f"at {gold.places} places")
        places = policy.float_rounding
        if places is not None and (_is_decimal(gold) or _is_decimal(answer)):
            if rounds_to(answer, gold, places, self.limits):
                return Answer(True, "rounded", f"both at {places} places")
        return strict

    def _renamed(self, gold: Node, answer: Node, gold_names: frozenset[str], names: frozenset[str]) -> Answer | None:
        """Names that may differ: the constant of integration and the integer of a family."""
        from ._nodes import substitute

        extra, missing = names - gold_names, gold_names - names
        if len(extra) != 1 or len(missing) != 1:
            # Different variables: equal only if the odd ones cancel.
            return None
        (mine,), (theirs,) = missing, extra
        constant = _integration_constant(gold)
        if constant == mine and _integration_constant(answer) == theirs:
            return self.scalar(gold, substitute(answer, {Sym(theirs): Sym(mine)}))
        if mine in _LETTERS_OF_FAMILIES and theirs in _LETTERS_OF_FAMILIES and has_const(gold, "pi"):
            return self.scalar(gold, substitute(answer, {Sym(theirs): Sym(mine)}))
        return None

    def _up_to_constant(self, gold: Node, answer: Node) -> Answer | None:
        """Antiderivatives that differ by a constant, both with their constant of integration."""
        name = _integration_constant(gold)
        if name is None or _integration_constant(answer) != name:
            return None
        return _relations.constant_difference(_without(gold, name), _without(answer, name), self.limits)

    # Units and the like ----------------------------------------------------------------------

    def _quantities(self, gold: Node, answer: Node) -> Answer:
        mode = self.policy.units
        if isinstance(gold, Quantity) and not isinstance(answer, Quantity):
            answer = _as_quantity(answer, gold.unit) or answer
        if isinstance(gold, Quantity) and isinstance(answer, Quantity):
            money = self._money(gold, answer)
            if money is not None:
                return money
            if mode != "ignore" and not compatible(gold.unit, answer.unit):
                return Answer(False, "unit", f"{gold.unit} is not {answer.unit}")
            return self._labelled("unit", self.same(gold.value, answer.value))
        if isinstance(gold, Quantity):
            if mode == "require":
                return Answer(False, "unit", f"{gold.unit} is missing")
            return self._labelled("unit dropped", self.same(gold.value, answer))
        assert isinstance(answer, Quantity)
        return self._labelled("unit added", self.same(gold, answer.value))

    def _money(self, gold: Quantity, answer: Quantity) -> Answer | None:
        a, b = exact(gold.value, self.limits.bits), exact(answer.value, self.limits.bits)
        if a is None or b is None or gold.unit == answer.unit:
            return None
        mine, theirs = in_dollars(a, gold.unit), in_dollars(b, answer.unit)
        if mine is None or theirs is None:
            return None
        return Answer(mine == theirs, "money", f"{mine} vs {theirs} dollars")

    def _labelled(self, rule: str, answer: Answer) -> Answer:
        return answer._replace(rule=f"{rule}, {answer.rule}")

    def _measures(self, gold: Node, answer: Node) -> Answer:
        heads = {n.head for n in (gold, answer) if isinstance(n, Call)} & _MEASURES
        if "base" in heads:
            return self._based(gold, answer)
        if "clock" in heads or "ratio" in heads:
            return self._ratios(gold, answer)
        if "percent" in heads:
            return self._percent(gold, answer)
        return self._angles(gold, answer)

    def _percent(self, gold: Node, answer: Node) -> Answer:
        mine, theirs = _inside(gold, "percent"), _inside(answer, "percent")
        if mine is not None and theirs is not None:
            return self._labelled("percent", self.same(mine, theirs))
        if mine is not None:
            if not self.policy.percent:
                return Answer(False, "percent", "the percent sign is missing")
            dropped = self._labelled("percent sign dropped", self.same(mine, answer))
            return dropped if dropped.same else self._labelled("percent", self.scalar(Call("div", (mine, _HUNDRED)), answer))
        assert theirs is not None
        value = self._labelled("percent", self.same(gold, Call("div", (theirs, _HUNDRED))))
        if value.same or not self.policy.percent:
            return value
        return self._labelled("percent sign added", self.same(gold, theirs))

    def _angles(self, gold: Node, answer: Node) -> Answer:
        mine, theirs = _inside(gold, "deg"), _inside(answer, "deg")
        if mine is not None and theirs is not None:
            return self._labelled("degrees", self.same(mine, theirs))
        inner, plain = (mine, answer) if mine is not None else (theirs, gold)
        assert inner is not None
        dropped = self._labelled("degree sign", self.scalar(inner, plain))
        if dropped.same:
            return dropped
        return self._labelled("degrees as radians", self.scalar(Call("mul", (inner, _PI_OVER_180)), plain))

    def _ratios(self, gold: Node, answer: Node) -> Answer:
        clocks = [n for n in (gold, answer) if _inside(n, "clock") is not None]
        if len(clocks) == 2:
            return self._clocks(gold, answer)
        parts, others = _ratio_parts(gold), _ratio_parts(answer)
        if parts is None or others is None:
            plain, ratio = (gold, others) if parts is None else (answer, parts)
            if ratio is None or len(ratio) != 2:
                return Answer(False, "ratio", "not a ratio")
            if len(clocks) == 1 and isinstance(plain, Num):
                if ratio[1] == Num(Fraction(0)):
                    return self._labelled("time of day", self.same(plain, ratio[0]))
            return self._labelled("ratio", self.scalar(plain, Call("div", (ratio[0], ratio[1]))))
        if len(parts) != len(others):
            return Answer(False, "ratio", "a different number of parts")
        for k in range(1, len(parts)):
            cross = self.scalar(Call("mul", (parts[0], others[k])), Call("mul", (others[0], parts[k])))
            if not cross.same:
                return self._labelled("ratio", cross)
        return Answer(True, "ratio")

    def _clocks(self, gold: Node, answer: Node) -> Answer:
        times = [_minutes(n) for n in (gold, answer)]
        if None in times:
            return Answer(gold == answer, "time of day")
        (a, halves), (b, others) = times  # type: ignore[misc]
        if halves and others:
            return Answer(a == b, "time of day")
        # Without a.m. or p.m. on one side the hand positions must agree.
        same = a % 720 == b % 720 if halves or others else a == b
        return Answer(same, "time of day")

    def _based(self, gold: Node, answer: Node) -> Answer:
        mine, theirs = _digits(gold), _digits(answer)
        if mine is None or theirs is None:
            return Answer(False, "base", "not a numeral")
        if mine[1] is not None and theirs[1] is not None and mine[1] != theirs[1]:
            return Answer(False, "base", f"base {mine[1]} is not base {theirs[1]}")
        return Answer(mine[0] == theirs[0], "base", f"numeral {mine[0]} vs {theirs[0]}")


def _infinite(node: Node) -> bool:
    """Whether infinity takes part in the arithmetic, not only in the bounds of an operator."""
    if isinstance(node, Call):
        return node.head not in OPAQUE and any(_infinite(a) for a in node.args)
    return node == INFINITY


def _inside(node: Node, head: str) -> Node | None:
    return node.args[0] if isinstance(node, Call) and node.head == head else None


def _measure(node: Node) -> bool:
    return isinstance(node, Call) and node.head in _MEASURES


def _is_collection(node: Node) -> bool:
    return isinstance(node, Seq | Interval) or node == EMPTY


def _literal(node: Node) -> bool:
    return isinstance(node, Num | Quantity) or (isinstance(node, Rel) and isinstance(node.terms[-1], Num))


def _unreduced(node: Node) -> bool:
    for part in walk(node):
        if isinstance(part, Call) and part.head == "div" and all(isinstance(a, Num) and a.value.denominator == 1 for a in part.args):
            top, below = (a.value for a in part.args if isinstance(a, Num))
            if below == 0 or Fraction(top, below).denominator != abs(below):
                return True
    return False


def _is_decimal(node: Node) -> bool:
    return any(isinstance(n, Num) and n.places for n in walk(node))


def _terms(node: Node) -> tuple[Node, ...]:
    return node.args if isinstance(node, Call) and node.head == "add" else (node,)


def _integration_constant(node: Node) -> str | None:
    """The name of a lone constant term such as C, K or c, if the rest does not mention it."""
    terms = _terms(node)
    if len(terms) < 2:
        return None
    for term in terms:
        if isinstance(term, Sym) and (term.name.partition("_")[0] in ("C", "K", "c", "k") or term.name == "const"):
            if sum(term.name in symbols(t) for t in terms) == 1:
                return term.name
    return None


def _without(node: Node, name: str) -> Node:
    rest = tuple(t for t in _terms(node) if t != Sym(name))
    return rest[0] if len(rest) == 1 else Call("add", rest)


def _as_quantity(node: Node, unit: str) -> Node | None:
    """`10m` for a gold in metres: the letter is the gold's unit, not a variable."""
    if isinstance(node, Call) and node.head == "mul" and isinstance(node.args[-1], Sym) and known_unit(node.args[-1].name) == unit:
        return Quantity(node.args[0], unit) if not symbols(node.args[0]) else None
    return None


def _ratio_parts(node: Node) -> tuple[Node, ...] | None:
    if isinstance(node, Call) and node.head == "ratio":
        return node.args
    if isinstance(node, Call) and node.head == "clock":
        return node.args[:2]
    return None


def _minutes(node: Node) -> tuple[int, bool] | None:
    """Minutes after midnight, and whether the half of the day was said."""
    if not (isinstance(node, Call) and isinstance(node.args[0], Num) and isinstance(node.args[1], Num)):
        return None
    hour, minute, half = node.args[0].value, node.args[1].value, node.args[2]
    assert isinstance(half, Text)
    if half.key:
        hour = hour % 12 + (12 if half.key == "pm" else 0)
    return int(hour * 60 + minute), bool(half.key) or hour > 12


def _digits(node: Node) -> tuple[str, int | None] | None:
    """The numeral and its base, None for a base that was not written."""
    if isinstance(node, Call) and node.head == "base":
        digits, base = node.args
        assert isinstance(digits, Text) and isinstance(base, Num)
        return digits.key, int(base.value)
    if isinstance(node, Num) and node.value.denominator == 1 and node.value >= 0:
        return str(node.value), None
    letters: list[str] = []
    stack = [node]
    while stack:
        part = stack.pop()
        if isinstance(part, Call) and part.head == "mul":
            stack.extend(reversed(part.args))
        elif isinstance(part, Num) and part.value.denominator == 1:
            letters.append(str(part.value))
        elif isinstance(part, Sym) and part.name.upper() in "ABCDEF":
            letters.append(part.name.upper())
        else:
            return None
    return "".join(letters), None
