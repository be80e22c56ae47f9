"""Real sandboxes for the tests of the code engine."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

import sandbox
from reward_servers.engines.code import Judgement, JudgeOptions, Slots, Submission, judge, parse_reference


@pytest.fixture(scope="session")
def slots() -> Iterator[Slots]:
    """Slots shared by all tests: what one test leaves behind would show in the next."""
    with Slots(sandbox.open_sandbox) as opened:
        yield opened


Judge = Callable[..., Judgement]


def asserts(code: str, **fields: Any) -> dict[str, Any]:
    """A reference whose tests are assertions."""
    return {"tests": {"kind": "assert", "code": code, **fields}}


def unittests(code: str, **fields: Any) -> dict[str, Any]:
    """A reference whose tests are those of unittest or pytest."""
    return {"tests": {"kind": "unittest", "code": code, **fields}}


@pytest.fixture
def judged(slots: Slots) -> Judge:
    """Judge a program by a reference."""

    def run(source: str, reference: dict[str, Any], *, prompt: str = "", **options: Any) -> Judgement:
        limits = {"cpu_s": 1, "wall_s": 5, **reference.get("limits", {})}
        spec = parse_reference({**reference, "limits": limits})
        return judge(Submission(source, prompt=prompt), spec, slots, JudgeOptions(**options))

    return run


@pytest.fixture
def verdicts(judged: Judge) -> Callable[..., list[str]]:
    """The verdict of every test."""

    def run(source: str, reference: dict[str, Any], **options: Any) -> list[str]:
        return [result.verdict.value for result in judged(source, reference, **options).results]

    return run
