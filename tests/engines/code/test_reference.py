"""Reading references, and the errors that say what is wrong with one."""

from __future__ import annotations

import json
from typing import Any

import pytest

from reward_servers.engines.code import (
    BadOptionsError,
    BadReferenceError,
    CallTests,
    Ceiling,
    CodeTests,
    JudgeOptions,
    StdioTests,
    UnmeasuredLimitError,
    parse_reference,
)

CASE = {"stdin": "1", "stdout": "2"}
DEEP = json.loads("[" * 300 + "]" * 300)


def test_the_documented_form() -> None:
    spec = parse_reference({"tests": {"kind": "stdio", "cases": [{**CASE, "public": True, "name": "small"}]}})
    assert isinstance(spec.tests, StdioTests)
    assert (spec.language, spec.compare.kind) == ("python", "lines")
    assert (spec.tests.tests[0].name, spec.tests.tests[0].public) == ("small", True)
    assert spec.entry is None


def test_synonyms() -> None:
    spec = parse_reference({"mode": "function", "tests": {"fn_name": "f", "cases": [{"args": [1], "expected": None}]}})
    assert isinstance(spec.tests, CallTests)
    assert spec.tests.entry == "f"
    assert spec.tests.tests[0].expected is None
    spec = parse_reference({"tests": json.dumps([{"input": "1", "output": "2"}])})
    assert isinstance(spec.tests, StdioTests)
    assert spec.tests.tests[0].expected == "2"
    spec = parse_reference({"tests": {"kind": "assert", "code": ["assert f(1)", "assert f(2)"], "public": ["line 1"]}})
    assert isinstance(spec.tests, CodeTests)
    assert spec.tests.code == "assert f(1)\nassert f(2)"
    assert spec.tests.public == frozenset(["line 1"])
    assert parse_reference({"language": "c++", "tests": [CASE]}).language == "cpp"


def test_fields_of_other_verifiers_are_let_alone() -> None:
    assert parse_reference({"tests": [CASE], "difficulty": "hard", "answer": 3}).language == "python"


@pytest.mark.parametrize(
    ("reference", "field"),
    [
        (b"{", "reference"),
        (b"\xff\xfe{}", "reference"),
        ("[1]", "reference"),
        (b"[" * 100_000, "reference"),
        ({}, "tests"),
        ({"tests": None}, "tests"),
        ({"tests": "[{"}, "tests"),
        ({"tests": 3}, "tests"),
        ({"tests": []}, "tests.cases"),
        ({"tests": [1]}, "tests.cases[0]"),
        ({"tests": [CASE, {"stdin": 1, "stdout": ""}]}, "tests.cases[1].stdin"),
        ({"tests": [{"stdin": "1"}]}, "tests.cases[0].stdout"),
        ({"tests": [{**CASE, "output": "2"}]}, "tests.cases[0].output"),
        ({"tests": [{**CASE, "pubic": True}]}, "tests.cases[0].pubic"),
        ({"tests": [{**CASE, "public": 1}]}, "tests.cases[0].public"),
        ({"tests": {"kind": "jest", "code": "x"}}, "tests.kind"),
        ({"mode": "call", "tests": {"kind": "stdio", "cases": [CASE]}}, "tests.kind"),
        ({"tests": {"kind": "call", "cases": [{"returns": 1}]}}, "tests.entry"),
        ({"tests": {"kind": "call", "entry": "a b", "cases": [{"returns": 1}]}}, "tests.entry"),
        ({"tests": {"kind": "call", "entry": "f", "cases": [{"args": 1, "returns": 1}]}}, "tests.cases[0].args"),
        ({"tests": {"kind": "call", "entry": "f", "cases": [{"args": []}]}}, "tests.cases[0].returns"),
        ({"tests": {"kind": "call", "entry": "f", "cases": [{"args": DEEP, "returns": 1}]}}, "tests.cases[0].args"),
        ({"tests": {"kind": "assert"}}, "tests.code"),
        ({"tests": {"kind": "assert", "code": "  "}}, "tests.code"),
        ({"tests": {"kind": "assert", "code": [1]}}, "tests.code"),
        ({"tests": {"kind": "assert", "code": "assert f()", "public": "x"}}, "tests.public"),
        ({"language": "cobol", "tests": [CASE]}, "language"),
        ({"language": 3, "tests": [CASE]}, "language"),
        ({"language": "cpp", "tests": {"kind": "assert", "code": "assert f()"}}, "language"),
        ({"tests": [CASE], "compare": {"kind": "value"}}, "compare.kind"),
        ({"tests": [CASE], "compare": {"kind": "checker"}}, "compare.code"),
        ({"tests": [CASE], "compare": {"kind": "float", "abs": -1}}, "compare.abs"),
        ({"tests": [CASE], "compare": {"kind": "lines", "rel": 1}}, "compare.rel"),
        ({"tests": [CASE], "compare": {"kind": "exact", "ignore_case": True}}, "compare.ignore_case"),
        ({"tests": [CASE], "compares": {"kind": "lines"}}, "compares"),
        ({"tests": [CASE], "limits": {"cpu_s": 600}}, "limits.cpu_s"),
        ({"tests": [CASE], "limits": {"compile_cpu_s": 600}}, "limits.compile_cpu_s"),
        ({"tests": [CASE], "limits": {"memory_mb": 10**9}}, "limits.memory_mb"),
        ({"tests": [CASE], "limits": {"cpu_s": 0}}, "limits.cpu_s"),
        ({"tests": [CASE], "limits": {"cpu_s": True}}, "limits.cpu_s"),
        ({"tests": [CASE], "limits": {"cpu": 1}}, "limits.cpu"),
        ({"tests": [CASE] * 1001}, "tests"),
        ({"tests": [CASE], "setup": 3}, "setup"),
    ],
)
def test_errors_name_the_field(reference: Any, field: str) -> None:
    with pytest.raises(BadReferenceError) as error:
        parse_reference(reference)
    assert error.value.field == field
    assert error.value.remedy
    assert len(str(error.value)) < 400


def test_a_limit_that_is_not_measured_here_is_refused() -> None:
    blind = Ceiling(bounds_cpu=False)
    assert parse_reference({"tests": [CASE], "limits": {"wall_s": 2}}, ceiling=blind).limits.run.wall_s == 2.0
    with pytest.raises(UnmeasuredLimitError) as error:
        parse_reference({"tests": [CASE], "limits": {"cpu_s": 2}}, ceiling=blind)
    assert error.value.field == "limits.cpu_s"


def test_limits_are_read_in_their_units() -> None:
    spec = parse_reference({"tests": [CASE], "limits": {"cpu_s": 2, "memory_mb": 0.5, "files": 3, "compile_cpu_s": 7}})
    assert spec.limits.run.cpu_s == 2.0
    assert spec.limits.run.memory_bytes == 1 << 19
    assert spec.limits.run.files == 3
    assert spec.limits.compile is not None
    assert spec.limits.compile.cpu_s == 7.0
    assert parse_reference({"tests": [CASE]}).limits.compile is None
    assert parse_reference({"tests": [CASE]}).limits.run == Ceiling().default


def test_unknown_options_name_the_option() -> None:
    with pytest.raises(BadOptionsError) as error:
        JudgeOptions(scoring="half")  # type: ignore[arg-type]
    assert error.value.field == "scoring"
    with pytest.raises(BadOptionsError):
        JudgeOptions(blocks="none")  # type: ignore[arg-type]
    with pytest.raises(BadOptionsError):
        JudgeOptions(max_source_bytes=0)
