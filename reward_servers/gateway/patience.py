"""Ends connections whose callers keep them open and do nothing, so that they take no one's place.

Two that HTTP servers wait for without end: a head that never becomes whole, sent byte by byte or not at all, and an
answer that is not read, whose rollouts would count as under way. What a verifier takes is no such wait, and the body
of a request has a bound of its own. Looks are counted, and not seconds: where the server itself is kept waiting, what
a caller has sent long ago may not have been read.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

_State = tuple[object, int]


class Patience:
    """Looks at connections now and then.

    Args:
        looks: by which something must have come of one since the first.
    """

    def __init__(self, looks: float) -> None:
        self._looks = looks
        self._seen: dict[Any, tuple[_State, int]] = {}

    def look(self, connections: Iterable[Any]) -> None:
        """End those of uvicorn's protocols of which nothing came; what there was to read has been read before."""
        seen: dict[Any, tuple[_State, int]] = {}
        for connection in list(connections):
            state = _waits(connection)
            if state is None:
                continue
            before, looks = self._seen.get(connection, (None, 0))
            looks = looks + 1 if before == state else 0
            if looks > self._looks:
                # Not closed: that would wait for what is not read.
                connection.transport.abort()
            else:
                seen[connection] = state, looks
        self._seen = seen


def _waits(connection: Any) -> _State | None:
    """What changes when a caller does something; None where it is not the caller that is waited for."""
    cycle = connection.cycle
    is_answering = cycle is not None and not cycle.response_complete
    if is_answering and not connection.flow.write_paused:
        return None
    return cycle, connection.transport.get_write_buffer_size()
