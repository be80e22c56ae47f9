"""What waits for a device: who is judged with whom, in which order, and who is refused."""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import replace
from typing import Any

import pytest

from reward_servers.core import PromptContext, Result, Rollout, Verdict, bind
from reward_servers.core._work import DeathKind, Job, Unit
from reward_servers.core.executors._batch_queue import BatchQueue
from reward_servers.core.executors._throughput import Throughput
from tests.core.helpers import Asked, as_fault, as_skip, as_verdict, group, opened, request, scored, scoring
from tests.core.unruly import Paced
from tests.typed import declared

_HOSTED = bind(declared(Paced))


def _units(
    client: str, *groups: list[int], prompt: str = "", deadline: float | None = None, lane: object = None
) -> list[Unit]:
    units = []
    for lengths in groups:
        context = PromptContext("g", prompt)
        job = Job(_HOSTED, None, b"", 1.0, 0, deadline, 0.0, client, lane, None)  # type: ignore[arg-type]
        units += [Unit(job, Rollout("x" * (length - 16), context), []) for length in lengths]
    return units


def _lengths(units: list[Unit]) -> list[int]:
    return [len(str(unit.subject.content)) + 16 for unit in units if isinstance(unit.subject, Rollout)]


def _queue(budget: float = 100.0, risk: float = 0.0) -> BatchQueue:
    return BatchQueue(lambda: budget, lambda: risk)


def _drained(queue: BatchQueue, most: int = 64) -> list[list[int]]:
    batches = []
    while batch := queue.take(lambda _: most):
        batches.append(_lengths(batch))
    assert (len(queue), queue.cost, queue.costs) == (0, 0, {})
    return batches


def test_batches_are_filled_to_their_budget_and_no_item_is_too_large_for_one() -> None:
    queue = _queue()
    queue.extend(_units("a", *[[30]] * 7, [500]))
    assert sorted(map(tuple, _drained(queue))) == [(30,), (30, 30, 30), (30, 30, 30), (500,)]
    queue.extend(_units("a", *[[20]] * 9))
    assert [len(batch) for batch in _drained(queue, most=2)] == [2, 2, 2, 2, 1]


def test_what_never_comes_to_a_device_says_nothing_of_its_pace() -> None:
    pace = Throughput()
    for unit in _units("a", [100] * 20):
        pace.note(unit, 0.5, 50)
    (late,) = _units("b", [100], deadline=time.monotonic() + 10.0)
    assert pace.characters(4096) == pytest.approx(8192.0)
    assert pace.refusal(late, 1_000_000) is not None
    for unit in _units("hostile", [900_000] * 500):
        pace.note(unit, 0.0, 0)
    assert pace.characters(4096) == pytest.approx(8192.0)
    assert pace.refusal(late, 1_000_000) is not None


def test_a_text_that_no_device_reads_whole_makes_nobody_wait_for_all_of_it() -> None:
    pace = Throughput()
    for unit in _units("a", [100] * 20):
        pace.note(unit, 0.5, 50)
    longest = pace.characters(4096)
    queue = BatchQueue(lambda: 100.0, lambda: 0.0, lambda: longest)
    queue.extend(_units("a", [900_000], prompt="p" * 9_000_000))
    assert queue.cost == queue.costs["a"] == 2 * longest == 16384
    (late,) = _units("a", [900_000], deadline=time.monotonic() + 200.0)
    assert pace.refusal(late, queue.cost, longest) is None
    assert pace.refusal(late, queue.cost) is not None
    assert _drained(queue) == [[900_000]]


def test_an_estimate_loses_no_item() -> None:
    throughput = Throughput()
    for unit in _units("a", [100] * 20):
        throughput.note(unit, 60.0, 50)
    (long,) = _units("a", [100_000], deadline=time.monotonic() + 300.0)
    assert throughput.refusal(long, 0) is None, "a device without work tries"
    refusal = throughput.refusal(long, 100)
    assert refusal is not None
    assert refusal.retry_after is not None
    assert 0 < refusal.retry_after <= 150.0, "there is time left for another try"


def test_a_group_stays_together_and_its_prompt_counts_once() -> None:
    queue = _queue(200.0)
    queue.extend(_units("a", [40, 20, 40], prompt="p" * 60))
    queue.extend(_units("a", [30, 31, 32], prompt="p" * 60))
    assert _drained(queue) == [[40, 20, 40], [30, 31, 32]]


def test_like_lengths_travel_together() -> None:
    queue = _queue()
    queue.extend(_units("a", [20], [80], [20], [81], [20], [20], [20]))
    assert _drained(queue) == [[20, 20, 20, 20, 20], [80], [81]]


def test_clients_share_batches_and_a_large_call_does_not_make_a_small_one_wait_for_all_of_it() -> None:
    queue = _queue()
    queue.extend(_units("large", *[[25]] * 400))
    first = queue.take(lambda _: 64)
    queue.extend(_units("small", [25], [25]))
    second = queue.take(lambda _: 64)
    assert [unit.job.client for unit in first] == ["large"] * 4
    assert [unit.job.client for unit in second].count("small") == 2
    assert len(second) == 4


def test_a_deadline_at_risk_leads_the_earliest_first() -> None:
    queue = _queue(50.0, risk=100.0)
    queue.extend(_units("a", [20], [21], [22]))
    for deadline in (90.0, 80.0, 500.0):
        queue.extend(_units("b", [int(deadline)], deadline=deadline))
    batches = _drained(queue)
    assert batches[:2] == [[80], [90]]
    assert [500] in batches


def test_what_is_tried_again_comes_first_and_what_a_worker_died_on_stays_alone() -> None:
    queue = _queue()
    queue.extend(_units("a", [20], [21]))
    again, suspect = _units("a", [22], [23])
    suspect.deaths.append(DeathKind.SHARED)
    queue.push_front(again)
    queue.push_front(suspect)
    assert _drained(queue) == [[23], [22, 21, 20]]


def test_what_is_settled_is_dropped() -> None:
    queue = _queue()
    units = _units("a", [20], [21, 22], [23])
    queue.extend(units)
    for unit in units[:3]:
        unit.settled = True
    assert _drained(queue) == [[23]]
    queue.extend(units[:1])
    assert _drained(queue) == []


def test_everything_comes_out_once_whatever_the_order() -> None:
    import random

    draw = random.Random(5)
    queue = _queue(300.0, risk=50.0)
    wanted: list[Unit] = []
    found: list[Unit] = []
    withdrawn: set[Unit] = set()
    for _ in range(300):
        lengths = [[draw.randrange(16, 200) for _ in range(draw.randrange(1, 9))] for _ in range(draw.randrange(1, 4))]
        deadline = draw.choice([None, 20.0, 60.0, 90.0])
        units = _units(draw.choice("abc"), *lengths, prompt="p" * draw.randrange(100), deadline=deadline)
        queue.extend(units)
        wanted += units
        for _ in range(draw.randrange(3)):
            found += queue.take(lambda _: 8)
        left = [unit for unit in wanted if unit not in withdrawn and unit not in set(found)]
        chosen = draw.sample(left, len(left) // 8)
        queue.withdraw(chosen)
        withdrawn.update(chosen)
        assert len(queue) == len(left) - len(chosen)
    while batch := queue.take(lambda _: 8):
        found += batch
    assert withdrawn
    assert len(found) == len(wanted) - len(withdrawn)
    assert set(found) == set(wanted) - withdrawn
    assert (len(queue), queue.cost, queue.costs) == (0, 0, {})


def test_units_that_nobody_waits_for_cost_nothing_any_more() -> None:
    queue = _queue(200.0)
    gone, kept, alone = _units("a", [40, 20, 30], prompt="p" * 60), _units("b", [25], [35]), _units("a", [50])
    queue.extend([*gone, *kept, *alone])
    assert (len(queue), queue.costs) == (6, {"a": 200, "b": 60})
    queue.withdraw([gone[1], kept[0]])
    assert (len(queue), queue.cost, queue.costs) == (4, 215, {"a": 180, "b": 35})
    queue.withdraw([gone[0], gone[2], gone[1]])
    assert (len(queue), queue.cost, queue.costs) == (2, 85, {"a": 50, "b": 35})
    assert _drained(queue) == [[35, 50]]


def test_units_that_were_withdrawn_are_not_counted_as_their_clients_share() -> None:
    queue = _queue()
    queue.extend(_units("b", [100]))
    withdrawn = _units("a", *[[100]] * 50)
    queue.extend(withdrawn)
    queue.withdraw(withdrawn)
    queue.extend(_units("b", [90]))
    queue.extend(_units("a", [80]))
    assert _drained(queue) == [[100], [80], [90]]


def _evidence(result: Result) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(as_verdict(result.outcome).evidence)
    return found


async def test_calls_of_different_clients_and_options_share_a_batch() -> None:
    async with scoring(declared(Paced)) as scorer:
        warm = opened(scorer, request("test/paced", group("x" * 300), client="warm"))
        asked = [
            request("test/paced", group("x" * 10, "x" * 11), client=client, options=options, seed=number)
            for number, (client, options) in enumerate([("a", b""), ("b", b'{"factor": 2}'), ("c", b'{"factor": 3}')])
        ]
        found = await asyncio.gather(*(scored(scorer, one) for one in asked))
        await warm.wait()
    assert [[as_verdict(one.outcome).score for one in results] for results in found] == [
        [10.0, 11.0],
        [20.0, 22.0],
        [30.0, 33.0],
    ]
    together = [_evidence(one) for results in found for one in results]
    # The first of them may already have been prepared behind the batch that ran.
    assert max(one["items"] for one in together) >= 4
    assert {one["thread"] for one in together} == {"MainThread"}


async def test_what_cannot_be_prepared_costs_itself_alone() -> None:
    async with scoring(declared(Paced)) as scorer:
        found = await scored(scorer, request("test/paced", group("aa", "poison", "none", "bbb")))
    assert [as_verdict(found[place].outcome).score for place in (0, 2, 3)] == [2.0, 0.0, 3.0]
    assert as_verdict(found[2].outcome).code == "no_answer"
    assert as_fault(found[1].outcome).code == "unprepared"


async def test_a_deadline_that_cannot_be_met_is_refused_at_once_and_says_when_to_come_again() -> None:
    async with scoring(declared(Paced)) as scorer:
        await scored(scorer, request("test/paced", *(group("x" * 20, name=f"w{one}") for one in range(20))))
        backlog = opened(scorer, request("test/paced", *(group("y" * 200, name=f"b{one}") for one in range(40))))
        done = asyncio.create_task(backlog.wait())
        late = request("test/paced", *(group("z" * 200, name=f"l{one}") for one in range(5)), timeout=0.3)
        found = [as_skip(one.outcome) for one in await scored(scorer, late)]
        assert not done.done(), "it waited for the others"
        assert any(one.retry_after for one in found)
        (soon,) = await scored(scorer, request("test/paced", group("q" * 10), timeout=60.0, client="other"))
        assert isinstance(soon.outcome, Verdict)
        backlog.close()
        done.cancel()


async def test_a_call_that_was_cancelled_refuses_no_other_of_its_client() -> None:
    async with scoring(declared(Paced)) as scorer:
        await scored(scorer, request("test/paced", *(group("x" * 20, name=f"w{one}") for one in range(20))))
        # Hours of work that nobody waits for any more.
        opened(scorer, request("test/paced", *(group("y" * 20_000, name=f"b{one}") for one in range(1000)))).close()
        (soon,) = await scored(scorer, request("test/paced", group("q" * 10), timeout=3600.0))
    assert as_verdict(soon.outcome).score == 10.0


@pytest.mark.parametrize("client", ["", "b"])
async def test_results_do_not_depend_on_what_is_judged_beside_them(client: str) -> None:
    async with scoring(declared(Paced)) as scorer:
        groups = [group("x" * length, name=f"g{length}") for length in range(1, 40)]
        others = opened(scorer, request("test/paced", *groups[::2], client=client))
        found = await scored(scorer, Asked(groups, replace(request("test/paced").request, client="a")))
        await others.wait()
    assert [as_verdict(one.outcome).score for one in found] == [float(length) for length in range(1, 40)]
