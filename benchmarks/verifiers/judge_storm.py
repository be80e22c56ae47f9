"""A judge's endpoint in a storm: it refuses for load, fails, stalls, hangs up and talks nonsense.

The endpoint runs in a process of its own and admits 16 requests; those beyond it get 429 with ``Retry-After: 1``. A few
of the admitted ones fail with 500, stall until the client gives up, end half way, or are no completion. Printed are the
lost items, the calls for each item, the wall time against the list-schedule bound (what 16 places need for the calls
that the endpoint worked on, the longest wait counted in full), what was spent against what may be, and the latency of
another verifier on the same host against its latency alone.
"""

from __future__ import annotations

import argparse
import asyncio
import heapq
import multiprocessing
import statistics
import time
from multiprocessing.connection import Connection
from random import Random
from typing import Any

from reward_servers.core import Evaluation, Group, PromptContext, Request, Result, Rollout, Scorer, Verdict, bind, find
from tests.fakes.chat_server import FakeChatServer, Said

_PLACES = 16
_TIMEOUT = 4.0
_REFUSED = Said(status=429, headers={"retry-after": "1"})


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
        if drawn < 0.015:
            said = Said(status=500, delay=delay)
        elif drawn < 0.020:
            said = Said(delay=_TIMEOUT, hang_up=True)
        elif drawn < 0.030:
            said = Said(delay=delay, hang_up=True)
        elif drawn < 0.040:
            said = Said(body=b'{"choices": [{"mess', delay=delay)
        self.worked.append(said.delay)
        return said


def _serve(ready: Connection, seed: int) -> None:
    storm = _Storm(seed)
    storm.fake = FakeChatServer(storm)
    with storm.fake.running() as url:
        ready.send(url)
        ready.recv()
        ready.send((len(storm.fake.requests), storm.refused, storm.worked))


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


async def _measure(url: str, items: int) -> tuple[int, float, float, tuple[int, int]]:
    most = int(items * 1.5)
    settings = {
        "base_url": url,
        "model": "m",
        "timeout_s": _TIMEOUT - 0.5,
        "total_timeout_s": 120,
        "spend": {"max_requests": most},
    }
    scorer = Scorer([bind(find("judge"), settings), bind(find("exact"))])
    await scorer.start()
    context = PromptContext("g", "What is 2 + 2?", b'{"answer": "4"}')
    alone = await _latency(scorer, 3.0)
    began = time.monotonic()
    storm = asyncio.ensure_future(_run(scorer, "judge", [Rollout(f"{n}: 4", context, str(n)) for n in range(items)]))
    beside = await _latency(scorer, 10.0)
    results = await storm
    wall = time.monotonic() - began
    await scorer.close()
    lost = sum(not isinstance(one.outcome, Verdict) or one.outcome.score != 1.0 for one in results)
    calls = sum(one.usage.upstream_calls for one in results if one.usage is not None)
    return lost, wall, beside / alone, (calls, most)


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--items", type=int, default=2_000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    ours, theirs = multiprocessing.Pipe()
    server = multiprocessing.get_context("spawn").Process(target=_serve, args=(theirs, options.seed))
    server.start()
    lost, wall, slowed, (_, most) = asyncio.run(_measure(ours.recv(), options.items))
    ours.send(None)
    calls, refused, worked = ours.recv()
    server.join()
    bound = _schedule(worked)
    print(
        f"{options.items} items, {_PLACES} places: {lost} lost, {calls} calls ({calls / options.items:.3f} for an item)"
    )
    print(f"refused for load: {refused}   calls / spend.max_requests: {calls}/{most}")
    print(f"wall {wall:.1f} s / list-schedule bound {bound:.1f} s = {wall / bound:.3f}")
    print(f"latency of another verifier, in the storm / alone: {slowed:.2f}")


if __name__ == "__main__":
    main()
