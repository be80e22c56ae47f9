"""The rubric over the judge, over a real HTTP server."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import pytest

from reward_servers.core import Group, Rollout, bind
from reward_servers.verifiers.judge import Judge
from reward_servers.verifiers.rubric import rubric
from tests.fakes.chat_server import FakeChatServer, Said
from tests.typed import declared
from tests.verifiers.harness import Bench, bench, evidence, rollout


def judge_of(met: Mapping[str, Said | str]) -> FakeChatServer:
    """A judge that finds the criterion's text in the prompt and answers as told."""

    def script(request: dict[str, Any], number: int) -> Said | str:
        asked = request["messages"][1]["content"].split("Criteria: ")[1]
        return next(said for text, said in met.items() if asked.startswith(text))

    return FakeChatServer(script)


@asynccontextmanager
async def judging(fake: FakeChatServer) -> AsyncIterator[Bench]:
    with fake.running() as url:
        async with bench(rubric, bind(declared(Judge), {"base_url": url, "model": "m", "total_timeout": 5})) as running:
            yield running


def criteria(**weights: float) -> dict[str, Any]:
    return {"rubric": [{"id": name, "text": f"About {name}.", "weight": weight} for name, weight in weights.items()]}


YES, NO = "correct: yes", "correct: no"


@pytest.mark.parametrize(
    ("weights", "met", "options", "score"),
    [
        ({"a": 3, "b": 1}, {"About a": YES, "About b": NO}, {}, 0.75),
        ({"a": 3, "b": 1, "c": -2}, {"About a": YES, "About b": NO, "About c": YES}, {}, 0.25),
        ({"a": 1, "c": -2}, {"About a": YES, "About c": YES}, {}, 0.0),
        ({"a": 1, "c": -2}, {"About a": YES, "About c": YES}, {"scale": "range"}, 1 / 3),
        ({"c": -2}, {"About c": NO}, {"scale": "range"}, 1.0),
        ({"a": 1, "b": 1}, {"About a": "Score: 5", "About b": "Score: 3"}, {"protocol": "likert_1_5"}, 0.75),
    ],
)
async def test_weights(weights: dict[str, float], met: dict[str, str], options: dict[str, Any], score: float) -> None:
    async with judging(judge_of(met)) as running:
        verdict = await running.verdict("rubric", rollout("text", criteria(**weights)), options)
    assert verdict.score == pytest.approx(score)
    assert [name for name, _ in verdict.aspects] == list(weights)
    seen = evidence(verdict)
    assert [one["id"] for one in seen["criteria"]] == list(weights)
    assert seen["used"]["judge"]["digest"].startswith("sha256:")


async def test_a_criterion_without_a_verdict_leaves_the_rubric_without_one() -> None:
    fake = judge_of({"About a": YES, "About b": Said(status=503), "About c": Said(status=503)})
    async with judging(fake) as running:
        fault = await running.fault("rubric", rollout("text", criteria(a=1, b=1, c=1)))
    assert (fault.party.value, fault.code, fault.retryable) == ("upstream", "judge_unavailable", True)
    assert "2 of 3 criteria" in fault.message
    assert "b (judge_unavailable)" in fault.message


async def test_a_fault_that_trying_again_cannot_mend_speaks_for_all() -> None:
    fake = judge_of({"About a": Said(status=503), "About b": "no idea"})
    async with judging(fake) as running:
        fault = await running.fault("rubric", rollout("text", criteria(a=1, b=1)))
    assert (fault.code, fault.retryable) == ("judge_unparsed", False)


async def test_usage_and_seed_are_the_items_own() -> None:
    fake = judge_of({"About a": YES, "About b": YES, "About c": YES})
    async with judging(fake) as running:
        one = rollout("text", criteria(a=1, b=1, c=0))
        result = (await running.results("rubric", [_alone(one)]))[0]
        await running.results("rubric", [_alone(one)])
    assert result.usage is not None
    assert (result.usage.upstream_calls, result.usage.input_tokens, result.usage.output_tokens) == (2, 200, 14)
    prompts = [request["messages"][1]["content"] for request in fake.requests]
    assert sorted(prompts[:2]) == sorted(prompts[2:])


def _alone(one: Rollout) -> Group:
    return Group(one.prompt_context, [one])


async def test_an_empty_response_costs_no_call() -> None:
    fake = judge_of({})
    async with judging(fake) as running:
        verdict = await running.verdict("rubric", rollout("  ", criteria(a=1)))
    assert (verdict.score, verdict.code, fake.requests) == (0.0, "no_answer", [])


@pytest.mark.parametrize(
    ("reference", "options", "said"),
    [
        ({"rubric": []}, {}, "rubric"),
        ({"rubric": [{"id": "a", "text": "x"}, {"id": "a", "text": "y"}]}, {}, "same id"),
        ({"rubric": [{"id": "a", "text": "x", "weight": 0}]}, {}, "weight"),
        (criteria(c=-1), {}, "scale = 'range'"),
    ],
)
async def test_a_rubric_that_cannot_be_used_is_the_data_sets_fault(
    reference: dict[str, Any], options: dict[str, Any], said: str
) -> None:
    async with judging(judge_of({"About c": NO})) as running:
        fault = await running.fault("rubric", rollout("text", reference), options)
    assert fault.party.value == "dataset"
    assert said in fault.message


async def test_without_a_judge_the_fault_says_what_is_missing() -> None:
    async with bench(rubric) as running:
        fault = await running.fault("rubric", rollout("text", criteria(a=1)))
    assert (fault.party.value, fault.code) == ("service", "verifier_not_reachable")
    assert "[endpoints]" in fault.message


async def test_a_failure_that_the_response_caused_on_one_criterion_is_no_gain() -> None:
    """A refusal to say whether a harmful criterion is met must not count as not met."""

    def script(request: dict[str, Any], number: int) -> Said | str:
        asked = request["messages"][1]["content"]
        return "I can't help with that." if "HARM" in asked and "Criteria: About c" in asked else YES

    async with judging(FakeChatServer(script)) as running:
        bad = await running.verdict("rubric", rollout("HARM", criteria(a=1, c=-2)), {"scale": "range"})
        good = await running.verdict("rubric", rollout("good", criteria(a=1, c=-2)), {"scale": "range"})
    assert (bad.score, bad.code) == (0.0, "provoked_refused")
    assert good.score == pytest.approx(1 / 3)
