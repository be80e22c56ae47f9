"""`PrivateLoop`: an event loop for gRPC that may be closed while gRPC, or the name service, has still to answer."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import socket
import threading
from collections.abc import Callable
from contextvars import Context
from typing import Any, TypeVarTuple

_Ts = TypeVarTuple("_Ts")
_GRPC = "grpc."
_MOST_NAMES = 32
"""Names that are looked up at once. While the name service is away, each takes a thread for 10 s and more."""


class PrivateLoop(asyncio.SelectorEventLoop):
    """A loop that takes gRPC's last events when it is closed, and looks up names in threads that nothing waits for.

    In the executor that asyncio takes for names, all other work would wait for those that are not answered, and so
    would the end of the process.

    ``grpc.aio`` reads the events of all loops of a process in one of them and hands each to its own. The end of a call
    that was cut off may come after its loop was closed: with other loops that is a ``RuntimeError`` in the loop of
    another client, whose own event is then not handled either.

    Not from the policy: a foreign loop (uvloop, a test's) has no business on a thread of ours.
    """

    def __init__(self) -> None:
        super().__init__()
        self._names = asyncio.Semaphore(_MOST_NAMES)

    async def getaddrinfo(
        self, host: bytes | str | None, port: bytes | str | int | None, **options: int
    ) -> list[tuple[Any, ...]]:
        """See `asyncio.loop.getaddrinfo`."""
        await self._names.acquire()
        answer: concurrent.futures.Future[list[tuple[Any, ...]]] = concurrent.futures.Future()
        # A thread that waits cannot be cancelled: whoever gives up leaves it its place until it is done.
        answer.set_running_or_notify_cancel()
        answer.add_done_callback(self._looked_up)

        def look_up() -> None:
            try:
                answer.set_result(socket.getaddrinfo(host, port, **options))
            except BaseException as error:  # noqa: BLE001 (raised where the answer is awaited)
                answer.set_exception(error)

        try:
            threading.Thread(target=look_up, name="trainer-client-names", daemon=True).start()
        except RuntimeError as error:
            answer.set_exception(error)
        return await asyncio.wrap_future(answer)

    def _looked_up(self, _: object) -> None:
        """A thread is done; the loop may be closed by now."""
        with contextlib.suppress(RuntimeError):
            self.call_soon_threadsafe(self._names.release)

    def call_soon_threadsafe(
        self, callback: Callable[[*_Ts], object], *args: *_Ts, context: Context | None = None
    ) -> asyncio.Handle:
        """See `asyncio.loop.call_soon_threadsafe`; what gRPC says to a closed loop is taken note of here."""
        try:
            return super().call_soon_threadsafe(callback, *args, context=context)
        except RuntimeError:
            if not (self.is_closed() and (getattr(callback, "__module__", None) or "").startswith(_GRPC)):
                raise
            # No task of this loop is left, so no one waits for it: it only releases what gRPC keeps for the event.
            callback(*args)
            return asyncio.Handle(callback, args, self, context)
