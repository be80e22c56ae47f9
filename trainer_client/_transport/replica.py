"""`Replica`: one endpoint of a server, its channel, and what is known of it."""

from __future__ import annotations

import asyncio
import contextlib
import enum
import math
from collections.abc import Mapping
from typing import Protocol, TypeAlias

import grpc
import grpc.aio

from trainer_client._settings import read_token
from trainer_client._transport import wire
from trainer_client._transport.credentials import Credentials
from trainer_client._transport.failures import CallFailure, CallInterruptedError
from trainer_client._transport.plan import Chunk
from trainer_client.contract.v1 import reward_service_pb2 as service
from trainer_client.result.verifiers import ServerInfo, Wait

_DESCRIBE_TIMEOUT = 5.0
_LARGEST_REPLY = 256 << 20
"""Bytes of one reply that this process is willing to hold."""
_MEMORY = 256
"""Results after which half of what a replica's answers were like is forgotten."""

_OPTIONS = (
    ("grpc.max_send_message_length", -1),
    ("grpc.max_receive_message_length", _LARGEST_REPLY),
    # One retry brain: this client's, which knows items. gRPC would repeat whole calls.
    ("grpc.enable_retries", 0),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1000),
    # A peer that vanished without closing (a lost node) must be noticed while a call waits for results.
    ("grpc.keepalive_time_ms", 20_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.http2.ping_timeout_ms", 10_000),
    # Replicas of one process would otherwise share connections, and a probe would not see a new one.
    ("grpc.use_local_subchannel_pool", 1),
)

UnaryCall: TypeAlias = "grpc.aio.UnaryUnaryCall[service.ScoreRequest, bytes]"
StreamCall: TypeAlias = "grpc.aio.UnaryStreamCall[service.ScoreStreamRequest, bytes]"
_Listing: TypeAlias = "grpc.aio.UnaryUnaryMultiCallable[None, bytes]"
_Info: TypeAlias = "grpc.aio.UnaryUnaryMultiCallable[service.GetServerInfoRequest, bytes]"


class Health(enum.Enum):
    """Whether a replica can be given work."""

    UNKNOWN = "not reached yet"
    UP = "up"
    DOWN = "down"


class EndableCall(Protocol):
    """A call under way, as its replica knows it.

    Attributes:
        chunk: what it asks.
        heard: when it last gave a result, or was sent.
    """

    chunk: Chunk
    heard: float

    @property
    def unanswered(self) -> int:
        """Items without a result."""

    def end(self, why: CallFailure) -> None:
        """End it."""

    def take_over(self, silence: float) -> None:
        """It has given nothing for that many seconds, and another replica has time."""


class Replica:
    """One endpoint.

    Attributes:
        address: as the user wrote it, or one of the addresses that the name stands for.
        health: whether it can be given work.
        info: what it said of itself; None before the first answer.
        calls: the calls under way.
        outstanding: items sent and not answered.
        suspects: calls under way that may be what breaks servers.
        window: items that may be outstanding; shrinks when the server is full.
        failures: calls that failed in a row.
        reason: why it is down or not trusted.
        paused: whether calls must not start, since the process is about to fork.
        refuses: whether it is down for a reason that waiting does not mend.
        retired: whether its address is given up, so that it gets no more work.
        strikes: how often in a row it was found untrustworthy.
        distrusted_until: until when others are preferred, on the loop's clock.
        heard: when it last gave a result that could be used, on the loop's clock.
        down_since: when it was found down, on the loop's clock.
    """

    def __init__(self, address: str, authority: str, credentials: Credentials, token: str = "") -> None:
        self.address = address
        self.health = Health.UNKNOWN
        self.info: ServerInfo | None = None
        self.calls: set[EndableCall] = set()
        self.outstanding = 0
        self.suspects = 0
        self.window = math.inf
        self.failures = 0
        self.reason = ""
        self.refuses = False
        self.paused = False
        self.retired = False
        self.strikes = 0
        self.distrusted_until = 0.0
        self.heard = -math.inf
        self.down_since = 0.0
        self._credentials = credentials
        self.authority = authority
        self._token = token
        self._metadata: tuple[tuple[str, str], ...] | None = None
        self._verdicts = 0.0
        self._scoreless = 0.0
        self._channel: grpc.aio.Channel | None = None
        self._generation = 0
        self._former: list[tuple[grpc.aio.Channel, set[EndableCall]]] = []
        self._score: grpc.aio.UnaryUnaryMultiCallable[service.ScoreRequest, bytes] | None = None
        self._stream: grpc.aio.UnaryStreamMultiCallable[service.ScoreStreamRequest, bytes] | None = None

    def __repr__(self) -> str:
        return f"<Replica {self.address}: {self.health.value}>"

    def _open(self) -> grpc.aio.Channel:
        if self.paused:
            raise CallInterruptedError
        if self._channel is None:
            self._generation = self._credentials.look()
            target, credentials = self._credentials.of(self.address)
            options: list[tuple[str, str | int]] = list(_OPTIONS)
            if self.authority:
                options.append(("grpc.default_authority", self.authority))
            if credentials is not None:
                if self.authority:
                    host = self.authority.rpartition(":")[0].strip("[]")
                    options.append(("grpc.ssl_target_name_override", host))
                self._channel = grpc.aio.secure_channel(target, credentials, options=options)
            else:
                self._channel = grpc.aio.insecure_channel(target, options=options)
        return self._channel

    async def _follow_certificates(self) -> None:
        """Make a new connection where the files of certificates have changed; calls on the old one end there."""
        if self._channel is not None and self._credentials.look() != self._generation:
            self._former.append((self._channel, set(self.calls)))
            self._channel = self._score = self._stream = None
        for former in [certificate for certificate in self._former if certificate[1].isdisjoint(self.calls)]:
            self._former.remove(former)
            await former[0].close()

    async def describe(self, *, with_activity: bool = False) -> ServerInfo:
        """Ask the server for its verifiers, limits and load.

        Args:
            with_activity: ask as well for what its verifiers have done, and for items that took long.

        Raises:
            grpc.aio.AioRpcError: it does not answer.
            UnusableReplyError: its answer cannot be read, or contradicts itself.
            CallInterruptedError: the client is paused.
        """
        await self._follow_certificates()
        channel = self._open()
        if self._token:
            self._metadata = (("authorization", f"Bearer {read_token(self._token)}"),)
        listing: _Listing = channel.unary_unary(wire.LIST_VERIFIERS, _empty, None)
        info: _Info = channel.unary_unary(wire.GET_SERVER_INFO, wire.info_request, None)
        request = service.GetServerInfoRequest(with_activity=with_activity)
        answers = await asyncio.gather(
            listing(None, timeout=_DESCRIBE_TIMEOUT, metadata=self._metadata),
            info(request, timeout=_DESCRIBE_TIMEOUT, metadata=self._metadata),
        )
        self.info = wire.read_info(wire.parse_listing(answers[0]), wire.parse_info(answers[1]))
        return self.info

    async def ask(self, seconds: float) -> None:
        """Ask whether it is alive.

        Raises:
            grpc.aio.AioRpcError: it does not answer.
            CallInterruptedError: the client is paused.
        """
        ask: _Info = self._open().unary_unary(wire.GET_SERVER_INFO, wire.info_request, None)
        await ask(service.GetServerInfoRequest(), timeout=seconds, metadata=self._metadata)

    def score(self, request: service.ScoreStreamRequest, seconds: float, trace: str = "") -> UnaryCall:
        """Send a request; the server is told that it has that many seconds.

        For verifiers of which none holds up others: a call costs less than a stream (150 us of CPU).

        Returns:
            A call to await for the response.

        Raises:
            CallInterruptedError: the client is paused.
        """
        channel = self._open()
        if self._score is None:
            self._score = channel.unary_unary(wire.SCORE, wire.serialize_request, None)
        return self._score(request.chunk, timeout=seconds, metadata=self._with(trace))

    def stream(self, request: service.ScoreStreamRequest, seconds: float, trace: str = "") -> StreamCall:
        """Send a request; the server is told that it has that many seconds.

        Returns:
            A call to iterate over for results as they finish.

        Raises:
            CallInterruptedError: the client is paused.
        """
        channel = self._open()
        if self._stream is None:
            # A stream that sends one message is on the wire what a call with one request is, and costs less.
            self._stream = channel.unary_stream(wire.SCORE_STREAM, wire.serialize_chunk, None)
        return self._stream(request, timeout=seconds, metadata=self._with(trace))

    def _with(self, trace: str) -> tuple[tuple[str, str], ...] | None:
        """Metadata of a call within a span."""
        return (*(self._metadata or ()), ("traceparent", trace)) if trace else self._metadata

    def wait(self, server: str, now: float) -> Wait | None:
        """What is waited for here; None for nothing.

        Args:
            server: name of the server.
            now: the time on the loop's clock.
        """
        calls = [call for call in self.calls if call.unanswered]
        if calls:
            verifiers = tuple(dict.fromkeys(name for call in calls for name in call.chunk.verifiers))
            silent = now - max(call.heard for call in calls)
            return Wait(server, self.address, verifiers, sum(call.unanswered for call in calls), silent)
        if self.health is Health.DOWN:
            return Wait(server, self.address, (), 0, now - self.down_since, self.reason)
        return None

    def cancel_calls(self, why: CallFailure) -> None:
        """End all calls."""
        for call in list(self.calls):
            call.end(why)

    def matches(self, needs: Mapping[str, str]) -> bool:
        """Whether it hosts the verifiers, at the digests that are pinned (empty for any)."""
        info = self.info
        return info is not None and all(info.find(name, digest) is not None for name, digest in needs.items())

    def can_serve(self, needs: Mapping[str, str]) -> bool:
        """Whether it is up and hosts the verifiers."""
        return self.health is Health.UP and not self.retired and self.matches(needs)

    def expected(self, verifier: str, digest: str) -> wire.ExpectedVerifier:
        """Who answers for a verifier here, and within which range; the digest is the one pinned, empty for any."""
        info = self.info.find(verifier, digest) if self.info is not None else None
        low, high = (info.score_min, info.score_max) if info is not None else (-math.inf, math.inf)
        return wire.ExpectedVerifier(verifier, digest, low, high)

    def has_room(self, items: int) -> bool:
        """Whether a call of that many items may be sent; one call always may."""
        return self.outstanding == 0 or self.outstanding + items <= self.window

    # What its answers are like

    def note(self, verdicts: int, scoreless: int, now: float) -> None:
        """It has given so many verdicts, and so many results without a score."""
        self.heard = now
        self._verdicts += verdicts
        self._scoreless += scoreless
        if self._verdicts + self._scoreless > _MEMORY:
            self._verdicts *= 0.5
            self._scoreless *= 0.5

    @property
    def mostly_fails(self) -> bool:
        """Whether it gives fewer verdicts than results without a score."""
        return self._scoreless > self._verdicts

    async def close(self) -> None:
        """Close the channel; calls on it end."""
        channels = [channel for channel, _ in self._former]
        if self._channel is not None:
            channels.append(self._channel)
        self._former.clear()
        self._channel = self._score = self._stream = None
        for channel in channels:
            with contextlib.suppress(grpc.aio.UsageError):
                await channel.close()


def task_is_cancelled() -> bool:
    """Whether it is the running task that is cancelled, and not just a call that it awaits: by us, or for a fork."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def _empty(_: None) -> bytes:
    return b""
