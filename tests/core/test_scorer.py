"""Requests: what is refused, joined, cached, skipped and counted."""

from __future__ import annotations

import asyncio
import gc
import json
import time
import weakref
from dataclasses import replace

import pytest

from reward_servers.core import (
    Evaluation,
    ItemLimits,
    Outcome,
    OverloadedError,
    Party,
    Request,
    RequestError,
    Result,
    Rollout,
    ServerLimits,
    SkipReason,
    Usage,
    Verdict,
    VerifierId,
    item_seed,
)
from tests.core import asked_twice, unruly
from tests.core.helpers import Asked, as_fault, as_skip, as_verdict, group, opened, outcomes, request, scored, scoring

_REFERENCE = b'{"answer": "a"}'


async def test_results_come_in_the_order_of_rollouts_then_evaluations() -> None:
    asked = Asked(
        [group("a", "b", reference=_REFERENCE)],
        Request([Evaluation("test/equal"), Evaluation("test/equal", options=b'{"marks": 0.25}')]),
    )
    async with scoring(unruly.equal) as scorer:
        assert [as_verdict(one).score for one in await outcomes(scorer, asked)] == [1.0, 0.25, 0.0, 0.0]


@pytest.mark.parametrize(
    ("evaluation", "kind", "words"),
    [
        (Evaluation("test/nobody"), "not_found", "'test/nobody' is not hosted here"),
        (Evaluation("test/equal", version="2"), "precondition", "version 3"),
        (Evaluation("test/equal", digest="sha256:0"), "precondition", "another replica"),
        (Evaluation("test/equal", options=b'{"endpoint": "x"}'), "invalid", "options.endpoint: there is no such field"),
        (Evaluation("test/equal", options=b'{"marks": "many"}'), "invalid", "options.marks"),
        (Evaluation("test/equal", options=b"{"), "invalid", "options"),
        (Evaluation("test/counted", options=b'{"a": 1}'), "invalid", "takes none"),
    ],
)
async def test_a_wrong_evaluation_is_refused_alone_and_is_a_fault_beside_a_right_one(
    evaluation: Evaluation, kind: str, words: str
) -> None:
    async with scoring(unruly.equal, asked_twice.counted) as scorer:
        with pytest.raises(RequestError, match=words) as refused:
            await outcomes(scorer, Asked([group("a", reference=_REFERENCE)], Request([evaluation])))
        assert refused.value.kind == kind
        both = Asked([group("a", reference=_REFERENCE)], Request([evaluation, Evaluation("test/equal")]))
        wrong, right = await outcomes(scorer, both)
    assert as_fault(wrong).party is Party.CALLER
    assert as_verdict(right).score == 1.0


async def test_equal_items_in_flight_run_once_and_survive_the_first_caller() -> None:
    asked_twice.CALLS.clear()
    async with scoring(asked_twice.counted) as scorer:
        first = opened(scorer, request("test/counted", group("x")))
        second = asyncio.create_task(scored(scorer, request("test/counted", group("x"))))
        await asyncio.sleep(0)
        first.close()
        (joined,) = await second
        (cached,) = await scored(scorer, request("test/counted", group("x")))
    assert asked_twice.CALLS == ["x"]
    assert as_verdict(joined.outcome).score == 1.0
    assert cached.cached


async def test_the_cache_tells_everything_apart_that_a_verifier_is_shown() -> None:
    asked_twice.CALLS.clear()
    async with scoring(asked_twice.counted) as scorer:
        for one in (group("x"), group("x", reference=b"{}"), group("y")):
            await scored(scorer, request("test/counted", one))
        (again,) = await scored(scorer, request("test/counted", group("x", name="another name")))
    assert asked_twice.CALLS == ["x", "x", "y"]
    assert again.cached


async def test_faults_are_never_cached() -> None:
    async with scoring(unruly.unruly) as scorer:
        for _ in range(2):
            (result,) = await scored(scorer, request("test/unruly", group("fault")))
            assert as_fault(result.outcome).code == "down"
            assert not result.cached


async def test_a_stochastic_verdict_is_found_again_only_by_its_own_call() -> None:
    async with scoring(unruly.pid) as scorer:
        asked = [request("test/pid", group("0"), request_id=name) for name in ("r1", "r1", "r2")]
        found = [(await scored(scorer, one))[0] for one in asked]
    assert [one.cached for one in found] == [False, True, False]


async def test_the_seed_follows_from_run_rollout_and_verifier_alone() -> None:
    async with scoring(unruly.wait) as scorer:
        alone = await outcomes(scorer, request("test/wait", group("0"), seed=5))
        among = await outcomes(scorer, request("test/wait", group("0", "0", "0"), seed=5))
        other = await outcomes(scorer, request("test/wait", group("0"), seed=6))
    seeds = [json.loads(as_verdict(one).evidence)["seed"] for one in (alone[0], among[0], other[0])]
    assert seeds[0] == seeds[1] == item_seed(5, "g-0", "test/wait")
    assert seeds[2] != seeds[0]


async def test_a_deadline_skips_what_is_not_finished_and_stops_it() -> None:
    patient = replace(unruly.wait, limits=ItemLimits(wall_s=600.0))
    async with scoring(patient) as scorer:
        # On a busy machine a deadline may pass before anything is judged; then there is more time.
        for seconds in (0.3, 3.0, 30.0):
            unruly.CANCELLED.clear()
            quick, slow = await outcomes(scorer, request("test/wait", group("0", "500"), timeout=seconds))
            assert as_skip(slow).reason is SkipReason.DEADLINE
            if isinstance(quick, Verdict):
                break
        async with asyncio.timeout(60):
            while scorer.admission.items or not unruly.CANCELLED:
                await asyncio.sleep(0.01)
    assert as_verdict(quick).score == 1.0
    assert unruly.CANCELLED == ["500"]


async def test_waiting_too_long_on_the_loop_is_a_fault_of_that_item() -> None:
    async with scoring(unruly.wait) as scorer:
        long, short = await outcomes(scorer, request("test/wait", group("30", "0")))
    assert as_fault(long).code == "wall_limit"
    assert as_verdict(short).score == 1.0


async def test_time_in_which_the_loop_stands_still_is_no_items() -> None:
    """As where the whole process is stopped, or short of a processor: the limit of a second passes meanwhile."""
    async with scoring(unruly.wait) as scorer:
        call = asyncio.create_task(outcomes(scorer, request("test/wait", group("0.3", "30"))))
        await asyncio.sleep(0.1)
        time.sleep(1.5)
        short, long = await call
    assert as_verdict(short).score == 1.0
    assert as_fault(long).code == "wall_limit"


async def test_what_a_coroutine_raises_is_its_own_items_fault_even_when_it_is_no_exception() -> None:
    async with scoring(unruly.abrupt) as scorer:
        texts = ("exit", "interrupt", "cancelled", "group", "fine")
        *raised, fine = await outcomes(scorer, request("test/abrupt", group(*texts)))
    assert [as_fault(one).code for one in raised] == ["verifier_error"] * 4
    assert as_verdict(fine).score == 1.0


async def test_a_coroutine_that_swallows_its_cancellation_costs_its_own_item_alone() -> None:
    async with scoring(unruly.stubborn) as scorer:
        stubborn, fine = await outcomes(scorer, request("test/stubborn", group("stubborn", "fine")))
        left = await outcomes(scorer, request("test/stubborn", group("stubborn", "fine"), timeout=0.1))
        after = await outcomes(scorer, request("test/stubborn", group("fine")))
    assert as_fault(stubborn).code == "wall_limit"
    assert {as_verdict(one).score for one in (fine, *after)} == {1.0}
    assert {as_skip(one).reason for one in left} == {SkipReason.DEADLINE}


async def test_more_items_than_runners_are_all_judged() -> None:
    async with scoring(unruly.wait) as scorer:
        found = await outcomes(scorer, request("test/wait", group(*["0.01"] * 50)))
    assert len(found) == 50
    assert {as_verdict(one).score for one in found} == {1.0}


async def test_a_full_server_refuses_calls_and_skips_items_of_streams() -> None:
    limits = ServerLimits(max_items=4)
    async with scoring(unruly.wait, limits=limits) as scorer:
        first = opened(scorer, request("test/wait", group("0.2", "0.2", "0.2")))
        with pytest.raises(OverloadedError) as full:
            opened(scorer, request("test/wait", group("0", "0")))
        assert full.value.retry_after > 0
        skipped: list[Result] = []
        asked = request("test/wait", group("0", "0"))
        opened(scorer, asked, lambda position, result: skipped.append(result), partial=True)
        with pytest.raises(RequestError, match="the limit is 4"):
            opened(scorer, request("test/wait", group(*"00000")))
        await first.wait()
        assert scorer.admission.items == 0
    assert [as_skip(one.outcome).reason for one in skipped] == [SkipReason.OVERLOADED] * 2


async def test_group_verifiers_judge_whole_groups_only() -> None:
    async with scoring(unruly.rank) as scorer:
        whole = await outcomes(scorer, request("test/rank", group("a", "bbb", "cc")))
        part = await outcomes(scorer, request("test/rank", group("a", "bbb", size=3)))
    assert [as_verdict(one).score for one in whole] == [0.0, 1.0, 0.5]
    assert {as_fault(one).code for one in part} == {"incomplete_group"}


async def test_a_verifier_asks_another_and_records_which() -> None:
    async with scoring(unruly.ask, unruly.equal) as scorer:
        right, wrong = await outcomes(scorer, request("test/ask", group("a", "b", reference=_REFERENCE)))
        (fault,) = await outcomes(scorer, request("test/ask", group("a")))
        digest = scorer.hosted["test/equal"].identity.digest
    assert (as_verdict(right).score, as_verdict(wrong).score) == (0.5, 0.0)
    used = json.loads(as_verdict(right).evidence)["used"]
    assert used == {"test/equal": {"version": "3", "digest": digest}}
    assert (as_fault(fault).party, as_fault(fault).code) == (Party.DATASET, "missing_reference")


class _There:
    """Another server with one verifier, which may be upgraded at any moment."""

    def __init__(self) -> None:
        self.version, self.asked = 1, 0

    def get(self, name: str) -> _There | None:
        return self if name == "test/there" else None

    async def score(
        self, rollout: Rollout, options: bytes, seed: int, remaining: float | None
    ) -> tuple[Outcome, VerifierId, Usage]:
        self.asked += 1
        return Verdict(float(self.version == 1), ""), VerifierId("test/there", str(self.version), ""), Usage()

    async def close(self) -> None: ...


@pytest.mark.parametrize("name", ["test/asks_one_there", "test/asks_one_that_asks"])
async def test_what_rests_on_another_server_follows_its_upgrade(name: str) -> None:
    there = _There()
    verifiers = (asked_twice.asks_one_there, asked_twice.asks_one_that_asks)
    async with scoring(*verifiers, remotes=there) as scorer:
        first = await outcomes(scorer, request(name, group("x")))
        there.version = 2
        second = await outcomes(scorer, request(name, group("x")))
    assert [as_verdict(one).score for one in (*first, *second)] == [1.0, 0.0]
    assert there.asked == 2


async def test_what_rests_on_verifiers_here_is_kept() -> None:
    async with scoring(asked_twice.asks_one_here, asked_twice.counted, remotes=_There()) as scorer:
        await outcomes(scorer, request("test/asks_one_here", group("x")))
        (again,) = await scored(scorer, request("test/asks_one_here", group("x")))
    assert again.cached


async def test_an_empty_request_ends_at_once() -> None:
    async with scoring(unruly.equal) as scorer:
        assert await outcomes(scorer, request("test/equal")) == []


async def test_a_group_is_judged_without_a_response_over_the_limit() -> None:
    short = replace(unruly.rank, limits=replace(unruly.rank.limits, response_bytes=4))
    async with scoring(short) as scorer:
        found = await outcomes(scorer, request("test/rank", group("a", "bbb", "ccccc", "dd")))
    assert [as_verdict(one).code for one in found] == ["wrong", "accepted", "limit", "partial"]


async def test_groups_added_after_the_deadline_are_skipped_too() -> None:
    results: dict[int, Result] = {}
    asked = request("test/wait", group("600"), timeout=0.01)
    async with scoring(unruly.wait) as scorer:
        call = scorer.open(asked.request, results.__setitem__, 3)
        call.add(asked.groups)
        await asyncio.sleep(0.05)
        call.add([group("0", "0")])
        await asyncio.wait_for(call.wait(), 60)
        assert scorer.admission.items == 0
    assert [as_skip(results[position].outcome).reason for position in range(3)] == [SkipReason.DEADLINE] * 3


@pytest.mark.parametrize("name", ["test/equal", "test/wait", "test/unruly"])
async def test_a_finished_call_leaves_nothing_to_the_garbage_collector(name: str) -> None:
    async with scoring(unruly.equal, unruly.wait, unruly.unruly) as scorer:
        asked = request(name, group("0", "0", reference=_REFERENCE))
        await scored(scorer, asked)
        gc.collect()
        gc.disable()
        try:
            call = opened(scorer, asked)
            await asyncio.wait_for(call.wait(), 60)
            gone = weakref.ref(call)
            del call
            await asyncio.sleep(0)
            assert gone() is None
        finally:
            gc.enable()
