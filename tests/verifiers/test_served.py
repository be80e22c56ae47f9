"""The verifiers on real servers: asked by the command, and asking one another across processes."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc.aio
import pytest

from reward_servers.config import ServerConfig, load_config
from reward_servers.core import find
from reward_servers.server import running
from tests.fakes.chat_server import FakeChatServer, Said
from tests.typed import changed, stub_of
from tests.verifiers.harness import CASES
from trainer_client import AsyncRewardClient, Recipe, Rollout
from trainer_client.contract.v1 import reward_service_pb2 as pb
from trainer_client.contract.v1 import reward_service_pb2_grpc as rpc
from trainer_client.contract.v1 import types_pb2 as types


@pytest.mark.parametrize("name", ["exact", "choice", "citation"])
def test_the_command_agrees_with_every_label(name: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "reward_servers", "check", name, "--cases", str(CASES / f"{name}.jsonl"), "--json"],
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    labels = [json.loads(line)["expected"]["score"] for line in (CASES / f"{name}.jsonl").read_text().splitlines()]
    assert (report["total"], report["disagreements"]) == (sum(label is not None for label in labels), [])
    assert report["agree"] == report["total"]


@asynccontextmanager
async def serving(config: ServerConfig, *names: str) -> AsyncIterator[tuple[str, rpc.RewardServiceAsyncStub]]:
    async with running(config, names) as server, grpc.aio.insecure_channel(server.address) as channel:
        yield server.address, stub_of(channel)


def config(**sections: Any) -> ServerConfig:
    return changed(load_config(workers=1), **sections)


def request(verifier: str, *responses: str, reference: dict[str, Any]) -> pb.ScoreRequest:
    group = types.Group(group_id="g", size=len(responses), reference_json=json.dumps(reference).encode())
    for place, text in enumerate(responses):
        group.rollouts.add(index=place, rollout_id=str(place), response=types.Content(text=text))
    return pb.ScoreRequest(request_id="r", groups=[group], evaluations=[types.Evaluation(verifier=verifier)])


def script(asked: dict[str, Any], number: int) -> str:
    text = asked["messages"][1]["content"]
    if "RESPONSE A" in text:
        return "[[A]]" if text.index("good") < text.index("bad") else "[[B]]"
    return "correct: yes" if "good" in text else "correct: no"


async def test_rubric_and_pairwise_ask_a_judge_on_another_server() -> None:
    rubric = {"rubric": [{"id": "a", "text": "It is fine.", "weight": 2}]}
    with FakeChatServer(script).running() as url:
        judging = config(verifiers={"judge": {"base_url": url, "model": "m", "total_timeout_s": 120}})
        async with (
            serving(judging, "judge") as (address, _),
            serving(config(endpoints={"judge": address}), "rubric", "pairwise") as (_, stub),
        ):
            scored = await stub.Score(request("rubric", "good", "bad", reference=rubric))
            won = await stub.Score(request("pairwise", "good", "bad", reference={}))
    assert [one.verdict.score for one in scored.results] == [1.0, 0.0]
    assert [one.verdict.score for one in won.results] == [1.0, 0.0]
    assert json.loads(scored.results[0].verdict.evidence_json)["used"]["judge"]["version"] == find("judge").version


async def test_marks_of_a_recipe_reach_every_server_and_what_those_ask() -> None:
    recipe = Recipe.loads(
        """
        reasoning_marks = [["<plan>", "</plan>"]]
        advantage = "none"
        [rewards.exact]
        verifier = "exact"
        [rewards.rubric]
        verifier = "rubric"
        options = { show_reference = false }
        """
    )
    reference = {"answer": "good", "rubric": [{"id": "a", "text": "It is fine.", "weight": 1}]}
    texts = ["<plan>bad</plan>good", "<PLAN>good</PLAN>bad", "<plan>good"]
    rollouts = [Rollout(f"r{place}", "p", text, reference=reference) for place, text in enumerate(texts)]
    with FakeChatServer(script).running() as url:
        judging = config(verifiers={"judge": {"base_url": url, "model": "m", "total_timeout_s": 120}})
        async with (
            serving(judging, "judge") as (address, _),
            serving(config(endpoints={"judge": address}), "exact", "rubric") as (asked, _),
            AsyncRewardClient(recipe, {"exact": [asked], "rubric": [asked]}) as client,
        ):
            table = await client.score(rollouts)
    assert [[table.cell(row, name).score for name in ("exact", "rubric")] for row in range(3)] == [
        [1, 1],
        [0, 0],
        [0, 0],
    ]


async def test_a_judge_that_is_away_is_a_fault_across_servers() -> None:
    away = config(verifiers={"judge": {"base_url": "http://127.0.0.1:9/v1", "model": "m", "total_timeout_s": 5}})
    async with (
        serving(away, "judge") as (address, _),
        serving(config(endpoints={"judge": address}), "rubric") as (_, stub),
    ):
        reference = {"rubric": [{"id": "a", "text": "It is fine."}]}
        scored = await stub.Score(request("rubric", "good", reference=reference))
    fault = scored.results[0].fault
    assert (scored.results[0].WhichOneof("outcome"), fault.code) == ("fault", "judge_unavailable")
    assert types.Party.Name(fault.party) == "PARTY_UPSTREAM"
    assert fault.retryable


async def test_what_the_other_server_says_of_trying_again_is_passed_on() -> None:
    fake = FakeChatServer(lambda asked, number: Said(status=503, headers={"retry-after": "7"}))
    with fake.running() as url:
        judging = config(verifiers={"judge": {"base_url": url, "model": "m", "total_timeout_s": 5}})
        async with (
            serving(judging, "judge") as (address, _),
            serving(config(endpoints={"judge": [address]}), "rubric") as (_, stub),
        ):
            reference = {"rubric": [{"id": "a", "text": "It is fine."}]}
            scored = await stub.Score(request("rubric", "good", reference=reference))
    fault = scored.results[0].fault
    assert (fault.retryable, fault.retry_after.seconds) == (True, 7)
    assert len(fake.requests) == 1


async def test_a_server_that_does_not_host_the_verifier_is_nobody_elses_fault() -> None:
    async with (
        serving(config(), "exact") as (address, _),
        serving(config(endpoints={"judge": address}), "rubric") as (_, stub),
    ):
        reference = {"rubric": [{"id": "a", "text": "It is fine."}]}
        scored = await stub.Score(request("rubric", "good", reference=reference))
    fault = scored.results[0].fault
    assert (types.Party.Name(fault.party), fault.code) == ("PARTY_SERVICE", "unknown_verifier")
    assert address in fault.message


async def test_servers_announce_schemas_aspects_and_limits() -> None:
    async with serving(config(), "exact", "format", "citation", "rubric", "pairwise") as (_, stub):
        listed = (await stub.ListVerifiers(pb.ListVerifiersRequest())).verifiers
    assert {one.identity.name for one in listed} == {"exact", "format", "citation", "rubric", "pairwise"}
    for one in listed:
        assert one.description
        assert json.loads(one.options_schema_json)["additionalProperties"] is False
