"""Conditions beside an answer: `k in Z`, `for any integer n`, `where C is a constant`.

A family such as `x = 2 + 3k, k in Z` keeps the declared parameter as a variable of the name `k∈Z`:
it may be renamed, and is not a parameter that was declared elsewhere.
"""

from __future__ import annotations

from reward_servers.engines.math.nodes import (
    BOUNDS,
    ONE,
    ZERO,
    Call,
    Const,
    Head,
    Kind,
    Node,
    Rel,
    Seq,
    Sym,
    children,
    has_const,
    rebuild,
    substitute,
    symbols,
)
from reward_servers.engines.math.vocabulary.tables import FAMILY_LETTERS

_INTEGER_SETS = frozenset({"Z", "N"})


def drop_conditions(node: Node) -> Node:
    """Remove `k in Z` beside other elements; a lone parameter remembers the set it was declared in.

    A condition on a variable that the other elements bound (`x > 2, x in Z`) says more, and stays.
    """
    node = _hoisted(node)
    if not (isinstance(node, Seq) and node.kind in (Kind.LIST, Kind.OR)):
        return node
    bounded = {
        t for i in node.items if isinstance(i, Rel) and set(i.ops) & BOUNDS for t in i.terms if isinstance(t, Sym)
    }
    indices = {_index(i) for i in node.items}
    dropped = [i for i in node.items if _is_dropped(i, bounded) or _is_start(i, indices)]
    if not dropped:
        return node
    items = _without_names(tuple(i for i in node.items if i not in dropped), node.items.index(dropped[0]))
    if not items:
        return node
    remaining = items[0] if len(items) == 1 else Seq(node.kind, items)
    declared = [i.terms for i in dropped if isinstance(i, Rel) and i.ops == ("in",) and not _is_unknown(*i.terms)]
    if len(declared) == 1 and isinstance(declared[0][0], Sym) and isinstance(declared[0][1], Const):
        name, values = declared[0][0], declared[0][1]
        return substitute(remaining, {name: Sym(f"{name.name}∈{values.name}")})
    return remaining


def _is_unknown(name: Node, values: Node) -> bool:
    """Whether a declaration only repeats that an unknown is real; a real `t` is a parameter."""
    return values == Const("R") and name in (Sym("x"), Sym("y"), Sym("z"))


def _without_names(items: tuple[Node, ...], at: int) -> tuple[Node, ...]:
    """`y = A e^x + B, A, B in R`: names just before the condition, which stood at `at`, belong to it."""
    first = at
    while first > 1 and isinstance(items[first - 1], Sym):
        first -= 1
    used = frozenset[str]().union(*(symbols(k) for k in items[:first])) if first else frozenset()
    return (*items[:first], *(k for k in items[first:] if not (isinstance(k, Sym) and k.name in used)))


def _is_dropped(node: Node, bounded: set[Sym]) -> bool:
    if not (isinstance(node, Rel) and node.ops == ("in",) and isinstance(node.terms[0], Sym)):
        return False
    values = node.terms[1]
    if not isinstance(values, Const):
        return False
    return values.name == "R" or (values.name in _INTEGER_SETS and node.terms[0] not in bounded)


def _index(node: Node) -> str:
    """The index `n` of a sequence given as `a_n = ...`, empty where the node is none."""
    if isinstance(node, Rel) and node.ops == ("=",) and isinstance(node.terms[0], Sym):
        return node.terms[0].name.partition("_")[2]
    return ""


def _is_start(node: Node, indices: set[str]) -> bool:
    """Whether the node says that a sequence begins at its usual place, `n >= 1` or `n >= 0`."""
    if not (isinstance(node, Rel) and len(node.terms) == 2 and isinstance(node.terms[0], Sym)):
        return False
    is_index = node.terms[0].name in indices
    return is_index and (node.ops[0], node.terms[1]) in ((">=", ONE), (">=", ZERO), (">", ZERO))


def _hoisted(node: Node) -> Node:
    """`x = 2 + 3k (k in Z)`: the condition in brackets is no factor; it becomes an element of a list."""
    if isinstance(node, Call) and node.head == Head.BUILDER:
        domain = node.args[-1]
        if isinstance(node.args[0], Sym):
            is_whole_domain = _is_dropped(domain, set()) and children(domain)[0] == node.args[0]
            return children(domain)[1] if is_whole_domain else node
        over_integers = _is_dropped(domain, set()) and Const("R") not in children(domain)
        return Seq(Kind.LIST, node.args) if over_integers else node
    value, condition = _parted(node)
    if condition is not None and not _is_dropped(condition, set()) and not symbols(condition) & symbols(value):
        return value  # `4 (k > 0)`: a condition on what the value does not mention
    return node if condition is None else Seq(Kind.LIST, (value, condition))


def _is_remark(node: Node) -> bool:
    """Whether a last factor is a condition: `(k in Z)`, `(n >= 1)`."""
    bound = isinstance(node, Rel) and isinstance(node.terms[0], Sym) and set(node.ops) <= BOUNDS
    return bound or _is_dropped(node, set())


def _parted(node: Node) -> tuple[Node, Node | None]:
    """A value and the condition in brackets at its end."""
    members = children(node)
    inside = (
        isinstance(node, Rel)
        or (isinstance(node, Seq) and node.kind in (Kind.LIST, Kind.OR))
        or (isinstance(node, Call) and node.head in (Head.ADD, Head.MUL, Head.NEG, Head.PM, Head.UNION))
    )
    if not inside or not members:
        return node, None
    last = members[-1]
    if isinstance(node, Call) and node.head == Head.MUL and _is_remark(last):
        factors = node.args[:-1]
        return (factors[0] if len(factors) == 1 else Call(Head.MUL, factors)), last
    value, condition = _parted(last)
    if condition is None:
        return node, None
    replaced = iter((*members[:-1], value))
    return rebuild(node, lambda _: next(replaced)), condition


def aligned(gold: Node, answer: Node) -> Node:
    """The answer with the parameter of its family named as in the gold."""
    gold_symbols, answer_symbols = symbols(gold), symbols(answer)
    gold_declared = [n for n in gold_symbols if "∈" in n]
    answer_declared = [n for n in answer_symbols if "∈" in n]
    if not gold_declared and not answer_declared:
        return answer
    if gold_declared and answer_declared:
        same_set = gold_declared[0].partition("∈")[2] == answer_declared[0].partition("∈")[2]
        return _renamed(answer, answer_declared[0], gold_declared[0]) if same_set else answer
    if gold_declared:
        letter = gold_declared[0].partition("∈")[0]
        free = [letter] if letter in answer_symbols else sorted((answer_symbols - gold_symbols) & FAMILY_LETTERS)
        return _renamed(answer, free[0], gold_declared[0]) if len(free) == 1 else answer
    letter = answer_declared[0].partition("∈")[0]
    free = sorted((gold_symbols - answer_symbols) & FAMILY_LETTERS)
    target = letter if letter in gold_symbols or len(free) != 1 or not has_const(gold, "pi") else free[0]
    return answer if target in answer_symbols else _renamed(answer, answer_declared[0], target)


def _renamed(node: Node, old: str, new: str) -> Node:
    return substitute(node, {Sym(old): Sym(new)})
