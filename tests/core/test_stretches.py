"""Rollouts that workers read by themselves: what becomes of them is what becomes of all others."""

from __future__ import annotations

import asyncio
import os
import signal
from dataclasses import replace

import pytest

from reward_servers.core import Fault, ItemLimits, Outcome, PlainVerdicts, Result, Scorer, Skip, Verifier
from tests.core.helpers import PATIENCE, AsBytes, Asked, as_fault, as_verdict, group, request, scoring
from tests.core.unruly import pid, unruly


def _unkept(verifier: Verifier) -> Verifier:
    """The verifier, whose verdicts are never looked up: the server needs nothing of its rollouts."""
    return replace(verifier, deterministic=False)


class _Judged:
    """A call whose rollouts come as bytes, and what it has delivered."""

    def __init__(self, scorer: Scorer, asked: Asked, *, hungry: bool = False) -> None:
        self.results: dict[int, Result] = {}
        self.together = 0
        self.source = AsBytes(asked.groups)
        if hungry:
            self.source.reader = "tests.core.helpers:read_where_nothing_was_judged"
        rollouts = sum(map(len, asked.groups))
        hold = scorer.admission.hold(100 * rollouts)
        self.call = scorer.open(
            asked.request, self._take, rollouts, hold, plain=self._take_plain, longest=10 * rollouts + 100
        )
        assert all(self.call.in_stretches)
        self.call.add(asked.groups, source=self.source)

    def _take(self, position: int, result: Result) -> None:
        assert position not in self.results
        self.results[position] = result

    def _take_plain(self, verdicts: PlainVerdicts) -> None:
        self.together += len(verdicts.positions)
        for position, result in verdicts.results():
            self._take(position, result)

    async def outcomes(self) -> list[Outcome]:
        await asyncio.wait_for(self.call.wait(), PATIENCE)
        return [self.results[position].outcome for position in sorted(self.results)]


async def test_quick_items_are_settled_together_and_never_looked_at() -> None:
    async with scoring(_unkept(unruly)) as scorer:
        for tries in range(1, 100):
            judged = _Judged(scorer, request("test/unruly", group(*["fine"] * 100), group(*["fine"] * 3, name="h")))
            assert [as_verdict(one).score for one in await judged.outcomes()] == [1.0] * 103
            assert scorer.stats.verifiers["test/unruly"].total("verdict") == tries * 103
            assert scorer.admission.items == 0
            # On a busy machine an item may wait long enough to be given to another worker, or told as slow.
            if judged.together == 103 and not judged.source.looked_at:
                return
    raise AssertionError("items are looked at")


async def test_every_misbehaviour_has_its_own_outcome_and_costs_no_neighbour() -> None:
    bad = {
        "raise": "verifier_error",
        "exit": "verifier_error",
        "spin": "limit",
        "abort": "crashed_verifier",
        "memory": "limit",
        "recurse": "limit",
        "number nan": "invalid_score",
        "number 7": "invalid_score",
        "sleep": "wall_limit",
        "fault": "down",
    }
    texts = [text for one in bad for text in (one, *["fine"] * 7)]
    patient = _unkept(replace(unruly, limits=replace(unruly.limits, wall_s=8.0)))
    async with scoring(patient) as scorer:
        found = await _Judged(scorer, request("test/unruly", group(*texts))).outcomes()
    said = [one.code if not isinstance(one, Skip) else one.reason.value for one in found]
    assert said == [bad.get(text, "accepted") for text in texts]
    assert {type(one) for text, one in zip(texts, found, strict=True) if bad.get(text) == "verifier_error"} == {Fault}


async def test_memory_that_other_items_have_left_behind_is_not_counted_against_a_candidate() -> None:
    texts = [*(f"leak {number}" for number in range(60)), "memory", "fine"]
    async with scoring(_unkept(unruly)) as scorer:
        *leaks, exhausting, fine = await _Judged(scorer, request("test/unruly", group(*texts))).outcomes()
    assert {(as_verdict(one).code, as_verdict(one).score) for one in (*leaks, fine)} == {("accepted", 1.0)}
    assert (as_verdict(exhausting).code, as_verdict(exhausting).score) == ("limit", -1.0)


async def test_a_chunk_that_cannot_be_read_for_what_others_left_is_read_elsewhere() -> None:
    """Reading takes memory too: what it lacks was taken by earlier items, and a worker without any is replaced."""
    async with scoring(_unkept(unruly), workers=1) as scorer:
        first = _Judged(scorer, request("test/unruly", group("fine")))
        await first.outcomes()
        judged = _Judged(scorer, request("test/unruly", group(*["fine"] * 9)), hungry=True)
        found = await judged.outcomes()
    assert {as_verdict(one).score for one in found} == {1.0}


@pytest.mark.parametrize("delay", [0.0, 0.002, 0.02])
async def test_a_worker_that_is_stopped_for_a_moment_loses_no_item(delay: float) -> None:
    patient = _unkept(replace(pid, limits=ItemLimits(wall_s=600.0)))
    async with scoring(patient, workers=1) as scorer:
        (executor,) = scorer.hosting.owned
        (worker,) = [one.pid for one in executor._workers]  # type: ignore[attr-defined]
        judged = _Judged(scorer, request("test/pid", group(*["0.001"] * 64)))
        await asyncio.sleep(delay)
        os.kill(worker, signal.SIGSTOP)
        await asyncio.sleep(0.3)
        os.kill(worker, signal.SIGCONT)
        assert [as_verdict(one).score for one in await judged.outcomes()] == [1.0] * 64


async def test_a_worker_that_is_killed_costs_no_item() -> None:
    async with scoring(_unkept(pid), workers=1) as scorer:
        (executor,) = scorer.hosting.owned
        judged = _Judged(scorer, request("test/pid", group(*["0.005"] * 40)))
        await asyncio.sleep(0.05)
        (worker,) = [one.pid for one in executor._workers]  # type: ignore[attr-defined]
        os.kill(worker, signal.SIGKILL)
        assert [as_verdict(one).score for one in await judged.outcomes()] == [1.0] * 40


async def test_a_deadline_skips_what_is_not_done_and_frees_the_worker() -> None:
    roomy = _unkept(replace(unruly, limits=replace(unruly.limits, wall_s=600.0)))
    async with scoring(roomy, workers=1) as scorer:
        asked = request("test/unruly", group("sleep 600", *["fine"] * 9), timeout=0.5)
        found = await _Judged(scorer, asked).outcomes()
        assert isinstance(found[0], Skip)
        (fine,) = await _Judged(scorer, request("test/unruly", group("fine"))).outcomes()
    assert as_verdict(fine).score == 1.0


async def test_a_call_that_is_closed_leaves_nothing_behind() -> None:
    roomy = _unkept(replace(unruly, limits=replace(unruly.limits, wall_s=600.0)))
    async with scoring(roomy, workers=1) as scorer:
        (executor,) = scorer.hosting.owned
        judged = _Judged(scorer, request("test/unruly", group("sleep 600", *["fine"] * 200)))
        judged.call.close()
        assert scorer.admission.items == 0
        (fine,) = await _Judged(scorer, request("test/unruly", group("fine"))).outcomes()
        assert len(executor._queue) == 0  # type: ignore[attr-defined]
    assert as_verdict(fine).score == 1.0
    assert not judged.results


async def test_no_worker_at_all_is_a_fault_of_each_item() -> None:
    async with scoring(_unkept(unruly), workers=1) as scorer:
        (executor,) = scorer.hosting.owned
        for worker in list(executor._workers):  # type: ignore[attr-defined]
            worker.ready = False
        judged = _Judged(scorer, request("test/unruly", group(*["fine"] * 5)))
        executor._start_failures = 2  # type: ignore[attr-defined]
        executor._start_failed(worker, 1)  # type: ignore[attr-defined]
        found = await judged.outcomes()
    assert {as_fault(one).code for one in found} == {"workers_unavailable"}
