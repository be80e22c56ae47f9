"""From test code to a plan: which tests are decided outside, which run as code, and where their names come from."""

from __future__ import annotations

import ast
import builtins
import dataclasses
import functools
import re

from reward_servers.engines.code._builtin_names import subjects
from reward_servers.engines.code._collect import CollectedTest, CollectedTests, Selection, collect
from reward_servers.engines.code._constant_folding import CandidateCall
from reward_servers.engines.code._constants import NotConvertibleError
from reward_servers.engines.code._convert import Converted, convert
from reward_servers.engines.code._errors import BadReferenceError
from reward_servers.engines.code._host import Apply, Expression, Outcome, calls_in
from reward_servers.engines.code._names import class_names, free_names, imported_names
from reward_servers.engines.code._prelude import node_helpers
from reward_servers.engines.code._spec import CodeTests
from reward_servers.engines.code._syntax import UnparsableError, parse

_LONGEST_PROMPT = 100_000
_FILES = re.compile(
    r"\bopen\(|tempfile|tmp_path|pathlib|\bPath\(|shutil|zipfile|tarfile|sqlite3|\bglob\b|(?:to|read)_(?:csv|json|excel)"
    r"|\bos\.(?:remove|unlink|mkdir|makedirs|rmdir|listdir|walk|scandir|rename|replace|chdir|getcwd|path\.\w*(?:exists|is|get))"
)
# Code that runs what it finds in a file would run what the program wrote, beside the tests.
_RUNS_FILES = re.compile(
    r"\b(?:pickle|cPickle|joblib|dill|shelve|marshal|runpy|ctypes|subprocess|importlib|multiprocessing)\b"
    r"|\bos\.(?:system|popen|exec\w+|spawn\w+|posix_spawn\w*)\(|\b(?:exec|eval|__import__)\(|allow_pickle|load_extension"
)
_DEFINITIONS = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


@dataclasses.dataclass(frozen=True, slots=True)
class PlannedTest:
    """One test of some test code.

    Attributes:
        name: Its name.
        converted: Calls and expectations, None if it runs as code.
        selection: What runs where it has to run as code.
        reason: Why it does.
        shadowed: Names of built-ins that it asks of the program.
    """

    name: str
    converted: Converted | None
    selection: Selection
    reason: str = ""
    shadowed: frozenset[str] = frozenset()


@dataclasses.dataclass(frozen=True, slots=True)
class Plan:
    """All tests of some test code.

    Attributes:
        tests: In the order of the code.
        code: The code as it runs.
        setup: Trusted helpers that run before it.
        from_prompt: Names of helpers taken from the prompt.
        from_program: Names that the program has to define.
        classes: Names that the code treats as classes.
        about_builtins: Whether the tests ask the program for nothing but names of built-ins.
        shares_files: Whether the code reads or writes files, which the program then sees, too.
    """

    tests: tuple[PlannedTest, ...]
    code: str
    setup: str
    from_prompt: tuple[str, ...]
    from_program: tuple[str, ...]
    classes: tuple[str, ...]
    about_builtins: bool = False
    shares_files: bool = False


@functools.lru_cache(maxsize=512)
def plan_tests(
    tests: CodeTests, setup: str = "", prompt: str = "", *, split: bool = False, prelude: str = "auto"
) -> Plan:
    """Plan the tests of some test code. Cached, because the rollouts of a group share it.

    Args:
        tests: From the reference.
        setup: Trusted helpers from the reference.
        prompt: The task's prompt; helpers that it defines beside a stub of the function under test are trusted too.
        split: Make every assertion of a converted test a test of its own.
        prelude: Of the reference; `leetcode` brings helpers for linked lists and trees.

    Raises:
        BadReferenceError: The code or the helpers do not compile, or there is no test.
    """
    try:
        collected = collect(tests)
    except RecursionError:
        raise BadReferenceError("tests.code", "is nested too deeply", "Write shorter expressions") from None
    nodes, node_source = node_helpers(prelude, collected.free - _defined_names(setup))
    setup = f"{node_source}\n{setup}" if nodes else setup
    defined = _defined_names(setup)
    helpers, helper_source = _helpers(prompt, collected, tests.entry, defined)
    from_program = (collected.free - defined - helpers) | (_builtin_stubs(prompt) if tests.entry is None else set())
    module = parse(collected.code)
    program_names = from_program | imported_names(module)
    planned: list[PlannedTest] = []
    for collected_test, shadowed in zip(collected.tests, subjects(module, collected.tests, program_names), strict=True):
        planned.extend(_planned(collected_test, from_program | shadowed, shadowed, split=split))
    text = f"{setup}\n{collected.code}"
    shares_files = any(test.converted is None for test in planned) and _FILES.search(text) is not None
    if shares_files and (runs := _RUNS_FILES.search(text)) is not None:
        problem = f"shares files with the program and uses {runs[0].strip('(')}, which could run what the program wrote"
        raise BadReferenceError("tests.code", problem, "Test without it")
    return Plan(
        tests=tuple(planned),
        code=collected.code,
        setup=f"{helper_source}\n{setup}".strip(),
        from_prompt=tuple(sorted(helpers)),
        from_program=tuple(sorted(from_program)),
        classes=tuple(sorted(class_names(f"{helper_source}\n{setup}\n{collected.code}"))),
        about_builtins=not program_names,
        shares_files=shares_files,
    )


def _planned(
    test: CollectedTest, provided: frozenset[str], shadowed: frozenset[str], *, split: bool
) -> list[PlannedTest]:
    """One test, or one for each of its assertions."""
    try:
        converted = convert(test, provided.__contains__)
    except (NotConvertibleError, RecursionError) as reason:
        return [PlannedTest(test.name, None, test.selection, str(reason), shadowed)]
    if split and len(converted.expectations) > 1:
        return [dataclasses.replace(part, shadowed=shadowed) for part in _split(test, converted)]
    return [PlannedTest(test.name, converted, test.selection, shadowed=shadowed)]


def _defined_names(setup: str) -> set[str]:
    try:
        module = parse(setup)
    except UnparsableError as error:
        raise BadReferenceError("setup", f"does not compile: {error}", "Give valid Python") from None
    names = {node.id for node in ast.walk(module) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    names |= {node.name for node in module.body if isinstance(node, _DEFINITIONS)}
    for node in module.body:
        if isinstance(node, ast.Import | ast.ImportFrom):
            names |= {(item.asname or item.name).partition(".")[0] for item in node.names}
    return names


def _split(test: CollectedTest, converted: Converted) -> list[PlannedTest]:
    """One test per assertion, each with the calls that it needs."""
    split = []
    for number, expectation in enumerate(converted.expectations, start=1):
        used = sorted(set(calls_in(expectation.expression)))
        calls: tuple[CandidateCall, ...] = tuple(converted.calls[index] for index in used)
        renumbered = _renumber(expectation.expression, {old: new for new, old in enumerate(used)})
        part = Converted(calls, (dataclasses.replace(expectation, expression=renumbered),))
        split.append(PlannedTest(f"{test.name}#{number}", part, test.selection))
    return split


def _renumber(expression: Expression, numbers: dict[int, int]) -> Expression:
    if isinstance(expression, Outcome):
        return Outcome(numbers[expression.index])
    if isinstance(expression, Apply):
        operands = tuple(_renumber(operand, numbers) for operand in expression.operands)
        return dataclasses.replace(expression, operands=operands)
    return expression


# Helpers of the prompt


def _builtin_stubs(prompt: str) -> set[str]:
    """Built-ins that a prompt in Python asks for by a stub, as HumanEval's prompts do."""
    if not 0 < len(prompt) <= _LONGEST_PROMPT:
        return set()
    try:
        module = parse(prompt)
    except UnparsableError:
        return set()
    return {
        node.name
        for node in module.body
        if isinstance(node, ast.FunctionDef) and hasattr(builtins, node.name) and _is_stub(node)
    }


def _helpers(prompt: str, collected: CollectedTests, entry: str | None, defined: set[str]) -> tuple[set[str], str]:
    """Helpers that tests need and the prompt defines, with the source that defines them.

    Only a prompt that is Python itself and holds a stub of the function under test counts: in any other, code may be
    an example, or the very code that is to be repaired. Taken from the program, such a helper could be made to
    agree with any answer.
    """
    entries = _entries(collected, entry)
    names_needed = collected.free - defined - entries
    if not names_needed or not entries or not 0 < len(prompt) <= _LONGEST_PROMPT:
        return set(), ""
    try:
        module = parse(prompt)
    except UnparsableError:
        return set(), ""
    definitions = {node.name: node for node in module.body if isinstance(node, _DEFINITIONS)}
    if not all(name in definitions and _is_stub(definitions[name]) for name in entries):
        return set(), ""
    helpers = {name for name in names_needed if name in definitions and not _is_stub(definitions[name])}
    if not helpers:
        return set(), ""
    nodes = [
        node
        for node in module.body
        if isinstance(node, ast.Import | ast.ImportFrom) or (isinstance(node, _DEFINITIONS) and not _is_stub(node))
    ]
    source = ast.unparse(ast.Module(body=list(nodes), type_ignores=[]))
    return (helpers, source) if not free_names(source) & entries else (set(), "")


def _entries(collected: CollectedTests, entry: str | None) -> set[str]:
    """Name under test: the reference's, and what is handed to `check(...)`."""
    names = {entry.partition(".")[0]} if entry else set()
    for test in collected.tests:
        for statement in test.body:
            if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Call):
                args = statement.value.args
                names |= {arg.id for arg in args if isinstance(arg, ast.Name) and arg.id in collected.free}
    return names


def _is_stub(node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) -> bool:
    """Whether a definition has no body to speak of, or holds one that has none."""
    if isinstance(node, ast.ClassDef):
        members = [inner for inner in node.body if isinstance(inner, _DEFINITIONS)]
        return not members or any(map(_is_stub, members))
    for statement in node.body:
        if isinstance(statement, ast.Pass) or (
            isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)
        ):
            continue
        return isinstance(statement, ast.Raise) and "NotImplemented" in ast.unparse(statement)
    return True
