"""CPU and rate of `assay gateway` with its server, beside a FastAPI server by hand that verifies in its own process.

Both are asked the same, in turn, over kept connections: a lone caller and 64 with single items, and batches of 256 that
are answered with numbers alone, or with each item's outcome and code. CPU is that of all processes of a side, without
the callers. With single items the hand-written server answers less (a number; ours adds scores, codes and validity).
Beside them, with batches that are answered with outcomes: the hand-written server cut in two processes, which is the
least that a hop costs.

Usage: ``python -m benchmarks.gateway [--rounds 5] [--verifier math --workers 2]``
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from urllib.parse import urlsplit

import orjson

from benchmarks.server._common import ServerProcess, latex

_CALLERS, _SINGLES, _LONE, _BATCH, _BATCHES = 64, 4096, 256, 256, 24
_RECIPE = 'advantage = "none"\n[rewards.correct]\nverifier = "{0}"\n[servers.{0}]\nverifiers = ["{0}"]\n'
_ALONE, _SINGLE = "a lone caller, single items", f"{_CALLERS} callers, single items"
_NUMBERS, _OUTCOMES = f"batches of {_BATCH}, numbers", f"batches of {_BATCH}, outcomes"


_OURS, _BY_HAND, _TWO = "assay", "by hand", "two by hand"


@dataclass
class Taken:
    """What a way took, for each item: seconds, and CPU seconds of its processes."""

    seconds: float
    cpu: float


@contextlib.contextmanager
def _started(command: Sequence[str]) -> Iterator[ServerProcess]:
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        assert process.stdout is not None
        yield ServerProcess(process.stdout.readline().split()[2], process.pid)
    finally:
        process.terminate()
        process.wait()


async def _ask(url: str, path: str, bodies: Sequence[bytes], callers: int) -> list[bytes]:
    parts = urlsplit(url)
    waiting = list(enumerate(bodies))
    answers: list[bytes] = [b""] * len(bodies)

    async def caller() -> None:
        reader, writer = await asyncio.open_connection(parts.hostname, parts.port, limit=1 << 24)
        while waiting:
            place, body = waiting.pop()
            head = f"POST {path} HTTP/1.1\r\nhost: x\r\ncontent-length: {len(body)}\r\n"
            writer.write(f"{head}content-type: application/json\r\n\r\n".encode() + body)
            told = await reader.readuntil(b"\r\n\r\n")
            assert told.startswith(b"HTTP/1.1 200"), told
            size = int(told.lower().partition(b"content-length:")[2].partition(b"\r\n")[0])
            answers[place] = await reader.readexactly(size)
        writer.close()

    await asyncio.gather(*(caller() for _ in range(callers)))
    return answers


def _measure(server: ServerProcess, work: _Work) -> Taken:
    before, start = server.cpu(tree=True), time.perf_counter()
    asyncio.run(_ask(server.address, work.path, work.bodies, work.callers))
    return Taken((time.perf_counter() - start) / work.items, (server.cpu(tree=True) - before) / work.items)


def _items(first: int, count: int) -> list[dict[str, str]]:
    return [
        {"prompt": latex(300, n), "response": latex(600, n) if n % 2 else str(n), "label": str(n)}
        for n in range(first, first + count)
    ]


def _rollouts(items: Sequence[dict[str, str]]) -> list[dict[str, object]]:
    return [
        {"prompt": one["prompt"], "response": one["response"], "reference": {"answer": one["label"]}} for one in items
    ]


def _as_openrlhf(items: Sequence[dict[str, str]]) -> dict[str, list[str]]:
    return {
        "query": [one["prompt"] + one["response"] for one in items],
        "prompts": [one["prompt"] for one in items],
        "labels": [one["label"] for one in items],
    }


@dataclass
class _Work:
    """What is asked of a side.

    Attributes:
        path: where.
        bodies: the requests.
        callers: how many ask at a time.
        items: items in all.
    """

    path: str
    bodies: list[bytes]
    callers: int
    items: int


def _work(side: str, first: int) -> dict[str, _Work]:
    """All that is asked of a side in a round, in the form that it takes."""
    ours = side == _OURS
    count = _BATCH * _BATCHES
    singles = [orjson.dumps(one) for one in _items(first, _SINGLES + _LONE)]
    # No text comes twice, in whatever form: our servers know the verdict of one that they have judged.
    first += _SINGLES + _LONE
    batches = [_items(first + k * _BATCH, _BATCH) for k in range(2 * _BATCHES)]
    numbers = [orjson.dumps(_as_openrlhf(one) if ours else {"items": one}) for one in batches[:_BATCHES]]
    items = [orjson.dumps({"rollouts": _rollouts(one)} if ours else {"items": one}) for one in batches[_BATCHES:]]
    return {
        _ALONE: _Work("/slime", singles[_SINGLES:], 1, _LONE),
        _SINGLE: _Work("/slime", singles[:_SINGLES], _CALLERS, _SINGLES),
        _NUMBERS: _Work("/openrlhf" if ours else "/batch", numbers, 2, count),
        _OUTCOMES: _Work("/v1/score" if ours else "/batch/items", items, 2, count),
    }


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gateway", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--verifier", choices=("exact", "math"), default="exact")
    parser.add_argument("--workers", type=int, default=1, help="worker processes of our server")
    told = parser.parse_args()
    measured: dict[tuple[str, str], list[Taken]] = {}
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        recipe = Path(folder) / "recipe.toml"
        recipe.write_text(_RECIPE.format(told.verifier))
        ours = [sys.executable, "-P", "-m", "reward_servers", "gateway", str(recipe), "--port", "0"]
        module = [sys.executable, "-m"]
        commands = {
            _OURS: [*ours, "--workers", str(told.workers)],
            _BY_HAND: [*module, "benchmarks.gateway.by_hand", told.verifier],
            _TWO: [*module, "benchmarks.gateway.two_processes", told.verifier],
        }
        sides = {side: stack.enter_context(_started(command)) for side, command in commands.items()}
        for turn in range(told.rounds + 1):
            asked = {side: _work(side, turn * 100_000) for side in sides}
            for name in (_ALONE, _SINGLE, _NUMBERS, _OUTCOMES):
                # Which side goes first alternates.
                for side in sorted(sides, reverse=bool(turn % 2)):
                    if side == _TWO and name != _OUTCOMES:
                        continue
                    taken = _measure(sides[side], asked[side][name])
                    if turn:  # the first round warms all
                        measured.setdefault((name, side), []).append(taken)
    _report(measured)


def _report(measured: dict[tuple[str, str], list[Taken]]) -> None:
    rate = {key: 1 / median(one.seconds for one in taken) for key, taken in measured.items()}
    cpu = {key: median(one.cpu for one in taken) for key, taken in measured.items()}
    print(f"{'work':<36} {'side':<11} {'items/s':>9} {'CPU us/item':>12}")
    for (work, side), value in sorted(rate.items()):
        print(f"{work:<36} {side:<11} {value:>9.0f} {1e6 * cpu[work, side]:>12.1f}")
    for work, side in rate:
        if side != _BY_HAND:
            ratio = rate[work, side] / rate[work, _BY_HAND]
            print(f"{work}, {side}: {ratio:.2f} x the items/s, {cpu[work, side] / cpu[work, _BY_HAND]:.2f} x the CPU")
    for many in (_NUMBERS, _OUTCOMES):
        beside = rate[many, _OURS] / rate[_SINGLE, _BY_HAND]
        print(f"{many}, ours, beside {_SINGLE} by hand: {beside:.1f} x the items/s")


if __name__ == "__main__":
    main()
