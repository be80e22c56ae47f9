"""Scores arrive, whatever happens on the way."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tests.client.conftest import rollouts_of
from tests.client.scripted_server import Scripted
from trainer_client import (
    AsyncRewardClient,
    Batching,
    IncompleteBatchError,
    Outcome,
    Recipe,
    RecipeError,
    RequestRejectedError,
    Retries,
    Reward,
    Rollout,
    RolloutError,
)
from trainer_client.signals import MissingInputError

Serve = Callable[..., Any]


LENIENT = Recipe(rewards=(Reward("main", "echo"),), max_missing=1.0)


def script(**fields: Any) -> str:
    return json.dumps(fields)


async def until_cancelled(service: Scripted) -> None:
    """Wait until a server has heard that its calls are ended."""
    async with asyncio.timeout(60):
        while service.cancelled < service.stream_calls:
            await asyncio.sleep(0.01)


async def test_scores_arrive_in_the_order_of_the_rollouts(serve: Serve, recipe: Recipe) -> None:
    rollouts = rollouts_of([script(score=n / 100, delay_s=0.001 * (n % 3)) for n in range(60)])
    async with AsyncRewardClient(recipe, await serve(Scripted())) as client:
        table = await client.score(rollouts)
    np.testing.assert_array_equal(table.scores[:, 0], np.arange(60) / 100)
    assert table.valid.all()
    assert table.rollout_ids == [rollout.rollout_id for rollout in rollouts]
    assert {v.digest for v in table.versions[0]} == {"d1"}
    assert table.advantages.shape == (60,)
    np.testing.assert_allclose(table.advantages.reshape(-1, 4).sum(axis=1), 0, atol=1e-9)


async def test_what_a_verifier_said_can_be_read(serve: Serve, recipe: Recipe) -> None:
    async with AsyncRewardClient(recipe, await serve(Scripted())) as client:
        table = await client.score(rollouts_of([script(score=1.0)] * 4))
    cell = table.cell(1, "main")
    assert (cell.score, cell.code, cell.note, cell.outcome) == (1.0, "accepted", "said so", Outcome.VERDICT)
    assert cell.evidence == {"group": "rg0", "size": 4, "present": 4}
    assert cell.aspects == {"length": 14.0}
    assert cell.run_seconds == pytest.approx(20e-6)


async def test_faults_and_skips_are_no_scores(serve: Serve) -> None:
    recipe = Recipe(rewards=(Reward("main", "echo"),), max_missing=1.0)
    scripts = [
        script(score=1.0),
        script(score=0.0),
        script(fault="judge_unavailable", party="upstream"),
        script(fault="bad", party="dataset"),
    ]
    async with AsyncRewardClient(recipe, await serve(Scripted())) as client:
        table = await client.score(rollouts_of(scripts))
    assert table.valid[:, 0].tolist() == [True, True, False, False]
    assert np.isnan(table.scores[2:, 0]).all()
    assert table.parties[:, 0].tolist() == ["", "", "upstream", "dataset"]
    assert table.codes[2:, 0].tolist() == ["judge_unavailable", "bad"]
    assert np.isnan(table.rewards[2:]).all()
    assert table.advantages[2:].tolist() == [0.0, 0.0]
    assert table.cell(3, "main").message == "as scripted"


async def test_too_many_missing_scores_stop_the_run(serve: Serve, recipe: Recipe) -> None:
    scripts = [script(score=1.0), script(fault="judge_unavailable")] * 5
    async with AsyncRewardClient(recipe, await serve(Scripted())) as client:
        with pytest.raises(IncompleteBatchError, match="max_missing") as caught:
            await client.score(rollouts_of(scripts))
    assert caught.value.table.valid[:, 0].tolist() == [True, False] * 5
    assert "as scripted" in str(caught.value)


async def test_only_what_may_pass_is_sent_again(serve: Serve, quick: Retries) -> None:
    recipe = Recipe(rewards=(Reward("main", "echo"),), max_missing=1.0)
    service = Scripted()
    scripts = [
        script(fault="flaky", retryable=True, times=2, score=0.5),
        script(fault="flaky", retryable=True, score=0.5),
        script(fault="final", retryable=False, times=1, score=0.5),
        script(score=0.25),
    ]
    async with AsyncRewardClient(recipe, await serve(service), retries=quick) as client:
        table = await client.score(rollouts_of(scripts))
    assert table.codes[:, 0].tolist() == ["accepted", "flaky", "final", "accepted"]
    assert [service.asked[(f"r{n}", "echo")] for n in range(4)] == [3, 3, 1, 1]


async def test_retries_stay_within_the_budget(serve: Serve) -> None:
    recipe = Recipe(rewards=(Reward("main", "echo"),), max_missing=1.0)
    service = Scripted()
    retries = Retries(initial_backoff_s=0.001, budget_ratio=0.1, budget_floor=10)
    async with AsyncRewardClient(recipe, await serve(service), retries=retries) as client:
        table = await client.score(rollouts_of([script(fault="flaky", retryable=True)] * 400))
    assert set(table.codes[:, 0].tolist()) == {"flaky"}
    assert sum(service.asked.values()) - 400 <= 10 + 40


async def test_a_full_server_gets_its_items_later_and_loses_none(serve: Serve, recipe: Recipe, quick: Retries) -> None:
    service = Scripted()
    service.refusals = 2
    scripts = [script(score=n / 64, overloaded=n % 5) for n in range(64)]
    async with AsyncRewardClient(
        recipe, await serve(service), retries=quick, batching=Batching(max_items=16)
    ) as client:
        table = await client.score(rollouts_of(scripts))
    np.testing.assert_array_equal(table.scores[:, 0], np.arange(64) / 64)
    assert set(service.finished.values()) == {1}


async def test_a_straggler_does_not_hold_what_is_done(serve: Serve) -> None:
    scripts = [script(score=1.0), script(score=0.5, delay_s=3600.0)]
    service = Scripted()
    async with AsyncRewardClient(LENIENT, await serve(service)) as client:
        # A deadline may pass on a busy machine before anything is answered; then there is more time.
        for deadline_s in (0.5, 5.0, 50.0):
            hasty = client.with_recipe(
                Recipe(rewards=(Reward("main", "echo", deadline_s=deadline_s),), max_missing=1.0)
            )
            table = await hasty.score(rollouts_of(scripts))
            if table.valid.any():
                break
        assert table.codes[:, 0].tolist() == ["accepted", "deadline"]
        assert table.outcomes[1, 0] == Outcome.SKIP
        await until_cancelled(service)
    assert service.cancelled == service.stream_calls


async def test_a_single_rollout_is_answered_before_its_batch_is(serve: Serve, recipe: Recipe) -> None:
    service = Scripted()
    async with AsyncRewardClient(recipe, await serve(service)) as client:
        slow = client.submit(Rollout("slow", "p", script(score=0.5, delay_s=60.0)))
        fast = client.submit(Rollout("fast", "p", script(score=1.0)))
        scored = await fast
        assert scored.reward == 1.0
        assert not slow.done()
        assert len(service.requests) == 1
        slow.cancel()


async def test_a_broken_call_keeps_its_results_and_isolates_the_item(serve: Serve, quick: Retries) -> None:
    recipe = Recipe(rewards=(Reward("main", "echo"),), max_missing=0.1)
    services = [Scripted(), Scripted()]
    scripts = [script(score=n / 100) for n in range(100)]
    scripts[37] = script(**{"break": "INTERNAL"})
    addresses = [await serve(service) for service in services]
    async with AsyncRewardClient(recipe, addresses, retries=quick) as client:
        table = await client.score(rollouts_of(scripts))
    assert table.codes[37, 0] == "server_error"
    assert table.parties[37, 0] == "service"
    rest = np.arange(100) != 37
    np.testing.assert_array_equal(table.scores[rest, 0], np.arange(100)[rest] / 100)


async def test_a_result_that_never_comes_is_a_fault(serve: Serve) -> None:
    recipe = Recipe(rewards=(Reward("main", "echo"),), max_missing=1.0)
    async with AsyncRewardClient(recipe, await serve(Scripted())) as client:
        table = await client.score(rollouts_of([script(score=1.0), script(lost=True)]))
    assert table.codes[:, 0].tolist() == ["accepted", "invalid_reply"]


async def test_a_score_that_is_not_finite_is_a_fault(serve: Serve) -> None:
    recipe = Recipe(rewards=(Reward("main", "echo"),), max_missing=1.0)
    scripts = ['{"score": NaN}', '{"score": Infinity}', '{"score": 1.0}', '{"score": -Infinity}']
    async with AsyncRewardClient(recipe, await serve(Scripted())) as client:
        table = await client.score(rollouts_of(scripts))
    assert table.codes[:, 0].tolist() == ["invalid_reply", "invalid_reply", "accepted", "invalid_reply"]


async def test_work_is_spread_over_replicas(serve: Serve, recipe: Recipe) -> None:
    services = [Scripted(), Scripted(), Scripted()]
    addresses = [await serve(service) for service in services]
    async with AsyncRewardClient(recipe, addresses) as client:
        # In the first rounds some replica may not have been reached yet.
        for _ in range(6):
            await client.score(rollouts_of([script(score=1.0, delay_s=0.02)] * 300))
    counts = [sum(service.finished.values()) for service in services]
    assert sum(counts) == 1800
    assert min(counts) >= 200


async def test_rewards_of_one_server_travel_in_one_call(serve: Serve) -> None:
    recipe = Recipe.loads(
        """
        advantage = "none"
        [servers.both]
        verifiers = ["echo", "other"]
        [rewards.a]
        verifier = "echo"
        [rewards.b]
        verifier = "other"
        tasks = ["math"]
        weight = 0.5
        """
    )
    service = Scripted({"echo": "d1", "other": "d2"})
    rollouts = rollouts_of([script(score=1.0)] * 8)
    for rollout in rollouts[:4]:
        rollout.task = "math"
    async with AsyncRewardClient(recipe, {"both": await serve(service)}) as client:
        table = await client.score(rollouts)
    assert sorted([e.verifier for e in request.evaluations] for request in service.requests) == [
        ["echo"],
        ["echo", "other"],
    ]
    assert table.rewards.tolist() == [1.5] * 4 + [1.0] * 4
    assert table.codes[4:, 1].tolist() == ["not_asked"] * 4
    assert table.asked[:, 1].tolist() == [True] * 4 + [False] * 4


async def test_rollouts_that_no_reward_is_asked_of_have_no_reward(serve: Serve) -> None:
    recipe = Recipe(rewards=(Reward("main", "echo", tasks=("math",)),))
    rollouts = rollouts_of([script(score=1.0)] * 4)
    rollouts[0].task = rollouts[1].task = "math"
    async with AsyncRewardClient(recipe, await serve(Scripted())) as client:
        table = await client.score(rollouts)
        scored = await client.submit(rollouts[3])
    assert table.mask.tolist() == [True, True, False, False]
    assert np.isnan(table.rewards[2:]).all()
    assert scored.reward is None


@pytest.mark.parametrize(
    ("options", "verifier", "code", "said"),
    [
        ({"endpoint": "http://evil"}, "echo", "invalid_request", "options.endpoint"),
        ({}, "ecco", "unknown_verifier", "hosted are echo"),
    ],
)
async def test_a_wrong_request_names_what_is_wrong(
    serve: Serve, options: dict[str, str], verifier: str, code: str, said: str
) -> None:
    recipe = Recipe(rewards=(Reward("main", verifier, options=options),))
    async with AsyncRewardClient(recipe, await serve(Scripted())) as client:
        with pytest.raises(RequestRejectedError, match=said) as caught:
            await client.score(rollouts_of(["x"] * 4))
    assert caught.value.code == code
    assert caught.value.server == verifier


async def test_a_callers_fault_stops_the_batch_unless_the_recipe_says_otherwise(serve: Serve) -> None:
    scripts = [script(score=1.0), script(fault="invalid_options", party="caller")]
    async with AsyncRewardClient(Recipe(rewards=(Reward("main", "echo"),)), await serve(Scripted())) as client:
        with pytest.raises(RequestRejectedError) as caught:
            await client.score(rollouts_of(scripts))
        lenient = Reward("main", "echo", on_missing={"invalid_options": "mask"})
        patient = client.with_recipe(Recipe(rewards=(lenient,), max_missing=0.5))
        table = await patient.score(rollouts_of(scripts))
    assert caught.value.code == "invalid_options"
    assert table.parties[1, 0] == "caller"


async def test_a_version_that_changes_in_the_middle_of_a_run_is_not_mixed_in(
    serve: Serve, quick: Retries, recipe: Recipe
) -> None:
    old, new = Scripted({"echo": "d1"}), Scripted({"echo": "d1"})
    addresses = [await serve(old), await serve(new)]
    async with AsyncRewardClient(recipe, addresses, retries=quick, batching=Batching(max_items=16)) as client:
        await client.score(rollouts_of([script(score=1.0)] * 64))
        new.digests["echo"] = "d2"
        new.finished.clear()
        table = await client.score(rollouts_of([script(score=1.0)] * 64))
        assert table.valid.all()
        assert {v.digest for v in table.versions[0]} == {"d1"}
        assert not new.finished
        old.digests["echo"] = "d2"
        with pytest.raises(RequestRejectedError, match="pinned") as caught:
            await client.score(rollouts_of([script(score=1.0)] * 64))
        assert caught.value.code == "digest_mismatch"
    async with AsyncRewardClient(recipe, addresses, pin=False) as client:
        table = await client.score(rollouts_of([script(score=1.0)] * 64))
    assert {v.digest for v in table.versions[0]} == {"d2"}


async def test_a_retry_keeps_the_name_of_the_work(serve: Serve, recipe: Recipe, quick: Retries) -> None:
    service = Scripted()
    service.refusals = 1
    async with AsyncRewardClient(recipe, await serve(service), retries=quick) as client:
        await client.score(rollouts_of([script(score=1.0, overloaded=1)] * 4))
    assert len(service.requests) == 2
    assert len({request.request_id for request in service.requests}) == 1
    assert {r.index for request in service.requests for g in request.groups for r in g.rollouts} == set(range(4))


async def test_groups_are_judged_whole_or_not_at_all(serve: Serve, quick: Retries) -> None:
    recipe = Recipe(rewards=(Reward("main", "rank"),))
    service = Scripted({"rank": "d1"}, group_verifiers=("rank",))
    rollouts = rollouts_of([script(score=n / 24, overloaded=int(n == 5)) for n in range(24)], group=8)
    async with AsyncRewardClient(
        recipe, await serve(service), retries=quick, batching=Batching(max_items=4, group_timeout_s=0.2)
    ) as client:
        table = await client.score(rollouts)
        np.testing.assert_array_equal(table.scores[:, 0], np.arange(24) / 24)
        assert {len(g.rollouts) for request in service.requests for g in request.groups} == {8}
        with pytest.raises(RolloutError, match="group_size"):
            await client.submit(rollouts[0])
        scored = await asyncio.gather(*(client.submit(r, group_size=8) for r in rollouts[:8]))
        assert [s.reward for s in scored] == [n / 24 for n in range(8)]
        with pytest.raises(RolloutError, match="2 of 8"):
            await asyncio.gather(*(client.submit(r, group_size=8) for r in rollouts[:2]))
        streamed = [table async for table in client.stream(iter(rollouts), group_size=8)]
        assert sorted(t.group_ids[0] for t in streamed) == ["rg0", "rg1", "rg2"]


async def test_an_unreachable_server_is_a_fault_and_costs_the_others_nothing(serve: Serve) -> None:
    recipe = Recipe.loads(
        """
        max_missing = 1.0
        [rewards.a]
        verifier = "echo"
        [rewards.b]
        verifier = "gone"
        required = false
        """
    )
    endpoints = {"echo": await serve(Scripted()), "gone": "127.0.0.1:1"}
    # The one that answers is reached within the same patience.
    for patience_s in (0.3, 3.0, 30.0):
        async with AsyncRewardClient(recipe, endpoints, retries=Retries(unavailable_timeout_s=patience_s)) as client:
            table = await client.score(rollouts_of([script(score=1.0)] * 4))
        if table.valid.any():
            break
    assert table.valid.tolist() == [[True, False]] * 4
    assert set(table.codes[:, 1].tolist()) == {"unavailable"}
    assert "127.0.0.1:1" in table.cell(0, "b").message
    assert table.rewards.tolist() == [1.0] * 4


async def test_cancelling_a_batch_cancels_the_calls(serve: Serve, recipe: Recipe) -> None:
    service = Scripted()
    async with AsyncRewardClient(recipe, await serve(service)) as client:
        scoring = asyncio.create_task(client.score(rollouts_of([script(delay_s=60.0)] * 4)))
        await asyncio.to_thread(service.wait_for_items)
        scoring.cancel()
        with pytest.raises(asyncio.CancelledError):
            await scoring
        await until_cancelled(service)
    assert service.cancelled == 1


async def test_estimators_get_what_the_rollouts_hold(serve: Serve) -> None:
    recipe = Recipe(rewards=(Reward("a", "echo"),), advantage={"name": "overlong_filter"})
    rollouts = rollouts_of([script(score=n % 2) for n in range(4)])
    for n, rollout in enumerate(rollouts):
        rollout.finish_reason = "length" if n == 3 else "stop"
        rollout.token_ids = [1] * (n + 1)
    async with AsyncRewardClient(recipe, await serve(Scripted())) as client:
        table = await client.score(rollouts)
        assert table.signal.keep.tolist() == [True, True, True, False]
        with pytest.raises(RecipeError, match="remax reads baselines"):
            Recipe(rewards=(Reward("a", "echo"),), advantage={"name": "remax"})
        needy = Recipe(rewards=(Reward("a", "echo"),), advantage={"name": "remax"}, inputs={"baselines": "call"})
        table = await client.with_recipe(needy).score(rollouts)
        with pytest.raises(MissingInputError, match="baselines"):
            _ = table.advantages
        signal = table.estimate(baselines=[0.5] * 4)
    assert signal.token_advantages is not None
    assert signal.token_advantages[:, 0].tolist() == [-0.5, 0.5, -0.5, 0.5]
