"""References as public collections ship them, turned into this engine's form.

    as_reference   a row of a collection as a reference; anything else as it is

| collection | recognised by | becomes |
|---|---|---|
| APPS, TACO | `input_output` with `inputs`, `outputs`, `fn_name` | stdio, or calls |
| CodeContests | `public_tests`, `private_tests`, `generated_tests` | stdio, with the row's limits |
| LiveCodeBench | `public_test_cases`, `private_test_cases`, `metadata` | stdio, or calls with the prelude `leetcode` |
| MBPP, MBPP+ | `test_list` with `test_imports`, `test_setup_code`; `test` | assertions |
| HumanEval, HumanEval+ | `test` and `entry_point` | `check(candidate)` |
| releases of EvalPlus | `base_input`, `plus_input` | comparison with the solution, see `_evalplus` |
| BigCodeBench | the same, `test` being a class of unittest | unittest |
| SYNTHETIC-1, DeepCoder | `tests` or `test_cases`, each with `type` or `testtype` | stdio, or calls |

A row that cannot be judged here is a `BadReferenceError` that says why.
"""

from __future__ import annotations

import ast
import base64
import io
import json
import pickle
import sys
import zlib
from collections.abc import Mapping
from typing import Any

from reward_servers.engines.code import _evalplus
from reward_servers.engines.code._errors import BadReferenceError
from reward_servers.engines.code._reader import describe

_MOST_BYTES = 256 << 20
_OFFERED = frozenset(("numpy", "scipy", "pandas", "sympy", "mpmath", "dateutil", "pytz", "sortedcontainers", "six"))
_KEPT = ("language", "compare", "limits", "setup", "prelude", "mode")
_CONTESTS = ("public_tests", "private_tests", "generated_tests")
_KINDS = {"functional": "call", "function_call": "call", "stdin": "stdio", "stdin_stdout": "stdio", "": "stdio"}
_LIVE = ("public_test_cases", "private_test_cases")


def as_reference(row: Mapping[str, Any]) -> Mapping[str, Any]:
    """The reference that a row of a collection means.

    Args:
        row: A reference of this engine, or a row with the columns of a known collection.

    Raises:
        BadReferenceError: A column is malformed, or asks for what is not offered.
    """
    common = {name: row[name] for name in _KEPT if row.get(name) is not None}
    if row.get("input_output") is not None:
        return {**common, **_pairs(_read(row["input_output"], "input_output"), "input_output")}
    if any(row.get(name) for name in _CONTESTS):
        return {**_contest_limits(row), **common, "tests": _contest(row)}
    if any(row.get(name) for name in _LIVE):
        return _live(row, common)
    if row.get("tests") is None and _evalplus.is_row(row):
        return {**common, **_evalplus.as_test_code(row)}
    if "tests" not in row and row.get("test_cases") is not None:
        row = {**row, "tests": row["test_cases"]}
    if row.get("tests") is None and row.get("test") is not None:
        return {**common, **_test_code(row)}
    if row.get("tests") is None and row.get("test_list") is not None:
        return {**common, **_assertions(row)}
    tests = _read(row["tests"], "tests") if _is_json(row.get("tests")) else row.get("tests")
    if isinstance(tests, Mapping) and "inputs" in tests and "outputs" in tests:
        return {**common, **_pairs(tests, "tests")}
    if isinstance(tests, list) and tests and all(isinstance(test, Mapping) and _type(test) for test in tests):
        return {**common, **_typed_cases(tests, row)}
    return row


def _is_json(value: Any) -> bool:
    return isinstance(value, str) and value.lstrip().startswith(("{", "["))


def _read(value: Any, field: str) -> Any:
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except (ValueError, RecursionError) as error:
        raise BadReferenceError(field, f"is no JSON: {error}", "Give the column as it is shipped") from None


def _list(value: Any, field: str) -> list[Any]:
    if not isinstance(value, list):
        raise BadReferenceError(field, f"is {describe(value)}", "Give a list")
    return value


# Inputs and outputs side by side


def _pairs(columns: Any, field: str) -> dict[str, Any]:
    """`inputs` and `outputs` of APPS and its kin: texts, or arguments of `fn_name` and its results."""
    if not isinstance(columns, Mapping):
        raise BadReferenceError(field, f"is {describe(columns)}", "Give an object with inputs and outputs")
    inputs, outputs = (_list(columns.get(name), f"{field}.{name}") for name in ("inputs", "outputs"))
    if len(inputs) != len(outputs) or not inputs:
        problem = f"holds {len(inputs)} inputs and {len(outputs)} outputs"
        raise BadReferenceError(field, problem, "Give as many of each, one at least")
    name = columns.get("fn_name")
    if not name:
        return {
            "tests": [
                {
                    "stdin": _text(text, f"{field}.inputs[{number}]"),
                    "stdout": _text(output, f"{field}.outputs[{number}]"),
                }
                for number, (text, output) in enumerate(zip(inputs, outputs, strict=True))
            ]
        }
    # Results of functions are shipped as they are, or each in a list of its own; which, only all of them tell.
    wrapped = all(isinstance(output, list) and len(output) == 1 for output in outputs)
    cases = []
    for number, (args, output) in enumerate(zip(inputs, outputs, strict=True)):
        case = {"args": _list(args, f"{field}.inputs[{number}]"), "returns": output}
        cases.append({**case, "alternatives": [output[0]]} if wrapped else case)
    return {"tests": {"kind": "call", "entry": name, "cases": cases}}


def _text(value: Any, field: str) -> str:
    """A text, which some rows give as a list of lines, and some lines as numbers."""
    lines = value if isinstance(value, list) else [value]
    if not all(isinstance(line, str | int | float) and not isinstance(line, bool) for line in lines):
        raise BadReferenceError(field, f"is {describe(value)}", "Give a string, or a list of lines")
    return "\n".join(map(str, lines))


def _contest(row: Mapping[str, Any]) -> list[dict[str, Any]]:
    tests = []
    for name in _CONTESTS:
        columns = row.get(name) or {}
        if not isinstance(columns, Mapping):
            raise BadReferenceError(name, f"is {describe(columns)}", "Give an object with input and output")
        if not columns:
            continue
        inputs, outputs = (_list(columns.get(key), f"{name}.{key}") for key in ("input", "output"))
        if len(inputs) != len(outputs):
            raise BadReferenceError(
                name, f"holds {len(inputs)} inputs and {len(outputs)} outputs", "Give as many of each"
            )
        public = name == "public_tests"
        for number, (text, output) in enumerate(zip(inputs, outputs, strict=True), start=1):
            texts = {"stdin": _text(text, f"{name}.input"), "stdout": _text(output, f"{name}.output")}
            tests.append({"name": f"{name} {number}", **texts, "public": public})
    return tests


def _contest_limits(row: Mapping[str, Any]) -> dict[str, Any]:
    """The limits of a contest, as far as the row gives them: of a processor faster or slower than this one."""
    limits: dict[str, Any] = {}
    time, memory = row.get("time_limit"), row.get("memory_limit_bytes")
    if time is not None:
        parts = [time.get(unit) or 0 for unit in ("seconds", "nanos")] if isinstance(time, Mapping) else []
        if not parts or not all(map(_is_count, parts)):
            raise BadReferenceError("time_limit", f"is {describe(time)}", "Give an object with seconds and nanos")
        limits["cpu_s"] = int(parts[0]) + int(parts[1]) / 1e9
    if memory is not None:
        if not _is_count(memory):
            raise BadReferenceError("memory_limit_bytes", f"is {describe(memory)}", "Give a number of bytes")
        limits["memory_mb"] = max(1, memory >> 20) if memory else 0
    return {"limits": {name: value for name, value in limits.items() if value > 0}} if limits else {}


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 63


# LiveCodeBench, and lists of cases with a type


class _Text(pickle.Unpickler):
    """Reads a pickled text and nothing else."""

    def find_class(self, module: str, name: str) -> Any:
        raise pickle.UnpicklingError(f"{module}.{name} in what should be a text")


def _private(value: Any, field: str) -> Any:
    """The private cases: a list, JSON, or JSON that was pickled, compressed and written in base64."""
    if not isinstance(value, str) or _is_json(value):
        return _read(value, field)
    try:
        unpacked = zlib.decompressobj().decompress(base64.b64decode(value), _MOST_BYTES)
        return _read(_Text(io.BytesIO(unpacked)).load(), field)
    except BadReferenceError:
        raise
    except (
        ArithmeticError,
        AttributeError,
        EOFError,
        LookupError,
        TypeError,
        ValueError,
        zlib.error,
        pickle.PickleError,
    ) as error:
        problem = f"is not what LiveCodeBench ships: {type(error).__name__}"
        raise BadReferenceError(field, problem, "Give the column as it is") from None


def _live(row: Mapping[str, Any], common: dict[str, Any]) -> dict[str, Any]:
    cases: list[Any] = []
    for name in _LIVE:
        private_cases = _private(row[name], name) if row.get(name) else []
        for case in _list(private_cases, name):
            if not isinstance(case, Mapping):
                raise BadReferenceError(name, f"holds {describe(case)}", "Give objects with input and output")
            cases.append({**case, "public": name == _LIVE[0]})
    metadata = _read(row.get("metadata") or {}, "metadata")
    entry = metadata.get("func_name") if isinstance(metadata, Mapping) else None
    return {"prelude": "leetcode", **common, **_typed_cases(cases, {"fn_name": entry})}


def _type(case: Mapping[str, Any]) -> str:
    return str(case.get("testtype") or case.get("type") or "")


def _typed_cases(cases: list[Any], row: Mapping[str, Any]) -> dict[str, Any]:
    for number, case in enumerate(cases):
        if _type(case) not in _KINDS:
            listed = ", ".join(filter(None, _KINDS))
            raise BadReferenceError(f"tests[{number}].type", f"is {describe(_type(case))}", f"Known: {listed}")
        for name in ("input", "output"):
            if name not in case:
                raise BadReferenceError(f"tests[{number}].{name}", "is missing", "Give the case as it is shipped")
    kinds = {_KINDS[_type(case)] for case in cases}
    if len(kinds) > 1:
        raise BadReferenceError("tests", "mixes whole programs and functions", "Give tests of one kind")
    if kinds != {"call"}:
        tests = [
            {
                "stdin": _text(case["input"], f"tests[{number}].input"),
                "stdout": _text(case["output"], f"tests[{number}].output"),
                **_publicity(case),
            }
            for number, case in enumerate(cases)
        ]
        return {"tests": tests}
    entry = row.get("fn_name") or cases[0].get("fn_name")
    calls = []
    for number, case in enumerate(cases):
        field = f"tests[{number}]"
        args, returns = case["input"], case["output"]
        if isinstance(args, str):
            # One argument on a line, each in JSON.
            args = [_literal(line, f"{field}.input") for line in args.split("\n") if line.strip()]
            returns = _literal(returns, f"{field}.output")
        calls.append({"args": _list(args, f"{field}.input"), "returns": returns, **_publicity(case)})
    return {"tests": {"kind": "call", "entry": entry, "cases": calls}}


def _publicity(case: Mapping[str, Any]) -> dict[str, Any]:
    return {"public": True} if case.get("public") is True else {}


def _literal(text: Any, field: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, TypeError, RecursionError):
        pass
    try:
        return ast.literal_eval(str(text))
    except (ValueError, SyntaxError, RecursionError, MemoryError):
        raise BadReferenceError(field, f"is {describe(text)}", "Give JSON values") from None


# Tests in Python


def _joined(value: Any, field: str) -> str:
    if isinstance(value, list) and all(isinstance(line, str) for line in value):
        return "\n".join(value)
    if value is not None and not isinstance(value, str):
        raise BadReferenceError(field, f"is {describe(value)}", "Give a string, or a list of strings")
    return value or ""


def _assertions(row: Mapping[str, Any]) -> dict[str, Any]:
    parts = [_joined(row.get(name), name) for name in ("test_imports", "test_setup_code", "test_list")]
    return {"mode": "assert", "tests": {"kind": "assert", "code": "\n".join(part for part in parts if part)}}


def _test_code(row: Mapping[str, Any]) -> dict[str, Any]:
    _refuse_libraries(row.get("libs"))
    code, entry = row["test"], row.get("entry_point")
    if not isinstance(code, str):
        raise BadReferenceError("test", f"is {describe(code)}", "Give the code of the tests as a string")
    kind = "unittest" if "unittest" in code and "TestCase" in code else "assert"
    tests: dict[str, Any] = {"kind": kind, "code": code}
    if entry:
        tests["entry"] = entry
    imports = _joined(row.get("test_imports"), "test_imports")
    return {"mode": kind, "tests": {**tests, "code": f"{imports}\n{code}" if imports else code}}


def _refuse_libraries(libraries: Any) -> None:
    """Refuse a task whose programs need packages that are not shown to them."""
    if isinstance(libraries, str):
        libraries = _literal(libraries, "libs")
    for name in _list([] if libraries is None else libraries, "libs"):
        top = str(name).partition(".")[0]
        if top not in sys.stdlib_module_names and top not in _OFFERED:
            raise BadReferenceError(
                "libs", f"names {name}, which programs are not shown", f"Offered: {', '.join(sorted(_OFFERED))}"
            )
