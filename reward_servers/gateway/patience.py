"""Ends connections whose callers keep them open and do nothing, so that they take no one's place.

Two that HTTP servers wait for without end: a head that never becomes whole, sent byte by byte or not at all, and an
answer that is not read, whose rollouts would count as under way. What a verifier takes is no such wait, and the body
of a request has a bound of its own.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

_State = tuple[object, int]


class Patience:
    """Looks at connections now and then.

    Args:
        seconds: in which something must come of one.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._seen: dict[Any, tuple[_State, float]] = {}

    def look(self, connections: Iterable[Any], now: float) -> None:
        """End those of which nothing came.

        Args:
            connections: uvicorn's protocols.
            now: a clock, in seconds.
        """
        seen: dict[Any, tuple[_State, float]] = {}
        for connection in list(connections):
            state = _waits(connection)
            if state is None:
                continue
            before, since = self._seen.get(connection, (None, now))
            if before != state:
                since = now
            if now - since > self._seconds:
                # Not closed: that would wait for what is not read.
                connection.transport.abort()
            else:
                seen[connection] = state, since
        self._seen = seen


def _waits(connection: Any) -> _State | None:
    """What changes when a caller does something; None where it is not the caller that is waited for."""
    cycle = connection.cycle
    is_answering = cycle is not None and not cycle.response_complete
    if is_answering and not connection.flow.write_paused:
        return None
    return cycle, connection.transport.get_write_buffer_size()
