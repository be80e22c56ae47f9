"""`Replica`: one endpoint of a server, its channel, and what is known of it."""

from __future__ import annotations

import asyncio
import contextlib
import enum
from collections.abc import Mapping
from typing import Any, NamedTuple

import grpc
import grpc.aio

from trainer_client._errors import RewardError
from trainer_client._settings import TLS, credentials_of
from trainer_client._transport import wire

_DESCRIBE_TIMEOUT = 5.0

_OPTIONS = (
    ("grpc.max_send_message_length", -1),
    ("grpc.max_receive_message_length", -1),
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


class Health(enum.Enum):
    """Whether a replica can be given work."""

    UNKNOWN = "not reached yet"
    UP = "up"
    DOWN = "down"


class CallFailure(NamedTuple):
    """How a call ended that did not end well.

    Attributes:
        status: as gRPC has it.
        details: the server's words.
        retry_after: seconds after which to come back, if the server said so.
        code: why the server refused the call, if it said so.
    """

    status: grpc.StatusCode
    details: str
    retry_after: float = 0.0
    code: str = ""


INTERRUPTED = CallFailure(grpc.StatusCode.CANCELLED, "paused by this client")
"""The call was ended by this client itself, to let the process fork."""


class Interrupted(RewardError):
    """A call cannot start now, since the process is about to fork."""


class Replica:
    """One endpoint.

    Attributes:
        address: as the user wrote it.
        health: whether it can be given work.
        facts: what it said of itself; None before the first answer.
        outstanding: items sent and not answered.
        suspects: calls under way that may be what breaks servers.
        window: items that may be outstanding; shrinks when the server is full.
        failures: calls that failed in a row.
        reason: why it is down.
        paused: whether calls must not start, since the process is about to fork.
        refuses: whether it is down for a reason that waiting does not mend.
    """

    def __init__(self, address: str, tls: TLS | None) -> None:
        self.address = address
        self.health = Health.UNKNOWN
        self.facts: wire.ServerInfo | None = None
        self.outstanding = 0
        self.suspects = 0
        self.window = float("inf")
        self.failures = 0
        self.reason = ""
        self.refuses = False
        self.paused = False
        self._tls = tls
        self._calls: dict[Any, CallFailure] = {}
        self._channel: grpc.aio.Channel | None = None
        self._score: Any = None
        self._stream: Any = None

    def _open(self) -> grpc.aio.Channel:
        if self.paused:
            raise Interrupted
        if self._channel is None:
            target, credentials = credentials_of(self.address, self._tls)
            if credentials is not None:
                self._channel = grpc.aio.secure_channel(target, credentials, options=_OPTIONS)
            else:
                self._channel = grpc.aio.insecure_channel(target, options=_OPTIONS)
            # A stream that sends one message is on the wire what a call with one request is, and costs less.
            self._stream = self._channel.unary_stream(wire.SCORE_STREAM, wire.serialize_chunk, wire.parse_results)
            self._score = self._channel.unary_unary(wire.SCORE, wire.serialize_request, wire.parse_response)
        return self._channel

    async def describe(self) -> wire.ServerInfo:
        """Ask the server for its verifiers, limits and load.

        Raises:
            grpc.aio.AioRpcError: it does not answer.
            Interrupted: the client is paused.
        """
        channel = self._open()
        listing = channel.unary_unary(wire.LIST_VERIFIERS, _empty, wire.parse_listing)
        info = channel.unary_unary(wire.GET_SERVER_INFO, _empty, wire.parse_info)
        self.facts = wire.read_facts(
            await listing(None, timeout=_DESCRIBE_TIMEOUT), await info(None, timeout=_DESCRIBE_TIMEOUT)
        )
        return self.facts

    async def ask(self, seconds: float) -> None:
        """Ask whether it is alive.

        Raises:
            grpc.aio.AioRpcError: it does not answer.
            Interrupted: the client is paused.
        """
        await self._open().unary_unary(wire.GET_SERVER_INFO, _empty)(None, timeout=seconds)

    def score(self, request: Any, seconds: float) -> Any:
        """Send a request; the server is told that it has that many seconds.

        For verifiers of which none holds up others: a call costs less than a stream (150 us of CPU).

        Returns:
            A call to await for the response, and to `forget`.

        Raises:
            Interrupted: the client is paused.
        """
        self._open()
        return self._known(self._score(request.chunk, timeout=seconds))

    def stream(self, request: Any, seconds: float) -> Any:
        """Send a request; the server is told that it has that many seconds.

        Returns:
            A call to iterate over for results as they finish, and to `forget`.

        Raises:
            Interrupted: the client is paused.
        """
        self._open()
        return self._known(self._stream(request, timeout=seconds))

    def _known(self, call: Any) -> Any:
        self._calls[call] = INTERRUPTED
        return call

    def forget(self, call: Any) -> CallFailure:
        """A call has ended. Returns how, if it was this client that ended it."""
        return self._calls.pop(call, INTERRUPTED)

    @property
    def busy(self) -> bool:
        """Whether calls are under way."""
        return bool(self._calls)

    def cancel_calls(self, why: CallFailure) -> None:
        """End all calls."""
        for call in self._calls:
            self._calls[call] = why
            call.cancel()

    def matches(self, needs: Mapping[str, str]) -> bool:
        """Whether it hosts the verifiers, at the digests that are pinned (empty for any)."""
        if self.facts is None:
            return False
        for name, digest in needs.items():
            found = self.facts.verifiers.get(name)
            if found is None or (digest and found.id.digest != digest):
                return False
        return True

    def has_room(self, items: int) -> bool:
        """Whether a call of that many items may be sent; one call always may."""
        return self.outstanding == 0 or self.outstanding + items <= self.window

    async def close(self) -> None:
        """Close the channel; calls on it end."""
        channel, self._channel, self._score, self._stream = self._channel, None, None, None
        if channel is not None:
            with contextlib.suppress(grpc.aio.UsageError):
                await channel.close()


def task_is_cancelled() -> bool:
    """Whether it is the running task that is cancelled, and not just a call that it awaits: by us, or for a fork."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def breakage(error: grpc.aio.AioRpcError) -> CallFailure:
    """Read how a call failed; a server says when to come back in ``grpc-retry-pushback-ms``, why in ``assay-code``."""
    delay, code = 0.0, ""
    for key, value in error.trailing_metadata() or ():
        if key == "grpc-retry-pushback-ms":
            with contextlib.suppress(ValueError):
                delay = max(0.0, float(value) / 1000)
        elif key == "assay-code":
            code = str(value)
    return CallFailure(error.code(), error.details() or "", delay, code)


def _empty(_: None) -> bytes:
    return b""
