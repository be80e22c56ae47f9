"""One labelled line: what to judge, and whether the judgement is the label's."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import sandbox
from reward_servers.engines.code import (
    Ceiling,
    CodeEngineError,
    Judgement,
    JudgeOptions,
    Slots,
    Submission,
    UnmeasuredLimitError,
    judge,
    parse_reference,
)

_CASE_FIELDS = ("language", "mode", "tests", "compare", "limits", "setup")


@dataclasses.dataclass(frozen=True)
class Line:
    """One line of a label file.

    Attributes:
        name: Its id.
        reference: What `parse_reference` reads.
        expect: The label: `verdict`, `per_test`, `score`, as far as given.
        source: The program, for a line that gives one.
        response: The response that holds it, for a rollout.
        prompt: The prompt of a rollout.
    """

    name: str
    reference: dict[str, Any]
    expect: dict[str, Any]
    source: str | None = None
    response: str | None = None
    prompt: str = ""


@dataclasses.dataclass(frozen=True)
class Outcome:
    """A judgement beside its label.

    Attributes:
        said: Verdict, verdict of each test and score, in a form that can be compared between runs.
        problem: How it differs from the label; empty if it does not.
        skipped: Why the line could not be judged on this host; empty if it could.
    """

    said: str
    problem: str = ""
    skipped: str = ""


def read_lines(path: Path) -> Iterator[Line]:
    """The lines of a file, of either form."""
    for number, text in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        if not text.strip():
            continue
        data = json.loads(text)
        if "response" in data:
            name = str(data.get("rollout_id", f"{path.name}:{number}"))
            prompt = data.get("prompt", "")
            yield Line(name, data["reference"], data["expected"], response=data["response"], prompt=str(prompt))
        else:
            reference = {field: data[field] for field in _CASE_FIELDS if field in data}
            yield Line(str(data.get("id", f"{path.name}:{number}")), reference, data["expect"], source=data["code"])


def judge_line(line: Line, slots: Slots, ceiling: Ceiling | None = None) -> Outcome:
    """Judge a line and compare with its label."""
    try:
        spec = parse_reference(line.reference, ceiling=ceiling)
        if line.response is None:
            submission = Submission(line.source)
        else:
            submission = Submission.from_response(line.response, spec, prompt=line.prompt)
        judgement = judge(submission, spec, slots, JudgeOptions())
    except (sandbox.UnsupportedLanguageError, UnmeasuredLimitError) as error:
        return Outcome("", skipped=str(error))
    except (CodeEngineError, sandbox.SandboxError) as error:
        return Outcome("", problem=f"{type(error).__name__}: {error}")
    return Outcome(_said(judgement), _difference(line.expect, judgement))


def _said(judgement: Judgement) -> str:
    tests = ",".join(result.verdict.value for result in judgement.results)
    return f"{judgement.verdict.value} {judgement.score:.6f} [{tests}]"


def _difference(expect: dict[str, Any], judgement: Judgement) -> str:
    got = {
        "verdict": judgement.verdict.value,
        "per_test": [result.verdict.value for result in judgement.results],
        "score": judgement.score,
    }
    wrong = [
        f"{name}: expected {expect[name]}, got {value}"
        for name, value in got.items()
        if name in expect and not _agrees(value, expect[name])
    ]
    if not wrong:
        return ""
    evidence = json.dumps(judgement.evidence())
    return "; ".join(wrong) + f"; evidence: {evidence[:800]}"


def _agrees(got: object, expected: object) -> bool:
    if isinstance(got, float) and isinstance(expected, int | float):
        return abs(got - expected) <= 1e-5
    return got == expected
