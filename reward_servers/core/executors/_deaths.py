"""Why a worker died, and what that means for the item that it was on.

What the item's content has done is a verdict; what was done to the worker is not the item's, and is tried again.
"""

from __future__ import annotations

import contextlib
import signal
from dataclasses import dataclass
from pathlib import Path

from reward_servers.core._bound import floor_verdict, limit_verdict
from reward_servers.core._outcomes import Fault, Outcome, Party
from reward_servers.core._work import DeathKind, Unit
from reward_servers.core.executors._device_main import LOST_DEVICE
from reward_servers.core.executors._worker import KillReason, WorkerProcess
from reward_servers.core.executors._worker_main import LEFT_COMPUTING, LEFT_MEMORY, LEFT_RUNNING, OWN_MEMORY


@dataclass(frozen=True, slots=True)
class Cause:
    """Why a worker died.

    Attributes:
        kind: Whose doing it was.
        words: What happened, for a log and a note.
        fresh: Whether no other item had run in it.
        exhausted: The bound that was exceeded: ``"cpu"``, ``"memory"`` or ``"wall"``; empty for none.
        disturbed: Whether threads or processes of earlier items were there, whose time is counted as the item's.
        between: Whether no item ran then.
    """

    kind: DeathKind
    words: str
    fresh: bool
    exhausted: str = ""
    disturbed: bool = False
    between: bool = False

    @property
    def label(self) -> str:
        """The same in a word, for counting."""
        return "left" if self.between else self.exhausted or self.kind.value

    def __str__(self) -> str:
        """What happened."""
        return self.words


def out_of_memory_kills() -> int:
    """How many processes the kernel has killed for want of memory, on this host or in this control group."""
    most = 0
    for path in ("/proc/vmstat", "/sys/fs/cgroup/memory.events"):
        with contextlib.suppress(OSError, ValueError):
            for line in Path(path).read_text("ascii").splitlines():
                name, _, count = line.partition(" ")
                if name == "oom_kill":
                    most = max(most, int(count))
    return most


def cause_of_death(worker: WorkerProcess, exit_code: int | None) -> Cause:
    """Why a worker died, after what this server did to it and the way it ended."""
    fresh = not worker.finished_items
    reason = worker.killed_for
    if reason in (KillReason.CPU, KillReason.MEMORY, KillReason.WALL):
        return Cause(DeathKind.BOUND, f"over its {reason.value} limit", fresh, reason.value, worker.disturbed)
    if reason is not None and reason is not KillReason.GARBAGE:
        return Cause(DeathKind.OUTSIDE, f"it was {reason.value}", fresh)
    if exit_code == -signal.SIGPROF:
        return Cause(DeathKind.BOUND, "over its cpu limit", fresh, "cpu", worker.disturbed)
    if exit_code == OWN_MEMORY:
        return Cause(DeathKind.BOUND, "over its memory limit", fresh, "memory")
    if exit_code == LEFT_RUNNING:
        words = "items have left threads or processes in it that compute for ever"
        return Cause(DeathKind.OUTSIDE, words, fresh, between=True)
    if exit_code == LEFT_MEMORY:
        return Cause(DeathKind.OUTSIDE, "other items had left too much memory in use", fresh)
    if exit_code == LEFT_COMPUTING:
        return Cause(DeathKind.OUTSIDE, "other items had left threads or processes that compute", fresh)
    if exit_code == LOST_DEVICE:
        return Cause(DeathKind.OUTSIDE, "its device was lost", fresh)
    if exit_code == -signal.SIGKILL and reason is None:
        # A worker and its children are under memory bounds of ours: what an item eats ends by those.
        starved = out_of_memory_kills() > worker.host_kills
        killer = "the kernel, for want of memory" if starved else "someone on this host"
        return Cause(DeathKind.OUTSIDE, f"it was killed by {killer}", fresh)
    words = "it sent what cannot be read" if reason is KillReason.GARBAGE else f"exit code {exit_code}"
    return Cause(DeathKind.CRASH, words, fresh)


def after_death(unit: Unit, cause: Cause, *, on_device: bool) -> Outcome | None:
    """What becomes of the item that a worker died on.

    Returns:
        Its outcome; None when it is to be tried once more, alone and on a fresh worker.
    """
    hosted = unit.job.hosted
    name, limits = hosted.identity.name, hosted.limits
    if cause.disturbed and not cause.fresh and DeathKind.BOUND not in unit.deaths and not on_device:
        return None  # the time may have been spent by what others have left
    if cause.exhausted == "wall":
        spent = "" if on_device else " with little CPU used"
        return Fault(Party.SERVICE, "wall_limit", f"{name} took more than {limits.wall_s:g} s{spent}")
    if cause.exhausted == "cpu":
        return limit_verdict(hosted.verifier, f"CPU limit of {unit.job.max_cpu_s:g} s")
    if cause.exhausted == "memory" and (cause.fresh or DeathKind.BOUND in unit.deaths):
        return limit_verdict(hosted.verifier, "memory limit")
    if cause.kind is DeathKind.CRASH and DeathKind.CRASH in unit.deaths:
        note = f"the verifier's process died twice on this item ({cause})"
        return floor_verdict(hosted.verifier, "crashed_verifier", note)
    if cause.kind is not DeathKind.CRASH and DeathKind.OUTSIDE in unit.deaths:
        message = f"the worker of {name} that was on this item died twice and not by the item's doing: {cause}"
        return Fault(Party.SERVICE, "worker_killed", message, retryable=True, retry_after=1.0)
    return None
