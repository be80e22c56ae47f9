"""Tests written in Python, taken apart: which tests the code holds, and what runs for each.

    Selection   one test as the driver in the sandbox runs it: statements to keep, and what to call
    Found       one test: its name, its selection, and the statements that decide it
    collect     all tests of some code

Assert style: every assertion at the top is a test, so is every loop or other statement there that holds some, and
every call of a function of the test code that does, `check(candidate)` above all. Unittest style: every method
`test*` of a test class and every function `test_*`, one per set of parameters where those can be counted.
"""

from __future__ import annotations

import ast
import dataclasses
from collections.abc import Iterator

from reward_servers.engines.code._errors import BadReferenceError
from reward_servers.engines.code._history import History
from reward_servers.engines.code._names import free_names
from reward_servers.engines.code._spec import CodeTests
from reward_servers.engines.code._syntax import UnparsableError, parse, symbols

_BLOCKS = (ast.For, ast.While, ast.With, ast.If, ast.Try)


@dataclasses.dataclass(frozen=True, slots=True)
class Selection:
    """What the driver runs for one test.

    Attributes:
        keep: Statements of the module that are executed, by their number.
        function: Function called after them.
        owner: Class of which it is a method.
        parameters: Which set of parameters of `pytest.mark.parametrize`; None for all.
    """

    keep: tuple[int, ...]
    function: str | None = None
    owner: str | None = None
    parameters: int | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class CollectedTest:
    """One test of the code.

    Attributes:
        name: Unique within the code.
        selection: What runs for it.
        setup: Statements executed before, in order.
        body: Statements of the test itself.
        arguments: Names and values bound for the body: the set of parameters.
        in_class: Whether the body is that of a method of `unittest.TestCase`.
        plain: Whether nothing but `setup` and `body` has a say (no fixtures, decorators or `setUp`).
    """

    name: str
    selection: Selection
    setup: tuple[ast.stmt, ...]
    body: tuple[ast.stmt, ...]
    arguments: tuple[tuple[ast.expr, ast.expr], ...] = ()
    in_class: bool = False
    plain: bool = True


@dataclasses.dataclass(frozen=True, slots=True)
class CollectedTests:
    """The tests of some code, and the names they expect of the program.

    Attributes:
        tests: In the order of the code.
        code: The code to run: as given, with a call of `check` added where it was only implied.
        free: Names that the code uses and nothing in it defines.
    """

    tests: tuple[CollectedTest, ...]
    code: str
    free: frozenset[str]


def collect(tests: CodeTests) -> CollectedTests:
    """Find the tests in test code.

    Raises:
        BadReferenceError: The code does not compile or holds no test.
    """
    code = tests.code
    module = _parse(code)
    functions = {node.name: node for node in module.body if isinstance(node, ast.FunctionDef)}
    found_tests = _unittest_style(module) if tests.style == "unittest" else _assert_style(module, functions)
    if not found_tests:
        if "check" in functions and tests.entry:
            code += f"\ncheck({tests.entry.rpartition('.')[2]})\n"
            module = _parse(code)
            found_tests = _assert_style(module, functions)
        else:
            found_tests = _assert_style(module, functions) if tests.style == "unittest" else _unittest_style(module)
    if not found_tests:
        raise BadReferenceError(
            "tests.code", "holds no test", "Write assertions, check(function) or functions named test_*"
        )
    free = free_names(code)
    if tests.entry:
        # The entry may carry the name of a built-in; unless the test code defines it, the program does.
        head = tests.entry.partition(".")[0]
        free |= {head} - _defined(module)
    return CollectedTests(tuple(_distinct(found_tests)), code, free)


def _defined(module: ast.Module) -> set[str]:
    return {node.name for node in module.body if isinstance(node, ast.FunctionDef | ast.ClassDef)}


def _parse(code: str) -> ast.Module:
    try:
        symbols(code)  # finds more than the parser does, e.g. a misplaced nonlocal
        return parse(code)
    except UnparsableError as error:
        raise BadReferenceError("tests.code", f"does not compile: {error}", "Give valid Python") from None


def _distinct(tests: list[CollectedTest]) -> Iterator[CollectedTest]:
    """The same tests under names of which none occurs twice."""
    counts: dict[str, int] = {}
    for test in tests:
        number = counts[test.name] = counts.get(test.name, 0) + 1
        yield test if number == 1 else dataclasses.replace(test, name=f"{test.name} ({number})")


# Assert style


def _assert_style(module: ast.Module, functions: dict[str, ast.FunctionDef]) -> list[CollectedTest]:
    collected: list[CollectedTest] = []
    setup: list[int] = []
    history = History(module)
    for index, statement in enumerate(module.body):
        name = _test_name(statement, functions)
        if name is None:
            if not _runs_all(statement):
                setup.append(index)
            continue
        keep = sorted({*setup, *history.needed_by(index)})
        before = tuple(module.body[number] for number in keep)
        collected.append(CollectedTest(name, Selection((*keep, index)), before, (statement,)))
    return collected


def _test_name(statement: ast.stmt, functions: dict[str, ast.FunctionDef]) -> str | None:
    """Name of the test that a statement at the top is, None if it is none."""
    if isinstance(statement, ast.Assert):
        return f"line {statement.lineno}"
    if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Call):
        function = statement.value.func
        if isinstance(function, ast.Name) and _judges(functions.get(function.id), functions, set()):
            return function.id
        return None
    if isinstance(statement, _BLOCKS) and not _runs_all(statement) and _judges(statement, functions, set()):
        return f"lines {statement.lineno}-{statement.end_lineno}"
    return None


def _judges(node: ast.AST | None, functions: dict[str, ast.FunctionDef], visited: set[str]) -> bool:
    """Whether code holds an assertion or raises, by itself or through functions of the test code."""
    if node is None:
        return False
    for inner in ast.walk(node):
        if isinstance(inner, ast.Assert | ast.Raise):
            return True
        if isinstance(inner, ast.Name) and inner.id in functions and inner.id not in visited:
            visited.add(inner.id)
            if _judges(functions[inner.id], functions, visited):
                return True
    return False


def _runs_all(statement: ast.stmt, *, guarded: bool = False) -> bool:
    """Whether a statement only starts a test runner: `unittest.main()`, also under `if __name__ == "__main__"`.

    Args:
        statement: A statement at the top.
        guarded: Whether anything under that guard counts as one.
    """
    if isinstance(statement, ast.If) and "__name__" in ast.unparse(statement.test):
        return guarded or all(map(_runs_all, statement.body))
    text = ast.unparse(statement)
    return isinstance(statement, ast.Expr | ast.Raise) and any(
        f"{call}(" in text for call in ("unittest.main", "pytest.main", "sys.exit", "print")
    )


# Unittest and pytest style


def _unittest_style(module: ast.Module) -> list[CollectedTest]:
    collected: list[CollectedTest] = []
    keep = tuple(index for index, statement in enumerate(module.body) if not _runs_all(statement, guarded=True))
    setup = tuple(module.body[index] for index in keep)
    classes = {node.name: node for node in module.body if isinstance(node, ast.ClassDef)}
    for node in module.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test"):
            collected.extend(_functions(node, keep, setup))
        elif isinstance(node, ast.ClassDef) and (_is_test_case(node, classes) or node.name.startswith("Test")):
            collected.extend(_methods(node, classes, keep, setup))
    return collected


def _functions(
    node: ast.FunctionDef | ast.AsyncFunctionDef, keep: tuple[int, ...], setup: tuple[ast.stmt, ...]
) -> Iterator[CollectedTest]:
    """A test function, once per set of parameters where these are written out."""
    body = tuple(node.body)
    bare = isinstance(node, ast.FunctionDef) and not node.args.args and not node.decorator_list
    sets = _parameter_sets(node)
    if sets is None:
        yield CollectedTest(node.name, Selection(keep, node.name), setup, body, plain=bare)
        return
    names, values = sets
    for number, value in enumerate(values):
        selection = Selection(keep, node.name, parameters=number)
        plain = isinstance(node, ast.FunctionDef) and len(node.args.args) == _count(names)
        yield CollectedTest(f"{node.name}[{number}]", selection, setup, body, ((names, value),), plain=plain)


def _count(names: ast.expr) -> int:
    return len(names.elts) if isinstance(names, ast.Tuple) else 1


def _parameter_sets(node: ast.FunctionDef | ast.AsyncFunctionDef) -> tuple[ast.expr, list[ast.expr]] | None:
    """Names and written-out values of a single `pytest.mark.parametrize`, None if there is no such thing."""
    match node.decorator_list:
        case [ast.Call(func=ast.Attribute(attr="parametrize"), args=[names, ast.List(elts=values)], keywords=[])]:
            pass
        case _:
            return None
    if isinstance(names, ast.Constant) and isinstance(names.value, str):
        words = [word.strip() for word in names.value.split(",")]
    elif isinstance(names, ast.List | ast.Tuple):
        words = [word.value for word in names.elts if isinstance(word, ast.Constant) and isinstance(word.value, str)]
    else:
        return None
    if not values or not all(word.isidentifier() for word in words):
        return None
    targets = [ast.Name(word, ast.Store()) for word in words]
    return (targets[0] if len(targets) == 1 else ast.Tuple(list(targets), ast.Store())), values


def _is_test_case(node: ast.ClassDef, classes: dict[str, ast.ClassDef]) -> bool:
    for base in node.bases:
        name = base.attr if isinstance(base, ast.Attribute) else base.id if isinstance(base, ast.Name) else ""
        if name.endswith("TestCase") or (
            name in classes and name != node.name and _is_test_case(classes[name], classes)
        ):
            return True
    return False


def _methods(
    node: ast.ClassDef, classes: dict[str, ast.ClassDef], keep: tuple[int, ...], setup: tuple[ast.stmt, ...]
) -> Iterator[CollectedTest]:
    """The test methods of a class, those of its bases in the same code included."""
    methods: dict[str, ast.FunctionDef | ast.AsyncFunctionDef] = {}
    for owner in _line(node, classes):
        for member in owner.body:
            if isinstance(member, ast.FunctionDef | ast.AsyncFunctionDef):
                methods.setdefault(member.name, member)
    bare = not node.decorator_list and not any(not name.startswith("test") for name in methods)
    for name, method in methods.items():
        if name.startswith("test"):
            simple = isinstance(method, ast.FunctionDef) and not method.decorator_list and len(method.args.args) == 1
            yield CollectedTest(
                f"{node.name}.{name}",
                Selection(keep, name, owner=node.name),
                setup,
                tuple(method.body),
                in_class=True,
                plain=bare and simple,
            )


def _line(node: ast.ClassDef, classes: dict[str, ast.ClassDef]) -> Iterator[ast.ClassDef]:
    """A class and its bases in the same code."""
    yield node
    for base in node.bases:
        if isinstance(base, ast.Name) and base.id in classes and base.id != node.name:
            yield from _line(classes[base.id], classes)
