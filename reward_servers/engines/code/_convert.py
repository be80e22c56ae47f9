"""Tests turned into calls of the program and expectations about their results, both decided outside.

    Expectation   one assertion: its text, line, and expression over the results
    Converted     the calls of one test in order, and its expectations
    convert       a test as `Converted`, or the reason why it has to run as code

A test converts if every statement of it is an assertion, an assignment, a loop over known data, or a call of a
function made of such statements, and if every call of the program has known arguments.
"""

from __future__ import annotations

import ast
import dataclasses
from collections.abc import Callable

from reward_servers.engines.code._collect import CollectedTest
from reward_servers.engines.code._constant_folding import (
    Candidate,
    CandidateCall,
    Folder,
    Local,
    Module,
    Unknown,
    is_singleton,
)
from reward_servers.engines.code._constants import NotConvertibleError
from reward_servers.engines.code._host import Apply, Const, Expression, calls_in
from reward_servers.engines.code._names import candidate_module

_COMPARISONS: dict[str, str] = {
    "assertEqual": "==",
    "assertEquals": "==",
    "assertListEqual": "==",
    "assertTupleEqual": "==",
    "assertDictEqual": "==",
    "assertSetEqual": "==",
    "assertMultiLineEqual": "==",
    "assertSequenceEqual": "==",
    "assertNotEqual": "!=",
    "assertLess": "<",
    "assertLessEqual": "<=",
    "assertGreater": ">",
    "assertGreaterEqual": ">=",
    "assertIn": "in",
    "assertNotIn": "not in",
    "assertIs": "is",
    "assertIsNot": "is not",
}
_SINGLES = {"assertTrue": "bool", "assertFalse": "not", "assertIsNone": "is", "assertIsNotNone": "is not"}
_MAX_DEPTH = 8


@dataclasses.dataclass(frozen=True, slots=True)
class Expectation:
    """One assertion about results of the program."""

    text: str
    line: int
    expression: Expression


@dataclasses.dataclass(frozen=True, slots=True)
class Converted:
    """One test without its code.

    Attributes:
        calls: Calls to make of the program, in order and in one process.
        expectations: What must hold of their results, in the order of the test.
    """

    calls: tuple[CandidateCall, ...]
    expectations: tuple[Expectation, ...]


def convert(test: CollectedTest, provided: Callable[[str], bool]) -> Converted:
    """Turn a test into calls and expectations.

    Args:
        test: As collected.
        provided: Says whether a name that the test code does not bind is provided by the program.

    Raises:
        NotConvertibleError: The test has to run as code; the message says why.
    """
    if not test.plain:
        raise NotConvertibleError("fixtures, decorators or set-up methods")
    if any(
        isinstance(node, ast.Global | ast.Nonlocal) for part in (*test.setup, *test.body) for node in ast.walk(part)
    ):
        raise NotConvertibleError("names changed from inside functions")
    walk = _Walk(Folder(provided), in_class=test.in_class)
    for statement in test.setup:
        walk.set_up(statement)
    for target, value in test.arguments:
        walk.folder.bind(target, walk.folder.fold(value))
    for statement in test.body:
        walk.run(statement)
    if walk.has_star:
        raise NotConvertibleError("names from a star import")
    used = {index for expectation in walk.expectations for index in calls_in(expectation.expression)}
    if not used:
        raise NotConvertibleError("no assertion about a result of the program")
    return Converted(tuple(walk.folder.calls), tuple(walk.expectations))


class _Walk:
    """Runs through statements, binding names and collecting expectations."""

    def __init__(self, folder: Folder, *, in_class: bool) -> None:
        self.folder = folder
        self.expectations: list[Expectation] = []
        self.has_star = False
        self._in_class = in_class
        self._depth = 0

    def set_up(self, statement: ast.stmt) -> None:
        """A statement before the test. One that cannot be decided leaves the names in it unknown."""
        calls = len(self.folder.calls)
        try:
            self.run(statement)
        except NotConvertibleError:
            if len(self.folder.calls) > calls:
                raise
            if isinstance(statement, ast.ClassDef | ast.AsyncFunctionDef):
                self.folder.names[statement.name] = Unknown()
                if not _only_defines(statement):
                    self.folder.doubt()
                return
            self.folder.doubt()
            for node in ast.walk(statement):
                if isinstance(node, ast.Name) and (isinstance(node.ctx, ast.Store) or node.id in self.folder.names):
                    self.folder.names[node.id] = Unknown()

    def run(self, statement: ast.stmt) -> None:
        """One statement of the test."""
        self.folder.step()
        match statement:
            case ast.Assert(test=test):
                self._expect(test, self.folder.fold(test), statement)
            case ast.Expr(value=ast.Constant()) | ast.Pass():
                pass
            case ast.Expr(value=ast.Call() as call):
                self._call(call, statement)
            case ast.Assign(targets=[target], value=value) | ast.AnnAssign(target=target, value=ast.expr() as value):
                self.folder.bind(target, self._value(value))
            case ast.For(target=target, iter=items, body=body, orelse=[]):
                for item in self.folder.iterable(items):
                    self.folder.bind(target, Const(item))
                    for inner in body:
                        self.run(inner)
            case ast.If(test=test, body=body, orelse=orelse):
                for inner in body if self.folder.const(test) else orelse:
                    self.run(inner)
            case ast.Import() | ast.ImportFrom():
                self._import(statement)
            case ast.FunctionDef(name=name):
                self.folder.names[name] = Local(statement)
            case _:
                raise NotConvertibleError(f"a {type(statement).__name__} statement")

    def _value(self, node: ast.expr) -> Expression | Candidate:
        """Value of an assignment, which may also give the program's function another name."""
        if isinstance(node, ast.Name | ast.Attribute):
            bound = self.folder.method(node) or self.folder.resolve(node)
            if isinstance(bound, Candidate):
                return bound
        return self.folder.fold(node)

    def _expect(self, node: ast.expr, expression: Expression, statement: ast.stmt) -> None:
        if isinstance(expression, Const):
            if not expression.value:
                raise NotConvertibleError("an assertion that never holds")
            return
        self.expectations.append(Expectation(ast.unparse(node), statement.lineno, expression))

    def _import(self, statement: ast.Import | ast.ImportFrom) -> None:
        if isinstance(statement, ast.Import):
            for item in statement.names:
                name = item.asname or item.name.partition(".")[0]
                self.folder.names[name] = Module(item.name, candidate_module(item.name))
            return
        is_local = statement.level > 0 or candidate_module(statement.module or "")
        for item in statement.names:
            if item.name == "*":
                # Which names it binds is known where it runs; those of the program are the free names anyway.
                self.has_star |= not is_local
                continue
            owner = Module(statement.module or "", is_candidate=is_local)
            self.folder.names[item.asname or item.name] = self.folder.member(owner, item.name)

    def _call(self, call: ast.Call, statement: ast.stmt) -> None:
        """A call as a statement: an assertion method, a function of the test code, or a call of the program."""
        match call.func:
            case ast.Attribute(value=ast.Name(id="self"), attr=name) if self._in_class:
                self._expect(call, self._assertion(name, call), statement)
                return
            case ast.Name(id=name):
                local = self.folder.names.get(name)
                if isinstance(local, Local):
                    self._inline(local.node, call)
                    return
        if isinstance(self.folder.fold(call), Const):
            return
        raise NotConvertibleError("a call for its effect")

    def _assertion(self, name: str, call: ast.Call) -> Expression:
        """One of the methods of `unittest.TestCase` as an expression."""
        keywords = {str(word.arg): word.value for word in call.keywords if word.arg != "msg"}
        sides = [self.folder.fold(argument) for argument in call.args[: 1 if name in _SINGLES else 2]]
        if name in _COMPARISONS and len(sides) == 2 and not keywords:
            if name in ("assertIs", "assertIsNot") and not any(is_singleton(side) for side in sides):
                raise NotConvertibleError("identity of something else than None, True and False")
            return Apply(_COMPARISONS[name], (sides[0], sides[1]))
        if name in _SINGLES and len(sides) == 1 and not keywords:
            operands = (sides[0], Const(None)) if "None" in name else (sides[0],)
            return Apply(_SINGLES[name], operands)
        if name == "assertAlmostEqual" and len(sides) == 2 and len(call.args) <= 3:
            return self._almost((sides[0], sides[1]), call, keywords)
        raise NotConvertibleError(f"self.{name}")

    def _almost(
        self, sides: tuple[Expression, Expression], call: ast.Call, keywords: dict[str, ast.expr]
    ) -> Expression:
        distance = Apply("abs", (Apply("-", sides),))
        if keywords.keys() == {"delta"} and len(call.args) == 2:
            close = Apply("<=", (distance, Const(self.folder.const(keywords["delta"]))))
        elif keywords.keys() <= {"places"}:
            places_node = call.args[2] if len(call.args) == 3 else keywords.get("places")
            places = 7 if places_node is None else self.folder.const(places_node)
            close = Apply("==", (Apply("round", (distance, Const(places))), Const(0)))
        else:
            raise NotConvertibleError("self.assertAlmostEqual of this form")
        return Apply("or", (Apply("==", sides), close))

    def _inline(self, function: ast.FunctionDef, call: ast.Call) -> None:
        """Run the body of a function of the test code with its parameters bound."""
        spec = function.args
        simple = not (spec.vararg or spec.kwarg or spec.kwonlyargs or spec.posonlyargs or spec.defaults)
        if not simple or call.keywords or len(spec.args) != len(call.args) or function.decorator_list:
            raise NotConvertibleError(f"{function.name} is called in a way that is not offered")
        if self._depth >= _MAX_DEPTH:
            raise NotConvertibleError("recursive test code")
        values = [self._value(argument) for argument in call.args]
        outer = self.folder.names
        self.folder.names = {**outer, **{spec.args[index].arg: value for index, value in enumerate(values)}}
        self._depth += 1
        try:
            for statement in function.body:
                self.run(statement)
        finally:
            self._depth -= 1
            self.folder.names = outer


def _only_defines(statement: ast.ClassDef | ast.AsyncFunctionDef) -> bool:
    """Whether executing a definition does nothing but define: no calls in the body of a class."""
    if isinstance(statement, ast.AsyncFunctionDef):
        return True
    parts = [part for part in statement.body if not isinstance(part, ast.FunctionDef | ast.AsyncFunctionDef)]
    return not any(isinstance(node, ast.Call) for part in parts for node in ast.walk(part))
