"""When missing scores end a run: by their share of at least 64, or of fewer where five are missing."""

from __future__ import annotations

import logging
import pickle
from dataclasses import replace

import numpy as np
import pytest

from trainer_client import AsyncRewardClient, IncompleteBatchError, Recipe, RewardClient, Rollout, ScoreTable
from trainer_client.result.missing import MissingWindow
from trainer_client.testing import FakeServer, Fault, Item

RECIPE = Recipe.loads('max_missing = 0.2\nadvantage = "none"\n[rewards.judged]\nverifier = "judge"')


def script(item: Item) -> float | Fault:
    return Fault("judge_unavailable") if item.response == "lost" else 1.0


def batch(lost: int, scored: int, step: int = 0) -> list[Rollout]:
    texts = ["lost"] * lost + ["fine"] * scored
    return [Rollout(f"s{step}-{n}", "q", text, group_id=f"g{step}") for n, text in enumerate(texts)]


# For each step: how many are lost, how many scored, and whether the run ends.
RUNS = [
    # One fault in four rows is no rate, however often it comes at that distance.
    *[[(1, 3, False)] + [(0, 4, False)] * 15 + [(1, 3, False)]],
    # A source that is down is seen within five.
    [(4, 0, False), (1, 3, True)],
    [(2, 2, False), (2, 2, False), (1, 3, True)],
    # Five among many are not too many.
    [(0, 60, False), (5, 0, False)],
    # A large batch is judged alone: what came before neither excuses nor condemns it.
    [(0, 1000, False), (13, 51, True)],
    [(4, 0, False), (0, 64, False), (4, 60, False)],
    # What happened long ago is forgotten.
    [(4, 0, False), *[(0, 8, False)] * 16, (1, 3, False)],
]


@pytest.mark.parametrize("run", RUNS, ids=str)
def test_a_run_ends_by_a_rate_and_not_by_one_fault(run: list[tuple[int, int, bool]]) -> None:
    with FakeServer({"judge": script}) as server, RewardClient(RECIPE, server.address) as client:
        for step, (lost, scored, ends) in enumerate(run):
            rollouts = batch(lost, scored, step)
            if not ends:
                table = client.score(rollouts, step=step)
                assert int(table.mask.sum()) == scored
                continue
            with pytest.raises(IncompleteBatchError, match=r"'judged': .*max_missing = 20.0%.*judge_unavailable"):
                client.score(rollouts, step=step)


def test_a_table_asked_twice_is_counted_once() -> None:
    with FakeServer({"judge": script}) as server, RewardClient(RECIPE, server.address) as client:
        client.score(batch(3, 1))
        with pytest.raises(IncompleteBatchError) as caught:
            client.score(batch(2, 2, 1))
        for _ in range(2):
            with pytest.raises(IncompleteBatchError, match=r"\(5 of 8 lately\)"):
                _ = caught.value.table.rewards


async def test_groups_of_a_stream_are_counted_together() -> None:
    with FakeServer({"judge": script}) as server:
        async with AsyncRewardClient(RECIPE, server.address) as client:
            groups = [batch(2, 2, step) for step in range(4)]
            ended = 0
            async for table in client.stream(groups):
                try:
                    _ = table.rewards
                except IncompleteBatchError:
                    ended += 1
    assert ended == 2


def test_a_reward_without_any_score_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    with (
        FakeServer({"judge": script}) as server,
        RewardClient(replace(RECIPE, max_missing=1.0), server.address) as client,
        caplog.at_level(logging.WARNING, "trainer_client"),
    ):
        tables = [client.score(batch(2, 0, step)) for step in range(2)]
        assert not ScoreTable.concat(tables).mask.any()
        # Once, and again after some were there.
        assert [one.getMessage() for one in caplog.records if one.name == "trainer_client"] == [
            "'judged': none of 2 scores is there. First fault: 's0-0', judged: judge_unavailable: as scripted"
        ]
        client.score(batch(2, 1, 2))
        client.score(batch(2, 0, 3))
    assert sum(one.name == "trainer_client" for one in caplog.records) == 2


def test_each_reward_has_a_window_of_its_own_and_a_copy_begins_with_none() -> None:
    window = MissingWindow()
    for _ in range(4):
        needed, missing = window.add(np.array([1, 16]), np.array([1, 0]))
    assert (needed.tolist(), missing.tolist()) == ([0, 64], [0, 0])
    needed, missing = window.add(np.array([1, 64]), np.array([1, 2]))
    assert (needed.tolist(), missing.tolist()) == ([5, 64], [5, 2])
    copy = pickle.loads(pickle.dumps(window))
    assert copy.add(np.array([1, 1]), np.array([1, 1]))[0].tolist() == [0, 0]
