"""The preference verifier in its worker process, with a tiny model."""

from __future__ import annotations

import math
import random
import re
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import pytest
import pytest_asyncio
import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from reward_servers.core import (
    BoundVerifier,
    DeviceLostError,
    Fault,
    RequestError,
    SettingsError,
    StartupError,
    Verdict,
    bind,
)
from reward_servers.local import ServerThread
from reward_servers.supervisor import ServerProcess
from reward_servers.verifiers.models._loading import computing
from reward_servers.verifiers.pairwise import pairwise
from reward_servers.verifiers.preference import Preference
from tests.engines.models import tiny
from tests.typed import declared
from tests.verifiers.harness import Bench, bench, evidence, group, rollout
from trainer_client import Recipe, Reward, RewardClient, read_rollouts
from trainer_client import Rollout as ClientRollout
from trainer_client.contract.v1 import reward_service_pb2 as pb
from trainer_client.contract.v1 import types_pb2 as types

pytestmark = pytest.mark.asyncio(loop_scope="module")

MEAN, STD, RANGE = 0.25, 2.0, 10.0


def hosted(path: Path) -> BoundVerifier:
    settings = {"path": str(path), "max_length": 32, "mean": MEAN, "std": STD, "linear_range": RANGE}
    return bind(declared(Preference), settings)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Bench]:
    async with bench(pairwise, hosted(tiny.llama(tmp_path_factory.mktemp("model")))) as one:
        yield one


def standard(verdict: Verdict) -> float:
    logit = dict(verdict.aspects)["logit"]
    assert logit is not None
    return (logit - MEAN) / STD


async def test_scores_are_the_squashed_logit_and_the_same_in_any_batch(running: Bench) -> None:
    texts = [" ".join(f"w{one}" for one in range(start, start + 3 + start)) for start in range(1, 13)]
    items = [rollout(text, prompt="w1 w2", rollout_id=text) for text in texts]
    together = [one for one in await running.outcomes("preference", items) if isinstance(one, Verdict)]
    alone = [await running.verdict("preference", one, seed=1) for one in items]
    assert [one.score for one in together] == [one.score for one in alone]
    for one in together:
        assert one.score == pytest.approx(1 / (1 + math.exp(-standard(one))))
    assert evidence(together[0])["cut"] == 0
    assert evidence(together[0])["model"].startswith("sha256:")


async def test_the_linear_scale_keeps_differences(running: Bench) -> None:
    verdict = await running.verdict("preference", rollout("w3", prompt="w1"), {"scale": "linear"})
    assert verdict.score == pytest.approx(0.5 + standard(verdict) / (2 * RANGE))


async def test_what_is_too_long_or_empty(running: Bench) -> None:
    long = " ".join(["w5"] * 60)
    refused = await running.verdict("preference", rollout(long, prompt="w1"))
    cut = await running.verdict("preference", rollout(long, prompt="w1"), {"truncation": "middle"})
    prompt = await running.fault("preference", rollout("w1", prompt=long))
    empty = await running.verdict("preference", rollout("<think>w1</think> ", prompt="w1"))
    assert (refused.score, refused.code) == (0.0, "limit")
    seen = evidence(cut)
    assert (seen["truncation"], seen["tokens"] - seen["cut"]) == ("middle", 32)
    assert (prompt.party.value, prompt.code) == ("dataset", "prompt_too_long")
    assert (empty.score, empty.code) == (0.0, "no_answer")


async def test_one_item_that_cannot_be_scored_costs_no_other(running: Bench) -> None:
    items = [rollout("w1", prompt="w2"), rollout("w1", prompt=" ".join(["w2"] * 50), rollout_id="s")]
    good, bad = await running.outcomes("preference", items)
    assert isinstance(good, Verdict)
    assert isinstance(bad, Fault)


async def test_odd_responses_cost_themselves_alone(running: Bench) -> None:
    odd = {"long": "w1 " * 300_000, "longer": "w1 " * 1_000_000, "none": "", "bytes": "\ufffd\0\ufffd w3"}
    texts = {"a": "w4 w5", **odd, "b": "w4 w5"}
    items = [rollout(text, prompt="w2", rollout_id=name) for name, text in texts.items()]
    found = await running.outcomes("preference", items)
    codes = {name: one.code for name, one in zip(texts, found, strict=True) if isinstance(one, Verdict)}
    assert (codes["long"], codes["longer"], codes["none"]) == ("limit", "limit", "no_answer")
    first, *_, read, last = found
    assert isinstance(read, Verdict)
    assert isinstance(first, Verdict)
    assert isinstance(last, Verdict)
    assert first.score == last.score == (await running.verdict("preference", items[0])).score


async def test_numbers_that_are_none_are_refused_by_name(running: Bench, tmp_path: Path) -> None:
    for value in (math.nan, math.inf):
        with pytest.raises(RequestError, match=r"options\.weights\.logit: .*finite"):
            await running.outcomes("preference", [rollout("w1")], {"weights": {"logit": value}})
    path = str(tiny.llama(tmp_path))
    golden = {"prompt": "w1", "response": "w2", "logit": 0.0, "tolerance": math.inf}
    for settings in ({"linear_range": math.inf}, {"golden": [golden]}):
        with pytest.raises(SettingsError, match="finite"):
            bind(declared(Preference), {"path": path, **settings})


async def test_hostile_items_change_no_bit_of_their_neighbours(tmp_path: Path) -> None:
    path = tiny.llama(tmp_path)
    tokenizer = AutoTokenizer.from_pretrained(path)
    refuses = "{% if 'w7 w8' in m.content %}{{ raise_exception('no w7') }}{% endif %}"
    tokenizer.chat_template = tiny.CHAT.replace("{{ m.content }}", refuses + "{{ m.content }}")
    tokenizer.save_pretrained(path)
    model = AutoModelForSequenceClassification.from_pretrained(path)
    with torch.no_grad():
        model.get_input_embeddings().weight[len(tiny.SPECIAL) + 150] = math.inf
    model.save_pretrained(path)
    draw = random.Random(0)
    fair = [rollout(" ".join(f"w{draw.randrange(150)}" for _ in range(1 + size)), prompt="w2") for size in range(60)]
    hostile = [
        rollout("w1 " * 330_000, prompt="w2"),
        rollout("w7 w8", prompt="w2"),
        rollout("w1 w150", prompt="w2"),
        rollout("<eos> <assistant> w1", prompt="w2"),
    ]
    items = [*fair, *hostile]
    order = draw.sample(range(len(items)), len(items))
    async with bench(bind(declared(Preference), {"path": str(path), "threads": 1})) as running:
        alone = [(await running.verdict("preference", one)).score for one in fair]
        found = await running.outcomes("preference", [items[place] for place in order], seed=1)
    by_place = dict(zip(order, found, strict=True))
    assert [by_place[place].score for place in range(60)] == alone  # type: ignore[union-attr]
    long, refused, no_number, control = (by_place[place] for place in range(60, 64))
    assert isinstance(long, Verdict)
    assert isinstance(refused, Verdict)
    assert isinstance(no_number, Fault)
    assert isinstance(control, Verdict)
    assert (long.score, long.code) == (0.0, "limit")
    assert (refused.score, refused.code) == (0.0, "malformed")
    assert no_number.code == "not_finite"
    assert evidence(control)["escaped"] == 2


async def test_reasoning_is_shown_only_when_asked_for(running: Bench) -> None:
    with_reasoning = rollout("<think> w9 </think>w1", prompt="w2")
    hidden = await running.verdict("preference", with_reasoning)
    plain = await running.verdict("preference", rollout("w1", prompt="w2"))
    shown = await running.verdict("preference", with_reasoning, {"show_reasoning": True})
    assert hidden.score == plain.score != shown.score


async def test_several_heads_are_aspects_and_can_be_weighed_by_a_request(tmp_path: Path) -> None:
    heads = {"kind": {"output": 0, "mean": 0.5, "std": 2.0, "weight": 0.25}, "true": {"output": 2}}
    settings = {"path": str(tiny.llama(tmp_path, labels=3)), "heads": heads, "normaliser": "2026-11"}
    async with bench(bind(declared(Preference), settings)) as running:
        one = await running.verdict("preference", rollout("w3", prompt="w1"), {"scale": "linear"})
        only = await running.verdict(
            "preference", rollout("w3", prompt="w1"), {"scale": "linear", "weights": {"true": 2.0}}
        )
        unknown = await running.fault("preference", rollout("w3", prompt="w1"), {"weights": {"funny": 1.0}})
    parts = dict(one.aspects)
    assert parts["kind"] is not None
    assert parts["true"] is not None
    assert one.score == pytest.approx(0.5 + (0.25 * parts["kind"] + parts["true"]) / 40)
    assert only.score == pytest.approx(0.5 + 2 * parts["true"] / 40)
    assert evidence(one)["normaliser"] == "2026-11"
    assert (unknown.party.value, unknown.code) == ("caller", "unknown_head")
    assert "kind, true" in unknown.message


async def test_a_path_is_a_setting_and_never_an_option(running: Bench) -> None:
    with pytest.raises(RequestError, match=r"options\.path"):
        await running.outcomes("preference", [rollout("w1")], {"path": "/elsewhere"})


async def test_a_model_that_cannot_be_used_refuses_to_start(tmp_path: Path) -> None:
    with pytest.raises(StartupError, match=r"config\.json"):
        async with bench(hosted(tmp_path)):
            pass


async def test_win_rates_by_preference(running: Bench) -> None:
    texts = ["w3", "w4 w5", "", "w3"]
    alone = [(await running.verdict("preference", rollout(text, prompt="w1"))).score for text in texts[:2]]
    results = await running.results("pairwise", [group(texts, prompt="w1")], {"by": "preference"})
    scores = [one.outcome.score for one in results if isinstance(one.outcome, Verdict)]
    first = 1.0 if alone[0] > alone[1] else 0.0
    assert scores == pytest.approx([(first + 1.0 + 0.5) / 3, (2 * (1 - first) + 1.0) / 3, 0.0, (first + 1.0 + 0.5) / 3])


async def test_bytes_that_are_no_text_cost_themselves_alone(tmp_path: Path) -> None:
    settings = tmp_path / "server.toml"
    settings.write_text(f'[verifiers.preference]\npath = "{tiny.llama(tmp_path / "model")}"\n')
    recipe = Recipe((Reward("good", "preference"),), advantage=None)
    request = pb.ScoreRequest(evaluations=[types.Evaluation(verifier="preference")])
    for index, (prompt, response) in enumerate([("w1", "w2"), ("w1", "w2 @@ w3"), ("w1 @@", "w2"), ("w1", "w2")]):
        group = request.groups.add(group_id=str(index), prompt=types.Content(text=prompt))
        group.rollouts.add(index=index, response=types.Content(text=response))
    lines = [f'{{"prompt": "w1", "response": "{text}"}}' for text in ("w2", "w2 @@ w3", "w2 \\udcff w3")]
    file = tmp_path / "rollouts.jsonl"
    file.write_bytes("\n".join(lines).encode().replace(b"@@", b"\xff\xc3"))
    found = read_rollouts(file)
    with (
        ServerThread([ServerProcess("preference", ("preference",), str(settings))]) as served,
        grpc.insecure_channel(served.endpoints["preference"][0]) as channel,
        RewardClient(recipe, served.endpoints["preference"]) as client,
    ):
        score: Any = channel.unary_unary("/assay.rewards.v1.RewardService/Score")
        sent = request.SerializeToString().replace(b"@@", b"\xff\xc3")
        answer = pb.ScoreResponse.FromString(score(sent, timeout=240))
        table = client.score([*found.rollouts, ClientRollout("c", "w1", "w2 \ufffd\ufffd w3")])
    results = sorted(answer.results, key=lambda one: one.index)
    assert [one.WhichOneof("outcome") for one in results] == ["verdict"] * 4
    first, odd, prompted, last = (one.verdict.score for one in results)
    assert first == last
    assert len({first, odd, prompted}) == 3
    assert [problem.line for problem in found.problems] == [2]
    assert table.valid.all()
    assert table.scores[:, 0].tolist() == [first, odd, odd]


async def test_a_served_model_loads_quietly_and_leaves_nothing_behind(tmp_path: Path) -> None:
    settings = tmp_path / "server.toml"
    settings.write_text(f'[verifiers.preference]\npath = "{tiny.llama(tmp_path / "model")}"\n')
    command = [sys.executable, "-P", "-m", "reward_servers", "serve", "preference", "--config", str(settings)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        line = server.stdout.readline()
        assert line.startswith("listening on "), server.communicate()
        recipe = Recipe((Reward("good", "preference"),), advantage=None)
        with RewardClient(recipe, line.split()[2]) as client:
            assert client.score([ClientRollout("a", "w1", "w2")]).valid.all()
        server.terminate()
        _, log = server.communicate(timeout=240)
    said = {entry.partition(": ")[2].partition(" ")[0].strip(";") for entry in log.splitlines()}
    # What a server tells of itself and of its calls, and nothing of the libraries that load a model.
    assert {"started", "draining"} < said
    assert said <= {"started", "draining", "ListVerifiers", "GetServerInfo", "Score", "ScoreStream"}


@pytest.mark.parametrize(
    ("said", "lost"),
    [
        ("CUDA error: unspecified launch failure\nCompile with TORCH_USE_CUDA_DSA", True),
        ("HIP error: the operation cannot be performed in the present state", True),
        ("not enough memory: you tried to allocate 9 bytes", False),
        ("shape '[3]' is invalid for input of size 4", False),
    ],
)
async def test_an_error_after_which_a_device_computes_no_more_is_told_from_others(said: str, lost: bool) -> None:
    first = re.escape(said.splitlines()[0])
    with pytest.raises(DeviceLostError if lost else RuntimeError, match=first), computing():
        raise RuntimeError(said)
