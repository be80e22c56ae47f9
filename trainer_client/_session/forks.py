"""When gRPC has ended in this process, so that it may fork.

A child inherits gRPC's locks as they are, but not the threads that would release them: what it then does with gRPC may
hang. So a process forks between the end of all of gRPC's threads and their next start.
"""

from __future__ import annotations

import gc
import os
import threading
import time

_TASKS = "/proc/self/task"
_CORE = ("grpc", "event_engine", "lifeguard", "resolver-execut", "default-executo")
_INTERVAL = 0.002

_foreign: set[str] = set()
"""Threads of the core that did not end with this client's work: those of another copy of gRPC in the process."""


def await_end_of_grpc(seconds: float) -> bool:
    """Wait until ``grpc.aio`` no longer polls and the threads of its core have ended. Whether they did.

    The poller ends with the last object that uses it: calls that were cut off live on for a moment in the frames of
    exceptions and tasks. The core's threads end a moment after it. Threads that once outlast the wait are not waited
    for again.
    """
    until = time.monotonic() + seconds
    while is_polled() or core_threads() - _foreign:
        if time.monotonic() > until:
            if is_polled():
                return False
            _foreign.update(core_threads())
            return False
        gc.collect()
        time.sleep(_INTERVAL)
    return True


def core_threads() -> set[str]:
    """Ids of the threads of gRPC's core, which Python does not know; none where the system does not tell."""
    names: set[str] = set()
    try:
        tasks = os.listdir(_TASKS)
    except OSError:
        return names
    for task in tasks:
        try:
            with open(f"{_TASKS}/{task}/comm", encoding="ascii", errors="replace") as file:
                name = file.read()
        except OSError:
            # It has just ended.
            continue
        if name.startswith(_CORE):
            names.add(task)
    return names


def is_polled() -> bool:
    """Whether ``grpc.aio`` has a poller in this process; a child that is forked now can never use it."""
    return any("_poll_wrapper" in thread.name for thread in threading.enumerate())
