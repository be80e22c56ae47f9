"""Says what holds up the event loop: a coroutine that computes or waits without ``await`` delays every other item."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sys
import threading
import time
import traceback
from collections.abc import AsyncIterator

_log = logging.getLogger("assay.server")
_DEEPEST = 12
"""Frames that are told: enough to see whose function it is, and what it called."""


class _Watch:
    """A thread that sees whether the loop turns."""

    def __init__(self, tolerated: float) -> None:
        self._tolerated = tolerated
        self._period = tolerated / 4
        self._loop = asyncio.get_running_loop()
        self._thread_of_loop = threading.get_ident()
        self._seen_alive = time.monotonic()
        self._next: asyncio.TimerHandle | None = None
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._look, name="assay-loop-watch", daemon=True)

    def start(self) -> None:
        self._note_alive()
        self._thread.start()

    def stop(self) -> None:
        if self._next is not None:
            self._next.cancel()
        self._ended.set()
        self._thread.join()

    def _note_alive(self) -> None:
        self._seen_alive = time.monotonic()
        self._next = self._loop.call_later(self._period, self._note_alive)

    def _look(self) -> None:
        reported = last_seen = 0.0
        looked, cpu, paused = time.monotonic(), time.process_time(), 0.0
        while not self._ended.wait(self._period):
            now, cpu_now, alive_at = time.monotonic(), time.process_time(), self._seen_alive
            if alive_at != last_seen:
                last_seen, paused = alive_at, 0.0
            # Where this thread did not run either and no processor was used, the process was stopped or had none to
            # run on: that is no verifier's doing.
            paused += max(0.0, now - looked - 2 * self._period - (cpu_now - cpu))
            looked, cpu = now, cpu_now
            held_s = now - alive_at - paused
            if held_s > self._tolerated and alive_at != reported:
                reported = alive_at
                frame = sys._current_frames().get(self._thread_of_loop)
                stack = "".join(traceback.format_stack(frame)[-_DEEPEST:]) if frame is not None else ""
                _log.error(
                    "the event loop has been held for %.1f s, and with it every item of this server. The end of this "
                    "stack shows by what. Where that is a verifier: what it calls must be awaited, and what computes "
                    "belongs into a plain def:\n%s",
                    held_s,
                    stack,
                )


@contextlib.asynccontextmanager
async def watched_loop(tolerated: float = 2.0) -> AsyncIterator[None]:
    """Log the stack of whatever holds up the running loop, once each time.

    Args:
        tolerated: Seconds that it may be held.
    """
    watch = _Watch(tolerated)
    watch.start()
    try:
        yield
    finally:
        watch.stop()
