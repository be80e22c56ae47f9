"""Rows of public collections, in the form in which they are shipped."""

# ruff: noqa: E501 (rows in one line)

from __future__ import annotations

import base64
import copy
import json
import pickle
import zlib
from collections.abc import Iterator
from typing import Any

import pytest

from reward_servers.engines.code import BadReferenceError, CodeTests, Slots, Submission, judge, parse_reference
from reward_servers.engines.code._plan import plan_tests

ADD = "def add(a, b):\n    return a + b\n"
SUM = "print(sum(map(int, input().split())))\n"
METHOD = "class Solution:\n    def add(self, a: List[int], b: int) -> int:\n        return reduce(lambda x, y: x + y, a, b)\n"


def packed(cases: list[dict[str, Any]]) -> str:
    return base64.b64encode(zlib.compress(pickle.dumps(json.dumps(cases)))).decode()


LIVE = [{"input": "[1, 2]\n3", "output": "6", "testtype": "functional"}]
ROWS: dict[str, tuple[dict[str, Any], str]] = {
    "apps": ({"input_output": json.dumps({"inputs": ["1 2\n", "3 4\n"], "outputs": ["3\n", "7\n"]})}, SUM),
    "apps-lines": ({"input_output": {"inputs": [["1 2"]], "outputs": [["3"]]}}, SUM),
    "apps-function": ({"input_output": json.dumps({"fn_name": "add", "inputs": [[1, 2]], "outputs": [3]})}, ADD),
    "apps-wrapped": ({"input_output": json.dumps({"fn_name": "add", "inputs": [[1, 2]], "outputs": [[3]]})}, ADD),
    "taco-tests": ({"tests": json.dumps({"inputs": ["1 2\n"], "outputs": ["3\n"]})}, SUM),
    "code-contests": (
        {
            "public_tests": {"input": ["1 2\n"], "output": ["3\n"]},
            "private_tests": {"input": ["3 4\n"], "output": ["7\n"]},
            "generated_tests": {"input": [], "output": []},
            "time_limit": {"seconds": 2, "nanos": 500000000},
            "memory_limit_bytes": 256000000,
            "name": "x",
            "solutions": {},
        },
        SUM,
    ),
    "livecodebench": (
        {
            "public_test_cases": json.dumps([{"input": "1 2", "output": "3", "testtype": "stdin"}]),
            "private_test_cases": packed([{"input": "3 4", "output": "7", "testtype": "stdin"}]),
            "metadata": "{}",
            "starter_code": "",
        },
        SUM,
    ),
    "livecodebench-function": (
        {"public_test_cases": json.dumps(LIVE), "private_test_cases": packed(LIVE), "metadata": json.dumps({"func_name": "add"})},
        METHOD,
    ),
    "mbpp": (
        {"task_id": 1, "text": "Add.", "code": ADD, "test_list": ["assert add(1, 2) == 3", "assert add(2, 2) == 4"], "test_setup_code": "", "challenge_test_list": []},
        ADD,
    ),
    "mbpp-sanitized": (
        {"source_file": "x", "prompt": "Add.", "test_imports": ["import math"], "test_list": ["assert math.isclose(add(1, 2), 3)"]},
        ADD,
    ),
    "mbpp-plus": (
        {
            "test_list": ["assert add(1, 2) == 3"],
            "test_imports": [],
            "test": "import numpy as np\nfrom math import inf\n\ndef is_floats(x) -> bool:\n    if isinstance(x, float):\n        return True\n    if isinstance(x, (list, tuple)):\n        return all(isinstance(i, float) for i in x)\n    if isinstance(x, np.ndarray):\n        return x.dtype == np.float64 or x.dtype == np.float32\n    return False\n\n\ndef assertion(out, exp, atol):\n    exact_match = out == exp\n\n    if atol == 0 and is_floats(exp):\n        atol = 1e-6\n\n    if not exact_match and atol != 0:\n        assert np.allclose(out, exp, rtol=1e-07, atol=atol)\n    else:\n        assert exact_match, f\"out: {out}, exp: {exp}\"\n\n\ninputs = [[1, 2], [0.1, 0.2]]\nresults = [3, 0.3]\nfor i, (inp, exp) in enumerate(zip(inputs, results)):\n    assertion(add(*inp), exp, 0)\n",
        },
        ADD,
    ),
    "humaneval": (
        {"task_id": "x/0", "prompt": "def add(a, b):\n", "entry_point": "add", "canonical_solution": "", "test": "\n\nMETADATA = {\n    'author': 'jt'\n}\n\n\ndef check(candidate):\n    assert candidate(1, 2) == 3\n"},
        ADD,
    ),
    "humaneval-plus": (
        {"task_id": "x/0", "prompt": "", "entry_point": "add", "test": "import numpy as np\n\ndef is_floats(x) -> bool:\n    return isinstance(x, float)\n\ndef assertion(out, exp, atol):\n    exact_match = out == exp\n    if atol == 0 and is_floats(exp):\n        atol = 1e-6\n    if not exact_match and atol != 0:\n        assert np.allclose(out, exp, rtol=1e-07, atol=atol)\n    else:\n        assert exact_match\n\n\ndef check(candidate):\n    inputs = [[1, 2], [0.1, 0.2]]\n    results = [3, 0.3]\n    for i, (inp, exp) in enumerate(zip(inputs, results)):\n        assertion(candidate(*inp), exp, 0)\n"},
        ADD,
    ),
    "bigcodebench": (
        {"task_id": "x/0", "entry_point": "add", "libs": "['numpy', 'unittest']", "code_prompt": "def add(a, b):\n", "test": "import unittest\nimport numpy as np\nclass TestCases(unittest.TestCase):\n    def test_case_1(self):\n        np.testing.assert_allclose(add(np.ones(2), 1), [2, 2])\n"},
        ADD,
    ),
    "synthetic-1": ({"test_cases": [{"type": "function_call", "fn_name": "add", "input": [1, 2], "output": 3}]}, ADD),
    "deepcoder": ({"tests": json.dumps([{"type": "stdin_stdout", "input": "1 2", "output": "3"}])}, SUM),
}  # fmt: skip


def wrong_twin(program: str) -> str:
    """The program with one mistake."""
    return program.replace("a + b", "a - b - 9").replace("sum(", "1 + sum(").replace("x + y", "x - y - 9")


@pytest.mark.parametrize("name", ROWS)
def test_a_row_as_it_is_shipped(name: str, slots: Slots) -> None:
    row, right = ROWS[name]
    spec = parse_reference(row)
    judgement = judge(Submission(right), spec, slots)
    assert judgement.score == 1.0, judgement.evidence()
    assert judge(Submission(wrong_twin(right)), spec, slots).score == 0.0


def test_limits_and_public_tests_of_contests() -> None:
    spec = parse_reference(ROWS["code-contests"][0])
    assert (spec.limits.run.cpu_s, spec.limits.run.memory_bytes) == (2.5, 244 << 20)
    assert [test.public for test in spec.tests.tests] == [True, False]  # type: ignore[union-attr]


MALFORMED: list[tuple[dict[str, Any], str]] = [
        ({"input_output": "{"}, "input_output"),
        ({"input_output": {"inputs": ["1"], "outputs": []}}, "input_output"),
        ({"input_output": {"inputs": [], "outputs": []}}, "input_output"),
        ({"input_output": {"fn_name": "f", "inputs": [1], "outputs": [1]}}, "input_output.inputs[0]"),
        ({"public_tests": {"input": ["1"], "output": []}}, "public_tests"),
        ({"private_test_cases": "!!", "public_test_cases": "[]"}, "private_test_cases"),
        ({"private_test_cases": base64.b64encode(zlib.compress(pickle.dumps(print))).decode()}, "private_test_cases"),
        ({"test": "class T(unittest.TestCase): pass", "entry_point": "f", "libs": "['requests']"}, "libs"),
        ({"test_list": 3}, "test_list"),
        ({"test": 3, "test_list": ["assert f(1)"]}, "test"),
        ({"test": "def check(c): pass", "entry_point": "f", "libs": 3}, "libs"),
        ({"input_output": {"inputs": [None], "outputs": ["1"]}}, "input_output.inputs[0]"),
        ({"input_output": {"inputs": ["1"], "outputs": [{"a": 1}]}}, "input_output.outputs[0]"),
        ({"public_tests": {"inputs": ["1"], "outputs": ["1"]}, "private_tests": {"input": ["1"], "output": ["1"]}}, "public_tests.input"),
        ({"public_tests": {"input": ["1"], "output": ["1"]}, "time_limit": {"seconds": "2"}}, "time_limit"),
        ({"public_tests": {"input": ["1"], "output": ["1"]}, "time_limit": 2}, "time_limit"),
        ({"public_tests": {"input": ["1"], "output": ["1"]}, "memory_limit_bytes": "1"}, "memory_limit_bytes"),
        ({"public_test_cases": [{"input": "1", "testtype": "stdin"}]}, "tests[0].output"),
        ({"public_test_cases": [{"input": "1", "output": "1", "testtype": "stdio?"}]}, "tests[0].type"),
        ({"public_test_cases": [{"input": "1", "output": None, "testtype": "stdin"}]}, "tests[0].output"),
        ({"tests": [{"type": "stdin_stdout", "output": "1"}]}, "tests[0].input"),
        ({"tests": [{"type": "function_call", "input": [1], "output": 1}, {"type": "stdin_stdout", "input": "", "output": ""}]}, "tests"),
        ({"tests": [{"type": "functional", "fn_name": "f", "input": "x y", "output": "1"}]}, "tests[0].input"),
    ]  # fmt: skip


@pytest.mark.parametrize(("row", "field"), MALFORMED)
def test_a_malformed_row_names_its_column(row: dict[str, Any], field: str) -> None:
    with pytest.raises(BadReferenceError) as error:
        parse_reference(row)
    assert error.value.field == field
    assert error.value.problem
    assert error.value.remedy


_JUNK: tuple[Any, ...] = (None, 3, True, "x", "{", [], {}, [None], {"a": 1}, "[1]", float("inf"), 10**30, "\ud800")


@pytest.mark.parametrize("name", ROWS)
def test_whatever_stands_in_a_column_it_is_read_or_named(name: str) -> None:
    row, _ = ROWS[name]
    for column, value in row.items():
        parts = _decoded(value)
        changed = [*_JUNK, *(json.dumps(part) for junk in _JUNK for part in _with_junk(parts, junk))]
        for junk in changed:
            try:
                spec = parse_reference({**row, column: junk})
                if isinstance(spec.tests, CodeTests):
                    plan_tests(spec.tests, spec.setup)
            except BadReferenceError as error:
                assert all((error.field, error.problem, error.remedy)), (column, junk)


def _decoded(value: Any) -> Any:
    try:
        return json.loads(value) if isinstance(value, str) else value
    except ValueError:
        return value


def _with_junk(value: Any, junk: Any) -> Iterator[Any]:
    """The value with each of its parts replaced in turn."""
    places = value.keys() if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    for place in places:
        for part in (junk, *_with_junk(value[place], junk)):
            changed = copy.copy(value)
            changed[place] = part
            yield changed
