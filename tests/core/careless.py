"""Verifiers that leave something behind, or say what cannot be read, when the text of the response says so."""

from __future__ import annotations

import asyncio
import math
import os
import signal
import threading
import time
from collections.abc import Sequence
from typing import Any

from reward_servers import Context, Cost, Group, Item, ItemLimits, Rollout, Score, Step, verifier

_LIMITS = ItemLimits(cpu_s=0.5, wall_s=30.0)


class UnwritableError(Exception):
    """An error that has no words."""

    def __str__(self) -> str:
        """Have none."""
        raise RuntimeError("no words")

    __repr__ = __str__


def _spin() -> None:
    while True:
        pass


def _interrupt(number: int, frame: object) -> None:
    raise TimeoutError("time is up")


def _leave(command: str) -> None:
    """Leave something behind that goes on, or that strikes later."""
    if command == "thread":
        threading.Thread(target=_spin, daemon=True).start()
    if command == "waiting":
        threading.Thread(target=time.sleep, args=(3600,), daemon=True).start()
    if command == "process" and os.fork() == 0:
        _spin()
    if command == "alarm":
        signal.signal(signal.SIGALRM, _interrupt)
        signal.setitimer(signal.ITIMER_REAL, 0.2)
    if command == "virtual":
        signal.signal(signal.SIGVTALRM, _interrupt)
        signal.setitimer(signal.ITIMER_VIRTUAL, 0.05)
    if command == "profile":
        signal.setitimer(signal.ITIMER_PROF, 0.05)


def _say(command: str, spent: Any) -> None:
    """Raise or count what cannot be sent as it is."""
    if command == "unwritable":
        raise UnwritableError
    if command == "closing":
        raise GeneratorExit
    if command == "spent" and spent is not None:
        spent.input_tokens, spent.output_tokens, spent.upstream_calls, spent.cost = None, "many", 3, math.nan


def _take_time(command: str, seconds: str) -> None:
    if command == "sleep":
        time.sleep(float(seconds))
    if command == "busy":
        ends = time.thread_time() + float(seconds)
        while time.thread_time() < ends:
            pass


@verifier("test/careless", version="1", limits=_LIMITS, deterministic=False)
def careless(rollout: Rollout, context: Context) -> float:
    """Do what the response says."""
    command, _, seconds = rollout.response.partition(" ")
    _leave(command)
    _say(command, context.usage)
    _take_time(command, seconds)
    return 1.0


@verifier("test/careless-loop", version="1", deterministic=False)
async def careless_loop(rollout: Rollout, context: Context) -> float:
    """Say what the response says."""
    task = asyncio.current_task()
    if rollout.response.startswith("cancel") and task is not None:
        task.cancel()
        if rollout.response == "cancel":
            await asyncio.sleep(0)
    _say(rollout.response, context.usage)
    return 1.0


@verifier("test/careless-quick", version="1", cost=Cost.TRIVIAL)
async def careless_quick(rollout: Rollout) -> float:
    """Say what the response says."""
    _say(rollout.response, None)
    return 1.0


@verifier("test/careless-batch", version="1", max_batch=8, limits=_LIMITS)
class CarelessBatch:
    """Scores many at once; the first response says how."""

    def prepare(self, item: Item) -> Score | None:
        """Give a score that cannot be read."""
        return Score(1.0, code=UnwritableError()) if item.rollout.response == "prepared" else None  # type: ignore[arg-type]

    def score_batch(self, items: Sequence[Item]) -> Sequence[Score]:
        """Judge a batch."""
        texts = [item.rollout.response for item in items]
        if "places" in texts:
            return dict.fromkeys(range(len(items)), Score(1.0))  # type: ignore[return-value]
        for item in items:
            _say(item.rollout.response, item.context.usage)
        return [Score(1.0, code=UnwritableError() if text == "code" else "") for text in texts]  # type: ignore[arg-type]


_TALKING = ItemLimits(cpu_s=60.0, wall_s=600.0, memory_bytes=96 << 20)


@verifier("test/talkative", version="1", limits=_TALKING, deterministic=False)
def talkative(rollout: Rollout) -> Score:
    """Say as many bytes as the response asks, where it asks."""
    where, _, size = rollout.response.partition(" ")
    text = "x" * int(size or 0)
    if where == "note":
        return Score(1.0, note=text)
    return Score(1.0, evidence={"text": text}) if where == "evidence" else Score(1.0, feedback={"text": text})


@verifier("test/endless", version="1", scope="group", limits=_TALKING, deterministic=False)
def endless(group: Group) -> Sequence[Score]:
    """Say of each response as much as may be sent of one, which is far too much of hundreds."""
    return [Score(1.0, steps=[Step(0, 1, 1.0)] * 32_768)] * len(group)
