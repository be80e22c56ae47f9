"""What the gateway holds of its callers has a bound: bodies under way, and answers that no one reads."""

from __future__ import annotations

import asyncio
import gc
import json
import socket
import weakref
from typing import Any
from urllib.parse import urlsplit

import httpx
import uvicorn
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Message
from uvicorn.server import ServerState

from reward_servers.gateway.byte_budget import ByteBudget
from reward_servers.gateway.errors import HttpError
from reward_servers.gateway.header_limit import LONGEST_HEAD, BoundedHeaderProtocol
from reward_servers.gateway.middleware import AccessMiddleware
from reward_servers.rpc import Clients
from tests.gateway.conftest import ANSWERS, Start
from tests.gateway.test_routes import GYM

MOST, LARGE = 1 << 20, 100_000


class Caller:
    """One who sends a body and takes the answer when it is told to."""

    def __init__(self, body: bytes, *, reads: bool = True) -> None:
        self._body = body
        self._told: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]
        self.reads = asyncio.Event()
        if reads:
            self.reads.set()
        self.begun = asyncio.Event()
        self.status = 0
        self.answer = b""

    async def receive(self) -> Message:
        return self._told.pop()

    async def send(self, message: Message) -> None:
        """As uvicorn: what is written is taken at once, and what comes after it waits until there is room."""
        if self.answer and not self.reads.is_set():
            self.begun.set()
            await self.reads.wait()
        self.status = message.get("status", self.status)
        self.answer += message.get("body", b"")


async def echo(request: Request) -> Response:
    """Answer with the body."""
    return Response(await request.body())


async def ask(door: AccessMiddleware, caller: Caller) -> Caller:
    scope: dict[str, Any] = {"type": "http", "path": "/echo", "method": "POST", "headers": []}
    await door(scope, caller.receive, caller.send)
    return caller


async def test_answers_that_no_one_reads_are_held_and_counted() -> None:
    held = ByteBudget(MOST)
    door = AccessMiddleware(None, Clients(), {"/echo": echo}, held)  # type: ignore[arg-type]  # no other route
    lazy = Caller(b"x" * (MOST // 2), reads=False)
    waiting = asyncio.ensure_future(ask(door, lazy))
    await lazy.begun.wait()
    assert held.bytes == MOST  # its body and its answer
    refused = await ask(door, Caller(b"x" * LARGE))
    assert (refused.status, json.loads(refused.answer)["error"]["code"]) == (429, "full")
    assert b"limits.max_held_bytes" in refused.answer
    small = await ask(door, Caller(b"x" * 1000))
    assert small.status == 200
    lazy.reads.set()
    await waiting
    assert lazy.answer == b"x" * (MOST // 2)
    assert held.bytes == 0
    assert (await ask(door, Caller(b"x" * LARGE))).status == 200


async def test_a_sole_request_may_be_larger_and_what_leaves_gives_back() -> None:
    held = ByteBudget(MOST)
    door = AccessMiddleware(None, Clients(), {"/echo": echo}, held)  # type: ignore[arg-type]  # no other route
    assert (await ask(door, Caller(b"x" * (3 * MOST)))).status == 200
    lazy = Caller(b"x" * MOST, reads=False)
    waiting = asyncio.ensure_future(ask(door, lazy))
    await lazy.begun.wait()
    waiting.cancel()
    await asyncio.wait([waiting])
    assert held.bytes == 0


class Payload:
    """Stands for a body that has been read."""


async def test_what_a_refused_request_held_is_freed_at_once() -> None:
    known: list[weakref.ref[Payload]] = []

    async def refuse(request: Request) -> Response:
        payload = Payload()
        known.append(weakref.ref(payload))
        error = HttpError(422, "wrong", "no")
        raise error  # which this frame holds, as it does the payload

    door = AccessMiddleware(None, Clients(), {"/echo": refuse}, ByteBudget(MOST))  # type: ignore[arg-type]  # no other route
    gc.disable()
    try:
        assert (await ask(door, Caller(b"x"))).status == 422
        assert [one() for one in known] == [None]
    finally:
        gc.enable()


def test_an_answer_that_is_not_read_costs_others_no_more_than_the_bound(gateway: Start) -> None:
    url = gateway(ANSWERS, settings=f"[limits]\nmax_held_bytes = {8 << 20}\n")
    body = json.dumps({**GYM, "filler": "x" * (24 << 20)}).encode()  # echoed; more than any socket holds
    small, large = GYM, {**GYM, "filler": "x" * LARGE}
    with socket.socket() as lazy:
        lazy.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        lazy.connect((urlsplit(url).hostname or "", urlsplit(url).port or 0))
        lazy.sendall(b"POST /verify HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        assert lazy.recv(12) == b"HTTP/1.1 200"
        refused = httpx.post(f"{url}/verify", json=large, timeout=60)
        assert (refused.status_code, refused.headers["retry-after"]) == (429, "1")
        assert httpx.post(f"{url}/verify", json=small, timeout=60).json()["reward"] == 1.5
    while httpx.post(f"{url}/verify", json=large, timeout=60).status_code == 429:
        pass
    assert httpx.post(f"{url}/verify", json=large, timeout=60).json()["reward"] == 1.5


class Transport:
    """Where a protocol writes."""

    def __init__(self) -> None:
        self.written, self.ended = b"", ""

    def write(self, data: bytes) -> None:
        self.written += data

    def close(self) -> None:
        self.ended = "closed"

    def abort(self) -> None:
        self.ended = "aborted"

    def is_closing(self) -> bool:
        return bool(self.ended)

    def get_extra_info(self, name: str) -> None:
        """It is of no socket."""


async def served(scope: Any, receive: Any, send: Any) -> None:
    """Wait for the whole body, and for ever."""
    while True:
        await receive()


def connected() -> tuple[BoundedHeaderProtocol, Transport]:
    config = uvicorn.Config(served, loop="none", ws="none", log_config=None)
    config.load()
    protocol, transport = BoundedHeaderProtocol(config, ServerState(), {}), Transport()
    protocol.connection_made(transport)  # type: ignore[arg-type]  # as far as it is used
    return protocol, transport


async def test_a_head_and_what_follows_a_body_have_bounds() -> None:
    piece = b"x-a: " + b"b" * 1000 + b"\r\n"
    enough = LONGEST_HEAD // len(piece) + 2
    protocol, transport = connected()
    protocol.data_received(b"POST /slime HTTP/1.1\r\nhost: x\r\n")
    for _ in range(enough):
        if not transport.ended:
            protocol.data_received(piece)
    assert (transport.written[:12], transport.ended) == (b"HTTP/1.1 431", "closed")

    protocol, transport = connected()
    for part in (b"POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n", b"\r\n", *[b"1\r\nx\r\n"] * 20_000):
        protocol.data_received(part)
    assert not transport.ended  # a body of small parts is no head
    protocol.data_received(b"0\r\n")
    for _ in range(enough):
        if not transport.ended:
            protocol.data_received(piece)
    assert (transport.written, transport.ended) == (b"", "aborted")
