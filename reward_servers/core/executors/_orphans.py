"""What workers that died by themselves have left: the process that forks workers has adopted it."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from reward_servers.core.executors._process_tree import children_of, kill_tree

_LATER = 0.1
_workers: set[int] = set()
_being_started = 0


@contextmanager
def starting() -> Iterator[None]:
    """A worker is being started: until its process id is known it would look like an orphan."""
    global _being_started
    _being_started += 1
    try:
        yield
    finally:
        _being_started -= 1


def remember(pid: int) -> None:
    """A worker runs."""
    _workers.add(pid)


def forget(pid: int) -> None:
    """A worker has ended."""
    _workers.discard(pid)


def end(parent: int) -> None:
    """End every child of the process that forks workers which is no worker, with all that it has started.

    Args:
        parent: That process; 0 for workers that are started in another way. Nothing is ended where it is no child of
            this process (any more): its number may be that of a stranger by now.
    """
    if parent not in children_of(os.getpid()):
        return
    if _being_started:
        with suppress(RuntimeError):
            asyncio.get_running_loop().call_later(_LATER, end, parent)
        return
    for pid in children_of(parent):
        if pid not in _workers:
            kill_tree(pid)
