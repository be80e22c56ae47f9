"""What a process that follows holds: its connection to the one that leads, and what it waits for."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Iterable
from typing import NamedTuple

from trainer_client._node.frames import Frame, Reader
from trainer_client._session.futures import ThreadFuture
from trainer_client.result.batch import Labels
from trainer_client.rollout.types import Rollout


class PendingRequest:
    """A rollout that is waited for.

    Attributes:
        labels: what the request is labelled with.
        rollout: the rollout.
        future: gets its result.
        lost: how many leaders went while it was open.
    """

    __slots__ = ("future", "labels", "lost", "rollout")

    def __init__(self, labels: Labels, rollout: Rollout, future: ThreadFuture) -> None:
        self.labels = labels
        self.rollout = rollout
        self.future = future
        self.lost = 0


def by_labels(rollouts_asked: Iterable[PendingRequest]) -> dict[Labels, list[PendingRequest]]:
    """Requests by their labels."""
    by_labels: dict[Labels, list[PendingRequest]] = {}
    for pending in rollouts_asked:
        by_labels.setdefault(pending.labels, []).append(pending)
    return by_labels


class Listeners(NamedTuple):
    """Who is told what becomes of a connection.

    Attributes:
        heard: takes a frame.
        lost: the leader has gone.
        unreadable: the leader sent something that cannot be read.
    """

    heard: Callable[[Frame], None]
    lost: Callable[[LeaderConnection], None]
    unreadable: Callable[[LeaderConnection, str], None]


class LeaderConnection(asyncio.Protocol):
    """The connection to the leader."""

    def __init__(self, listeners: Listeners, connection: socket.socket) -> None:
        self._listeners = listeners
        self._socket = connection
        self._reader = Reader()
        self._transport: asyncio.Transport | None = None

    @property
    def is_open(self) -> bool:
        """Whether it is there."""
        return self._transport is not None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Take what the leader says."""
        try:
            for frame in self._reader.feed(data):
                self._listeners.heard(frame)
        except (ValueError, TypeError, LookupError) as error:
            self._listeners.unreadable(self, f"the one that leads said what cannot be read: {error!r}")

    def connection_lost(self, error: Exception | None) -> None:
        """It has gone."""
        self._transport = None
        self._listeners.lost(self)

    def send(self, data: bytes) -> None:
        """Send bytes."""
        if self._transport is not None:
            self._transport.write(data)

    def end(self) -> None:
        """End the connection."""
        if self._transport is not None:
            self._transport.abort()

    def forget(self) -> None:
        """Close the copy of the socket that a forked child has."""
        self._socket.close()
