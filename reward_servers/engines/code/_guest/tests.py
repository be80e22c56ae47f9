"""Driver of test code: runs one test, with stand-ins where the test code names the program.

The test code is trusted but may not be careful, so it has a sandbox of its own. What it says of a test is believed,
because the program is in another sandbox and only plain data came from there.
"""

from __future__ import annotations

import ast
import asyncio
import functools
import importlib.abc
import importlib.machinery
import inspect
import itertools
import random
import sys
import types
import unittest
from typing import TYPE_CHECKING, Any

from reward_servers.engines.code._guest.asking import OtherSideGoneError, describe, exchange, is_from_program
from reward_servers.engines.code._guest.blame import is_own_fault, place
from reward_servers.engines.code._guest.files import SharedFiles, import_nothing_from_files
from reward_servers.engines.code._guest.library import has_node_class, scopes
from reward_servers.engines.code._guest.patching import forward_changes, install_patching
from reward_servers.engines.code._guest.plain import UnpassableError, dumps_json, loads_json
from reward_servers.engines.code._guest.remote import expects_objects, sent, stand_in, treat_as_classes
from reward_servers.engines.code._guest.shim import FailedTestError, SkippedTestError, install, with_fixtures

if TYPE_CHECKING:

    def receive() -> bytes | None: ...
    def send(message: bytes) -> None: ...


_absent: list[str] = []


class _Program(types.ModuleType):
    """The module of the program: every name in it is a stand-in."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        kind = describe([name]).get(name, "absent")
        if kind == "absent":
            _absent.append(name)
            raise AttributeError(f"the program defines no {name}")
        return stand_in(name, kind)


_FILE = "<tests>"
_OURS = ("__main__", "__driver__")
"""Modules whose imports may mean the program's: that of the test code, and this one."""
_IMPORT_FOR_OTHERS = ("importlib", "pkgutil", "unittest.mock")
_PASSED = {"outcome": "passed", "kind": "", "message": "", "line": 0, "own_fault": False, "alone": False}


class _Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Modules that do not exist here are the program's."""

    def __init__(self, names: list[str]) -> None:
        self._known = names

    def find_spec(self, fullname: str, path: Any, target: Any = None) -> Any:
        if _importer() not in _OURS:  # a library that tries whether there is another one
            return None
        if fullname in self._known:
            raise UnpassableError(f"module {fullname} is not offered here")
        is_program = path is None or isinstance(sys.modules.get(fullname.rpartition(".")[0]), _Program)
        return importlib.machinery.ModuleSpec(fullname, self, is_package=True) if is_program else None

    def create_module(self, spec: Any) -> types.ModuleType:
        return _Program(spec.name)

    def exec_module(self, module: types.ModuleType) -> None:
        module.__dict__["__all__"] = []


def _importer() -> str:
    """Name of the module that an import is made for."""
    frame = sys._getframe(2)
    while frame.f_back is not None:
        name = str(frame.f_globals.get("__name__"))
        if name.partition(".")[0] not in _IMPORT_FOR_OTHERS and name not in _IMPORT_FOR_OTHERS:
            break
        frame = frame.f_back
    return str(frame.f_globals.get("__name__"))


def _compiled(code: str, keep: set[int] | None) -> Any:
    """The statements to keep, with their lines."""
    try:
        module = ast.parse(code)
        if keep is not None:
            module.body = [node for index, node in enumerate(module.body) if index in keep]
        return compile(module, _FILE, "exec")
    except SyntaxError as error:
        raise UnpassableError(f"the test code does not compile: {error}") from None


def _run(task: dict[str, Any]) -> None:
    """Execute the statements, then the function or method that is the test."""
    module = types.ModuleType("__main__")
    package = _Program("program")
    package.__dict__["__path__"] = []
    sys.modules.update({"__main__": module, "program": package})
    names = module.__dict__
    names["__package__"] = "program"  # relative imports of the test code mean the program too
    scopes[:] = [names]
    if task["shares"]:
        exchange.files = SharedFiles()
        import_nothing_from_files()
    exec(_compiled(task["setup"], None), names)  # noqa: S102
    names_needed = [name for name in task["free"] if name not in names]
    nodes = [kind for kind in ("ListNode", "TreeNode") if kind in task["nodes"] or has_node_class(kind)]
    for name, kind in describe(names_needed, nodes, task["shares"]).items():
        names[name] = stand_in(name, kind)
    exec(_compiled(task["code"], set(task["keep"])), names)  # noqa: S102
    if task["owner"]:
        _run_method(names[task["owner"]], task["function"])
    elif task["function"]:
        _run_function(names[task["function"]], task["parameters"])


def _run_function(function: Any, parameters: int | None) -> None:
    """A test function with one set of its parameters, or with all of them in turn."""
    tables = getattr(function, "parameter_sets", [[{}]])
    rows = [{key: value for row in rows for key, value in row.items()} for rows in itertools.product(*tables)]
    for row in rows if parameters is None else [rows[parameters]]:
        arguments, running = with_fixtures(function, row)
        _finish(function(**arguments))
        for generator in reversed(running):
            next(generator, None)


def _finish(result: Any) -> None:
    if inspect.iscoroutine(result):
        asyncio.run(result)


def _run_method(owner: Any, name: str) -> None:
    """A method of a class of tests, with what unittest or pytest does around it."""
    if isinstance(owner, type) and issubclass(owner, unittest.TestCase):
        result = _Result()
        unittest.TestSuite([owner(name)]).run(result)
        if result.error is not None:
            raise result.error
        return
    case = owner()
    if hasattr(case, "setup_method"):
        case.setup_method(*([None] if len(inspect.signature(case.setup_method).parameters) else []))
    _run_function(getattr(case, name), None)


class _Result(unittest.TestResult):
    """Keeps the first thing that went wrong."""

    error: BaseException | None = None

    def _keep(self, error: Any) -> None:
        self.error = self.error or error[1]

    def addError(self, test: Any, err: Any) -> None:
        self._keep(err)

    def addFailure(self, test: Any, err: Any) -> None:
        self._keep(err)

    def addSubTest(self, test: Any, subtest: Any, err: Any) -> None:
        if err is not None:
            self._keep(err)

    def addSkip(self, test: Any, reason: str) -> None:
        self.error = self.error or SkippedTestError(reason)

    def addUnexpectedSuccess(self, test: Any) -> None:
        self.error = self.error or FailedTestError("unexpected success")


def _outcome(task: dict[str, Any]) -> dict[str, Any] | None:
    """How the test ended; None if the other side is gone."""
    try:
        _run(task)
    except OtherSideGoneError:
        return None
    except UnpassableError as problem:
        return {**_PASSED, "outcome": "unpassable", "message": str(problem)}
    except BaseException as error:  # noqa: BLE001 (whatever ends a test is its outcome)
        failure = {**_failure(error), "kind": type(error).__name__, "message": str(error)[:2000]}
        answers = functools.partial(_may_be_answered, code=f"{task['setup']}{task['code']}")
        own_fault = is_own_fault(error, _FILE, answers)
        return {**failure, "own_fault": own_fault, "alone": not _absent and not expects_objects()}
    return _PASSED


def _may_be_answered(missing: str, *, is_file: bool, code: str) -> bool:
    """Whether a missing module or file may be one that the program names, or is to make."""
    if missing not in code:
        return True
    if is_file:
        return not missing.startswith("/") or missing.startswith("/tmp/")  # noqa: S108
    return isinstance(sys.modules.get(missing), _Program)


def _failure(error: BaseException) -> dict[str, Any]:
    line = place(error, _FILE)[0]
    if is_from_program(error):
        outcome = "memory" if isinstance(error, MemoryError) else "raised"
    elif isinstance(error, SkippedTestError | unittest.SkipTest):
        outcome = "skipped"
    else:
        outcome = "failed" if isinstance(error, AssertionError) else "error"
    return {"outcome": outcome, "line": line}


def _main() -> None:
    start = receive()
    if start is None:
        return
    task = loads_json(start)
    random.seed(task["seed"])
    treat_as_classes(task["classes"])
    install()
    install_patching(sent, lambda owner: isinstance(owner, _Program))
    exchange.before = forward_changes
    sys.meta_path.append(_Finder(task["known"]))
    outcome = _outcome(task)
    if outcome is not None:
        outcome["message"] = outcome["message"].encode("utf-8", "backslashreplace").decode()
        send(dumps_json({"op": "done", **outcome}))


_main()
