"""The asynchronous loop learns from every group, and knows how stale its groups are."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.gateway.conftest import Processes
from trainer_client import Recipe, RewardClient, Rollout, RolloutError, ScoreTable

pytest.importorskip("torch")
pytest.importorskip("transformers")

from examples.streaming.loop import GROUP, GROUPS, train

RECIPE = Path(__file__).parents[2] / "examples/streaming/recipe.toml"


@pytest.fixture(scope="module")
def slow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    processes = Processes(tmp_path_factory.mktemp("slow"))
    yield processes.start("serve", "examples.streaming.verifiers:slow_letters", "--port", "0", "--workers", "1")
    processes.stop()


async def test_both_loops_train_on_every_group(slow: str) -> None:
    steps = 4
    in_turn = await train(RECIPE, slow, steps=steps, streaming=False)
    streaming = await train(RECIPE, slow, steps=steps, streaming=True)
    for told in (in_turn, streaming):
        assert len(told.means) == steps
        assert len(told.staleness) == steps * GROUPS * GROUP
    assert set(in_turn.staleness) == {0.0}
    assert (
        0 < max(streaming.staleness) <= 3
    )  # two batches may be on their way, and one that waits for its slowest group
    assert min(streaming.staleness) >= 0
    assert streaming.waited < in_turn.waited


def test_the_step_of_the_policy_is_a_column(server: str) -> None:
    def rollout(name: str, **more: Any) -> Rollout:
        return Rollout(name, "p", "2", group_id=f"g{name}", reference={"answer": "2"}, **more)

    recipe = Recipe.loads('[servers.rules]\nverifiers = ["exact"]\n[rewards.correct]\nverifier = "exact"\n')
    with RewardClient(recipe, server) as client:
        told = client.score([rollout("a", extra={"policy_step": 3}), rollout("b", extra={"policy_step": [5, 4]})])
        untold = client.score([rollout("c"), rollout("d", extra={"policy_step": None})])
        both = ScoreTable.concat([told, untold])
        with pytest.raises(RolloutError, match=r"policy_step: expected a whole number from 0, or a list of them"):
            client.score([rollout("e", extra={"policy_step": "3"})])
    assert told.policy_steps.tolist() == [3.0, 4.0]
    assert np.isnan(untold.policy_steps).all()
    assert both.policy_steps[:2].tolist() == [3.0, 4.0]
    assert np.isnan(both.policy_steps[2:]).all()
