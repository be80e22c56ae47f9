"""What an item leaves in its worker, and what it says that cannot be read: no other item pays, and it is no score."""

from __future__ import annotations

import asyncio
import sys
from dataclasses import replace

import pytest

from tests.core.careless import CarelessBatch, careless, careless_loop, careless_quick, endless, talkative
from tests.core.helpers import as_fault, as_verdict, group, outcomes, request, scored, scoring
from tests.typed import declared

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="processes are looked at as Linux shows them")


@pytest.mark.parametrize("left", ["thread", "process"])
async def test_what_an_item_leaves_computing_is_not_counted_as_the_time_of_the_next(left: str) -> None:
    async with scoring(careless, workers=1) as scorer:
        first, innocent, spinning = await outcomes(
            scorer, request("test/careless", group(left, "sleep 4", "busy 30", name=left))
        )
    assert (as_verdict(first).score, as_verdict(innocent).score) == (1.0, 1.0)
    assert (as_verdict(spinning).code, as_verdict(spinning).score) == ("limit", 0.0)


@pytest.mark.parametrize("left", ["thread", "process"])
async def test_a_worker_in_which_something_computes_for_ever_is_replaced_and_counted(left: str) -> None:
    async with scoring(careless, workers=1) as scorer:
        (executor,) = scorer.hosting.owned
        (found,) = await outcomes(scorer, request("test/careless", group(left)))
        async with asyncio.timeout(60):
            while executor.workers != (1, 1) or not scorer.stats.worker_deaths:  # type: ignore[attr-defined]
                await asyncio.sleep(0.02)
        fine = await outcomes(scorer, request("test/careless", group(*["fine"] * 3)))
    assert [as_verdict(one).score for one in (found, *fine)] == [1.0] * 4
    assert scorer.stats.worker_deaths == {("shared", "left"): 1}


async def test_a_worker_whose_thread_waits_is_kept() -> None:
    async with scoring(careless, workers=1) as scorer:
        for text in ("waiting thread", "fine", "fine"):
            assert as_verdict((await outcomes(scorer, request("test/careless", group(text))))[0]).score == 1.0
    assert scorer.stats.worker_deaths == {}


@pytest.mark.parametrize("where", ["evidence", "feedback", "note"])
async def test_what_is_said_of_a_score_is_cut_and_changes_neither_the_score_nor_what_is_blamed(
    where: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with scoring(talkative, workers=1) as scorer:
        found = await outcomes(scorer, request("test/talkative", group("fine", f"{where} 8000000", f"{where} 1000")))
    assert [as_verdict(one).score for one in found] == [1.0] * 3
    cut, whole = (len(getattr(as_verdict(one), where)) for one in found[1:])
    assert 1000 <= whole < 65_000 < cut < 1 << 20
    assert scorer.stats.worker_deaths == {}
    assert not caplog.records


async def test_what_an_item_says_beyond_all_memory_is_its_own_doing(caplog: pytest.LogCaptureFixture) -> None:
    async with scoring(endless, workers=1) as scorer:
        found = await outcomes(scorer, request("test/endless", group(*["fine"] * 256)))
    assert {(as_verdict(one).code, as_verdict(one).note) for one in found} == {("limit", "memory limit")}
    assert "other items" not in caplog.text


@pytest.mark.parametrize(
    ("left", "next_one"), [("alarm", "sleep 0.6"), ("virtual", "busy 0.2"), ("profile", "busy 0.2")]
)
async def test_a_timer_that_an_item_leaves_interrupts_no_other(left: str, next_one: str) -> None:
    async with scoring(careless, workers=1) as scorer:
        found = await outcomes(scorer, request("test/careless", group(left, *[next_one] * 2)))
    assert [as_verdict(one).score for one in found] == [1.0] * 3


async def test_the_cpu_limit_holds_after_an_item_that_has_ended_its_timer() -> None:
    async with scoring(careless, workers=1) as scorer:
        _, spinning, fine = await outcomes(scorer, request("test/careless", group("profile", "busy 30", "fine")))
    assert (as_verdict(spinning).code, as_verdict(fine).score) == ("limit", 1.0)


@pytest.mark.parametrize("one", [careless, careless_loop])
async def test_what_cannot_be_written_or_counted_is_a_fault_or_nothing_and_never_a_score(one: object) -> None:
    verifier = declared(one)
    async with scoring(verifier, workers=1) as scorer:
        results = await scored(scorer, request(verifier.name, group("unwritable", "closing", "spent", "fine")))
    unwritable, closing, spent, fine = (result.outcome for result in results)
    assert (as_fault(unwritable).code, as_fault(closing).code) == ("verifier_error", "verifier_error")
    assert (as_verdict(spent).score, as_verdict(fine).score) == (1.0, 1.0)
    usage = results[2].usage
    assert usage is not None
    assert (usage.upstream_calls, usage.input_tokens, usage.output_tokens, usage.cost) == (3, 0, 0, 0.0)


async def test_a_coroutine_that_cancels_its_own_task_costs_no_other_item() -> None:
    texts = ["cancel", "fine", "cancel and return", *["fine"] * 3]
    async with scoring(replace(careless_loop, concurrency=1)) as scorer:
        cancelled, *others = await outcomes(scorer, request("test/careless-loop", group(*texts)))
    assert as_fault(cancelled).code == "verifier_error"
    assert [as_verdict(one).score for one in others] == [1.0] * 5


async def test_what_is_judged_at_once_may_raise_anything() -> None:
    async with scoring(careless_quick) as scorer:
        unwritable, closing, fine = await outcomes(
            scorer, request("test/careless-quick", group("unwritable", "closing", "fine"))
        )
    assert (as_fault(unwritable).code, as_fault(closing).code) == ("verifier_error", "verifier_error")
    assert as_verdict(fine).score == 1.0


async def test_a_batch_whose_scores_cannot_be_read_is_judged_without_them() -> None:
    texts = ["prepared", "code", "spent", "fine"]
    async with scoring(declared(CarelessBatch)) as scorer:
        prepared, code, spent, fine = await outcomes(scorer, request("test/careless-batch", group(*texts)))
        alone = await outcomes(scorer, request("test/careless-batch", group("places", "fine", name="h")))
    assert (as_fault(prepared).code, as_fault(code).code) == ("verifier_error", "verifier_error")
    assert (as_verdict(spent).score, as_verdict(fine).score) == (1.0, 1.0)
    # Keys are no scores: the batch is judged in halves until the one that answers so is alone.
    assert (as_fault(alone[0]).code, as_verdict(alone[1]).score) == ("verifier_error", 1.0)
