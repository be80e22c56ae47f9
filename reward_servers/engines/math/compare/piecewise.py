"""Functions given piece by piece, against each other and against one expression."""

from __future__ import annotations

from itertools import islice

from reward_servers.engines.math.compare.containers import all_same
from reward_servers.engines.math.compare.context import Context
from reward_servers.engines.math.errors import LimitExceededError
from reward_servers.engines.math.nodes import Call, Const, Head, Node, Num, Rel, Sym, Text, neg, substitute, symbols
from reward_servers.engines.math.policy import Limits
from reward_servers.engines.math.values.exact import UndefinedValueError, exact
from reward_servers.engines.math.values.integers import constants_of, step_points
from reward_servers.engines.math.values.scalars import Answer

_OTHERWISE = Text("otherwise")
_POINTS, _WANTED = 60, 12
_HOLDS = {
    "<": lambda v: v < 0,
    ">": lambda v: v > 0,
    "<=": lambda v: v <= 0,
    ">=": lambda v: v >= 0,
    "=": lambda v: v == 0,
    "!=": lambda v: v != 0,
}


def same_pieces(context: Context, gold: Node, answer: Node) -> Answer:
    """Functions given piece by piece: the same values under the same conditions, in any order."""
    assert isinstance(gold, Call)
    assert isinstance(answer, Call)
    if len(gold.args) != len(answer.args):
        return Answer(False, "pieces", "another number of pieces")
    gold_pieces, left = _pieces(gold), _pieces(answer)
    if gold_pieces[-1][1] != left[-1][1] and _OTHERWISE in (gold_pieces[-1][1], left[-1][1]):
        gold_pieces, left = _spelled_out(gold_pieces), _spelled_out(left)
    for piece in gold_pieces:
        counterpart = next((p for p in left if all_same(context, piece[::-1], p[::-1], "piece").same), None)
        if counterpart is None:
            return Answer(False, "pieces", "a piece of the gold is not in the answer")
        left.remove(counterpart)
    return Answer(True, "pieces")


def _pieces(node: Call) -> list[tuple[Node, Node]]:
    return list(zip(node.args[::2], node.args[1::2], strict=True))


def _spelled_out(pieces: list[tuple[Node, Node]]) -> list[tuple[Node, Node]]:
    """The pieces with what is left of the real line in place of `otherwise`."""
    *before, (value, condition) = pieces
    if condition != _OTHERWISE or not before:
        return pieces
    covered = before[0][1] if len(before) == 1 else Call(Head.UNION, tuple(c for _, c in before))
    return [*before, (value, Call(Head.SETMINUS, (Const("R"), covered)))]


def same_as_expression(context: Context, gold: Node, answer: Node) -> Answer:
    """Pieces on one side, one expression of the same variable on the other: compared at points of every piece."""
    pieces, expression = (gold, answer) if isinstance(gold, Call) and gold.head is Head.CASES else (answer, gold)
    assert isinstance(pieces, Call)
    names = symbols(pieces) | symbols(expression)
    if len(names) != 1 or isinstance(expression, Rel):
        return Answer(False, "kind", "pieces against something else")
    agreed, pieces_met = 0, set[int]()
    for point in islice(step_points(tuple(names), constants_of(pieces, expression)), _POINTS):
        table: dict[Node, Node] = {Sym(name): Num(value) for name, value in point.items()}
        number = _piece_at(pieces, table, context.limits)
        if number is None:
            continue
        try:
            is_same = context.scalar(substitute(pieces.args[2 * number], table), substitute(expression, table)).same
        except (UndefinedValueError, LimitExceededError):
            continue
        if is_same is False:
            return Answer(False, "pieces", f"different at {', '.join(f'{n} = {v}' for n, v in point.items())}")
        agreed += is_same is True
        pieces_met.add(number)
    complete = len(pieces_met) == len(pieces.args) // 2 and agreed >= _WANTED
    return Answer(complete, "pieces at points", f"equal at {agreed} points" if complete else "not shown equal")


def _piece_at(pieces: Call, table: dict[Node, Node], limits: Limits) -> int | None:
    """Which piece holds at a point, None where none does or it cannot be told."""
    for number, condition in enumerate(pieces.args[1::2]):
        holds = condition == _OTHERWISE or _holds(condition, table, limits)
        if holds is None:
            return None
        if holds:
            return number
    return None


def _holds(condition: Node, table: dict[Node, Node], limits: Limits) -> bool | None:
    if not isinstance(condition, Rel) or any(op not in _HOLDS for op in condition.ops):
        return None
    for op, left, right in zip(condition.ops, condition.terms, condition.terms[1:], strict=False):
        try:
            difference = exact(substitute(Call(Head.ADD, (left, neg(right))), table), limits.bits)
        except (UndefinedValueError, LimitExceededError):
            return None
        if difference is None:
            return None
        if not _HOLDS[op](difference):
            return False
    return True
