"""`Leader`: the process that asks the servers for all of its host."""

from __future__ import annotations

import asyncio
import logging
import socket
import weakref
from collections.abc import Callable, Sequence
from typing import Any

from trainer_client._client.core import Core
from trainer_client._errors import ClientClosedError
from trainer_client._node.frames import (
    Frame,
    Reader,
    Token,
    pack,
    pack_error,
    pack_facts,
    pack_results,
    split,
    unpack_rollout,
)
from trainer_client._node.rendezvous import require_same_user
from trainer_client._session.sinks import ScoringJob
from trainer_client.recipe.recipe import Recipe
from trainer_client.result.batch import Labels
from trainer_client.result.rollout_result import RolloutResult
from trainer_client.result.table import IncompleteBatchError
from trainer_client.rollout.types import Rollout

_PAUSE_S = 0.1

logger = logging.getLogger("trainer_client")


class Leader:
    """Serves other processes. Lives on the private loop of this process's client.

    Args:
        core: the client that asks the servers.
        recipe: the recipe that is asked.
        loop: the private loop.
        listener: the socket that listens at the common name.
    """

    def __init__(
        self, core: weakref.ref[Core], recipe: Recipe, loop: asyncio.AbstractEventLoop, listener: socket.socket
    ) -> None:
        self.core = core
        self.recipe = recipe
        self.connections: set[Connection] = set()
        self._loop = loop
        self._listener = listener
        self._sockets: weakref.WeakSet[socket.socket] = weakref.WeakSet()
        self._task = loop.create_task(self._accept())

    async def _accept(self) -> None:
        while True:
            try:
                connection, _ = await self._loop.sock_accept(self._listener)
            except OSError as error:
                # Usually there are too many open files. Waiting processes are accepted when there are fewer.
                logger.warning("cannot let another process in: %s", error)
                await asyncio.sleep(_PAUSE_S)
                continue
            try:
                require_same_user(connection)
            except OSError as error:
                logger.warning("another process is refused: %s", error)
                connection.close()
                continue
            self._sockets.add(connection)
            try:
                await self._loop.connect_accepted_socket(lambda: Connection(self), connection)
            except OSError as error:
                logger.warning("another process has gone while it was let in: %s", error)
                connection.close()

    def close(self) -> None:
        """Release the name and disconnect the followers, who find another leader."""
        self._task.cancel()
        self._listener.close()
        for connection in list(self.connections):
            connection.leave()

    def forget(self) -> None:
        """Close the copies of the sockets that a forked child has."""
        self._listener.close()
        for connection in list(self._sockets):
            connection.close()


class Connection(asyncio.Protocol):
    """A follower's connection. As a sink of results it receives them."""

    def __init__(self, leader: Leader) -> None:
        self._leader = leader
        self._reader = Reader()
        self._transport: asyncio.Transport | None = None
        self._given_up: set[Token] = set()
        self._pins: dict[str, dict[str, str]] | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._leader.connections.add(self)
        self._tell_pins()

    def connection_lost(self, error: Exception | None) -> None:
        """It has gone: what it waited for ends."""
        self._transport = None
        self._leader.connections.discard(self)
        for task in self._tasks:
            task.cancel()
        core = self._leader.core()
        if core is not None:
            core.abandoned()

    def leave(self) -> None:
        """End the connection."""
        if self._transport is not None:
            self._transport.abort()

    def data_received(self, data: bytes) -> None:
        """Take what it asks."""
        try:
            for frame in self._reader.feed(data):
                _HANDLERS[frame.head[0]](self, frame)
        except (ValueError, TypeError, KeyError, LookupError) as error:
            logger.warning("another process said what cannot be read, and is left: %r", error)
            self.leave()

    def _send(self, data: bytes) -> None:
        if self._transport is not None:
            self._transport.write(data)

    def _score(self, frame: Frame) -> None:
        _, labels, tokens, sizes = frame.head
        rollouts: list[Rollout] = []
        usable: list[Token] = []
        unusable: list[Token] = []
        for token, data in zip(tokens, split(frame.body, sizes), strict=True):
            try:
                rollouts.append(unpack_rollout(data))
                usable.append(token)
            except Exception:  # noqa: BLE001 (the process that sent it finds out what is wrong with it)
                unusable.append(token)
        if unusable:
            self._send(pack(["unusable", unusable]))
        core = self._leader.core()
        if core is None:
            self.leave()
        elif rollouts:
            core.submit(ScoringJob(self._leader.recipe, Labels(*labels)), rollouts, usable, self)

    def _drop(self, frame: Frame) -> None:
        self._given_up.update(frame.head[1])
        core = self._leader.core()
        if core is not None:
            core.abandoned()

    def _answer_ping(self, _: Frame) -> None:
        self._send(pack(["pong"]))

    def _facts(self, frame: Frame) -> None:
        task = asyncio.get_running_loop().create_task(self._tell_facts(frame.head[1]))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _tell_facts(self, token: Token) -> None:
        core = self._leader.core()
        if core is None:
            self.leave()
            return
        try:
            facts = await asyncio.wrap_future(core.describe(self._leader.recipe))
            self._send(pack_facts(token, facts))
        except Exception as error:  # noqa: BLE001 (raised where it was asked)
            self._send(pack_error([token], error))

    def _tell_pins(self) -> None:
        """Say which versions of verifiers the run keeps to, so that another leader keeps to them too."""
        core = self._leader.core()
        if core is not None and core.pins != self._pins:
            self._pins = {server: dict(pins) for server, pins in core.pins.items()}
            self._send(pack(["pins", self._pins]))

    def deliver(self, tokens: Sequence[Token], results: Sequence[RolloutResult | BaseException]) -> None:
        """See `ResultSink`."""
        if self._transport is None:
            return
        self._given_up.difference_update(tokens)
        errors: dict[int, tuple[BaseException, list[Token]]] = {}
        answers: list[tuple[Token, RolloutResult | IncompleteBatchError]] = []
        for token, result in zip(tokens, results, strict=True):
            if isinstance(result, ClientClosedError):
                # The client of this process was closed, not that of the other.
                self.leave()
                return
            if isinstance(result, RolloutResult | IncompleteBatchError):
                answers.append((token, result))
            else:
                errors.setdefault(id(result), (result, []))[1].append(token)
        self._tell_pins()
        for error, of in errors.values():
            self._send(pack_error(of, error))
        if answers:
            try:
                self._send(pack_results([token for token, _ in answers], [result for _, result in answers]))
            except Exception:
                logger.exception("results cannot be told another process, which will ask the servers itself")
                self._send(pack(["unusable", [token for token, _ in answers]]))

    def is_abandoned(self, token: Token) -> bool:
        """See `ResultSink`."""
        return self._transport is None or token in self._given_up


_HANDLERS: dict[Any, Callable[[Connection, Frame], None]] = {
    "score": Connection._score,
    "drop": Connection._drop,
    "ping": Connection._answer_ping,
    "facts": Connection._facts,
}
