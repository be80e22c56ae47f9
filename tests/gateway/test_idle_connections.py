"""Callers who open connections and do nothing take no one's place."""

from __future__ import annotations

import json
import socket
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlsplit

import httpx

from reward_servers.gateway.idle_connections import IdleLimit
from tests.gateway.conftest import ANSWERS, Start
from tests.gateway.test_routes import GYM

# One place beside that of whoever asks whether there is one.
NARROW = "[server]\nmax_connections = 2\n[limits]\nbody_timeout_s = 1.0\n"


class Connection:
    """One of uvicorn's, as far as it is looked at."""

    def __init__(self, cycle: Any = None, paused: bool = False, unread: int = 0) -> None:
        self.cycle, self.unread, self.aborted = cycle, unread, False
        self.flow = SimpleNamespace(write_paused=paused)
        self.transport = SimpleNamespace(abort=self._abort, get_write_buffer_size=lambda: self.unread)

    def _abort(self) -> None:
        self.aborted = True


class Cycle:
    """A request with its answer."""

    def __init__(self, complete: bool) -> None:
        self.response_complete = complete


def test_who_is_waited_for() -> None:
    silent, idle, judged = Connection(), Connection(Cycle(True)), Connection(Cycle(False))
    stalled, reading = Connection(Cycle(False), True, 100), Connection(Cycle(True), False, 1000)
    asking = Connection(Cycle(True))
    everyone = [silent, idle, judged, stalled, reading, asking]
    patience = IdleLimit(10)
    for number in range(22):
        asking.cycle = Cycle(True)  # another request each time
        reading.unread -= 7
        patience.look([one for one in everyone if not one.aborted])
        assert [one.aborted for one in (silent, idle, stalled)] == [number > 10] * 3
        assert not any(one.aborted for one in (judged, reading, asking))


def taken(url: str) -> bool:
    """Whether the only place is taken."""
    try:
        return httpx.get(f"{url}/health", timeout=240).status_code == 503
    except httpx.TransportError:
        return True


def test_a_head_that_never_becomes_whole(gateway: Start) -> None:
    url = gateway(ANSWERS, settings=NARROW)
    for begun in (b"", b"POST /slime HTTP/1.1\r\nHost: x\r\nX-A: "):
        with socket.create_connection((urlsplit(url).hostname or "", urlsplit(url).port or 0)) as silent:
            silent.sendall(begun)
            assert silent.recv(1) == b""  # closed from the other side
        while taken(url):
            pass


def test_an_answer_that_is_not_read(gateway: Start) -> None:
    url = gateway(ANSWERS, settings=NARROW)
    body = json.dumps({**GYM, "filler": "x" * (24 << 20)}).encode()  # echoed; more than any socket holds
    with socket.socket() as lazy:
        lazy.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        lazy.connect((urlsplit(url).hostname or "", urlsplit(url).port or 0))
        lazy.sendall(b"POST /verify HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        assert lazy.recv(12) == b"HTTP/1.1 200"
        while taken(url):
            pass
