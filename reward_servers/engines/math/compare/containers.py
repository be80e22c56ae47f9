"""Tuples, lists, sets, intervals and matrices, element by element."""

from __future__ import annotations

from collections import Counter

from reward_servers.engines.math.compare.context import Context
from reward_servers.engines.math.compare.quantities import total
from reward_servers.engines.math.compare.realsets import NotRealError, Reader, is_set_like
from reward_servers.engines.math.errors import LimitExceededError
from reward_servers.engines.math.nodes import (
    EMPTY,
    ONE,
    ZERO,
    Call,
    Head,
    Interval,
    Kind,
    Matrix,
    Node,
    Num,
    Quantity,
    Rel,
    Seq,
    Sym,
    is_assignment,
    substitute,
    symbols,
    walk,
)
from reward_servers.engines.math.values.scalars import Answer

_UNORDERED = frozenset({Kind.LIST, Kind.OR, Kind.SET})
_TUPLES = frozenset({Kind.TUPLE, Kind.SQUARE, Kind.ANGLE, Kind.PARTS})


def is_set_of_reals(gold: Node, answer: Node) -> bool:
    """Whether either side can only be read as a set of reals."""
    return is_set_like(gold) or is_set_like(answer)


def same_sets(context: Context, gold: Node, answer: Node) -> Answer:
    """Two subsets of the real line; falls back to their structure."""
    gold_reader, answer_reader = Reader(context.limits), Reader(context.limits)
    try:
        a, b = gold_reader.read(gold), answer_reader.read(answer)
        gold_names = {n for n in gold_reader.names if isinstance(n, Sym) and n.name != "□"}
        answer_names = {n for n in answer_reader.names if isinstance(n, Sym) and n.name != "□"}
        if len(gold_names) > 1 or len(answer_names) > 1:
            return Answer(False, "variable", "several variables are constrained")
        if gold_names and answer_names and gold_names != answer_names:
            return Answer(False, "variable", "another variable is constrained")
        return Answer(gold_reader.equal(a, b, lambda x, y: context.equal(x, y).same is True), "real set")
    except NotRealError:
        return _same_structure(context, gold, answer)


def _same_structure(context: Context, gold: Node, answer: Node) -> Answer:
    ends, answer_ends = _ends(gold), _ends(answer)
    if ends is not None and answer_ends is not None:
        if ends[2:] != answer_ends[2:]:
            return Answer(False, "interval", "open and closed ends differ")
        return all_same(context, ends[:2], answer_ends[:2], "interval")
    if isinstance(gold, Call) and isinstance(answer, Call) and gold.head == answer.head == Head.BUILDER:
        answer = _rebound(answer, gold)
    if (
        isinstance(gold, Call)
        and isinstance(answer, Call)
        and gold.head == answer.head
        and len(gold.args) == len(answer.args)
    ):
        first = all_same(context, gold.args, answer.args, gold.head)
        if first.same or gold.head == Head.SETMINUS or len(gold.args) != 2:
            return first
        return all_same(context, gold.args, answer.args[::-1], gold.head)
    return Answer(False, "kind", "not the same kind of object")


def _rebound(answer: Call, gold: Call) -> Node:
    """`{2n : n in Z}` with the name that the gold gives to its only variable."""
    gold_symbols, answer_symbols = symbols(gold.args[0]), symbols(answer.args[0])
    if len(gold_symbols) != 1 or len(answer_symbols) != 1 or gold_symbols <= symbols(answer):
        return answer
    return substitute(answer, {Sym(next(iter(answer_symbols))): Sym(next(iter(gold_symbols)))})


def _ends(node: Node) -> tuple[Node, Node, bool, bool] | None:
    if isinstance(node, Interval):
        return node.lo, node.hi, node.lo_closed, node.hi_closed
    if isinstance(node, Rel) and len(node.ops) == 2 and isinstance(node.terms[1], Sym) and {*node.ops} <= {"<", "<="}:
        lo, name, hi = node.terms
        return None if name in (*walk(lo), *walk(hi)) else (lo, hi, node.ops[0] == "<=", node.ops[1] == "<=")
    if isinstance(node, Seq) and node.kind in (Kind.TUPLE, Kind.SQUARE) and len(node.items) == 2:
        return node.items[0], node.items[1], node.kind == Kind.SQUARE, node.kind == Kind.SQUARE
    return None


def all_same(context: Context, gold: tuple[Node, ...], answer: tuple[Node, ...], rule: str) -> Answer:
    """Element by element, in order; the first difference decides."""
    if len(gold) != len(answer):
        return Answer(False, rule, f"{len(gold)} elements in the gold, {len(answer)} in the answer")
    unsure: Answer | None = None
    for position, (g, a) in enumerate(zip(gold, answer, strict=True), 1):
        decision = context.equal(g, a)
        if decision.same is False:
            return Answer(False, f"{rule}, {decision.rule}", f"element {position} differs")
        if decision.same is None:
            unsure = unsure or decision
    return unsure or Answer(True, rule)


def same(context: Context, gold: Node, answer: Node) -> Answer:
    """Collections on at least one side."""
    gold, answer = _opened(gold), _opened(answer)
    if (amounts := _amounts(context, gold, answer)) is not None:
        return amounts
    if EMPTY in (gold, answer):
        return Answer(gold == answer, "empty set")
    if isinstance(gold, Matrix) or isinstance(answer, Matrix):
        decision = same_matrix(context, gold, answer)
        return decision if decision.same or not _lone(gold, answer) else _single(context, gold, answer)
    gold, answer = _components(gold, answer), _components(answer, gold)
    if not (isinstance(gold, Seq) and isinstance(answer, Seq)) or _wraps(gold, answer) or _wraps(answer, gold):
        return _single(context, gold, answer)
    if gold.kind in _TUPLES:
        return _ordered(context, gold, answer)
    if answer.kind in _UNORDERED:
        if context.policy.ordered_lists and Kind.SET not in (gold.kind, answer.kind):
            return all_same(context, gold.items, answer.items, "list in order")
        by_name = _by_name(context, gold, answer)
        if answer.kind == Kind.SET and _all_named(gold) and len(_bases(gold)) > 1:
            return Answer(False, "kind", "a set does not say which value is whose")
        bare = gold.kind != Kind.SET and not any(isinstance(i, Rel) for i in gold.items)
        if by_name is None and bare and _all_named(answer) and len(_bases(answer)) > 1:
            # x = 3, y = -1 gives a point, not two values of one unknown.
            by_name = all_same(context, gold.items, _values(answer, sort=True), "values by name")
        return by_name or unordered(context, gold, answer)
    if gold.kind == Kind.SET or (answer.kind == Kind.SQUARE and len(answer.items) == 2) or _all_named(gold):
        return _tuples_of(context, gold, answer)
    if _tuples_only(gold):
        return _tuples_of(context, gold, answer)
    if gold.kind == Kind.OR or any(isinstance(i, Rel) for i in gold.items):
        return Answer(False, "kind", "alternatives are no tuple")
    if answer.kind is Kind.PARTS:
        return all_same(context, gold.items, answer.items, "list as parts")
    return Answer(False, "kind", "values in no order are no tuple")


def _amounts(context: Context, gold: Node, answer: Node) -> Answer | None:
    """`1 hour 30 minutes` against `90 minutes`, and never against a list; None where neither is such an amount."""
    gold_total, answer_total = total(gold, context.limits), total(answer, context.limits)
    if gold_total is None or answer_total is None or gold_total[0] != answer_total[0]:
        if _is_compound(gold, gold_total) != _is_compound(answer, answer_total):
            return Answer(False, "kind", "one amount in several units is no list of numbers")
        return None
    return Answer(gold_total[1] == answer_total[1], "compound amount")


def _is_compound(node: Node, amount: object) -> bool:
    """Whether a node is one amount in several units, such as feet and inches."""
    if amount is None or not isinstance(node, Seq):
        return False
    units = [item.unit for item in node.items if isinstance(item, Quantity)]
    return len(set(units)) == len(node.items) > 1


def _components(node: Node, vector: Node) -> Node:
    """`2i - j` in unit vectors and the point `P(3,2)` as a tuple, where the other side is one."""
    if not (isinstance(vector, Seq) and vector.kind in _TUPLES) or isinstance(node, Seq):
        return node
    if isinstance(node, Call) and node.head == Head.PERM and all(isinstance(a, Num) for a in node.args):
        return Seq(Kind.TUPLE, node.args)  # the point P(3,2)
    axes = [Sym(f"vec_{axis}") for axis in "ijk"][: max(2, len(vector.items))]
    if not symbols(node) & {axis.name for axis in axes}:
        return node
    units: list[dict[Node, Node]] = [{a: ONE if a == axis else ZERO for a in axes} for axis in axes]
    return Seq(Kind.TUPLE, tuple(substitute(node, unit) for unit in units))


def _wraps(collection: Node, single: Node) -> bool:
    """Whether a set of one tuple faces a tuple."""
    lone = isinstance(collection, Seq) and collection.kind in _UNORDERED and len(collection.items) == 1
    return lone and isinstance(single, Seq) and single.kind in _TUPLES


def _lone(gold: Node, answer: Node) -> bool:
    return any(isinstance(n, Seq) and len(n.items) == 1 for n in (gold, answer))


def _tuples_only(gold: Seq) -> bool:
    return any(isinstance(i, Seq) for i in gold.items)


def _tuples_of(context: Context, gold: Seq, answer: Seq) -> Answer:
    """A gold of named values may be answered by the tuple of the values."""
    if _all_named(gold) and answer.kind in (Kind.TUPLE, Kind.ANGLE):
        return all_same(context, _values(gold, sort=True), answer.items, "values by name")
    return Answer(False, "kind", "a tuple is not a set")


def _opened(node: Node) -> Node:
    """A named tuple `(x,y) = (1,2)` as its values; the brackets of a Python list around a set stay."""
    if isinstance(node, Rel) and node.ops == ("=",) and isinstance(node.terms[1], Seq):
        return node.terms[1]
    return node


def _single(context: Context, gold: Node, answer: Node) -> Answer:
    """A set of one element is its element."""
    for collection, single, swap in ((gold, answer, False), (answer, gold, True)):
        if (
            isinstance(collection, Seq)
            and collection.kind in _UNORDERED
            and not (isinstance(single, Seq) and single.kind in _UNORDERED)
        ):
            items = collection.items if collection.kind is Kind.LIST else _distinct(context, collection.items)
            if len(items) == 1:
                return context.equal(single, items[0]) if swap else context.equal(items[0], single)
            return Answer(False, "count", f"{len(items)} values against one")
    return Answer(False, "kind", "not the same kind of object")


def _ordered(context: Context, gold: Seq, answer: Seq) -> Answer:
    if answer.kind == Kind.LIST:
        if gold.kind == Kind.SQUARE and len(gold.items) == 2:
            return Answer(False, "kind", "two numbers are no closed interval")
        if _all_named(answer):
            return all_same(context, gold.items, _values(answer, sort=True), "values by name")
        if any(isinstance(i, Rel) or (isinstance(i, Call) and i.head == Head.MOD) for i in answer.items):
            return Answer(False, "kind", "values of one unknown are no tuple")
        return all_same(context, gold.items, answer.items, "list as tuple")
    if answer.kind not in _TUPLES:
        return Answer(False, "kind", "a set is not a tuple")
    if len(gold.items) == 2 and (gold.kind is Kind.SQUARE) != (answer.kind is Kind.SQUARE):
        return Answer(False, "brackets", "round and square brackets differ")
    return all_same(context, gold.items, answer.items, "tuple")


# Lists without order ----------------------------------------------------------------------------


def _all_named(node: Node) -> bool:
    """Whether every element is an assignment, each to its own name."""
    if not isinstance(node, Seq) or len(node.items) < 2:
        return False
    names = [i.terms[0] for i in node.items if isinstance(i, Rel) and is_assignment(i)]
    return len(names) == len(node.items) and len(set(names)) == len(names)


def _values(node: Seq, *, sort: bool) -> tuple[Node, ...]:
    pairs = [(i.terms[0], i.terms[-1]) for i in node.items if isinstance(i, Rel)]
    if sort:
        pairs.sort(key=lambda pair: pair[0].name if isinstance(pair[0], Sym) else "")
    return tuple(value for _, value in pairs)


def _bases(node: Seq) -> set[str]:
    return {i.terms[0].name.partition("_")[0] for i in node.items if isinstance(i, Rel) and isinstance(i.terms[0], Sym)}


def _by_name(context: Context, gold: Seq, answer: Seq) -> Answer | None:
    """Named values against named values, whatever their order."""
    if not (_all_named(gold) and _all_named(answer)):
        if _all_named(gold) and answer.kind == Kind.LIST and not any(isinstance(i, Rel | Seq) for i in answer.items):
            if len(_bases(gold)) == 1:
                return unordered(context, Seq(Kind.LIST, _values(gold, sort=False)), answer)
            as_written = all_same(context, _values(gold, sort=False), answer.items, "values as written")
            return (
                as_written
                if as_written.same
                else all_same(context, _values(gold, sort=True), answer.items, "values by name")
            )
        return None
    gold_values = {i.terms[0]: i.terms[-1] for i in gold.items if isinstance(i, Rel)}
    answer_values = {i.terms[0]: i.terms[-1] for i in answer.items if isinstance(i, Rel)}
    if set(gold_values) != set(answer_values):
        return Answer(False, "names", "other names")
    return all_same(
        context, tuple(gold_values.values()), tuple(answer_values[n] for n in gold_values), "values by name"
    )


def _values_of_one(node: Seq, second: Seq) -> tuple[Node, ...]:
    """The values where all elements name the same unknown (`x_1 = 1, x_2 = 2`) and the other side agrees."""
    names, other_bases = _bases(node), _bases(second)
    all_named = all(isinstance(i, Rel) and is_assignment(i) for i in node.items)
    return _values(node, sort=False) if all_named and len(names) == 1 and other_bases <= names else node.items


def _says_it_again(node: Seq) -> bool:
    """Whether repeats add nothing: a tuple is a solution however often it is listed, as is `x = 2` of one name."""
    if all(isinstance(item, Seq) for item in node.items):
        return True
    names = {item.terms[0] if isinstance(item, Rel) and is_assignment(item) else None for item in node.items}
    return len(names) == 1 and None not in names


def _distinct(context: Context, items: tuple[Node, ...]) -> tuple[Node, ...]:
    unique = tuple(dict.fromkeys(items))
    if len(unique) == 1 or len(unique) > 40:
        return unique
    distinct: list[Node] = []
    for item in unique:
        if not any(_surely(context, item, k) for k in distinct):
            distinct.append(item)
    return tuple(distinct)


def _surely(context: Context, a: Node, b: Node) -> bool:
    try:
        return context.equal(a, b).same is True
    except LimitExceededError:
        return False


def unordered(context: Context, gold: Seq, answer: Seq) -> Answer:
    """Match elements whatever their order; repeats count between two bare lists, and not where either is a set."""
    golds, answers = _values_of_one(gold, answer), _values_of_one(answer, gold)
    once = len(set(golds)) == len(golds)
    counted = gold.kind is Kind.LIST and answer.kind is Kind.LIST and not (once and _says_it_again(answer))
    if not counted and (once or Kind.SET in (gold.kind, answer.kind)):
        golds, answers = _distinct(context, golds), _distinct(context, answers)
    if len(golds) != len(answers):
        return Answer(False, "set", f"{len(golds)} elements in the gold, {len(answers)} in the answer")
    left = Counter(answers)
    unmatched: list[Node] = []
    for item in golds:  # identical elements first: a long set costs one pass
        if left[item] > 0:
            left[item] -= 1
        else:
            unmatched.append(item)
    if len(unmatched) > 64:
        return Answer(False, "set", f"{len(unmatched)} elements are not in the answer as written")
    return _matched(context, unmatched, list(left.elements()))


def _matched(context: Context, golds: list[Node], answers: list[Node]) -> Answer:
    unsure: Answer | None = None
    for item in golds:
        for position, candidate in enumerate(answers):
            decision = context.equal(item, candidate)
            if decision.same:
                del answers[position]
                break
            if decision.same is None:
                unsure = unsure or decision
        else:
            if unsure is not None:
                return unsure
            return Answer(False, "set", "an element of the gold is not in the answer")
    return Answer(True, "set")


# Matrices ---------------------------------------------------------------------------------------


def same_matrix(context: Context, gold: Node, answer: Node) -> Answer:
    """Matrices cell by cell; a column or a row may be written as a tuple."""
    if isinstance(gold, Matrix) and isinstance(answer, Matrix):
        if (len(gold.rows), len(gold.rows[0])) != (len(answer.rows), len(answer.rows[0])):
            return Answer(False, "matrix", "another shape")
        return all_same(context, _cells(gold), _cells(answer), "matrix")
    matrix, other_side = (gold, answer) if isinstance(gold, Matrix) else (answer, gold)
    assert isinstance(matrix, Matrix)
    vector = len(matrix.rows) == 1 or len(matrix.rows[0]) == 1
    if vector:
        other_side = _components(other_side, Seq(Kind.TUPLE, _cells(matrix)))
    if vector and isinstance(other_side, Seq) and other_side.kind in _TUPLES:
        pair = (_cells(matrix), other_side.items)
        return all_same(context, *(pair if matrix is gold else pair[::-1]), "vector")
    if isinstance(other_side, Seq) and all(isinstance(i, Seq) and i.kind == Kind.SQUARE for i in other_side.items):
        rows = tuple(i.items for i in other_side.items if isinstance(i, Seq))
        if len({len(r) for r in rows}) == 1:
            return same_matrix(context, *((matrix, Matrix(rows)) if matrix is gold else (Matrix(rows), matrix)))
    if _cells(matrix)[1:] == () and not isinstance(other_side, Seq):
        return context.equal(
            gold if other_side is gold else _cells(matrix)[0], answer if other_side is answer else _cells(matrix)[0]
        )
    return Answer(False, "kind", "a matrix against something else")


def _cells(matrix: Matrix) -> tuple[Node, ...]:
    return tuple(cell for row in matrix.rows for cell in row)
