"""Ends connections that their callers keep open without sending or reading, because connections are limited.

HTTP servers wait without end in two cases: for headers that never become complete, and for a caller that does not
read its answer, whose rollouts would count as in flight. The time that a verifier takes is no such wait, and the body
of a request has its own bound. The limit counts checks and not seconds: when the server itself was paused, bytes that a
caller sent long ago may not have been read yet.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

_State = tuple[object, int]


class IdleLimit:
    """Checks connections at regular intervals.

    Args:
        looks: number of checks within which a connection must have made progress.
    """

    def __init__(self, looks: float) -> None:
        self._looks = looks
        self._seen: dict[Any, tuple[_State, int]] = {}

    def look(self, connections: Iterable[Any]) -> None:
        """End the connections without progress. Read all sockets before, so that no byte is waiting unread."""
        waiting: dict[Any, tuple[_State, int]] = {}
        for connection in list(connections):
            state = _waits(connection)
            if state is None:
                continue
            before, looks = self._seen.get(connection, (None, 0))
            looks = looks + 1 if before == state else 0
            if looks > self._looks:
                # `close` would wait until the caller has read the rest.
                connection.transport.abort()
            else:
                waiting[connection] = state, looks
        self._seen = waiting


def _waits(connection: Any) -> _State | None:
    """A value that changes when the caller makes progress; None while the server does not wait for the caller."""
    cycle = connection.cycle
    is_answering = cycle is not None and not cycle.response_complete
    if is_answering and not connection.flow.write_paused:
        return None
    return cycle, connection.transport.get_write_buffer_size()
