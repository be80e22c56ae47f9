"""`Runtime`: a private event loop on a separate thread, where all of a client's network work happens.

One implementation serves every caller that way: blocking code, coroutines on any loop, several threads. A runtime
belongs to one process. gRPC's core does not survive a fork while its threads run, so before a fork every runtime
ends its calls and closes its channels, and afterwards the parent goes on where it was: unfinished items are sent
again, under the same names. The child makes a runtime of its own when it first needs one.
"""

from __future__ import annotations

import asyncio
import atexit
import concurrent.futures
import contextlib
import logging
import os
import threading
import weakref
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, TypeVar

from trainer_client._errors import BlockingCallError, ClientClosedError, ForkedProcessError
from trainer_client._session.dispatch import BatchRunner
from trainer_client._session.forks import await_end_of_grpc, is_polled
from trainer_client._settings import TLS, Settings
from trainer_client._transport.loop import PrivateLoop
from trainer_client._transport.pool import Pool
from trainer_client.recipe.rewards import Server
from trainer_client.result.verifiers import Wait

_T = TypeVar("_T")
_PAUSE_TIMEOUT = 5.0
_POLLER_TIMEOUT = 5.0
"""Seconds that gRPC's threads may need to end before a fork, on a crowded host; a child forked earlier may crash."""
_FOREIGN_TIMEOUT = 1.0
"""The same, where gRPC was in use elsewhere in the process at the last fork."""
_LAST_EVENTS = 0.05

logger = logging.getLogger("trainer_client")


class Runtime:
    """The loop, the runner and the pools of a client in one process.

    Args:
        settings: the client's settings.
        pins: digests by server and verifier, shared with the client so that they outlive the runtime.

    Attributes:
        loop: the private loop.
        runner: the function that settles batches on it.
        endings: called when the runtime ends. They must not refer to the client, which could then never be dropped.
    """

    def __init__(self, settings: Settings, pins: dict[str, dict[str, str]]) -> None:
        self.loop = PrivateLoop()
        self.runner = BatchRunner(settings.batching, settings.retries)
        self._settings = settings
        self._pins = pins
        self._pools: dict[tuple[str, tuple[str, ...], TLS | None, str | None], Pool] = {}
        self.endings: list[Callable[[], None]] = []
        self._thread = threading.Thread(target=self._run, name="trainer-client", daemon=True)
        self._thread.start()
        _living.add(self)

    def _run(self) -> None:
        _here.is_private = True
        asyncio.set_event_loop(self.loop)
        try:
            self.loop.run_forever()
            self.loop.run_until_complete(self._end())
        finally:
            self.loop.close()

    def start(self, work: Coroutine[Any, Any, _T]) -> concurrent.futures.Future[_T]:
        """Run a coroutine on the private loop."""
        return asyncio.run_coroutine_threadsafe(work, self.loop)

    def pool(self, server: Server, addresses: tuple[str, ...]) -> Pool:
        """The pool of a server. To be called on the private loop."""
        settings = self._settings
        tls, token = server.access(settings.tls, settings.token)
        key = (server.name, addresses, tls, token)
        pool = self._pools.get(key)
        if pool is None:
            pins = self._pins.setdefault(server.name, {})
            pool = Pool(server.name, addresses, pins, settings.pin, settings.retries, tls, token or "")
            self._pools[key] = pool
        return pool

    def waits(self) -> concurrent.futures.Future[list[Wait]]:
        """The replicas that open calls wait for, the longest silence first."""

        async def look() -> list[Wait]:
            now = self.loop.time()
            waits = (replica.wait(pool.server, now) for pool in self._pools.values() for replica in pool.fleet.replicas)
            return sorted((wait for wait in waits if wait is not None), key=lambda wait: -wait.seconds)

        return self.start(look())

    # Forks

    def pause(self) -> None:
        """End all calls and release gRPC, from another thread."""
        if not self._is_usable():
            return
        try:
            self.start(self._each(Pool.pause)).result(_PAUSE_TIMEOUT)
        except TimeoutError:
            logger.warning(
                "calls did not end in %.0f s before a fork; a client in the child may not work", _PAUSE_TIMEOUT
            )

    def resume(self) -> None:
        """Go on after `pause`, from another thread."""
        if self._is_usable():
            for pool in self._pools.values():
                self.loop.call_soon_threadsafe(pool.resume)

    def _is_usable(self) -> bool:
        return self.loop.is_running() and threading.current_thread() is not self._thread

    async def _each(self, method: Any) -> None:
        await asyncio.gather(*(method(pool) for pool in self._pools.values()))

    def stop(self) -> None:
        """End all work and the thread, without waiting. Work that others wait for is cancelled."""
        _living.discard(self)
        if not self.loop.is_closed():
            # The loop may close in between, when two threads stop it.
            with contextlib.suppress(RuntimeError):
                self.loop.call_soon_threadsafe(self.loop.stop)

    def close(self) -> None:
        """Stop and wait for the end."""
        self.stop()
        if threading.current_thread() is not self._thread:
            self._thread.join()

    async def _end(self) -> None:
        current = asyncio.current_task()
        for ending in self.endings:
            ending()
        tasks = [task for task in asyncio.all_tasks() if task is not current]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._each(Pool.close)


_here = threading.local()


def refuse_on_private_thread() -> None:
    """Refuse to wait on a thread that does a client's work: callbacks of futures run there.

    Raises:
        BlockingCallError: this is such a thread.
    """
    if getattr(_here, "is_private", False):
        raise BlockingCallError


_living: weakref.WeakSet[Runtime] = weakref.WeakSet()
_handles: weakref.WeakSet[RuntimeHandle] = weakref.WeakSet()


_is_foreign = False
"""Whether gRPC was in use elsewhere in this process at the last fork."""
_is_stranded = False
"""Whether this process was forked while ``grpc.aio`` was in use: its poller is not here, and never will be."""
_was_polled = False


def _before_fork() -> None:
    global _is_foreign, _was_polled
    paused = [runtime for runtime in list(_living) if runtime._pools]
    for runtime in paused:
        runtime.pause()
    if paused or _handles:
        # Clients that were closed leave something behind for a moment, too.
        brief = _FOREIGN_TIMEOUT if paused else _LAST_EVENTS
        _is_foreign = not await_end_of_grpc(brief if _is_foreign else _POLLER_TIMEOUT)
    _was_polled = is_polled()
    if paused and _is_foreign:
        logger.warning("gRPC is in use elsewhere in this process during a fork; a client in the child may not work")


def _after_fork_in_parent() -> None:
    for runtime in list(_living):
        runtime.resume()


def _after_fork_in_child() -> None:
    global _is_stranded
    _is_stranded = _is_stranded or _was_polled
    for runtime in list(_living):
        _living.discard(runtime)
    for handle in list(_handles):
        handle.forget()


def _close_all() -> None:
    for runtime in list(_living):
        runtime.close()


os.register_at_fork(before=_before_fork, after_in_parent=_after_fork_in_parent, after_in_child=_after_fork_in_child)
atexit.register(_close_all)


class RuntimeHandle:
    """Gives a client its runtime: made at first use, once per process, never pickled.

    Args:
        settings: the client's settings.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.pins: dict[str, dict[str, str]] = {}
        self._closed = False
        self._runtime: Runtime | None = None
        self._lock = threading.Lock()
        _handles.add(self)

    def runtime(self) -> Runtime:
        """The runtime of this process.

        Raises:
            ClientClosedError: the client was closed.
            ForkedProcessError: this process was forked while other code used ``grpc.aio``.
        """
        runtime = self._runtime
        if runtime is not None:
            return runtime
        with self._lock:
            if self._closed:
                raise ClientClosedError
            if _is_stranded:
                raise ForkedProcessError
            if self._runtime is None:
                self._runtime = Runtime(self.settings, self.pins)
            return self._runtime

    def abandon(self) -> None:
        """End the runtime of a client that is no longer referenced. May run in any thread, at any moment."""
        runtime, self._runtime = self._runtime, None
        if runtime is not None:
            runtime.stop()

    def forget(self) -> None:
        """Start again in a forked child: the parent's loop is not here, and another thread of it may hold the lock."""
        self._runtime = None
        self._lock = threading.Lock()

    def close(self) -> None:
        """Close the runtime, if this process has one."""
        self._closed = True
        runtime, self._runtime = self._runtime, None
        if runtime is not None:
            runtime.close()

    def __getstate__(self) -> Mapping[str, Any]:
        return {"settings": self.settings, "pins": self.pins, "_closed": self._closed}

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        self.__init__(state["settings"])  # type: ignore[misc]
        self.pins = state["pins"]
        self._closed = state["_closed"]
