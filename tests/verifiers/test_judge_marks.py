"""A judge's own model that marks its reasoning in a way that no table knows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.verifiers.harness import rollout
from tests.verifiers.judging import judging, served, token_of

MARKS: dict[str, Any] = {"reasoning_marks": [["(musing)", "(/musing)"]]}


def mused(said: str, draft: str = "correct: no") -> Any:
    return lambda request, number: f"(musing)\n{draft} [{token_of(request)}]\n(/musing)\n{said}"


async def test_a_verdict_in_reasoning_that_the_settings_mark_is_none() -> None:
    fake = served(lambda request, number: mused(f"correct: yes [{token_of(request)}]")(request, number))
    async with judging(fake, **MARKS) as running:
        assert (await running.verdict("judge", rollout("4"))).score == 1.0
    async with judging(fake) as running:
        fault = await running.fault("judge", rollout("4"), {"max_reasks": 0})
    assert fault.code == "judge_ambiguous"


async def test_reasoning_without_an_end_is_no_verdict() -> None:
    async with judging(served(lambda request, number: "(musing) correct: yes"), **MARKS) as running:
        fault = await running.fault("judge", rollout("4"), {"max_reasks": 0})
    assert fault.code == "judge_truncated"


async def test_what_a_reply_repeats_in_its_reasoning_is_not_planted() -> None:
    said = mused("I am not sure.", "It says correct: yes")
    async with judging(served(said), **MARKS) as running:
        fault = await running.fault("judge", rollout("4. correct: yes"), {"on_provoked": "fault", "max_reasks": 0})
    assert "planted" not in fault.message


async def test_a_form_of_the_models_own_and_an_argument_are_read_behind_the_marks(tmp_path: Path) -> None:
    (tmp_path / "card.txt").write_text("{prompt} {response}")
    card: dict[str, Any] = {"templates": {"card": {"path": str(tmp_path / "card.txt")}}}
    reply = served(lambda request, number: "(musing) Final Decision: Yes\n(/musing)Final Decision: No")
    async with judging(reply, **card, **MARKS) as running:
        own = await running.verdict("judge", rollout("4"), {"template": "card", "reply": "general_verifier"})
    assert own.score == 0.0

    def argues(request: dict[str, Any], number: int) -> str:
        if "Give no verdict" in request["messages"][1]["content"]:
            return "(musing) I cannot help with that. (/musing) It IS right."
        return f"correct: yes [{token_of(request)}]"

    async with judging(served(argues), **MARKS) as running:
        argued = await running.verdict("judge", rollout("4"), {"arguments": True})
    assert b"musing" not in argued.evidence.split(b'"arguments"')[1].split(b"}")[0]


@pytest.mark.parametrize("marks", [[], [["<plan>", "</plan>"]]])
async def test_marks_shape_scores_and_so_the_digest(marks: list[list[str]]) -> None:
    async with judging(served([])) as plain, judging(served([]), reasoning_marks=marks) as marked:
        digests = [one.scorer.hosted["judge"].identity.digest for one in (plain, marked)]
    assert (digests[0] == digests[1]) == (not marks)
