"""`Link`: a process's part in the sharing. It leads, or it follows the one that leads, or it works alone.

Whoever binds the common name leads. When the leader goes, those who followed it meet again, and what it left open is
asked again under the same names, so that no score is lost or changed. Work that was open when two leaders went is asked
by its own process: should it be what ends them, it ends no third.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import logging
import random
import socket
import threading
import weakref
from collections.abc import Iterable, Sequence

from trainer_client._client.core import Core
from trainer_client._errors import ClientClosedError, RewardError
from trainer_client._node.follower import LeaderConnection, Listeners, PendingRequest, by_labels
from trainer_client._node.frames import (
    Frame,
    Token,
    pack,
    pack_rollout,
    pack_score,
    tokens_of,
    unpack_error,
    unpack_facts,
    unpack_results,
)
from trainer_client._node.leader import Leader
from trainer_client._node.rendezvous import follow, lead
from trainer_client._session.futures import ThreadFuture
from trainer_client._session.sinks import ScoringJob, ThreadSink
from trainer_client.recipe.recipe import Recipe
from trainer_client.result.batch import Labels
from trainer_client.result.rollout_result import RolloutResult, table_of
from trainer_client.result.table import IncompleteBatchError
from trainer_client.result.verifiers import VerifierInfo
from trainer_client.rollout.types import Rollout

_FRAME_ITEMS = 256
_ATTEMPTS = 40
_BEAT_S = 1.0
_ALONE_S = 30.0
_SWEEP_DELAY_S = 0.05
_LEADERS_LOST = 2
_THREADS = ThreadSink()

logger = logging.getLogger("trainer_client")


class Link:
    """A process's part in the sharing. Lives on the private loop of its client, which it does not keep alive.

    Args:
        core: the client that asks the servers when this process leads or works alone.
        recipe: the recipe that is asked.
        name: where the processes meet.
        silence_s: seconds without a word of the leader, while work is open, after which it is left.
    """

    def __init__(self, core: Core, recipe: Recipe, name: bytes, silence_s: float) -> None:
        self._core = weakref.ref(core)
        self._recipe = recipe
        self._name = name
        self._beats_allowed = max(2, round(silence_s / _BEAT_S))
        runtime = core.runtime
        self._loop = runtime.loop
        self._lock = threading.Lock()
        self._incoming: list[PendingRequest] = []
        self._open: dict[Token, PendingRequest] = {}
        self._facts: dict[Token, asyncio.Future[dict[str, VerifierInfo]]] = {}
        self._next = 0
        self._leader: Leader | None = None
        self._followed: LeaderConnection | None = None
        self._meeting: asyncio.Task[None] | None = None
        self._alone_until = 0.0
        self._beats = 0
        self._sweep_is_due = False
        self._ended = False
        runtime.endings.append(self._end)
        _links.add(self)

    @property
    def role(self) -> str:
        """``"leads"``, ``"follows"`` or ``"alone"``; empty while that is open."""
        if self._leader is not None:
            return "leads"
        if self._followed is not None:
            return "follows"
        return "alone" if self._loop.time() < self._alone_until else ""

    # Methods for callers, on any thread

    def ask(self, labels: Labels, rollout: Rollout, future: ThreadFuture) -> None:
        """Hand over a rollout."""
        if self._leader is not None:
            core = self._core()
            if core is not None:
                core.submit(ScoringJob(self._recipe, labels), (rollout,), (future,), _THREADS)
                return
        with self._lock:
            self._incoming.append(PendingRequest(labels, rollout, future))
            first = len(self._incoming) == 1
        if first:
            self._loop.call_soon_threadsafe(self._flush)

    def given_up(self) -> None:
        """Someone has stopped waiting: find out for what, once for many."""
        if not self._sweep_is_due:
            self._sweep_is_due = True
            self._loop.call_soon_threadsafe(self._loop.call_later, _SWEEP_DELAY_S, self._sweep)

    def describe(self) -> concurrent.futures.Future[dict[str, VerifierInfo]]:
        """What the servers say of the recipe's verifiers."""
        return asyncio.run_coroutine_threadsafe(self._describe(), self._loop)

    # On the private loop

    def _flush(self) -> None:
        if self._ended or not self._incoming:
            return
        if self._leader is None and self._followed is None and self._loop.time() >= self._alone_until:
            self._meet()
            return
        with self._lock:
            incoming, self._incoming = self._incoming, []
        if self._followed is None:
            self._ask_oneself(incoming)
            return
        followed = self._followed
        for labels, items in by_labels(incoming).items():
            for start in range(0, len(items), _FRAME_ITEMS):
                self._send(followed, labels, items[start : start + _FRAME_ITEMS])

    def _send(self, followed: LeaderConnection, labels: Labels, items: Sequence[PendingRequest]) -> None:
        tokens: list[Token] = []
        encoded: list[bytes] = []
        for pending in items:
            if pending.future.cancelled():
                continue
            if pending.lost >= _LEADERS_LOST:
                self._ask_oneself([pending])
                continue
            try:
                data = pack_rollout(pending.rollout)
            except (TypeError, ValueError, RecursionError):
                # The client itself says what is wrong with it.
                self._ask_oneself([pending])
                continue
            self._next += 1
            self._open[self._next] = pending
            tokens.append(self._next)
            encoded.append(data)
        if tokens:
            followed.send(pack_score(labels, tokens, encoded))

    def _ask_oneself(self, incoming: Iterable[PendingRequest]) -> None:
        core = self._core()
        for labels, items in by_labels(incoming).items():
            futures = [pending.future for pending in items]
            if core is None:
                _THREADS.deliver(futures, [ClientClosedError()] * len(futures))
            else:
                core.submit(ScoringJob(self._recipe, labels), [pending.rollout for pending in items], futures, _THREADS)

    def _meet(self) -> asyncio.Task[None]:
        if self._meeting is None:
            self._meeting = self._loop.create_task(self._find_a_part())
            self._meeting.add_done_callback(self._flushed)
        return self._meeting

    def _flushed(self, task: asyncio.Task[None]) -> None:
        self._meeting = None
        if not task.cancelled():
            self._flush()

    async def _find_a_part(self) -> None:
        for attempt in range(_ATTEMPTS):
            try:
                listener = lead(self._name)
                if listener is not None:
                    self._leader = Leader(self._core, self._recipe, self._loop, listener)
                    return
                connection = follow(self._name)
                if connection is not None and await self._follow(connection):
                    return
            except Exception as error:  # noqa: BLE001 (whatever it is, work goes on)
                self._work_alone(f"cannot join: {error!r}")
                return
            # Its holder is about to listen, or is just ending.
            await asyncio.sleep(random.uniform(0.5, 1.0) * min(0.002 * 2**attempt, 0.2))  # noqa: S311
        self._work_alone("the one that leads lets no one in")

    async def _follow(self, connection: socket.socket) -> bool:
        followed = LeaderConnection(Listeners(self._heard, self._lost, self._leave), connection)
        await self._loop.create_unix_connection(lambda: followed, sock=connection)
        if followed.is_open:
            self._followed, self._beats = followed, 0
            self._loop.call_later(_BEAT_S, self._beat, followed)
        return followed.is_open

    def _work_alone(self, reason: str) -> None:
        logger.warning(
            "this process asks the servers by itself for %.0f s, not through the client that the processes of this "
            "host share: %s",
            _ALONE_S,
            reason,
        )
        self._alone_until = self._loop.time() + _ALONE_S

    def _beat(self, followed: LeaderConnection) -> None:
        if self._followed is not followed:
            return
        self._beats = self._beats + 1 if self._open or self._facts else 0
        if self._beats > self._beats_allowed:
            self._leave(followed, f"the one that leads has said nothing for {self._beats * _BEAT_S:.0f} s")
            return
        if self._beats:
            followed.send(pack(["ping"]))
        self._loop.call_later(_BEAT_S, self._beat, followed)

    def _sweep(self) -> None:
        self._sweep_is_due = False
        tokens = [token for token, pending in self._open.items() if pending.future.cancelled()]
        for token in tokens:
            del self._open[token]
        if tokens and self._followed is not None:
            self._followed.send(pack(["drop", tokens]))

    async def _describe(self) -> dict[str, VerifierInfo]:
        for _ in range(_LEADERS_LOST):
            if self._leader is None and self._followed is None and self._loop.time() >= self._alone_until:
                await self._meet()
            if self._followed is None:
                break
            self._next += 1
            token = self._next
            future: asyncio.Future[dict[str, VerifierInfo]] = self._loop.create_future()
            self._facts[token] = future
            self._followed.send(pack(["facts", token]))
            try:
                return await future
            except _LostLeaderError:
                continue
            finally:
                self._facts.pop(token, None)
        core = self._core()
        if core is None:
            raise ClientClosedError
        own: asyncio.Future[dict[str, VerifierInfo]] = asyncio.wrap_future(core.describe(self._recipe))
        return await own

    # What the leader says

    def _heard(self, frame: Frame) -> None:
        """Take what the leader says.

        Raises:
            ValueError: it cannot be read; other errors mean the same.
        """
        self._beats = 0
        kind, *arguments = frame.head
        if kind == "done":
            self._take_results(frame)
        elif kind == "failed":
            self._take_error(arguments[0], unpack_error(arguments[1], arguments[2]))
        elif kind == "unusable":
            self._ask_oneself(self._closed(arguments[0]))
        elif kind == "facts":
            waiting = self._facts.get(arguments[0])
            if waiting is not None and not waiting.done():
                waiting.set_result(unpack_facts(arguments[1]))
        elif kind == "pins":
            core = self._core()
            for server, pins in arguments[0].items() if core is not None else ():
                core.pins.setdefault(server, {}).update(pins)  # type: ignore[union-attr]
        elif kind != "pong":
            raise ValueError(f"a frame of kind {kind!r}")

    def _take_error(self, tokens: Sequence[Token], error: RewardError) -> None:
        for token in tokens:
            waiting = self._facts.get(token)
            if waiting is not None and not waiting.done():
                waiting.set_exception(error)
        futures = [pending.future for pending in self._closed(tokens)]
        _THREADS.deliver(futures, [error] * len(futures))

    def _take_results(self, frame: Frame) -> None:
        open_items = {token: self._open[token] for token in tokens_of(frame) if token in self._open}
        if not open_items:
            return
        labels = next(iter(open_items.values())).labels
        rollouts = {token: pending.rollout for token, pending in open_items.items()}
        futures: list[ThreadFuture] = []
        results: list[RolloutResult | BaseException] = []
        for token, result, aborted in unpack_results(frame, rollouts, self._recipe, labels):
            futures.append(open_items[token].future)
            results.append(IncompleteBatchError(aborted, table_of([result])) if aborted else result)
        self._closed(open_items)
        _THREADS.deliver(futures, results)

    def _closed(self, tokens: Iterable[Token]) -> list[PendingRequest]:
        """Remove requests from the open ones. Those that are missing were given up."""
        return [self._open.pop(token) for token in list(tokens) if token in self._open]

    def _lost(self, followed: LeaderConnection) -> None:
        """The leader has gone: meet again, and ask again what it left open."""
        if self._followed is not followed:
            return
        self._followed = None
        left = list(self._open.values())
        self._open.clear()
        for pending in left:
            pending.lost += 1
        for waiting in self._facts.values():
            if not waiting.done():
                waiting.set_exception(_LostLeaderError())
        with self._lock:
            self._incoming[:0] = left
        if left and not self._ended:
            logger.info("the process that led has gone; %d rollouts are asked again", len(left))
        self._flush()

    def _leave(self, followed: LeaderConnection, reason: str) -> None:
        """Stop following, for a while: the leader does not do what it should."""
        self._work_alone(reason)
        self._lost(followed)
        followed.end()

    # Ends

    def _end(self) -> None:
        """The client ends: give everything back."""
        self._ended = True
        if self._meeting is not None:
            self._meeting.cancel()
        leader, self._leader = self._leader, None
        if leader is not None:
            leader.close()
        followed, self._followed = self._followed, None
        if followed is not None:
            followed.end()
        with self._lock:
            left, self._incoming = [*self._incoming, *self._open.values()], []
        self._open.clear()
        _THREADS.deliver([pending.future for pending in left], [ClientClosedError()] * len(left))

    def forget(self) -> None:
        """Close the copies of sockets that a forked child has: the parent's end with the parent."""
        if self._leader is not None:
            self._leader.forget()
        if self._followed is not None:
            self._followed.forget()


class _LostLeaderError(Exception):
    """The leader went before it answered."""


_links: weakref.WeakSet[Link] = weakref.WeakSet()


def forget_all() -> None:
    """Forget, in a forked child, every part that the parent has."""
    for link in list(_links):
        link.forget()
        _links.discard(link)
