"""Tolerances that a policy may ask for: relative error, and rounding to a number of places."""

from __future__ import annotations

from fractions import Fraction

from reward_servers.engines.math.errors import LimitExceededError
from reward_servers.engines.math.nodes import Call, Head, Node, Num, neg
from reward_servers.engines.math.policy import Limits
from reward_servers.engines.math.values.exact import UndefinedValueError, exact
from reward_servers.engines.math.values.scalars import sign_of


def _at_most(node: Node, bound: Node, limits: Limits) -> bool:
    """Whether `|node| <= bound`, proved."""
    sign = sign_of(Call(Head.ADD, (bound, neg(Call(Head.ABS, (node,))))), limits)
    return sign is not None and sign >= 0


def within(gold: Node, answer: Node, tolerance: float, limits: Limits) -> bool:
    """Whether the answer is within a relative tolerance of the gold."""
    bound = Call(Head.MUL, (Num(Fraction(tolerance)), Call(Head.ABS, (gold,))))
    return _at_most(Call(Head.ADD, (answer, neg(gold))), bound, limits)


def _rounded(node: Node, places: int, limits: Limits) -> Fraction | None:
    try:
        value = exact(node, limits.bits)
    except (LimitExceededError, UndefinedValueError):
        return None
    return None if value is None else round(value, places)


def rounds_to(answer: Node, gold: Node, places: int, limits: Limits) -> bool:
    """Whether both round to the same number at so many decimal places."""
    gold_rounded, answer_rounded = _rounded(gold, places, limits), _rounded(answer, places, limits)
    if gold_rounded is not None and answer_rounded is not None:
        return gold_rounded == answer_rounded
    half = Num(Fraction(1, 2 * 10**places))
    if gold_rounded is not None:
        return _at_most(Call(Head.ADD, (answer, neg(Num(gold_rounded)))), half, limits)
    if answer_rounded is not None:
        return _at_most(Call(Head.ADD, (gold, neg(Num(answer_rounded)))), half, limits)
    return False
