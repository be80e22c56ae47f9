"""Runs what serves on the fastest loop that is installed."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
import threading
import time
from collections.abc import Coroutine
from typing import Any

_log = logging.getLogger("assay.server")
_LAST_S = 5.0
"""Seconds that tasks and threads have to end when all that was served is done."""


def run_on_loop(serving: Coroutine[Any, Any, None]) -> None:
    """Run to its end: on uvloop where it is installed, else on asyncio's own loop.

    What a verifier has left running by then is cancelled, and left behind where it does not end by that: a task that
    takes no cancelling and a thread that blocks would keep a stopped server for ever.
    """
    loop: asyncio.AbstractEventLoop
    try:
        import uvloop
    except ModuleNotFoundError:
        loop = asyncio.new_event_loop()
    else:
        loop = uvloop.new_event_loop()
    asyncio.set_event_loop(loop)
    try:
        loop.run_until_complete(serving)
    finally:
        left = _end_tasks(loop)
        asyncio.set_event_loop(None)
        loop.close()
        threads = _end_threads()
        if left or threads:
            _log.warning("ended without what does not end: %s", ", ".join([*left, *threads]))
        if threads:
            # The interpreter itself would wait for them.
            logging.shutdown()
            sys.stdout.flush()
            os._exit(int(sys.exc_info()[0] is not None))


def _end_tasks(loop: asyncio.AbstractEventLoop) -> list[str]:
    """Cancel what is left on a loop; the names of what does not end by it."""
    tasks = asyncio.all_tasks(loop)
    for task in tasks:
        task.cancel()
    stuck = loop.run_until_complete(asyncio.wait(tasks, timeout=_LAST_S))[1] if tasks else set()
    loop.run_until_complete(loop.shutdown_asyncgens())
    return [getattr(task.get_coro(), "__qualname__", task.get_name()) for task in stuck]


def _end_threads() -> list[str]:
    """Wait for threads that the interpreter waits for; the names of those that do not end."""
    until = time.monotonic() + _LAST_S
    threads = [t for t in threading.enumerate() if not t.daemon and t is not threading.main_thread()]
    for thread in threads:
        thread.join(max(0.0, until - time.monotonic()))
    return [t.name for t in threads if t.is_alive()]
