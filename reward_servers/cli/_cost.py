"""What rollouts cost at a server: for ``assay plan``.

Three things are measured. A server that is kept busy has a *rate*. A step begins and ends with workers that have
nothing to do, which a pass over the sample alone shows as its *start*. And a sample that is scored again and again is
cheaper than rollouts that no worker has seen, by what verifiers remember of references and of what they have parsed.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import psutil

from reward_servers.cli._console import print_note
from reward_servers.cli._errors import UserError

if TYPE_CHECKING:
    from trainer_client import AsyncRewardClient, Rollout, ScoreTable, Server

_ALONE = 3
"""Passes alone, of which the median counts."""
_PASSES = 9
"""What a measurement of slow items takes, in passes over the sample: each of its parts is asked at least as often."""
_LONG_S = 10.0
_LARGEST_LOSS = 0.2
"""Share of items without a score above which their cost is not what a run would pay."""


class Cost(NamedTuple):
    """What the rollouts of a sample cost at one server.

    Attributes:
        server: Its name in the recipe.
        verifiers: What it hosts.
        share: Items of this server for each rollout that was given.
        rate: Items a second of one replica that is kept busy with rollouts that it has not seen.
        start: Seconds that a step takes beside.
        client: Seconds that the client computes for an item.
    """

    server: str
    verifiers: Sequence[str]
    share: float
    rate: float
    start: float
    client: float

    def row(self, rollouts: int, seconds: float, headroom: float) -> dict[str, Any]:
        """What a step needs of it.

        Args:
            rollouts: Rollouts of a step.
            seconds: Seconds that the step may take.
            headroom: Added to what was measured, as a share of it.
        """
        items = rollouts * self.share
        left = seconds / (1 + headroom) - self.start
        replicas = max(1, math.ceil(items / self.rate / left - 1e-9)) if left > 0 else None
        return {
            "server": self.server,
            "verifiers": list(self.verifiers),
            "items_per_step": round(items),
            "items_per_second": self.rate,
            "start_seconds": self.start,
            "seconds_with_one": self.start + items / self.rate,
            "replicas": replicas,
            "seconds_with_these": None if replicas is None else self.start + items / self.rate / replicas,
        }


async def cost_of(
    client: AsyncRewardClient, server: Server, rollouts: Sequence[Rollout], seconds: float, place: tuple[int, int]
) -> Cost:
    """Measure what a sample costs.

    Args:
        client: A client that asks this server alone.
        server: The server.
        rollouts: The sample, as far as it is this server's.
        seconds: How long the server is kept busy, at least.
        place: Process of the server, and processors that its workers share.

    Raises:
        UserError: The sample says nothing of a run.
    """
    pid, processors = place
    if not rollouts:
        raise UserError(f"server {server.name!r}: no rollout of the sample has a task that this server scores")
    warm, unseen = _halves(rollouts)
    began = time.perf_counter()
    # What is imported, compiled and specialised at first is no part of a step.
    await _pass(client, server.name, warm)
    whole = _PASSES * (time.perf_counter() - began) * len(rollouts) / len(warm)
    if whole > _LONG_S:
        print_note(f"server {server.name!r}: the measurement takes some {whole:.0f} s")
    while time.perf_counter() - began < seconds / 3:
        await _pass(client, server.name, warm)
    fresh = 0.0
    if unseen:
        costs = [await _processor_time(client, server.name, unseen, pid) for _ in range(2)]
        fresh = max(0.0, costs[0] - costs[1])
    items = await _pass(client, server.name, rollouts)
    before = time.process_time()
    busy, scored = await _keep_busy(client, server.name, [warm, unseen] if unseen else [warm], seconds)
    computed = (time.process_time() - before) / scored
    took = []
    for _ in range(_ALONE):
        began = time.perf_counter()
        await _pass(client, server.name, rollouts)
        took.append(time.perf_counter() - began)
    start = max(0.0, sorted(took)[_ALONE // 2] - items * busy)
    return Cost(server.name, server.verifiers, items / len(rollouts), 1 / (busy + fresh / processors), start, computed)


def _halves(rollouts: Sequence[Rollout]) -> tuple[list[Rollout], list[Rollout]]:
    """Two parts of whole groups; the second is empty where there is one group."""
    groups: dict[str, list[Rollout]] = {}
    for rollout in rollouts:
        groups.setdefault(rollout.group_id, []).append(rollout)
    listed = list(groups.values())
    warm = [rollout for group in listed[::2] for rollout in group]
    return warm, [rollout for group in listed[1::2] for rollout in group]


async def _processor_time(client: AsyncRewardClient, server: str, rollouts: Sequence[Rollout], pid: int) -> float:
    """Seconds that the server and its workers compute for an item."""
    before = _computed(pid)
    items = await _pass(client, server, rollouts)
    return (_computed(pid) - before) / max(1, items)


def _computed(pid: int) -> float:
    """Seconds that a process and those that it has started have computed, but for those that have ended."""
    seconds = 0.0
    with contextlib.suppress(psutil.NoSuchProcess):
        top = psutil.Process(pid)
        for process in (top, *top.children(recursive=True)):
            # The scheduler counts nanoseconds; the times of processes are in ticks of ten milliseconds.
            threads = list(Path(f"/proc/{process.pid}/task").glob("*/schedstat"))
            with contextlib.suppress(OSError, psutil.NoSuchProcess):
                if threads:
                    seconds += sum(int(file.read_text().split()[0]) for file in threads) * 1e-9
                else:
                    seconds += sum(process.cpu_times()[:2])
    return seconds


async def _keep_busy(
    client: AsyncRewardClient, server: str, parts: Sequence[Sequence[Rollout]], seconds: float
) -> tuple[float, int]:
    """Seconds for an item while passes over all parts overlap, and how many items were scored.

    Parts differ: what is asked twice at once is judged once. The first passes are left out, and so is the end, when
    they do not overlap.
    """
    ends: list[tuple[float, int]] = []
    scored = 0
    began = time.perf_counter()

    def is_over() -> bool:
        return len(ends) >= 3 * len(parts) and time.perf_counter() - began >= seconds

    async def call(part: Sequence[Rollout]) -> None:
        nonlocal scored
        while not is_over():
            items = await _pass(client, server, part)
            scored += items
            if not is_over():
                ends.append((time.perf_counter(), items))

    await asyncio.gather(*map(call, parts))
    (first, _), counted = ends[len(parts) - 1], ends[len(parts) :]
    return (counted[-1][0] - first) / max(1, sum(items for _, items in counted)), scored


async def _pass(client: AsyncRewardClient, server: str, rollouts: Sequence[Rollout]) -> int:
    """Score rollouts, and say how many items that were."""
    from trainer_client import IncompleteBatchError

    try:
        table = await client.score(rollouts)
    except IncompleteBatchError as error:
        table = error.table
    _refuse_loss(server, table)
    return int(table.asked.sum())


def _refuse_loss(server: str, table: ScoreTable) -> None:
    items, scored = int(table.asked.sum()), int(table.valid.sum())
    if scored < (1 - _LARGEST_LOSS) * items:
        row, column = next(
            (row, at)
            for row in range(len(table))
            for at in range(len(table.columns))
            if table.asked[row, at] and not table.valid[row, at]
        )
        cell = table.cell(row, table.columns[column])
        raise UserError(
            f"server {server!r}: {items - scored} of {items} items of the sample have no score, so their cost says "
            f"nothing about a run (first: {table.rollout_ids[row]}: {cell.code}: {cell.message})"
        )
