"""Processes and what they have started, as the kernel tells.

A worker adopts what its items have started and left (it is the *subreaper* of its descendants), so that a process that
leaves its session or its parent stays in the worker's tree, and ends with it.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import time
from pathlib import Path

import psutil

HELPER = "ASSAY_HELPER"
"""A variable in the environment of a process that a verifier keeps for later items: it is not ended with an item."""

_PR_SET_CHILD_SUBREAPER = 36
_IN_EXEC = 0.05
"""Seconds in which a process that is being started has got its environment."""
_ROUNDS = 20
"""How often a tree is looked at for processes that were started while it was being killed."""


def adopt_orphans() -> None:
    """Make this process the parent of what its descendants leave behind."""
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1)


def children_of(pid: int) -> list[int]:
    """The direct children of a process; none when it has ended."""
    children: list[int] = []
    try:
        for thread in os.listdir(f"/proc/{pid}/task"):
            with contextlib.suppress(ProcessLookupError):
                children += map(int, Path(f"/proc/{pid}/task/{thread}/children").read_text("ascii").split())
    except (FileNotFoundError, ProcessLookupError):
        if os.path.exists(f"/proc/{pid}"):
            with contextlib.suppress(psutil.Error):  # a kernel that does not list children
                children = [child.pid for child in psutil.Process(pid).children()]
    return children


def descendants_of(pid: int) -> list[int]:
    """All descendants of a process, parents before their children."""
    descendants: list[int] = []
    waiting = [pid]
    while waiting:
        children = children_of(waiting.pop())
        descendants += children
        waiting += children
    return descendants


def state_of(pid: int | str) -> str:
    """The kernel's letter for what a process does, such as ``T`` for stopped; empty when it has ended.

    Args:
        pid: The process; ``PID/task/TID`` for one of its threads.
    """
    try:
        return Path(f"/proc/{pid}/stat").read_text("ascii", "replace").rpartition(")")[2].split()[0]
    except (OSError, IndexError):
        return ""


def is_helper(pid: int) -> bool:
    """Whether a process says of itself that it is kept for later items; yes, too, where its environment is closed."""
    ends = time.monotonic() + _IN_EXEC
    try:
        # The process that has started it may see it before the kernel has filled its environment in.
        while not (environment := Path(f"/proc/{pid}/environ").read_bytes()) and time.monotonic() < ends:
            time.sleep(0.001)
    except PermissionError:
        return True
    except OSError:
        return False
    return f"{HELPER}=".encode() in environment


def kill_descendants(pid: int) -> None:
    """Kill what a process has started, and what that has started, until nothing is left that could start more."""
    for _ in range(_ROUNDS):
        alive = [process for process in descendants_of(pid) if state_of(process) not in ("", "Z", "X")]
        if not alive:
            return
        for process in alive:
            _send(process, signal.SIGKILL)
        time.sleep(0)


def kill_tree(pid: int) -> None:
    """Kill a process that adopts orphans, its group, and everything that it has started."""
    _send(pid, signal.SIGSTOP)
    kill_descendants(pid)
    kill_group(pid)
    _send(pid, signal.SIGKILL)


def kill_group(pid: int) -> None:
    """Kill the processes of a group, whether or not the one that led it has ended."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)


def _send(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(pid, number)
