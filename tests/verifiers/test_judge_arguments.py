"""Arguments that a judge does not write: none is weighed alone, and only proof makes it the response's doing."""

from __future__ import annotations

import json
import threading
from typing import Any

import pytest

from reward_servers.core import Fault, Verdict
from tests.fakes.chat_server import Said, Script
from tests.verifiers.harness import evidence, rollout
from tests.verifiers.judging import alone, judging, served, shown, token_of

POISON = "a text that no one may call wrong"
FOR, AGAINST = "the response meets the criteria", "the response does not meet the criteria"
FILTERED = Said("", finish_reason="content_filter")
REFUSED = Said("I'm sorry, but I can't help with that.")


def unwilling(failing: Said, side: str = AGAINST, holds: str = POISON) -> Script:
    """A judge that fails on one side of an argument about what holds a text, and believes every response."""

    def script(request: dict[str, Any], number: int) -> Said:
        text = shown(request)
        if "Give no verdict" not in text:
            return Said(f"correct: yes [{token_of(request)}]")
        return failing if side in text and holds in text else Said("It is as it is.")

    return script


@pytest.mark.parametrize("side", [FOR, AGAINST])
@pytest.mark.parametrize(
    ("failing", "code"),
    [
        (REFUSED, "provoked_refused"),
        (FILTERED, "provoked_filtered"),
        (Said("x", status=400, error_code="content_filter"), "provoked_filtered"),
        (Said("the maximum context length is 8", status=400), "provoked_context"),
    ],
)
async def test_a_response_that_provably_stops_one_argument_wins_nothing_by_the_other(
    failing: Said, code: str, side: str
) -> None:
    fake = served(unwilling(failing, side))
    async with judging(fake) as running:
        verdict = await running.verdict("judge", rollout(POISON), {"arguments": True})
        fault = await running.fault("judge", rollout(POISON), {"arguments": True, "on_provoked": "fault"})
    assert (verdict.score, verdict.code) == (0.0, code)
    assert fault.code == f"judge_{code}"
    controls = [one for one in fake.requests if POISON not in shown(one)]
    assert len(controls) == 1, "the control call is kept"
    assert side in shown(controls[0]), "it asks for the same argument"


@pytest.mark.parametrize(
    ("failing", "code"),
    [
        (REFUSED, "judge_refused"),
        (FILTERED, "judge_filtered"),
        (Said("It is wrong, sin", finish_reason="length"), "judge_truncated"),
        (Said(""), "judge_empty"),
        (Said("<think>It is wrong."), "judge_truncated"),
    ],
)
async def test_an_argument_that_is_missing_for_whatever_response_is_a_fault(failing: Said, code: str) -> None:
    fake = served(unwilling(failing, holds=""))
    async with judging(fake) as running:
        fault = await running.fault("judge", rollout("four"), {"arguments": True})
    assert (fault.party.value, fault.code, fault.retryable) == ("upstream", code, False)
    assert all("Give no verdict" in shown(one) for one in fake.requests), "no verdict is asked for on one side alone"


async def test_a_denial_within_an_argument_is_no_refusal() -> None:
    said = Said("The proof cannot be assessed as complete, and it can't help a reader.")
    async with judging(served(unwilling(said, holds=""))) as running:
        verdict = await running.verdict("judge", rollout("four"), {"arguments": True})
    assert verdict.score == 1.0


async def test_evidence_has_the_calls_of_the_arguments() -> None:
    async with judging(served(unwilling(REFUSED))) as running:
        verdict = await running.verdict("judge", rollout("four"), {"arguments": True})
    seen = evidence(verdict)
    assert list(seen["argued"]) == ["favour", "against"]
    for one in seen["argued"].values():
        assert one["usage"] == {"calls": 1, "input_tokens": 100, "output_tokens": 7}
        assert [reply["status"] for reply in one["replies"]] == ["ok"]
    assert all("argued" not in order for order in seen["orders"])


async def test_the_score_of_each_order_is_an_aspect() -> None:
    def script(request: dict[str, Any], number: int) -> Said:
        text = shown(request)
        if "Give no verdict" in text:
            return Said("It meets all." if FOR in text else "It lacks much.")
        first = text.partition(" ARGUMENT 1>>>\n")[2].partition("\n")[0]
        return Said(f"correct: {'yes' if first == 'It meets all.' else 'no'} [{token_of(request)}]")

    async with judging(served(script)) as running:
        verdict = await running.verdict("judge", rollout("four"), {"arguments": True})
    aspects = dict(verdict.aspects)
    assert (verdict.score, aspects["favour_first"], aspects["against_first"]) == (0.5, 1.0, 0.0)


async def test_a_failing_argument_keeps_what_the_other_one_has_cost() -> None:
    answered = threading.Event()

    def script(request: dict[str, Any], number: int) -> Said:
        if FOR in shown(request):
            answered.set()
            return Said("It is so.")
        # The other side's reply comes first: its request is held until that one was handed out.
        assert answered.wait(60)
        return FILTERED

    async with judging(served(script)) as running:
        result = (await running.results("judge", [alone(POISON)], {"arguments": True}))[0]
    assert isinstance(result.outcome, Fault)
    told = json.loads(result.outcome.evidence)
    assert (told["replies"][0]["finish_reason"], list(told["argued"])) == ("content_filter", ["favour"])
    assert told["argued"]["favour"]["usage"]["calls"] == 1
    assert result.usage is not None
    assert result.usage.upstream_calls == 3, "two arguments and the control call"


async def test_a_failing_argument_ends_the_other_one() -> None:
    begun, over = threading.Event(), threading.Event()

    def script(request: dict[str, Any], number: int) -> Said:
        if FOR in shown(request):
            begun.set()
            assert over.wait(60)
            return Said("It is so.")
        assert begun.wait(60)
        return FILTERED if POISON in shown(request) else Said("It is not.")

    fake = served(script)
    async with judging(fake) as running:
        # The argument in favour is held for as long as there is no outcome.
        outcome = (await running.outcomes("judge", [rollout(POISON)], {"arguments": True}))[0]
        over.set()
    assert isinstance(outcome, Verdict)
    assert (outcome.score, outcome.code) == (0.0, "provoked_filtered")
    assert len(fake.requests) == 3
