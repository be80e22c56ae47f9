"""The references in the documentation are complete: each is judged, with a program that passes."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from reward_servers.engines.code import Slots, StdioTests, Submission, judge, parse_reference

_PAGE = (Path(__file__).parents[3] / "docs" / "verifiers" / "code.md").read_text(encoding="utf-8")
_EXAMPLES = re.findall(r"^```json\n(.*?)^```$", _PAGE, re.MULTILINE | re.DOTALL)
_FUNCTION = "def add(a, b):\n    return a + b\n"
_PROGRAM = "print(sum(map(int, input().split())))\n"


def test_every_kind_of_test_has_an_example() -> None:
    kinds = {json.loads(text).get("mode") or _kind(json.loads(text)["tests"]) for text in _EXAMPLES}
    assert kinds == {"stdio", "call", "assert", "unittest"}


def _kind(tests: object) -> str:
    return str(tests["kind"]) if isinstance(tests, dict) else "stdio"


@pytest.mark.parametrize("text", _EXAMPLES)
def test_a_right_program_passes_and_a_wrong_one_fails(text: str, slots: Slots) -> None:
    spec = parse_reference(text)
    right = _PROGRAM if isinstance(spec.tests, StdioTests) else _FUNCTION
    assert judge(Submission(right), spec, slots).score == 1.0
    assert judge(Submission(right.replace("sum(", "-sum(").replace("a + b", "a - b - 1")), spec, slots).score == 0.0
