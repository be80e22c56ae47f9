"""Compare an answer with a gold, kind by kind, cheapest test first.

`Comparison.same` is the whole interface.  The gold leads: what it is decides how the answer is read.
"""

from __future__ import annotations

import re
from fractions import Fraction
from functools import cached_property
from typing import TYPE_CHECKING

from reward_servers.engines.math.compare import containers, letters, piecewise, quantities, relations, residues
from reward_servers.engines.math.compare.context import Context
from reward_servers.engines.math.compare.quantities import MEASURES, inside
from reward_servers.engines.math.errors import LimitExceededError
from reward_servers.engines.math.nodes import (
    ARITHMETIC,
    EMPTY,
    INFINITY,
    UNEVALUATED,
    Call,
    Const,
    Head,
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
    substitute,
    symbols,
    walk,
)
from reward_servers.engines.math.policy import Policy
from reward_servers.engines.math.values.exact import UndefinedValueError, exact
from reward_servers.engines.math.values.integers import integer_names
from reward_servers.engines.math.values.rounding import rounds_to, within
from reward_servers.engines.math.values.scalars import OPAQUE, Answer, same_scalar
from reward_servers.engines.math.vocabulary.tables import FAMILY_LETTERS

if TYPE_CHECKING:
    from reward_servers.engines.math.symbolic.pool import SymbolicPool

_ARBITRARY = re.compile(r"[Cc]_[1-9]")
_FREE = re.compile(r"[CcKk]_[1-9]|[ABCD]")


_SHORT_BITS = 200
_STRUCTURES = (Seq, Rel, Interval, Matrix, Text, Quantity)


class Comparison:
    """One policy applied to pairs of nodes."""

    def __init__(
        self, policy: Policy, symbolic: SymbolicPool | None = None, integers: frozenset[str] = frozenset()
    ) -> None:
        self.policy = policy
        self.symbolic = symbolic
        self.integers = integers
        self.limits = policy.limits

    @cached_property
    def context(self) -> Context:
        """What the comparators of each kind are given."""
        return Context(self.policy, self.same, self.scalar)

    def same(self, gold: Node, answer: Node) -> Answer:
        """Whether `answer` is an acceptable form of `gold`.

        Raises:
            LimitExceededError: A bound was passed.
        """
        if gold == answer:
            return Answer(True, "identical")
        rational = self._as_rationals(gold, answer)
        if rational is not None:
            return rational
        refused = self._refused(gold, answer)
        if refused is not None:
            return refused
        try:
            return self._dispatch(gold, answer)
        except UndefinedValueError as exc:
            return Answer(False, "undefined", str(exc))

    def _as_rationals(self, gold: Node, answer: Node) -> Answer | None:
        """The verdict on two numbers or plain fractions, which needs none of the steps below."""
        if self.policy.reduced or self.policy.integers_literal:
            return None
        gold_number, answer_number = _plain_rational(gold), _plain_rational(answer)
        if gold_number is None or answer_number is None:
            return None
        exact_ = Answer(gold_number == answer_number, "exact", f"{gold_number} vs {answer_number}")
        return exact_ if exact_.same else self._tolerant(gold, answer, exact_)

    def _refused(self, gold: Node, answer: Node) -> Answer | None:
        """What the policy refuses in the form of an answer, whatever its value."""
        if isinstance(answer, Rel) and answer.ops[-1] == "=":
            answer = answer.terms[-1]  # what stands before the last sign is shown equal, or names it
        if not self.policy.operators and has_head(answer, UNEVALUATED) and not has_head(gold, UNEVALUATED):
            return Answer(False, "restated question", "an unevaluated sum, product, integral, limit or derivative")
        if not self.policy.arithmetic and has_head(answer, ARITHMETIC) and not has_head(gold, ARITHMETIC):
            return Answer(False, "unevaluated", "arithmetic left undone")
        if self.policy.reduced and _unreduced(answer):
            return Answer(False, "unreduced", "a fraction not in lowest terms")
        if self.policy.integers_literal and _integer(gold) != _integer(answer):
            return Answer(False, "not a literal integer", "a literal integer faces something else")
        return None

    def _dispatch(self, gold: Node, answer: Node) -> Answer:
        if inside(gold, Head.SPELLED) is not None or inside(answer, Head.SPELLED) is not None:
            return letters.same(self.context, gold, answer)
        if isinstance(gold, Text) or isinstance(answer, Text):
            return Answer(gold == answer, "text")
        if inside(gold, Head.MOD) is not None or inside(answer, Head.MOD) is not None:
            return residues.same(self.context, gold, answer)
        if isinstance(gold, Rel) or isinstance(answer, Rel) or containers.is_set_of_reals(gold, answer):
            return relations.same(self.context, gold, answer)
        if inside(gold, Head.CASES) is not None and inside(answer, Head.CASES) is not None:
            return piecewise.same_pieces(self.context, gold, answer)
        if Head.CASES in (_head(gold), _head(answer)) and not _is_collection(gold) and not _is_collection(answer):
            return piecewise.same_as_expression(self.context, gold, answer)
        if _is_collection(gold) or _is_collection(answer):
            return containers.same(self.context, gold, answer)
        if isinstance(gold, Matrix) or isinstance(answer, Matrix):
            return containers.same_matrix(self.context, gold, answer)
        if not isinstance(gold, Quantity) and not _measure(gold):
            answer = quantities.with_unit(gold, answer)
        if isinstance(gold, Quantity) or isinstance(answer, Quantity):
            return quantities.quantities(self.context, gold, answer)
        if _measure(gold) or _measure(answer):
            return quantities.measures(self.context, gold, answer)
        return self.scalar(gold, answer)

    # Scalars ---------------------------------------------------------------------------------

    def scalar(self, gold: Node, answer: Node) -> Answer:
        """Two expressions with one value each."""
        constants: set[str] = set()
        for node in (*walk(gold), *walk(answer)):
            if isinstance(node, _STRUCTURES):
                return Answer(False, "kind", "not the same kind of object")
            if isinstance(node, Const):
                constants.add(node.name)
        if "oo" in constants and (_infinite(gold) or _infinite(answer)):
            return Answer(gold == answer, "infinity")
        if any(name not in ("pi", "e", "i", "oo") and not name.startswith("side") for name in constants):
            return Answer(gold == answer, "constant")
        gold_symbols, answer_symbols = symbols(gold), symbols(answer)
        if gold_symbols != answer_symbols:
            renamed = self._renamed(gold, answer, gold_symbols, answer_symbols)
            if renamed is not None:
                return renamed
        answer_ = same_scalar(gold, answer, self.limits, integer_names(gold, answer, self.integers))
        if answer_.same is False:
            if _integration_constant(gold) and (constant := self._up_to_constant(gold, answer)) is not None:
                return constant
            return self._tolerant(gold, answer, answer_)
        return self._symbolically(gold, answer) if answer_.same is None else answer_

    def _symbolically(self, gold: Node, answer: Node) -> Answer:
        """Ask the symbolic stage; what it cannot show equal is not accepted.

        Raises:
            SymbolicUnavailableError: It could not answer for a reason of ours.
        """
        if not self.policy.symbolic:
            return Answer(False, "not shown equal", "and the policy asks no symbolic stage")
        # Imported here: few answers come so far, and processes and pipes cost start-up time.
        from reward_servers.engines.math.symbolic.pool import default_pool

        for side in (gold, answer):
            self._bounded(side)
        pool = self.symbolic or default_pool()
        is_same = pool.same(gold, answer)
        return Answer(
            bool(is_same),
            "symbolic" if is_same is not None else "not shown equal",
            "" if is_same is not None else "by the symbolic stage",
        )

    def _bounded(self, node: Node) -> None:
        """Refuse what a symbolic stage would only choke on: long expressions, numbers too long to write."""
        parts = list(walk(node))
        if len(parts) > self.limits.symbolic_nodes:
            raise LimitExceededError("symbolic_nodes", f"{len(parts)} > {self.limits.symbolic_nodes}")
        for part in parts:
            if (
                isinstance(part, Call)
                and part.head in (Head.POW, Head.FACT, Head.FACT2, Head.BINOM)
                and not symbols(part)
            ):
                exact(part, self.limits.bits)

    def _tolerant(self, gold: Node, answer: Node, strict: Answer) -> Answer:
        policy = self.policy
        if (
            not (policy.tolerance or policy.gold_precision or policy.float_rounding is not None)
            or symbols(gold)
            or symbols(answer)
        ):
            return strict
        if policy.tolerance and within(gold, answer, policy.tolerance, self.limits):
            return Answer(True, "tolerance", f"within {policy.tolerance:g} of the gold")
        if (
            policy.gold_precision
            and isinstance(gold, Num)
            and gold.places
            and rounds_to(answer, gold, gold.places, self.limits)
        ):
            return Answer(True, "rounded to the gold", f"at {gold.places} places")
        places = policy.float_rounding
        decimal = places is not None and (_is_decimal(gold) or _is_decimal(answer))
        if decimal and places is not None and rounds_to(answer, gold, places, self.limits):
            return Answer(True, "rounded", f"both at {places} places")
        return strict

    def _renamed(self, gold: Node, answer: Node, gold_names: frozenset[str], names: frozenset[str]) -> Answer | None:
        """Names that may differ: the constant of integration and the integer of a family."""
        extra, missing = names - gold_names, gold_names - names
        if len(extra) == len(missing) and all(map(_ARBITRARY.fullmatch, missing)) and all(map(_FREE.fullmatch, extra)):
            pairs = zip(sorted(extra), sorted(missing), strict=True)
            return self.scalar(gold, substitute(answer, {Sym(new): Sym(old) for new, old in pairs}))
        if len(extra) != 1 or len(missing) != 1:
            # Different variables: equal only if the odd ones cancel.
            return None
        (gold_symbol,), (answer_symbol,) = missing, extra
        constant = _integration_constant(gold)
        if constant == gold_symbol and _integration_constant(answer) == answer_symbol:
            return self.scalar(gold, substitute(answer, {Sym(answer_symbol): Sym(gold_symbol)}))
        if gold_symbol in FAMILY_LETTERS and answer_symbol in FAMILY_LETTERS and has_const(gold, "pi"):
            return self.scalar(gold, substitute(answer, {Sym(answer_symbol): Sym(gold_symbol)}))
        return None

    def _up_to_constant(self, gold: Node, answer: Node) -> Answer | None:
        """Antiderivatives that differ by a constant, both with their constant of integration."""
        name = _integration_constant(gold)
        if name is None or _integration_constant(answer) != name:
            return None
        return relations.constant_difference(_without(gold, name), _without(answer, name), self.limits)


def _plain_rational(node: Node) -> Fraction | None:
    """The value of a number or of a quotient of two integers, none of them long."""
    if isinstance(node, Num):
        value = node.value
    elif isinstance(node, Call) and node.head is Head.DIV:
        top, below = node.args
        if not (isinstance(top, Num) and isinstance(below, Num)) or below.value == 0:
            return None
        value = top.value / below.value
    else:
        return None
    return value if value.numerator.bit_length() + value.denominator.bit_length() < _SHORT_BITS else None


def _infinite(node: Node) -> bool:
    """Whether infinity takes part in the arithmetic, not only in the bounds of an operator."""
    if isinstance(node, Call):
        return node.head not in OPAQUE and any(_infinite(a) for a in node.args)
    return node == INFINITY


def _head(node: Node) -> Head | None:
    return node.head if isinstance(node, Call) else None


def _measure(node: Node) -> bool:
    return isinstance(node, Call) and node.head in MEASURES


def _is_collection(node: Node) -> bool:
    return isinstance(node, Seq | Interval) or node == EMPTY


def _integer(node: Node) -> bool:
    """Whether an integer is written out: alone, with a unit or sign of measure, or as the value of a name."""
    if isinstance(node, Rel):
        node = node.terms[-1]
    if isinstance(node, Quantity):
        node = node.value
    if isinstance(node, Call) and node.head in (Head.PERCENT, Head.DEG):
        node = node.args[0]
    return isinstance(node, Num) and node.value.denominator == 1


def _unreduced(node: Node) -> bool:
    for part in walk(node):
        if (
            isinstance(part, Call)
            and part.head == Head.DIV
            and all(isinstance(a, Num) and a.value.denominator == 1 for a in part.args)
        ):
            top, below = (a.value for a in part.args if isinstance(a, Num))
            if below == 0 or Fraction(top, below).denominator != abs(below):
                return True
    return False


def _is_decimal(node: Node) -> bool:
    return any(isinstance(n, Num) and n.places for n in walk(node))


def _terms(node: Node) -> tuple[Node, ...]:
    return node.args if isinstance(node, Call) and node.head == Head.ADD else (node,)


def _integration_constant(node: Node) -> str | None:
    """The name of a lone constant term such as C, K or c, if the rest does not mention it."""
    terms = _terms(node)
    if len(terms) < 2:
        return None
    for term in terms:
        lone = isinstance(term, Sym) and (term.name.partition("_")[0] in ("C", "K", "c", "k") or term.name == "const")
        if lone and isinstance(term, Sym) and sum(term.name in symbols(t) for t in terms) == 1:
            return term.name
    return None


def _without(node: Node, name: str) -> Node:
    terms = tuple(t for t in _terms(node) if t != Sym(name))
    return terms[0] if len(terms) == 1 else Call(Head.ADD, terms)
