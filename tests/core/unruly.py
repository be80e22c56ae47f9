"""Verifiers that do what the text of the response says, well or badly."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from reward_servers import (
    Context,
    Cost,
    DatasetError,
    Fault,
    Group,
    Item,
    ItemLimits,
    Options,
    Reference,
    Rollout,
    Score,
    ServiceError,
    Settings,
    StartupError,
    UpstreamError,
    verifier,
)
from reward_servers.core import DeviceLostError

_LIMITS = ItemLimits(cpu_s=0.5, wall_s=2.0, memory_bytes=256 << 20, response_bytes=100_000)


class Expected(Reference):
    """A text."""

    answer: str


class Marks(Options):
    """How many marks a right answer gets."""

    marks: float = 1.0


def _recurse(depth: int) -> int:
    return _recurse(depth + 1) + 1


def _spin() -> None:
    while True:
        pass


def _leave_a_child(*, own_session: bool) -> None:
    if os.fork() == 0:
        if own_session:
            os.setsid()
        time.sleep(20)
        os._exit(0)


def _disturb_the_worker(command: str, argument: str) -> None:
    """End, block or confuse the process that judges."""
    if command == "exit":
        sys.exit(3)
    if command == "interrupt":
        raise KeyboardInterrupt
    if command == "abort":
        os.abort()
    if command == "abort-once":
        marker = Path(argument)
        if not marker.exists():
            marker.touch()
            os.abort()
    if command == "sleep":
        time.sleep(float(argument or 60))
    if command == "spin":
        _spin()
    if command == "deaf":
        signal.signal(signal.SIGPROF, signal.SIG_IGN)
        _spin()
    if command == "garbage":
        for descriptor in range(3, 64):
            with contextlib.suppress(OSError):
                os.write(descriptor, b"\x08\0\0\0\x80\4\x95abcde" * 3)
        time.sleep(60)
    if command == "flood":
        for _ in range(1000):
            os.write(1, b"x" * 9_999 + b"\n")
    if command == "print":
        print("to standard output")
        os.write(1, b"and to its descriptor\n")
    if command == "leak":
        LEAKED.append(bytearray(16 << 20))


def _start_processes(command: str, argument: str) -> None:
    """Start processes, and leave some of them behind."""
    if command == "child":
        subprocess.run([sys.executable, "-c", "while True: pass"], check=False)
    if command == "orphan":
        _leave_a_child(own_session=argument == "away")
        os.abort()
    if command == "leave":
        subprocess.Popen(["sleep", argument], start_new_session=True)
    if command == "leave-twice":
        subprocess.run(["setsid", "sh", "-c", f"sleep {argument} & sleep {argument}a & exit 0"], check=False)
    if command == "leave-and-abort":
        subprocess.Popen(["sleep", argument], start_new_session=True)
        os.abort()
    if command == "helper":
        subprocess.Popen(["sleep", argument], start_new_session=True, env={**os.environ, "ASSAY_HELPER": "1"})
    if command == "fork":
        # The child returns from the verifier, too.
        os.fork()
    if command == "many":
        children = [
            subprocess.Popen([sys.executable, "-c", "x = bytearray(90 << 20); import time; time.sleep(60)"])
            for _ in range(4)
        ]
        children[0].wait()


@verifier("test/unruly", version="1", limits=_LIMITS, score_range=(-1.0, 1.0))
def unruly(rollout: Rollout) -> float | Score | Fault:
    """Do what the response says."""
    JUDGED.append(rollout.response)
    command, _, argument = rollout.response.partition(" ")
    _disturb_the_worker(command, argument)
    _start_processes(command, argument)
    if command == "raise":
        raise ValueError("a defect")
    if command == "fault":
        raise UpstreamError("the other side is down", code="down", retryable=True, retry_after=0.5)
    if command == "memory":
        return float(len(bytearray(2 << 30)))
    if command == "recurse":
        return float(_recurse(0))
    if command == "number":
        return float(argument)
    if command == "text":
        return argument  # type: ignore[return-value]
    if command == "nothing":
        return Score.floor("no_answer", "nothing was said")
    return 1.0


@verifier("test/equal", version="3", limits=_LIMITS)
def equal(rollout: Rollout, ref: Expected, options: Marks) -> float:
    """Whether the response is the reference."""
    if ref.answer == "unusable":
        raise DatasetError("reference.answer: it says that it is unusable")
    return options.marks if rollout.response == ref.answer else 0.0


@verifier("test/pid", version="1", limits=_LIMITS, deterministic=False, score_range=(0, 1e9))
def pid(rollout: Rollout) -> Score:
    """Which process judged, after as long as the response asks."""
    time.sleep(float(rollout.response or 0))
    return Score(1.0, evidence={"pid": os.getpid(), "at": time.time()})


@verifier("test/wait", version="1", limits=ItemLimits(wall_s=1.0), concurrency=8, deterministic=False)
async def wait(rollout: Rollout, context: Context) -> Score:
    """Wait as long as the response asks, on the loop."""
    try:
        await asyncio.sleep(float(rollout.response))
    except asyncio.CancelledError:
        CANCELLED.append(rollout.response)
        raise
    return Score(1.0, evidence={"seed": context.seed})


@verifier("test/abrupt", version="1", deterministic=False)
async def abrupt(rollout: Rollout) -> float:
    """Raise what is no Exception."""
    if rollout.response == "exit":
        raise SystemExit(3)
    if rollout.response == "interrupt":
        raise KeyboardInterrupt
    if rollout.response == "cancelled":
        other = asyncio.create_task(asyncio.sleep(60))
        other.cancel()
        await other
    if rollout.response == "group":
        raise BaseExceptionGroup("several", [SystemExit(3)])
    return 1.0


@verifier("test/stubborn", version="1", limits=ItemLimits(wall_s=0.2), concurrency=1, deterministic=False)
async def stubborn(rollout: Rollout) -> float:
    """Go on after its cancellation when the response says so."""
    if rollout.response == "stubborn":
        for _ in range(2):
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.sleep(20)
    return 1.0


@verifier("test/patient", version="1", limits=ItemLimits(wall_s=600.0), deterministic=False)
async def patient(rollout: Rollout) -> float:
    """Wait as long as the response asks, however long."""
    await asyncio.sleep(float(rollout.response))
    return 1.0


@verifier("test/told", version="1", limits=ItemLimits(wall_s=600.0), concurrency=8, deterministic=False)
async def told(rollout: Rollout) -> float:
    """Wait until the response is among what a test has told, on the loop of the test; nothing is told at once."""
    while rollout.response and rollout.response not in TOLD:
        await asyncio.sleep(0.005)
    return 1.0


@verifier("test/gated", version="1", limits=ItemLimits(wall_s=600.0), score_range=(0, 1e9))
def gated(rollout: Rollout) -> Score:
    """Which process judged, once the file is there that the response names; who waits for it is noted beside it."""
    gate = Path(rollout.response)
    with open(f"{gate}.waiting", "a") as file:
        file.write(f"{os.getpid()}\n")
    while not gate.exists():
        time.sleep(0.005)
    return Score(1.0, evidence={"pid": os.getpid()})


def waiting_at(gate: Path) -> list[int]:
    """The processes that have come to a gate, each as often as it came."""
    noted = Path(f"{gate}.waiting")
    return [int(line) for line in noted.read_text().split("\n")[:-1]] if noted.exists() else []


TOLD: set[str] = set()
LEAKED: list[bytearray] = []
JUDGED: list[str] = []
CANCELLED: list[str] = []


@verifier("test/ask", version="1", deterministic=False)
async def ask(rollout: Rollout, context: Context) -> float:
    """Ask another verifier."""
    verdict = await context.score("test/equal", rollout, options={"marks": 0.5})
    return verdict.score


@verifier("test/rank", version="1", scope="group", deterministic=False)
async def rank(group: Group) -> Sequence[Score | Fault]:
    """Ranks the responses of a group by length."""
    sizes = sorted(len(one.response) for one in group)
    return [Score(sizes.index(len(one.response)) / max(1, len(sizes) - 1)) for one in group]


@verifier("test/text", version="1", cost=Cost.TRIVIAL)
async def exact_text(rollout: Rollout, ref: Expected) -> bool:
    """Whether the response is the reference, at no cost."""
    return rollout.response == ref.answer


@verifier("test/lengths", version="1", scope="group", score_range=(0, 1e9), cost=Cost.NETWORK)
async def lengths(group: Group) -> Sequence[float]:
    """How long each response of a group is."""
    return [float(len(one.response)) for one in group]


class BatchSettings(Settings):
    """Where the device verifier reports its batches."""

    offset: float = 0.0
    gone: str = ""


@verifier("test/batch", version="1", max_batch=4, limits=_LIMITS, score_range=(0, 100))
class Batch:
    """Scores many at once, unless one of them is poison."""

    def setup(self, settings: BatchSettings) -> None:
        """Take the settings, and refuse where a file says that the device is gone."""
        self.offset = settings.offset
        if settings.gone and os.path.exists(settings.gone):
            raise StartupError("no device was found")

    def score_batch(self, items: Sequence[Item]) -> Sequence[Score | Fault]:
        """Judge a batch."""
        texts = [item.rollout.response for item in items]
        if "poison" in texts:
            raise ValueError("one of them is poison")
        if "abort" in texts:
            os.abort()
        if "unplug" in texts:
            raise DeviceLostError("unplugged")
        if "sleep" in texts:
            time.sleep(60)
        return [Score(len(text) + self.offset, evidence={"batch": len(items)}) for text in texts]


class PaceOptions(Options):
    """What the length is multiplied by."""

    factor: float = 1.0


@verifier("test/paced", version="1", max_batch=64, score_range=(0, 1e9))
class Paced:
    """Takes a millisecond for each token, which is a character, in batches of 200 tokens."""

    Options = PaceOptions
    batch_tokens = 200

    def setup(self) -> None:
        """Begin to count."""
        self.batches = 0

    def prepare(self, item: Item) -> Score | Fault | int:
        """Count the tokens."""
        text = item.rollout.response
        if text == "poison":
            raise ServiceError("it cannot be prepared", code="unprepared")
        if text == "none":
            return Score.floor("no_answer")
        item.context.usage.input_tokens += len(text) + len(item.rollout.prompt)
        return len(text)

    def score_batch(self, items: Sequence[Item]) -> Sequence[Score | Fault]:
        """Take its time."""
        time.sleep(0.001 * sum(item.prepared for item in items))
        self.batches += 1
        evidence = {"batch": self.batches, "items": len(items), "thread": threading.current_thread().name}
        return [Score(item.prepared * item.options.factor, evidence=evidence) for item in items]


@verifier("test/refuses", version="1")
class Refuses:
    """Cannot start here."""

    def setup(self) -> None:
        """Refuse."""
        raise OSError("no such device; plug one in")

    def score(self, rollout: Rollout) -> float:
        """Never called."""
        return 0.0
