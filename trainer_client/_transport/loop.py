"""`PrivateLoop`: an event loop for gRPC that may be closed while gRPC has still to tell it something."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextvars import Context
from typing import TypeVarTuple

_Ts = TypeVarTuple("_Ts")
_GRPC = "grpc."


class PrivateLoop(asyncio.SelectorEventLoop):
    """A loop that takes gRPC's last events when it is closed.

    ``grpc.aio`` reads the events of all loops of a process in one of them and hands each to its own. The end of a call
    that was cut off may come after its loop was closed: with other loops that is a ``RuntimeError`` in the loop of
    another client, whose own event is then not handled either.

    Not from the policy: a foreign loop (uvloop, a test's) has no business on a thread of ours.
    """

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
