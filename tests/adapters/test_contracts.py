"""Trainers that cannot be installed here: our classes in modules with the types that their sources declare."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import numpy as np
import pytest
import torch

from tests.adapters.doubles import (
    DataProto,
    install_nemo_rl,
    install_open_instruct,
    install_roll,
    install_skyrl,
    install_verifiers,
)
from tests.adapters.surviving import KEYS, drawn, normalised, recipe
from trainer_client import Recipe, RecipeError
from trainer_client.adapters import nemo_rl, open_instruct, roll, skyrl, verifiers

TEXTS = [str(number) for number in range(8)]
EXPECTED = [drawn("p", text) for text in TEXTS]
STATED = [0.25 if one is None else one for one in EXPECTED]


def test_nemo_rl(server: str, modules: Any) -> None:
    install_nemo_rl(modules)
    made = nemo_rl.environment_of(Recipe.loads(recipe()), server, on_missing=0.25, max_missing=1.0)({})
    logs = [[{"role": "user", "content": "p"}, {"role": "assistant", "content": text}] for text in TEXTS]
    told = made.step(logs, [{"ground_truth": "x"}] * 8)
    assert told.rewards.dtype == torch.float32
    np.testing.assert_allclose(told.rewards.numpy(), STATED, rtol=1e-6)
    assert told.terminateds.tolist() == [True] * 8
    assert [one["assay_valid"] for one in told.metadata] == [one is not None for one in EXPECTED]
    assert len(told.observations) == len(told.next_stop_strings) == 8
    one = made.step(logs[:1], [None])
    assert one.rewards.shape == (1,)
    _, metrics = made.global_post_process_and_metrics({"total_reward": told.rewards, "extra_env_info": told.metadata})
    kept = [one for one in EXPECTED if one is not None]
    assert metrics["accuracy"] == pytest.approx(sum(kept) / len(kept), rel=1e-6)
    assert metrics["missing"] == pytest.approx(1 - len(kept) / 8)
    assert metrics.keys() == KEYS | {"accuracy", "missing"}
    assert metrics["aspect/main.half"] == pytest.approx(sum(kept) / len(kept) / 2)
    apart = nemo_rl.environment_of(Recipe.loads(recipe()), server, on_missing=0.25, max_missing=1.0, components=True)()
    rewards = apart.step(logs, [{}] * 8).rewards
    assert list(rewards) == ["reward/main"]
    with pytest.raises(RecipeError, match="NeMo-RL cannot leave a sample out"):
        nemo_rl.environment_of(Recipe.loads(recipe()), server, on_missing="none")


def test_skyrl_in_threads_without_a_loop(server: str, modules: Any) -> None:
    install_skyrl(modules)
    kind = skyrl.environment_of(Recipe.loads(recipe()), server, on_missing=0.25, max_missing=1.0)
    environments = [kind(None, {"reward_spec": {"ground_truth": "x"}}) for _ in TEXTS]
    outputs: dict[int, Any] = {}

    def run(place: int) -> None:
        prompt, info = environments[place].init("p")
        assert (prompt, info) == ("p", {})
        outputs[place] = environments[place].step(TEXTS[place])

    threads = [threading.Thread(target=run, args=(place,)) for place in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [outputs[place].reward for place in range(8)] == STATED
    assert all(outputs[place].done for place in range(8))
    metrics = kind.aggregate_metrics([one.get_metrics() for one in environments])
    kept = [one for one in EXPECTED if one is not None]
    assert metrics["reward"] == pytest.approx(sum(kept) / len(kept))
    assert metrics.keys() == KEYS | {"reward", "missing"}
    assert metrics["aspect/main.half"] == pytest.approx(sum(kept) / len(kept) / 2)


def test_open_instruct(server: str, modules: Any) -> None:
    install_open_instruct(modules)
    made = open_instruct.verifier_of("Assay", Recipe.loads(recipe()), server, on_missing=0.25, max_missing=1.0)()
    assert made.name == "assay"
    assert [made([1, 2], text, "x", "p").score for text in TEXTS] == STATED

    async def all_of_them() -> list[Any]:
        return list(await asyncio.gather(*(made.async_call([1], text, "x", query="p") for text in TEXTS)))

    told = asyncio.run(all_of_them())
    assert [one.score for one in told] == STATED
    assert told[0].reasoning.startswith("main: ")


class Tokenizer:
    """Gives the texts of the test for rows of their numbers."""

    def batch_decode(self, rows: Any, skip_special_tokens: bool) -> list[str]:
        assert skip_special_tokens
        return ["p" if int(row[0]) < 0 else str(int(row[0])) for row in rows]


def test_roll_keeps_the_order_of_a_chunk(server: str, modules: Any) -> None:
    install_roll(modules, Tokenizer())
    kind = roll.worker_of(Recipe.loads(recipe()), server, on_missing=0.25, max_missing=1.0)
    worker = kind(type("Config", (), {"model_args": None})())
    worker.initialize(None)
    batch = {"prompts": torch.full((8, 2), -1), "responses": torch.arange(8)[:, None].repeat(1, 3)}
    columns = {"ground_truth": np.array(["x"] * 8, object), "domain": np.array(["math"] * 8, object)}
    answer = worker.compute_rewards(DataProto(batch, columns))
    kept = [one for one in EXPECTED if one is not None]
    assert answer.meta_info["metrics"].keys() == {f"assay/{name}" for name in KEYS}
    assert answer.meta_info["metrics"]["assay/aspect/main.half"] == pytest.approx(sum(kept) / len(kept) / 2)
    told = answer.batch
    np.testing.assert_allclose(told["scores"].numpy(), STATED, rtol=1e-6)
    assert torch.equal(told["scores"], told["response_level_rewards"])
    assert told["token_level_rewards"].shape == (8, 3)


def test_verifiers_leaves_a_broken_rollout_out_of_its_group(server: str, modules: Any) -> None:
    install_verifiers(modules)
    rubric = verifiers.rubric(Recipe.loads(recipe()), server, max_missing=1.0)
    states: list[dict[str, Any]] = [
        {
            "prompt": "p",
            "completion": text,
            "answer": "x",
            "info": {},
            "trajectory": [{"advantage": None, "reward": None}],
        }
        for text in TEXTS
    ]
    asyncio.run(rubric.score_group(states))
    kept = [one for one in EXPECTED if one is not None]
    for state, expected in zip(states, EXPECTED, strict=True):
        assert ("error" in state) == (expected is None)
        assert state["reward"] == (0.0 if expected is None else expected)
        centred = 0.0 if expected is None else expected - sum(kept) / len(kept)
        assert state["advantage"] == pytest.approx(centred, rel=1e-6, abs=1e-12)
        assert state["trajectory"][0]["advantage"] == state["advantage"]
        assert state["metrics"].keys() == KEYS
        assert state["metrics"]["aspect/main.half"] == (0.0 if expected is None else expected / 2)
    assert normalised(EXPECTED, 1e-4).shape == (8,)
