"""Scores the same math rollouts three ways in turn, and prints items per second and ratios.

1. TRL's ``accuracy_reward`` in the trainer's process
2. a FastAPI server that is called once per item, 64 calls in flight
3. this project: a server process and a client, batches; cold (nothing cached) and with a warm verdict cache

Usage: ``python -m benchmarks.alternatives FILE.jsonl [--rounds 3]`` with a rollout file that has references.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import httpx

from benchmarks.server._common import our_server
from trainer_client import Recipe, RewardClient, Rollout, read_rollouts

_RECIPE = Recipe.loads('[rewards.correct]\nverifier = "math"\n')


def _answer(rollout: Rollout) -> str:
    return str(rollout.reference["answer"])


def _in_process(rollouts: Sequence[Rollout]) -> tuple[float, list[float | None]]:
    from trl.rewards import accuracy_reward  # type: ignore[attr-defined]

    completions: list[Any] = [[{"role": "assistant", "content": one.response}] for one in rollouts]
    started = time.perf_counter()
    scores = accuracy_reward(completions, [f"${_answer(one)}$" for one in rollouts])
    return time.perf_counter() - started, scores


@contextlib.contextmanager
def _per_item_server() -> Iterator[str]:
    command = [sys.executable, "-m", "benchmarks.alternatives.per_item_server"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        url = f"http://127.0.0.1:{process.stdout.readline().strip()}"
        httpx.post(f"{url}/score", json={"response": "\\boxed{1}", "answer": "1"}, timeout=60)
        yield url
    finally:
        process.terminate()
        process.wait()


async def _post_all(url: str, rollouts: Sequence[Rollout]) -> list[float | None]:
    waiting = list(enumerate(rollouts))
    scores: list[float | None] = [None] * len(rollouts)
    async with httpx.AsyncClient(base_url=url, timeout=300) as client:

        async def caller() -> None:
            while waiting:
                place, one = waiting.pop()
                answer = await client.post("/score", json={"response": one.response, "answer": _answer(one)})
                scores[place] = answer.json()["reward"]

        await asyncio.gather(*(caller() for _ in range(64)))
    return scores


def _per_item(rollouts: Sequence[Rollout]) -> tuple[float, list[float | None]]:
    with _per_item_server() as url:
        started = time.perf_counter()
        scores = asyncio.run(_post_all(url, rollouts))
        return time.perf_counter() - started, scores


def _ours(rollouts: Sequence[Rollout]) -> tuple[float, float, list[float | None]]:
    with our_server("math") as server, RewardClient(_RECIPE, {"math": server.address}) as client:
        warm = [Rollout(f"w{n}", "", f"\\boxed{{{n}}}", reference={"answer": "1"}) for n in range(64)]
        client.score(warm)
        started = time.perf_counter()
        table = client.score(rollouts)
        cold = time.perf_counter() - started
        started = time.perf_counter()
        client.score(rollouts)
        return cold, time.perf_counter() - started, table.scores[:, 0].tolist()


def _agreement(rollouts: Sequence[Rollout], scores: Sequence[float | None]) -> float:
    labels = [one.expected["score"] if one.expected else None for one in rollouts]
    return sum(score == label for score, label in zip(scores, labels, strict=True)) / len(labels)


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", type=Path)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    rollouts = read_rollouts(arguments.file).rollouts
    times: dict[str, list[float]] = {}
    agreed: dict[str, float] = {}
    for _ in range(arguments.rounds):
        for name, way in (("TRL accuracy_reward, in process", _in_process), ("FastAPI, a call per item", _per_item)):
            seconds, scores = way(rollouts)
            times.setdefault(name, []).append(seconds)
            agreed[name] = _agreement(rollouts, scores)
        cold, cached, scores = _ours(rollouts)
        times.setdefault("assay", []).append(cold)
        times.setdefault("assay, verdicts cached", []).append(cached)
        agreed["assay"] = agreed["assay, verdicts cached"] = _agreement(rollouts, scores)
    ours = median(times["assay"])
    print(f"{len(rollouts)} rollouts of {arguments.file.name}")
    print(f"{'way':<34} {'items/s':>9} {'time / assay':>13} {'agrees with labels':>19}")
    for name, taken in times.items():
        took = median(taken)
        print(f"{name:<34} {len(rollouts) / took:>9.0f} {took / ours:>13.2f} {agreed[name]:>18.2%}")


if __name__ == "__main__":
    main()
