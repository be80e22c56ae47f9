"""What an endpoint can do is found out at start, told to the operator, and used; it is never guessed from a failure."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.fakes.chat_server import FakeChatServer, Said
from tests.verifiers.harness import rollout
from tests.verifiers.judging import judging, served

ALL = ("logprobs", "json_schema", "seed", "n")
YES_TOKENS = (("correct:", {"correct:": 1.0}), (" yes", {" yes": 0.75, " no": 0.25}))
RUBRIC = {"protocol": "rubric", "dimensions": {"true": "It is true.", "kind": "It is kind."}}


def facts(running: Any) -> str:
    return ", ".join(str(value) for name, value in running.scorer.facts().items() if name.startswith("judge."))


@pytest.mark.parametrize("one", ALL)
@pytest.mark.parametrize("refused", [False, True])
async def test_each_is_told_also_where_the_endpoint_refuses_it(one: str, refused: bool) -> None:
    others = [name for name in ALL if name != one]
    fake = FakeChatServer(lambda request, number: "correct: yes", can=others, refuses=[one] if refused else [])
    async with judging(fake) as running:
        assert (await running.verdict("judge", rollout("4"))).score == 1.0
        # A parameter that is ignored cannot be told from one that is followed where it changes nothing one could see.
        kept = one == "seed" and not refused
        assert facts(running) == ", ".join(f"{name} {'yes' if name != one or kept else 'no'}" for name in ALL)
    assert len(fake.probes) == (6 if refused else 1)
    assert all("spoken" not in request for request in fake.probes)


async def test_probabilities_that_an_endpoint_does_not_tell_are_not_paid_for() -> None:
    fake = FakeChatServer(lambda request, number: "correct: yes", can=("seed",))
    async with judging(fake) as running:
        fault = await running.fault("judge", rollout("4"), {"expected": True})
    assert (fault.party.value, fault.code, fake.requests) == ("upstream", "judge_no_logprobs", [])


async def test_of_two_endpoints_the_one_that_tells_probabilities_is_asked_for_them() -> None:
    able = FakeChatServer(lambda request, number: Said(tokens=YES_TOKENS))
    unable = FakeChatServer(lambda request, number: "correct: yes", can=())
    items = [rollout(str(place), rollout_id=str(place)) for place in range(6)]
    with unable.running() as url:
        async with judging(able, more_urls=[url]) as running:
            outcomes = await running.outcomes("judge", items, {"expected": True})
            assert {getattr(one, "score", None) for one in outcomes} == {0.75}
    assert (len(able.requests), len(unable.requests)) == (6, 0)


async def test_a_seed_that_an_endpoint_refuses_is_not_sent() -> None:
    fake = FakeChatServer(lambda request, number: "correct: yes", refuses=["seed"])
    async with judging(fake) as running:
        await running.verdict("judge", rollout("4"))
    assert "seed" not in fake.requests[0]


async def test_a_schema_is_sent_where_it_is_wanted_and_kept_to() -> None:
    def script(request: dict[str, Any], number: int) -> str:
        schema = request["response_format"]["json_schema"]["schema"]
        signed = schema["properties"]["signature"]["enum"][0]
        assert schema["required"] == ["true", "kind", "signature"]
        return f'{{"true": true, "kind": false, "signature": "{signed}"}}'

    async with judging(served(script), structured=True) as running:
        verdict = await running.verdict("judge", rollout("4"), RUBRIC)
    assert (verdict.score, dict(verdict.aspects)["kind"]) == (0.5, 0.0)
    ignoring = FakeChatServer(lambda request, number: "never", can=("n",))
    async with judging(ignoring, structured=True) as running:
        fault = await running.fault("judge", rollout("4"), RUBRIC)
    assert (fault.code, ignoring.requests) == ("judge_no_json_schema", [])
    assert "structured = false" in fault.message


async def test_an_endpoint_that_comes_up_later_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("reward_servers.engines.judging._probe._FIRST_PAUSE", 0.01)
    fake = FakeChatServer(lambda request, number: "correct: yes")
    answer = fake.probed
    loading = [503, 503, 503]

    def probed(request: dict[str, Any]) -> tuple[int, bytes]:
        return (loading.pop(), b"{}") if loading else answer(request)

    monkeypatch.setattr(fake, "probed", probed)
    async with judging(fake) as running:
        assert (await running.verdict("judge", rollout("4"))).score == 1.0
        while "unknown" in facts(running):
            await asyncio.sleep(0.01)
        assert facts(running) == "logprobs yes, json_schema yes, seed yes, n yes"


async def test_a_probe_spends_no_more_than_may_be_spent() -> None:
    fake = FakeChatServer(lambda request, number: "correct: yes")
    async with judging(fake, spend={"max_requests": 1}) as running:
        fault = await running.fault("judge", rollout("4"))
    assert (fault.code, len(fake.probes), fake.requests) == ("judge_budget", 1, [])


async def test_an_address_is_told_without_its_secrets() -> None:
    fake = FakeChatServer(lambda request, number: Said(status=401))
    async with judging(fake, userinfo="me:sk-SECRET") as running:
        fault = await running.fault("judge", rollout("4"))
        told = str(running.scorer.facts())
    assert "SECRET" not in told + fault.message
    assert "http://127.0.0.1" in told
