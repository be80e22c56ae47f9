"""Growth with what a run has more of: replicas, cores, rollouts of a batch, of a group, of a file, text, endpoints.

Usage: ``python -m benchmarks.scaling [NAME ...] [--seconds 2] [--rollouts 1000000] [--write]``. Prints a table;
``--write`` puts its rows into that of ``docs/scaling.md`` and draws ``docs/images/scaling.svg`` (extra ``plots``).
Every row is a closed loop of two callers, each of which waits for its batch before it sends the next, but for rollouts
of a file, which one ``assay score`` judges. The client and all servers share this host.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import re
import subprocess
import sys
import tempfile
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
"""Different for each rollout: equal items that a server holds at once are judged once."""


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
            text = _PROGRAM.format(n=seed)
            reference = {"tests": [{"stdin": "4\n", "stdout": "8\n"}]}
        return Rollout(rollout_id=f"r{seed}", group_id=f"g{group}", prompt="?", response=text, reference=reference)


class Measured(NamedTuple):
    """What a row found.

    Attributes:
        rate: Items a second.
        p99: Seconds that 99 in 100 batches took at most.
        batches: How many batches that says.
        memory: Bytes that the command held at most, where a command was measured.
    """

    rate: float
    p99: float
    batches: int
    memory: int = 0


class Row(NamedTuple):
    """What grows, its value, what was found, when, and the load average of the host, 0 where it is not known."""

    axis: str
    value: int
    found: Measured
    when: str
    load: int


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
    return _said(axis, value, asyncio.run(measure(load, endpoints, seconds)))


def _said(axis: str, value: int, found: Measured) -> Row:
    row = Row(axis, value, found, time.strftime("%Y-%m-%d"), round(os.getloadavg()[0]))
    print(_line(row), flush=True)
    return row


def replicas(seconds: float) -> Iterator[Row]:
    """Replicas with one worker each."""
    for verifier, rollouts in (("exact", 1024), ("math", 256), ("code", 32)):
        for count in (1, 2, 4):
            with fleet(verifier, count, 1) as endpoints:
                yield _run(f"replicas: {verifier}", count, Load(verifier, rollouts), endpoints, seconds)


def cores(seconds: float) -> Iterator[Row]:
    """Cores of one replica, which has a worker for each; the client has all."""
    allowed = sorted(os.sched_getaffinity(0))
    counts = [1 << power for power in range(len(allowed).bit_length())]
    for verifier, rollouts in (("exact", 1024), ("math", 256), ("code", 32)):
        for count in counts:
            os.sched_setaffinity(0, allowed[:count])  # what is started from here keeps to them
            try:
                started = contextlib.ExitStack()
                endpoints = started.enter_context(fleet(verifier, 1, count))
            finally:
                os.sched_setaffinity(0, allowed)
            with started:
                yield _run(f"cores: {verifier}", count, Load(verifier, rollouts), endpoints, seconds)


def files(seconds: float) -> Iterator[Row]:
    """Rollouts of a file that ``assay score`` judges, from its start to its end; ``--rollouts`` bounds them."""
    del seconds
    with tempfile.TemporaryDirectory() as folder:
        for count in _FILES:
            path = Path(folder) / "rollouts.jsonl"
            with path.open("w") as file:
                for number in range(count):
                    row = {"rollout_id": f"r{number}", "group_id": f"g{number // 8}", "prompt": "?"}
                    file.write(json.dumps({**row, "response": str(number % 3), "reference": {"answer": "1"}}) + "\n")
            command = [sys.executable, "-P", "-m", "reward_servers", "score", str(path), "--verifier", "exact"]
            began = time.perf_counter()
            with subprocess.Popen([*command, "--out", f"{path}.scored.jsonl"], stdout=subprocess.DEVNULL) as process:
                _, status, used = os.wait4(process.pid, 0)
                process.returncode = status
            took = time.perf_counter() - began
            if status:
                raise RuntimeError(f"assay score of {count} rollouts ended with {status}")
            yield _said("rollouts of a file", count, Measured(count / took, 0.0, 0, used.ru_maxrss << 10))


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


_FILES = [10_000, 100_000, 1_000_000, 5_000_000]

AXES: dict[str, Callable[[float], Iterator[Row]]] = {
    "replicas": replicas,
    "cores": cores,
    "batches": batches,
    "groups": groups,
    "lengths": lengths,
    "endpoints": endpoints,
    "files": files,
}


def _line(row: Row) -> str:
    found = row.found
    p99, count = (f"{found.p99 * 1000:,.1f}", str(found.batches)) if found.batches else ("", "")
    memory = f"{found.memory / 1e6:,.0f}" if found.memory else ""
    cells = (row.axis, str(row.value), f"{found.rate:,.0f}", p99, count, memory, row.when, str(row.load or ""))
    return f"| {' | '.join(cells)} |"


def _row(line: str) -> Row:
    axis, value, rate, p99, count, memory, when, load = (
        cell.strip().replace(",", "") for cell in line.split("|")[1:-1]
    )
    found = Measured(float(rate), float(p99 or 0) / 1000, int(count or 0), round(float(memory or 0) * 1e6))
    return Row(axis, int(value), found, when, int(load or 0))


def table(rows: Sequence[Row]) -> str:
    """The rows as Markdown."""
    head = "| axis | value | items/s | p99 of a batch, ms | batches | MB of the command | date | load |\n"
    return f"{head}{'|---' * 8}|\n" + "".join(f"{_line(row)}\n" for row in rows)


def merged(before: Sequence[Row], rows: Sequence[Row]) -> list[Row]:
    """The rows of a table by axis and value, those that were measured again in the place of the earlier ones."""
    found = {(row.axis, row.value): row for row in (*before, *rows)}
    axes = list(dict.fromkeys(axis for axis, _ in found))
    return sorted(found.values(), key=lambda row: (axes.index(row.axis), row.value))


def write(rows: Sequence[Row], seconds: float) -> None:
    """Put the table into the page, and draw it.

    Raises:
        ValueError: The page has no place for it.
    """
    page = _PAGE.read_text()
    place = re.search(r"<!-- measured -->(.*?)<!-- end -->", page, flags=re.S)
    if place is None:
        raise ValueError(f"{_PAGE}: there is no place between <!-- measured --> and <!-- end -->")
    everything = merged([_row(line) for line in re.findall(r"(?m)^\| [^|]+ \| \d+ \|.*$", place[1])], rows)
    said = (
        f"Measured on {os.cpu_count()} cores, {seconds:g} s per row. *load* is the load average of the host; a quiet "
        "one shows 2 to 4, which are the measurement's own processes. Measure on a quiet host before you rely on a row."
    )
    _PAGE.write_text(
        f"{page[: place.start()]}<!-- measured -->\n\n{said}\n\n{table(everything)}\n{page[place.end(1) :]}"
    )
    _draw(everything)


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
        if name in ("replicas", "cores"):
            part.legend()
    axes[0][0].set_ylabel("items/s")
    figure.tight_layout()
    figure.savefig(_PLOT, metadata={"Date": None})


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("names", nargs="*", choices=[[], *AXES])
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--rollouts", type=int, default=1_000_000, help="of the largest file")
    parser.add_argument("--write", action="store_true")
    given = parser.parse_args()
    _FILES[:] = [count for count in _FILES if count <= given.rollouts]
    rows = [row for name in given.names or AXES for row in AXES[name](given.seconds)]
    if given.write:
        write(rows, given.seconds)


if __name__ == "__main__":
    main()
