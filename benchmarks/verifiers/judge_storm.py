"""A judge's endpoint in a storm: it refuses for load, fails, stalls, hangs up, stops half way and talks nonsense.

The endpoint runs in a process of its own and admits 16 requests; those beyond it get 429 with ``Retry-After: 1``. A few
of the admitted ones fail with 500, stall until the client gives up, end without a word, stop in the middle of the body
on a connection that is half closed, or are no completion. Printed are the lost items, the calls for each item, the wall
time against the list-schedule bound (what 16 places need for the calls that the endpoint worked on, the longest wait
counted in full), what was spent against what may be, and the latency of another verifier on the same host against its
latency alone. Then each kind of spend is bounded to half of what the items need, in a storm of its own.

It ends with 1 when a bound of these is broken, and names it.
"""

from __future__ import annotations

import argparse
import asyncio
import heapq
import multiprocessing
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from random import Random
from typing import Any

from reward_servers.core import (
    Evaluation,
    Fault,
    Group,
    PromptContext,
    Request,
    Result,
    Rollout,
    Scorer,
    Verdict,
    bind,
    find,
)
from tests.fakes.chat_server import COMPLETION_TOKENS, PROMPT_TOKENS, FakeChatServer, Said

_PLACES = 16
_TIMEOUT_S = 4.0
_REFUSED = Said(status=429, headers={"retry-after": "1"})
_PRICES = {"input_price": 1.0, "output_price": 4.0}
_USED = PROMPT_TOKENS + COMPLETION_TOKENS
_COST = (PROMPT_TOKENS * _PRICES["input_price"] + COMPLETION_TOKENS * _PRICES["output_price"]) / 1e6
_AMPLE = {"max_requests": 1.5, "max_tokens": 3.0 * _USED, "max_cost": 3.0 * _COST}
"""For an item: more than the storm takes, with what is set aside for the calls under way."""
_HALF = {"max_requests": 0.5, "max_tokens": 0.5 * _USED, "max_cost": 0.5 * _COST}
"""For an item: about half of what would be needed."""
_MOST_CALLS, _MOST_WALL, _MOST_BESIDE = 1.1, 1.25, 1.25
_BOUNDED_ITEMS = 200


class _Storm:
    """Decides what becomes of each request, and remembers how long it was worked on."""

    def __init__(self, seed: int) -> None:
        self._random = Random(seed)
        self.fake: FakeChatServer
        self.worked: list[float] = []
        self.refused = 0

    def __call__(self, request: dict[str, Any], number: int) -> Said:
        if self.fake.active > _PLACES:
            self.refused += 1
            return _REFUSED
        delay = min(2.0, max(0.2, self._random.lognormvariate(-0.5, 0.6)))
        drawn = self._random.random()
        said = Said("It follows.\ncorrect: yes", delay=delay)
        if drawn < 0.010:
            said = Said(status=500, delay=delay)
        elif drawn < 0.015:
            said = Said(delay=_TIMEOUT_S, hang_up=True)
        elif drawn < 0.020:
            said = Said(delay=delay, hang_up=True)
        elif drawn < 0.030:
            said = Said("It follows.\ncorrect: yes", delay=delay, half_closed=True)
        elif drawn < 0.040:
            said = Said(body=b'{"choices": [{"mess', delay=delay)
        self.worked.append(said.delay)
        return said


@dataclass(frozen=True, slots=True)
class Served:
    """What an endpoint saw: its calls, those that it refused for load, and the seconds of each that it worked on."""

    calls: int
    refused: int
    worked: list[float]

    @property
    def spent(self) -> dict[str, float]:
        """What it would put on the bill: every call that it worked on, whatever became of it."""
        worked = len(self.worked)
        return {"max_requests": self.calls, "max_tokens": worked * _USED, "max_cost": worked * _COST}


@dataclass(frozen=True, slots=True)
class Weathered:
    """What became of the items of the storm.

    Attributes:
        items: How many there were.
        lost: Those without a right verdict.
        wall_s: Seconds until the last one had its verdict.
        bound_s: Seconds that 16 places need at least.
        beside: Latency of another verifier in the storm, over its latency alone.
        served: What the endpoint saw.
        most: What may be spent, by kind.
    """

    items: int
    lost: int
    wall_s: float
    bound_s: float
    beside: float
    served: Served
    most: Mapping[str, float]

    def broken(self) -> list[str]:
        """The bounds that do not hold."""
        problems = [f"{self.lost} items are lost, of 0 at most"] if self.lost else []
        for what, found, most in (
            ("calls for an item", self.served.calls / self.items, _MOST_CALLS),
            ("wall time over its bound", self.wall_s / self.bound_s, _MOST_WALL),
            ("latency of the other verifier over that alone", self.beside, _MOST_BESIDE),
        ):
            if found > most:
                problems.append(f"{what}: {found:.3f}, of {most} at most")
        return problems + overspent(self.served, self.most)


def overspent(served: Served, most: Mapping[str, float]) -> list[str]:
    """The bounds of a spend that an endpoint saw exceeded."""
    spent = served.spent
    return [f"spend.{name}: {spent[name]:g} spent, of {bound:g}" for name, bound in most.items() if spent[name] > bound]


@dataclass(frozen=True, slots=True)
class Bounded:
    """What became of the items of a storm in which one kind of spend does not suffice.

    Attributes:
        name: The kind.
        most: Its bound.
        served: What the endpoint saw.
        judged: Items with a verdict.
        unpaid: Items that were told that the spend is used up.
        others: Items of which neither holds.
    """

    name: str
    most: float
    served: Served
    judged: int
    unpaid: int
    others: int

    def broken(self) -> list[str]:
        """The bounds that do not hold."""
        problems = overspent(self.served, {self.name: self.most})
        if self.others or not self.judged or not self.unpaid:
            problems.append(
                f"spend.{self.name}: {self.judged} items judged, {self.unpaid} told that it is used up, {self.others} "
                "neither; of the first two there are some, of the third none"
            )
        return problems


def _serve(ready: Connection, seed: int) -> None:
    storm = _Storm(seed)
    storm.fake = FakeChatServer(storm)
    with storm.fake.running() as url:
        ready.send(url)
        ready.recv()
        ready.send(Served(len(storm.fake.requests), storm.refused, storm.worked))


@contextmanager
def _endpoint(seed: int) -> Iterator[tuple[str, Callable[[], Served]]]:
    """An endpoint in a process of its own: its address, and what tells in the end what it saw."""
    ours, theirs = multiprocessing.Pipe()
    server = multiprocessing.get_context("spawn").Process(target=_serve, args=(theirs, seed))
    server.start()

    def ended() -> Served:
        ours.send(None)
        seen: Served = ours.recv()
        return seen

    try:
        yield ours.recv(), ended
        server.join()
    finally:
        server.kill()


def _schedule(durations: list[float]) -> float:
    """When the last of some jobs ends that are given to the first free of 16 places in turn."""
    places = [0.0] * _PLACES
    for duration in durations:
        heapq.heapreplace(places, places[0] + duration)
    return max(places)


async def _run(scorer: Scorer, verifier: str, rollouts: list[Rollout]) -> list[Result]:
    results: list[Result] = []
    call = scorer.open(Request([Evaluation(verifier)]), lambda place, result: results.append(result), len(rollouts))
    call.add([Group(one.prompt_context, [one]) for one in rollouts])
    await call.wait()
    return results


async def _latency(scorer: Scorer, seconds: float) -> float:
    """Median latency of another verifier, asked ten times a second."""
    context = PromptContext("other", "", b'{"answer": "4"}')
    times: list[float] = []
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        began = time.perf_counter()
        await _run(scorer, "exact", [Rollout("4", context)])
        times.append(time.perf_counter() - began)
        await asyncio.sleep(0.1)
    return statistics.median(times)


def _settings(url: str, spend: Mapping[str, float]) -> dict[str, Any]:
    return {
        "base_url": url,
        "model": "m",
        "timeout_s": _TIMEOUT_S - 0.5,
        "total_timeout_s": 120,
        "max_tokens": 64,
        "spend": {**_PRICES, **spend},
    }


def _bounds(for_an_item: Mapping[str, float], items: int) -> dict[str, float]:
    whole = {name: each * items for name, each in for_an_item.items()}
    return {name: bound if name == "max_cost" else int(bound) for name, bound in whole.items()}


def _questions(items: int) -> list[Rollout]:
    context = PromptContext("g", "What is 2 + 2?", b'{"answer": "4"}')
    return [Rollout(f"{number}: 4", context, str(number)) for number in range(items)]


async def _measure(url: str, items: int, most: Mapping[str, float]) -> tuple[int, float, float]:
    scorer = Scorer([bind(find("judge"), _settings(url, most)), bind(find("exact"))])
    await scorer.start()
    alone = await _latency(scorer, 3.0)
    began = time.monotonic()
    storm = asyncio.ensure_future(_run(scorer, "judge", _questions(items)))
    beside = await _latency(scorer, 10.0)
    results = await storm
    wall = time.monotonic() - began
    await scorer.close()
    lost = sum(not isinstance(one.outcome, Verdict) or one.outcome.score != 1.0 for one in results)
    return lost, wall, beside / alone


def weathered(items: int, seed: int) -> Weathered:
    """The storm."""
    most = _bounds(_AMPLE, items)
    with _endpoint(seed) as (url, ended):
        lost, wall, beside = asyncio.run(_measure(url, items, most))
        served = ended()
    return Weathered(items, lost, wall, _schedule(served.worked), beside, served, most)


async def _outcomes(url: str, items: int, spend: Mapping[str, float]) -> list[Result]:
    scorer = Scorer([bind(find("judge"), _settings(url, spend))])
    await scorer.start()
    try:
        return await _run(scorer, "judge", _questions(items))
    finally:
        await scorer.close()


def bounded(name: str, items: int, seed: int) -> Bounded:
    """A storm in which one kind of spend does not suffice."""
    most = _bounds({name: _HALF[name]}, items)[name]
    with _endpoint(seed) as (url, ended):
        found = [one.outcome for one in asyncio.run(_outcomes(url, items, {name: most}))]
        served = ended()
    judged = sum(isinstance(one, Verdict) for one in found)
    unpaid = sum(isinstance(one, Fault) and one.code == "judge_budget" for one in found)
    return Bounded(name, most, served, judged, unpaid, len(found) - judged - unpaid)


def main() -> int:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, default=2_000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    storm = weathered(options.items, options.seed)
    calls = storm.served.calls
    print(
        f"{storm.items} items, {_PLACES} places: {storm.lost} lost, {calls} calls ({calls / storm.items:.3f} an item)"
    )
    print(f"refused for load: {storm.served.refused}")
    for kind, spent in storm.served.spent.items():
        print(f"spend.{kind}: {spent:g} of {storm.most[kind]:g}")
    print(f"wall {storm.wall_s:.1f} s / list-schedule bound {storm.bound_s:.1f} s = {storm.wall_s / storm.bound_s:.3f}")
    print(f"latency of another verifier, in the storm / alone: {storm.beside:.2f}", flush=True)
    problems = storm.broken()
    for kind in _HALF:
        told = bounded(kind, _BOUNDED_ITEMS, options.seed)
        print(
            f"bounded spend.{kind}: {told.served.spent[kind]:g} of {told.most:g} by {told.served.calls} calls; "
            f"{told.judged} items judged, {told.unpaid} not paid for, {told.others} neither",
            flush=True,
        )
        problems += told.broken()
    for problem in problems:
        print(f"broken: {problem}")
    return int(bool(problems))


if __name__ == "__main__":
    sys.exit(main())
