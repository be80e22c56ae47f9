"""The syntax tree of an answer: a few immutable node types with exact numbers.

Nouns: `Num` (an exact rational), `Sym` (a variable), `Const` (a named constant), `Call` (an operator
or function applied to nodes), `Rel` (a chain of relations), `Seq` (a list, tuple or set), `Interval`,
`Matrix`, `Quantity` (a value with a unit) and `Text` (words).  Every node compares by value and
can be hashed, so identical sub-expressions share one cache entry.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from fractions import Fraction
from functools import lru_cache
from typing import TypeAlias


class Head(StrEnum):
    """The operators and functions a `Call` may have."""

    ADD = "add"
    MUL = "mul"
    DIV = "div"
    POW = "pow"
    NEG = "neg"
    PM = "pm"
    MP = "mp"
    SQRT = "sqrt"
    ROOT = "root"
    ABS = "abs"
    NORM = "norm"
    FACT = "fact"
    FACT2 = "fact2"
    BINOM = "binom"
    PERM = "perm"
    FLOOR = "floor"
    CEIL = "ceil"
    GCD = "gcd"
    LCM = "lcm"
    REM = "rem"
    MAX = "max"
    MIN = "min"
    SIGN = "sign"
    PERCENT = "percent"
    DEG = "deg"
    RATIO = "ratio"
    CLOCK = "clock"
    BASE = "base"
    MOD = "mod"
    SUM = "sum"
    PROD = "prod"
    INT = "int"
    LIM = "lim"
    DIFF = "diff"
    APPLY = "apply"
    SPELLED = "spelled"
    ENDLESS = "endless"
    UNION = "union"
    INTERSECT = "intersect"
    SETMINUS = "setminus"
    BUILDER = "builder"
    CASES = "cases"
    DET = "det"
    TR = "tr"
    RANK = "rank"
    ARG = "arg"
    DIM = "dim"
    KER = "ker"
    SUP = "sup"
    INF = "inf"
    PR = "Pr"
    ERF = "erf"
    LN = "ln"
    LOG = "log"
    LOGB = "logb"
    SIN = "sin"
    COS = "cos"
    TAN = "tan"
    COT = "cot"
    SEC = "sec"
    CSC = "csc"
    SINH = "sinh"
    COSH = "cosh"
    TANH = "tanh"
    COTH = "coth"
    SECH = "sech"
    CSCH = "csch"
    ASIN = "asin"
    ACOS = "acos"
    ATAN = "atan"
    ACOT = "acot"
    ASEC = "asec"
    ACSC = "acsc"
    ASINH = "asinh"
    ACOSH = "acosh"
    ATANH = "atanh"


def heads(text: str) -> frozenset[Head]:
    """The heads named in a text; an unknown one is an error at import."""
    return frozenset(map(Head, text.split()))


class Kind(StrEnum):
    """How several values stand together."""

    LIST = "list"
    OR = "or"
    TUPLE = "()"
    SQUARE = "[]"
    SET = "{}"
    ANGLE = "<>"
    PARTS = "parts"
    """The answers to labelled parts, in their order."""


@dataclass(frozen=True, slots=True)
class Num:
    """An exact rational; `places` counts the decimals as written and takes no part in equality."""

    value: Fraction
    places: int | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Sym:
    """A variable; subscripts are part of the name (`x_1`)."""

    name: str


@dataclass(frozen=True, slots=True)
class Const:
    """A named constant: pi, e, i, oo, R, Z, N, Q, C or empty."""

    name: str


@dataclass(frozen=True, slots=True)
class Call:
    """An operator or a function (`head`) applied to arguments."""

    head: Head
    args: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Rel:
    """A chain `terms[0] ops[0] terms[1] ...`, with one operator less than terms."""

    ops: tuple[str, ...]
    terms: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Seq:
    """Several values."""

    kind: Kind
    items: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Interval:
    """An interval whose brackets leave no doubt; `(1,2)` is a `Seq` until compared."""

    lo: Node
    hi: Node
    lo_closed: bool
    hi_closed: bool


@dataclass(frozen=True, slots=True)
class Matrix:
    """A rectangle of nodes, at least one by one."""

    rows: tuple[tuple[Node, ...], ...]


@dataclass(frozen=True, slots=True)
class Quantity:
    """A value with a unit in normal form (see `vocabulary.units`)."""

    value: Node
    unit: str


@dataclass(frozen=True, slots=True)
class Text:
    """Words, folded by `vocabulary.words.text_key`."""

    key: str


Node: TypeAlias = Num | Sym | Const | Call | Rel | Seq | Interval | Matrix | Quantity | Text

ZERO = Num(Fraction(0))
ONE = Num(Fraction(1))
MINUS_ONE = Num(Fraction(-1))
INFINITY = Const("oo")
EMPTY = Const("empty")

UNEVALUATED = heads("sum prod int lim diff")
"""Operators that restate a question rather than answer it."""

ARITHMETIC = heads("pow fact fact2 binom perm abs floor ceil gcd lcm rem")


def integer(value: int) -> Num:
    """Wrap an int."""
    return Num(Fraction(value))


def neg(node: Node) -> Node:
    """Negate, folding the sign into a number."""
    return Num(-node.value, node.places) if isinstance(node, Num) else Call(Head.NEG, (node,))


BOUNDS = frozenset({"<", ">", "<=", ">="})
"""Relations that bound a variable."""


def is_assignment(node: Node) -> bool:
    """Whether the node reads `name = value`."""
    return isinstance(node, Rel) and node.ops == ("=",) and isinstance(node.terms[0], Sym)


def spelled_out(node: Node) -> Node:
    """A run of letters as the product it may be; any other node as it is."""
    return Call(Head.MUL, node.args) if isinstance(node, Call) and node.head is Head.SPELLED else node


def children(node: Node) -> tuple[Node, ...]:
    """The direct sub-nodes, in reading order."""
    match node:
        case Call(_, args):
            return args
        case Rel(_, terms):
            return terms
        case Seq(_, items):
            return items
        case Interval(lo, hi):
            return (lo, hi)
        case Matrix(rows):
            return tuple(cell for row in rows for cell in row)
        case Quantity(value, _):
            return (value,)
        case _:
            return ()


_LEAVES = frozenset({Num, Sym, Const, Text})


def walk(node: Node) -> Iterator[Node]:
    """Every node of the tree, parents first, without recursion."""
    stack = [node]
    while stack:
        top = stack.pop()
        yield top
        kind = type(top)
        if kind is Call:
            stack += top.args  # type: ignore[union-attr]
        elif kind not in _LEAVES:
            stack += children(top)


def depth_of(node: Node) -> int:
    """Height of the tree, without recursion."""
    deepest, stack = 0, [(node, 1)]
    while stack:
        top, depth = stack.pop()
        if depth > deepest:
            deepest = depth
        if type(top) not in _LEAVES:
            depth += 1
            stack += [(child, depth) for child in children(top)]
    return deepest


def rebuild(node: Node, change: Callable[[Node], Node]) -> Node:
    """The same node with `change` applied to each direct sub-node."""
    match node:
        case Call(head, args):
            return Call(head, tuple(change(a) for a in args))
        case Rel(ops, terms):
            return Rel(ops, tuple(change(t) for t in terms))
        case Seq(kind, items):
            return Seq(kind, tuple(change(i) for i in items))
        case Interval(lo, hi, lo_closed, hi_closed):
            return Interval(change(lo), change(hi), lo_closed, hi_closed)
        case Matrix(rows):
            return Matrix(tuple(tuple(change(c) for c in row) for row in rows))
        case Quantity(value, unit):
            return Quantity(change(value), unit)
        case _:
            return node


def substitute(node: Node, table: dict[Node, Node]) -> Node:
    """Replace whole sub-trees found in `table`."""
    replacement = table.get(node)
    return replacement if replacement is not None else rebuild(node, lambda child: substitute(child, table))


def symbols(node: Node) -> frozenset[str]:
    """Names of the free variables."""
    names: set[str] = set()
    for part in walk(node):
        if isinstance(part, Sym):
            names.add(part.name)
        elif isinstance(part, Call) and part.head in UNEVALUATED:
            return _free_symbols(node)
    return frozenset(names)


@lru_cache(maxsize=8192)
def _free_symbols(node: Node) -> frozenset[str]:
    """Names of the free variables, where an operator may bind some."""
    if isinstance(node, Sym):
        return frozenset((node.name,))
    free: frozenset[str] = frozenset()
    for child in children(node):
        free |= _free_symbols(child)
    if isinstance(node, Call) and node.head in UNEVALUATED and isinstance(node.args[1], Sym):
        bound = node.args[1].name
        if node.head in (Head.SUM, Head.PROD, Head.LIM) or (node.head == Head.INT and len(node.args) > 2):
            free -= {bound}
    return free


def heads_in(node: Node) -> set[Head]:
    """The heads of all `Call` nodes of the tree."""
    return {part.head for part in walk(node) if isinstance(part, Call)}


def has_head(node: Node, heads: frozenset[Head]) -> bool:
    """Whether any `Call` of the tree has one of these heads."""
    return not heads.isdisjoint(heads_in(node))


def has_const(node: Node, name: str) -> bool:
    """Whether the tree mentions the named constant."""
    return any(isinstance(n, Const) and n.name == name for n in walk(node))
