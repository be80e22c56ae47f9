"""Real model outputs through server processes, a client and advantages."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest

from reward_servers.supervisor import ServerProcess, Supervisor
from trainer_client import AsyncRewardClient, Recipe, Rollout, read_rollouts

_DATA = Path(__file__).parents[1] / "data" / "math"
_MATH = Recipe.loads('[rewards.correct]\nverifier = "math"\n')
_GATED = Recipe.loads(
    """
    advantage = [{ name = "dynamic_sampling" }, { name = "gdpo" }]
    [servers.rules]
    verifiers = ["exact", "format"]
    [rewards.tags]
    verifier = "format"
    options = { tags = ["answer"] }
    gate = { at_least = 1.0, closed = -1.0 }
    [rewards.right]
    verifier = "exact"
    options = { take = "tag" }
    weight = 2.0
    """
)


@pytest.fixture
async def math_client() -> AsyncIterator[AsyncRewardClient]:
    async with (
        Supervisor([ServerProcess("math", ("math",), workers=2)]) as servers,
        AsyncRewardClient(_MATH, servers.endpoints) as client,
    ):
        yield client


@pytest.mark.parametrize(("name", "share"), [("gsm8k_rollouts", 0.999), ("math_rollouts", 0.995)])
async def test_real_responses_agree_with_public_labels(math_client: AsyncRewardClient, name: str, share: float) -> None:
    rollouts = read_rollouts(_DATA / f"{name}.jsonl").rollouts
    labels = np.array([one.expected["score"] for one in rollouts if one.expected is not None])
    table = await math_client.score(rollouts)
    assert table.valid.all()
    assert np.mean(table.scores[:, 0] == labels) >= share
    groups = np.array(table.group_ids)
    for group in np.unique(groups)[:50]:
        rewards, advantages = table.rewards[groups == group], table.advantages[groups == group]
        expected = np.zeros_like(rewards) if np.ptp(rewards) == 0 else (rewards - rewards.mean())
        assert np.array_equal(np.sign(advantages), np.sign(np.round(expected, 12)))


async def test_a_closed_gate_and_the_weights_reach_methods_that_take_the_rewards_apart() -> None:
    responses = ["<answer>4</answer>", "<answer>5</answer>", "4", "<answer>4</answer>"]
    rollouts = [
        Rollout(str(place), prompt="2+2?", response=text, group_id="g", reference={"answer": "4"})
        for place, text in enumerate(responses)
    ]
    async with (
        Supervisor([ServerProcess("rules", ("exact", "format"), workers=1)]) as servers,
        AsyncRewardClient(_GATED, servers.endpoints) as client,
    ):
        table = await client.score(rollouts)
    assert table.rewards.tolist() == [3.0, 1.0, -1.0, 3.0]
    tags, right = np.array([1.0, 1.0, -1.0, 1.0]), np.array([1.0, 0.0, 0.0, 1.0])
    parts = [(column - column.mean()) / (column.std(ddof=1) + 1e-4) for column in (tags, right)]
    joined = parts[0] + 2.0 * parts[1]
    expected = (joined - joined.mean()) / (joined.std(ddof=1) + 1e-4)
    np.testing.assert_allclose(table.advantages, expected, rtol=1e-9)
