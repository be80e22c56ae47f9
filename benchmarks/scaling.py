"""Growth with what a run has more of: replicas, rollouts of a batch, of a group, text, endpoints.

Usage: ``python -m benchmarks.scaling [NAME ...] [--seconds 2] [--write]``. Prints a table; ``--write`` puts it into
``docs/scaling.md`` and draws ``docs/images/scaling.svg`` (extra ``plots``). Every row is a closed loop of two callers:
each waits for its batch before it sends the next. The client and all servers share this host.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import re
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from benchmarks.server._common import latex, our_server
from trainer_client import AsyncRewardClient, Recipe, Reward, Rollout, Server

_PAGE = Path(__file__).resolve().parents[1] / "docs" / "scaling.md"
_PLOT = _PAGE.parent / "images" / "scaling.svg"
_CALLERS = 2
_NO_CACHE = ("--cache-bytes", "0")
_PROGRAM = "```python\nn = int(input())\nprint(n * 2 + {n} % 2)\n```"


@dataclass(frozen=True)
class Load:
    """What is scored.

    Attributes:
        verifier: By which verifier.
        rollouts: Rollouts of a batch.
        group: Rollouts of a group.
        length: Characters of a response.
    """

    verifier: str = "exact"
    rollouts: int = 1024
    group: int = 8
    length: int = 1024

    def batch(self, number: int) -> list[Rollout]:
        """A batch, different for each number."""
        return [self._rollout(number * self.rollouts + one, one // self.group) for one in range(self.rollouts)]

    def _rollout(self, seed: int, group: int) -> Rollout:
        reference: dict[str, object] = {"answer": "\\frac{3}{4}"}
        text = latex(self.length - 24, seed) + f" \\boxed{{\\frac{{3}}{{{4 + seed % 2}}}}}"
        if self.verifier == "code":
            text = _PROGRAM.format(n=seed % 7)
            reference = {"tests": [{"stdin": "4\n", "stdout": "8\n"}]}
        return Rollout(rollout_id=f"r{seed}", group_id=f"g{group}", prompt="?", response=text, reference=reference)


class Measured(NamedTuple):
    """What a row found.

    Attributes:
        rate: Items a second.
        p99: Seconds that 99 in 100 batches took at most.
        batches: How many batches that says.
    """

    rate: float
    p99: float
    batches: int


class Row(NamedTuple):
    """A row of the table: what grows, its value, and what was found."""

    axis: str
    value: int
    found: Measured


async def measure(load: Load, endpoints: Sequence[str], seconds: float) -> Measured:
    """Score batches for some seconds, after one to warm up.

    Raises:
        RuntimeError: An item has no score: what is measured would not be the work.
    """
    recipe = Recipe((Reward("r", load.verifier),), servers=(Server("s", (load.verifier,)),), advantage=None)
    # Made before: what they cost is not the servers'.
    batches = [load.batch(number) for number in range(4)]
    took: list[float] = []
    async with AsyncRewardClient(recipe, {"s": list(endpoints)}) as client:
        await client.score(batches[0])
        began = time.perf_counter()

        async def call(first: int) -> None:
            number = first
            while time.perf_counter() - began < seconds:
                at = time.perf_counter()
                table = await client.score(batches[number % len(batches)])
                took.append(time.perf_counter() - at)
                if not table.valid.all():
                    raise RuntimeError(f"{load}: {table.summary()}")
                number += _CALLERS

        await asyncio.gather(*(call(first) for first in range(_CALLERS)))
        whole = time.perf_counter() - began
    took.sort()
    return Measured(len(took) * load.rollouts / whole, took[min(len(took) - 1, int(0.99 * len(took)))], len(took))


@contextlib.contextmanager
def fleet(verifier: str, replicas: int, workers: int, *options: str) -> Iterator[list[str]]:
    """Servers of one verifier; their addresses."""
    with contextlib.ExitStack() as stack:
        started = [
            stack.enter_context(our_server(verifier, workers=workers, options=(*_NO_CACHE, *options)))
            for _ in range(replicas)
        ]
        yield [one.address for one in started]


def _run(axis: str, value: int, load: Load, endpoints: Sequence[str], seconds: float) -> Row:
    row = Row(axis, value, asyncio.run(measure(load, endpoints, seconds)))
    print(_line(row), flush=True)
    return row


def replicas(seconds: float) -> Iterator[Row]:
    """Replicas with one worker each."""
    for verifier, rollouts in (("exact", 1024), ("math", 256), ("code", 32)):
        for count in (1, 2, 4):
            with fleet(verifier, count, 1) as endpoints:
                yield _run(f"replicas: {verifier}", count, Load(verifier, rollouts), endpoints, seconds)


def batches(seconds: float) -> Iterator[Row]:
    """Rollouts of a batch."""
    with fleet("exact", 1, 1) as endpoints:
        for count in (1, 16, 256, 1024, 4096, 16384):
            yield _run("rollouts of a batch", count, Load(rollouts=count, group=min(8, count)), endpoints, seconds)


def groups(seconds: float) -> Iterator[Row]:
    """Rollouts of a group."""
    with fleet("exact", 1, 1) as endpoints:
        for count in (1, 8, 64, 512):
            yield _run("rollouts of a group", count, Load(group=count), endpoints, seconds)


def lengths(seconds: float) -> Iterator[Row]:
    """Characters of a response, in batches of eight million characters at most."""
    with fleet("exact", 1, 1) as endpoints:
        for length in (1 << 10, 1 << 14, 1 << 17, 1 << 20):
            load = Load(rollouts=min(1024, (8 << 20) // length), length=length)
            yield _run("characters of a response", length, load, endpoints, seconds)


def endpoints(seconds: float) -> Iterator[Row]:
    """Addresses, served by at most eight processes: a process that listens on all of the host has many on loopback."""
    for count in (1, 4, 16, 64, 256):
        processes = min(8, count)
        with fleet("exact", processes, 1, "--host", "0.0.0.0", "--insecure") as started:
            ports = [address.rpartition(":")[2] for address in started]
            addresses = [f"127.0.0.{1 + one // processes}:{ports[one % processes]}" for one in range(count)]
            yield _run("endpoints", count, Load(), addresses, seconds)


AXES: dict[str, Callable[[float], Iterator[Row]]] = {
    "replicas": replicas,
    "batches": batches,
    "groups": groups,
    "lengths": lengths,
    "endpoints": endpoints,
}


def _line(row: Row) -> str:
    found = row.found
    return f"| {row.axis} | {row.value} | {found.rate:,.0f} | {found.p99 * 1000:,.1f} | {found.batches} |"


def table(rows: Sequence[Row]) -> str:
    """The rows as Markdown."""
    head = "| what grows | to | items/s | p99 of a batch, ms | batches |\n|---|---|---|---|---|\n"
    return head + "".join(f"{_line(row)}\n" for row in rows)


def write(rows: Sequence[Row], seconds: float) -> None:
    """Put the table into the page, and draw it.

    Raises:
        ValueError: The page has no place for it.
    """
    cores = os.cpu_count()
    when = time.strftime("%Y-%m-%d")
    found = (
        f"<!-- measured -->\n\nMeasured on {when}, {cores} cores, {seconds:g} s a row.\n\n{table(rows)}\n<!-- end -->"
    )
    page, count = re.subn(r"<!-- measured -->.*?<!-- end -->", lambda _: found, _PAGE.read_text(), flags=re.S)
    if count != 1:
        raise ValueError(f"{_PAGE}: there is no place between <!-- measured --> and <!-- end -->")
    _PAGE.write_text(page)
    _draw(rows)


def _draw(rows: Sequence[Row]) -> None:
    import matplotlib

    matplotlib.use("svg")
    from matplotlib import pyplot

    names = list(dict.fromkeys(row.axis.partition(":")[0] for row in rows))
    figure, axes = pyplot.subplots(1, len(names), figsize=(3.2 * len(names), 3.0), squeeze=False)
    for name, part in zip(names, axes[0], strict=True):
        for line in dict.fromkeys(row.axis for row in rows if row.axis.partition(":")[0] == name):
            points = [row for row in rows if row.axis == line]
            label = line.partition(": ")[2] or None
            part.plot([row.value for row in points], [row.found.rate for row in points], marker="o", label=label)
        part.set(xscale="log", yscale="log", xlabel=name)
        if name == "replicas":
            part.legend()
    axes[0][0].set_ylabel("items/s")
    figure.tight_layout()
    figure.savefig(_PLOT, metadata={"Date": None})


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("names", nargs="*", choices=[[], *AXES])
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--write", action="store_true")
    given = parser.parse_args()
    rows = [row for name in given.names or AXES for row in AXES[name](given.seconds)]
    if given.write:
        write(rows, given.seconds)


if __name__ == "__main__":
    main()
