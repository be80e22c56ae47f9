"""Frauds on a grader: the score must be 0, and that of an honest program for the same tests 1."""

from __future__ import annotations

from typing import Any

from reward_servers.engines.code import Slots, Submission, judge, parse_reference
from sandbox import SandboxError
from tests.attacks._judge import PASSED, Judgement, fail, inconclusive
from tests.attacks._lines import Line

_NEAR = 1e-5


def judge_fraud(line: Line, slots: Slots) -> Judgement:
    """Grade the fraud and the control."""
    try:
        fraud = _grade(line, line["code"], slots)
        control = _grade(line, line["probe"]["control_code"], slots)
    except SandboxError as error:
        return inconclusive(f"unavailable: {error}")
    if fraud.score > line["probe"]["max_score"] + _NEAR:
        return fail(f"score {fraud.score}")
    if fraud.verdict.value not in line["expect"]["verdict_in"]:
        return fail(f"verdict {fraud.verdict.value}")
    if abs(control.score - 1.0) > _NEAR:
        return fail(f"the honest control got {control.score}, {control.verdict.value}: {control.message}")
    return PASSED


def _grade(line: Line, code: str, slots: Slots) -> Any:
    reference = {"language": line["language"], "mode": line["mode"], "tests": line["tests"], "limits": line["limits"]}
    return judge(Submission(code), parse_reference(reference), slots)
