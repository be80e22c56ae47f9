"""The references in the documentation are complete: each is judged, with a program that passes."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from reward_servers.engines.code import (
    CodeTests,
    InteractiveTests,
    Slots,
    StdioTests,
    Submission,
    judge,
    parse_reference,
)

_PAGE = (Path(__file__).parents[3] / "docs" / "verifiers" / "code.md").read_text(encoding="utf-8")
_EXAMPLES = re.findall(r"^```json\n(.*?)^```$", _PAGE, re.MULTILINE | re.DOTALL)
_FUNCTION = """
def add(a, b):
    return a + b
def double(a):
    a[:] = [2 * x for x in a]
def backwards(head):
    before = None
    while head:
        head.next, before, head = before, head, head.next
    return before
"""
_PROGRAM = "print(sum(map(int, input().split())))\n"
_WRONG = {"sum(": "-sum(", "a + b": "a - b - 1", "2 * x": "3 * x", "return before": "return None"}


def test_every_kind_of_test_has_an_example() -> None:
    tests = [parse_reference(text).tests for text in _EXAMPLES]
    kinds = {one.style if isinstance(one, CodeTests) else type(one).__name__ for one in tests}
    assert kinds == {"StdioTests", "InteractiveTests", "CallTests", "assert", "unittest"}


@pytest.mark.parametrize("text", _EXAMPLES)
def test_a_right_program_passes_and_a_wrong_one_fails(text: str, slots: Slots) -> None:
    spec = parse_reference(text)
    right = wrong = _PROGRAM if isinstance(spec.tests, StdioTests | InteractiveTests) else _FUNCTION
    for part, other in _WRONG.items():
        wrong = wrong.replace(part, other)
    assert judge(Submission(right), spec, slots).score == 1.0
    assert judge(Submission(wrong), spec, slots).score == 0.0
