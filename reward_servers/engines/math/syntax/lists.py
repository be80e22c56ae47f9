"""Lists while parsing: joining alternatives and assignments, writing out ellipses."""

from __future__ import annotations

import itertools
from fractions import Fraction

from reward_servers.engines.math.errors import AnswerSyntaxError, LimitExceededError
from reward_servers.engines.math.nodes import BOUNDS, Call, Const, Head, Kind, Node, Num, Rel, Seq, Sym, is_assignment
from reward_servers.engines.math.policy import Limits

_DOTS = Const("dots")


def listed(items: list[Node], limits: Limits) -> Node:
    """One node for the elements of a comma list."""
    if len(items) == 1:
        if items[0] == _DOTS:
            raise AnswerSyntaxError("an ellipsis alone", 0)
        return items[0]
    if len(items) > limits.items:
        raise LimitExceededError("items", f"{len(items)} elements")
    if _DOTS in items:
        return Seq(Kind.LIST, expanded(items, limits))
    first = items[0]
    # "x = -1, 3" names the list, not its first element.
    listing = is_assignment(first) or (isinstance(first, Rel) and first.ops == ("in",) and not _is_set(first.terms[1]))
    if listing and isinstance(first, Rel) and not any(isinstance(i, Rel) for i in items[1:]):
        return Rel(("=",), (first.terms[0], Seq(Kind.LIST, (first.terms[1], *items[1:]))))
    return Seq(Kind.LIST, tuple(items))


def is_conjunction(items: list[Node]) -> bool:
    """Whether the items bound one variable (`x > 1 and x < 4`), so that `and` means both."""
    names = [t for i in items if isinstance(i, Rel) and set(i.ops) <= BOUNDS for t in i.terms if isinstance(t, Sym)]
    return len(names) == len(items) > 1 and len(set(names)) == 1


def _is_set(node: Node) -> bool:
    return not isinstance(node, Num | Sym)


def join(kind: Kind, parts: list[Node]) -> Node:
    """Join parts of `a or b` and `a; b`: several assignments inside a part make it a tuple."""
    flat: list[Node] = []
    if kind is Kind.LIST and _are_rows(parts):  # "1,2; 3,4" lists pairs
        return Seq(Kind.LIST, tuple(Seq(Kind.TUPLE, p.items) for p in parts if isinstance(p, Seq)))
    for part in parts:
        if isinstance(part, Seq) and part.kind in (Kind.LIST, Kind.OR):
            if part.kind == Kind.LIST and _is_system(part):
                flat.append(Seq(Kind.TUPLE, part.items))
            else:
                flat.extend(part.items)
        else:
            flat.append(part)
    first = flat[0]
    if is_assignment(first) and isinstance(first, Rel) and not any(isinstance(i, Rel) for i in flat[1:]):
        return Rel(("=",), (first.terms[0], Seq(kind, (first.terms[1], *flat[1:]))))
    return Seq(kind, tuple(flat))


def _are_rows(parts: list[Node]) -> bool:
    sizes = {len(p.items) if isinstance(p, Seq) and p.kind == Kind.LIST and not _is_system(p) else 0 for p in parts}
    return len(sizes) == 1 and sizes.pop() > 1


def _is_system(part: Seq) -> bool:
    names = [i.terms[0] for i in part.items if isinstance(i, Rel) and is_assignment(i)]
    return len(names) == len(part.items) > 1 and len(set(names)) == len(names)


def expanded(items: list[Node], limits: Limits) -> tuple[Node, ...]:
    """Write out an ellipsis whose pattern is explicit; an open end becomes one `endless` node.

    Raises:
        AnswerSyntaxError: Fewer than two terms before the dots, or a last term off the progression.
    """
    position = items.index(_DOTS)
    before, after = items[:position], items[position + 1 :]
    if _DOTS in after or len(before) < 2:
        raise AnswerSyntaxError("an ellipsis whose pattern is not explicit", 0)
    if not after:
        return (Call(Head.ENDLESS, tuple(before)),)
    values = [i.value for i in (*before, after[0]) if isinstance(i, Num)]
    if len(values) != len(before) + 1:
        negated = [_signed(i) for i in (*before, after[0])]
        values = [v for v in negated if v is not None]
        if len(values) != len(before) + 1:
            return (Call(Head.ENDLESS, (*before, _DOTS, *after)),)
    head, last = values[:-1], values[-1]
    filled = _arithmetic(head, last, limits) or _geometric(head, last, limits)
    if filled is None:
        raise AnswerSyntaxError("an ellipsis that does not reach its last term", 0)
    return (*[Num(v) for v in filled], *after[1:])


def _signed(node: Node) -> Fraction | None:
    return node.value if isinstance(node, Num) else None


def _arithmetic(head: list[Fraction], last: Fraction, limits: Limits) -> list[Fraction] | None:
    step = head[1] - head[0]
    if step == 0 or any(b - a != step for a, b in itertools.pairwise(head)):
        return None
    count = (last - head[0]) / step
    if count.denominator != 1 or count < len(head) - 1:
        return None
    if count > limits.items:
        raise LimitExceededError("items", f"an ellipsis over {count} elements")
    return [head[0] + step * k for k in range(int(count) + 1)]


def _geometric(head: list[Fraction], last: Fraction, limits: Limits) -> list[Fraction] | None:
    if len(head) < 3 or 0 in head:
        return None
    ratio = head[1] / head[0]
    if ratio in (1, -1) or any(b != a * ratio for a, b in itertools.pairwise(head)):
        return None
    terms = [head[0]]
    while terms[-1] != last:
        size = max(terms[-1].numerator.bit_length(), terms[-1].denominator.bit_length())
        if len(terms) > 400 or size > limits.bits // 400:
            return None
        terms.append(terms[-1] * ratio)
    return terms
