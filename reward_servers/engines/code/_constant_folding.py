"""Expressions of test code, folded: constants become values, calls of the program become numbered outcomes.

`Folder` walks a syntax tree without running any of it. What it cannot decide raises `NotConvertibleError`, and the test
runs as code in a sandbox instead. Constants are computed within bounds, so that test code cannot cost much either.
"""

from __future__ import annotations

import ast
import dataclasses
import math
from collections.abc import Callable, Iterable
from typing import Any

from reward_servers.engines.code._constants import (
    BINARY,
    TYPES,
    NotConvertibleError,
    bounded,
    known_binary,
    known_call,
)
from reward_servers.engines.code._guest import plain
from reward_servers.engines.code._host import OPERATIONS, Apply, Const, Expression, Outcome

MAX_STEPS = 50_000
_COMPARE: dict[type[ast.cmpop], str] = {
    ast.Eq: "==",
    ast.NotEq: "!=",
    ast.Lt: "<",
    ast.LtE: "<=",
    ast.Gt: ">",
    ast.GtE: ">=",
    ast.Is: "is",
    ast.IsNot: "is not",
    ast.In: "in",
    ast.NotIn: "not in",
}
_UNARY: dict[type[ast.unaryop], str] = {ast.Not: "not", ast.USub: "neg", ast.UAdd: "pos"}
_CALLABLES = frozenset(name for name in OPERATIONS if name.isidentifier()) - {"is", "in", "not", "neg", "pos", "item"}
_KEYWORDS = frozenset(("reverse", "default", "rel_tol", "abs_tol", "ndigits", "rel", "abs"))


@dataclasses.dataclass(frozen=True, slots=True)
class Candidate:
    """A name that the program under test provides."""

    name: str


@dataclasses.dataclass(frozen=True, slots=True)
class Module:
    """A module whose functions are offered outside, or one that provides the candidate's names."""

    name: str
    is_candidate: bool = False


@dataclasses.dataclass(frozen=True, slots=True)
class Local:
    """A function defined by the test code."""

    node: ast.FunctionDef


@dataclasses.dataclass(frozen=True, slots=True)
class Unknown:
    """A name whose value cannot be told without running code."""


@dataclasses.dataclass(frozen=True, slots=True)
class Builtin:
    """A built-in function, type or function of `math` that has an operation."""

    name: str


Bound = Const | Outcome | Apply | Candidate | Module | Local | Unknown | Builtin


@dataclasses.dataclass(frozen=True, slots=True)
class CandidateCall:
    """One call of the program: name, arguments as they cross the border (see `plain.encode`), and what to return.

    How is given to the driver: `runs` coroutines, an `argument` in place of the result, a `list` of what it yields.
    """

    name: str
    args: Any
    kwargs: Any
    how: tuple[tuple[str, Any], ...] = ()


class Folder:
    """Folds expressions in an environment of names, and collects the calls of the program in order.

    Args:
        is_candidate: Says whether a name that the test code does not bind is provided by the program.
    """

    def __init__(self, is_candidate: Callable[[str], bool]) -> None:
        self.names: dict[str, Bound] = {}
        self.calls: list[CandidateCall] = []
        self._is_candidate = is_candidate
        self._passed: set[int] = set()
        self._kept: list[Any] = []
        self._steps = 0

    def step(self) -> None:
        """Count one step of the walk."""
        self._steps += 1
        if self._steps > MAX_STEPS:
            raise NotConvertibleError("too long to unroll")

    def fold(self, node: ast.expr) -> Expression:
        """Fold one expression.

        Raises:
            NotConvertibleError: It needs more than is offered outside.
        """
        self.step()
        match node:
            case ast.Constant(value=value) if value is not Ellipsis:
                return Const(value)
            case ast.Name(id=name):
                return self._expression(self.lookup(name), name)
            case ast.List(elts=items) | ast.Tuple(elts=items) | ast.Set(elts=items):
                return self._display(node, self._items(items))
            case ast.Dict():
                return self._dict(node)
            case ast.UnaryOp(op=operator, operand=operand) if type(operator) in _UNARY:
                return self._apply(_UNARY[type(operator)], self.fold(operand))
            case ast.BinOp(left=left, op=operator, right=right):
                return self._binary(operator, self.fold(left), self.fold(right))
            case ast.BoolOp(op=operator, values=values):
                return self._choice("and" if isinstance(operator, ast.And) else "or", values)
            case ast.Compare():
                return self._compare(node)
            case ast.IfExp(test=test, body=body, orelse=orelse):
                return self.fold(body if self.const(test) else orelse)
            case ast.Call():
                return self._call(node)
            case ast.Subscript(value=value, slice=index):
                return self._apply("item", self.fold(value), self._index(index))
            case ast.Attribute():
                return self._expression(self.resolve(node), ast.unparse(node))
            case ast.ListComp(elt=item, generators=loops) | ast.GeneratorExp(elt=item, generators=loops):
                return self._display(node, [self.fold(item) for _ in self.loop(loops)])
        raise NotConvertibleError(f"a {type(node).__name__} is decided only by running it")

    def const(self, node: ast.expr) -> Any:
        """Value of an expression that holds no call of the program."""
        folded = self.fold(node)
        if isinstance(folded, Const):
            return folded.value
        raise NotConvertibleError("depends on a result of the program")

    def lookup(self, name: str) -> Bound:
        """What a name stands for."""
        if name in self.names:
            bound = self.names[name]
            if isinstance(bound, Const) and self._passed.intersection(_mutable_ids(bound.value)):
                raise NotConvertibleError(f"{name} was given to the program, which may have changed it")
            return bound
        if self._is_candidate(name):
            return Candidate(name)
        offered = name in TYPES or name in _CALLABLES or name in ("range", "zip", "enumerate", "reversed")
        return Builtin(name) if offered else Unknown()

    def resolve(self, node: ast.expr) -> Bound:
        """What a name or dotted name stands for."""
        if isinstance(node, ast.Name):
            return self.lookup(node.id)
        if not isinstance(node, ast.Attribute):
            return Unknown()
        owner = self.resolve(node.value)
        return self.member(owner, node.attr) if isinstance(owner, Module) else Unknown()

    def member(self, owner: Module, name: str) -> Bound:
        """What a name of a module stands for."""
        if owner.is_candidate:
            return Candidate(name)
        full = f"{owner.name}.{name}"
        if full in ("math.pi", "math.e", "math.inf", "math.nan", "math.tau"):
            return Const(getattr(math, name))
        offered = full in OPERATIONS or full in ("copy.copy", "copy.deepcopy", "pytest.approx")
        return Builtin(full) if offered else Unknown()

    def loop(self, loops: list[ast.comprehension]) -> Iterable[None]:
        """Run through the rounds of a comprehension, with its names bound."""
        first, *inner_loops = loops
        if first.is_async:
            raise NotConvertibleError("asynchronous")
        for value in self.iterable(first.iter):
            self.bind(first.target, Const(value))
            if all(self.const(test) for test in first.ifs):
                if inner_loops:
                    yield from self.loop(inner_loops)
                else:
                    yield

    def iterable(self, node: ast.expr) -> list[Any]:
        """Members of a constant that a loop runs through."""
        value = self.const(node)
        if not isinstance(value, list | tuple | range | dict | str):
            raise NotConvertibleError("a loop over something else than known data")
        return list(value)

    def doubt(self) -> None:
        """Forget the values of names that code which was not followed may have changed."""
        for name, bound in self.names.items():
            if isinstance(bound, Const) and _mutable_ids(bound.value):
                self.names[name] = Unknown()

    def bind(self, target: ast.expr, value: Bound) -> None:
        """Bind the names of an assignment's target."""
        if isinstance(target, ast.Name):
            self.names[target.id] = value
            return
        items = value.value if isinstance(value, Const) else None
        if isinstance(target, ast.Tuple | ast.List) and isinstance(items, list | tuple | str):
            if len(items) != len(target.elts):
                raise NotConvertibleError("an assignment that does not fit")
            for part, item in zip(target.elts, items, strict=True):
                self.bind(part, Const(item))
            return
        raise NotConvertibleError("an assignment to something else than names")

    # Parts of `fold`

    def _expression(self, bound: Bound, text: str) -> Expression:
        if isinstance(bound, Const | Outcome | Apply):
            return bound
        if isinstance(bound, Builtin) and bound.name in TYPES:
            return Const(TYPES[bound.name])
        raise NotConvertibleError(f"{text} is known only by running the code")

    def _items(self, nodes: list[ast.expr]) -> list[Expression]:
        items: list[Expression] = []
        for node in nodes:
            if isinstance(node, ast.Starred):
                items.extend(Const(value) for value in self.iterable(node.value))
            else:
                items.append(self.fold(node))
        return items

    def _display(self, node: ast.expr, items: list[Expression]) -> Expression:
        if isinstance(node, ast.Set):
            return self._apply("set", self._apply("make_list", *items))
        return self._apply("make_tuple" if isinstance(node, ast.Tuple) else "make_list", *items)

    def _dict(self, node: ast.Dict) -> Expression:
        items = {}
        for key, value in zip(node.keys, node.values, strict=True):
            if key is None:
                raise NotConvertibleError("a dict made of another")
            items[self.const(key)] = self.const(value)
        return Const(items)

    def _choice(self, word: str, values: list[ast.expr]) -> Expression:
        """`and` and `or`. Calls are all made beforehand, so after `or` there may be none: it might not come to them."""
        first = self.fold(values[0])
        calls = len(self.calls)
        folded = [self.fold(value) for value in values[1:]]
        if word == "or" and len(self.calls) > calls:
            raise NotConvertibleError("a call of the program that depends on the result of another")
        return self._apply(word, first, *folded)

    def _binary(self, operator: ast.operator, left: Expression, right: Expression) -> Expression:
        if isinstance(left, Const) and isinstance(right, Const):
            return Const(known_binary(operator, left.value, right.value))
        if type(operator) not in BINARY:
            raise NotConvertibleError(f"{type(operator).__name__} on a result of the program")
        return self._apply(BINARY[type(operator)], left, right)

    def _compare(self, node: ast.Compare) -> Expression:
        sides = [self.fold(side) for side in (node.left, *node.comparators)]
        pairs = []
        for operator, left, right in zip(node.ops, sides, sides[1:], strict=False):
            if isinstance(operator, ast.Is | ast.IsNot) and not any(map(is_singleton, (left, right))):
                raise NotConvertibleError("identity of something else than None, True and False")
            pairs.append(self._apply(_COMPARE[type(operator)], left, right))
        return pairs[0] if len(pairs) == 1 else self._apply("and", *pairs)

    def _index(self, node: ast.expr) -> Expression:
        if isinstance(node, ast.Slice):
            parts = [None if part is None else self.const(part) for part in (node.lower, node.upper, node.step)]
            return Const(slice(*parts))
        return Const(self.const(node))

    def _call(self, node: ast.Call) -> Expression:
        target = self.method(node.func) or self.resolve(node.func)
        if isinstance(target, Candidate):
            return self._candidate_call(target, node)
        if not isinstance(target, Builtin):
            raise NotConvertibleError(f"calls {ast.unparse(node.func)[:60]}")
        if any(word.arg not in _KEYWORDS for word in node.keywords):
            raise NotConvertibleError("a keyword argument that is not offered")
        calls = len(self.calls)
        args = self._items(node.args)
        if target.name == "any" and len(self.calls) > calls + 1:
            raise NotConvertibleError("calls of the program that depend on the results of others")
        keywords = tuple((str(word.arg), self.const(word.value)) for word in node.keywords)
        if target.name in OPERATIONS:
            return self._apply(target.name, *args, keywords=keywords)
        values = [arg.value for arg in args if isinstance(arg, Const)]
        if len(values) != len(args):
            raise NotConvertibleError(f"{target.name} of a result of the program")
        return Const(known_call(target.name, values, dict(keywords)))

    def method(self, node: ast.expr) -> Candidate | None:
        """`Solution().method`, the form of one popular collection of tasks, is the program's function `method`."""
        match node:
            case ast.Attribute(value=ast.Call(func=ast.Name(id="Solution"), args=[], keywords=[]), attr=name) if (
                isinstance(self.lookup("Solution"), Candidate)
            ):
                return Candidate(f"Solution.{name}")
        return None

    def _candidate_call(self, target: Candidate, node: ast.Call) -> Expression:
        args = self._items(node.args)
        if any(word.arg is None for word in node.keywords):
            raise NotConvertibleError("keyword arguments from a dict")
        kwargs = {str(word.arg): self.const(word.value) for word in node.keywords}
        values = [arg.value for arg in args if isinstance(arg, Const)]
        if len(values) != len(args):
            raise NotConvertibleError("a result of the program as an argument of another call")
        try:
            call = CandidateCall(target.name, plain.encode(values), plain.encode(kwargs))
        except plain.NotPlainError as error:
            raise NotConvertibleError(f"an argument: {error}") from None
        for value in (*values, *kwargs.values()):
            self._passed.update(_mutable_ids(value))
            self._kept.append(value)  # an id is taken again once its object is gone
        self.calls.append(call)
        return Outcome(len(self.calls) - 1)

    def _apply(self, operation: str, *operands: Expression, keywords: tuple[tuple[str, Any], ...] = ()) -> Expression:
        if not all(isinstance(operand, Const) for operand in operands):
            return Apply(operation, operands, keywords)
        values = [operand.value for operand in operands if isinstance(operand, Const)]
        try:
            if operation in ("and", "or"):
                stop = [value for value in values if bool(value) is (operation == "or")]
                return Const((stop or values[-1:])[0])
            return Const(bounded(OPERATIONS[operation](*values, **dict(keywords))))
        except NotConvertibleError:
            raise
        except Exception as error:  # noqa: BLE001 (running the test code will show it)
            raise NotConvertibleError(f"raises {type(error).__name__}") from None


def is_singleton(side: Expression) -> bool:
    """Whether an expression is None, True or False, the only values whose identity crosses the border."""
    return isinstance(side, Const) and (side.value is None or isinstance(side.value, bool))


def _mutable_ids(value: Any) -> set[int]:
    """Identities of everything inside a value that a callee could change."""
    if isinstance(value, list | set | bytearray):
        ids = {id(value)}
        return ids.union(*map(_mutable_ids, value)) if isinstance(value, list) else ids
    if isinstance(value, dict):
        return {id(value)}.union(*map(_mutable_ids, value.values()))
    if isinstance(value, tuple):
        return set().union(*map(_mutable_ids, value))
    return set()
