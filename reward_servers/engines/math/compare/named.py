"""What an equation gives a value to: names, functions, and the quantities that a problem asks for."""

from __future__ import annotations

from reward_servers.engines.math.nodes import Call, Head, Kind, Node, Rel, Seq, Sym, Text, heads, symbols, walk

_NAMED_BY_OPERATOR = heads("max min dim rank tr Pr sup inf ker arg gcd lcm")
_SET_OPERATIONS = heads("union intersect setminus")


def named_value(rel: Rel) -> Node | None:
    """The value that a chain of equations gives to what stands on its left, None if it gives none."""
    first, last = rel.terms[0], rel.terms[-1]
    if names_something(first):
        return last
    if len(rel.terms) == 2 and isinstance(last, Sym) and not symbols(first):
        return first
    if is_composite(first) and not symbols(last) and not isinstance(last, Seq):
        return last
    return None


def evaluated(rel: Rel) -> Node | None:
    """The last term of an equation of constants that works something out (`3 + 4 = 7`), None for any other."""
    if rel.ops != ("=",) * len(rel.ops) or any(symbols(t) or isinstance(t, Seq | Text) for t in rel.terms):
        return None
    last = rel.terms[-1]
    return last if isinstance(rel.terms[0], Call) and all(t != last for t in rel.terms[:-1]) else None


def is_curve(left: Node) -> bool:
    """Whether `left = constant` is an equation in x and y, such as a line: a + b = 5 is a value, x + y = 5 is not."""
    return isinstance(left, Call) and left.head in (Head.ADD, Head.MUL, Head.DIV) and {"x", "y"} <= symbols(left)


def names_something(node: Node) -> bool:
    """Whether the node names a quantity: a variable, words, a function applied, a size, an extreme."""
    match node:
        case Sym() | Text():
            return True
        case Call(Head.APPLY, _):
            return True
        case Call(Head.ABS | Head.NORM | Head.RATIO | Head.DET, args):
            return all(names_something(a) or is_composite(a) or _is_set_expression(a) for a in args)
        case Call(head, _) if head in _NAMED_BY_OPERATOR:
            return bool(symbols(node))
        case Seq(Kind.TUPLE | Kind.SET | Kind.ANGLE, items):
            return all(isinstance(i, Sym) for i in items)
        case _:
            return False


def is_composite(node: Node) -> bool:
    """A sum, product or quotient of plain letters (`a+b`, `AB`, `m/n`): the quantity asked for."""
    names = [n for n in walk(node) if isinstance(n, Sym)]
    quotient = isinstance(node, Call) and node.head == Head.DIV
    if (len(names) < 2 or len(set(names)) != len(names)) and not quotient:
        return False
    parts = [n for n in walk(node) if not isinstance(n, Sym)]
    if any(isinstance(p, Call) and p.head in (Head.SIN, Head.COS, Head.TAN) for p in parts):
        return (
            isinstance(node, Call)
            and node.head in (Head.SIN, Head.COS, Head.TAN)
            and all(isinstance(a, Sym) for a in node.args)
        )
    return bool(names) and all(
        isinstance(p, Call) and p.head in (Head.ADD, Head.MUL, Head.DIV, Head.NEG) for p in parts
    )


def is_formula(step: Node, value: Node) -> bool:
    r"""Whether a step speaks of other quantities (`A = \pi r^2 = 9\pi`), so that nothing can be checked."""
    return bool(symbols(step) - symbols(value)) and not symbols(value)


def _is_set_expression(node: Node) -> bool:
    """A union, intersection or difference of named sets, whose size is asked for."""
    if not (isinstance(node, Call) and node.head in _SET_OPERATIONS):
        return False
    return all(isinstance(a, Sym) or _is_set_expression(a) for a in node.args)
