"""Where a server is told to listen, and cannot."""

from __future__ import annotations

import errno
import socket
from typing import Any

import pytest

from reward_servers.rpc import bind_problem


@pytest.mark.parametrize(
    ("number", "said"),
    [
        (errno.EADDRNOTAVAIL, "server.host: ::1 is no address of this host; 0.0.0.0 or :: listens on all of them"),
        (errno.EAFNOSUPPORT, "server.host: ::1 is an address of IPv6, which this host does not speak"),
        (errno.EADDRINUSE, "server.port: [::1]:5 is in use by another process; choose another port"),
        (errno.EACCES, "server.port: [::1]:5 needs privileges; choose a port from 1024 on"),
    ],
)
def test_an_address_of_ipv6_is_not_blamed_on_the_port(number: int, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    class Refusing:
        def __init__(self, *_: Any) -> None:
            raise OSError(number, "refused")

    found = [(socket.AF_INET6, socket.SOCK_STREAM, 6, "", ("::1", 5, 0, 0))]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
    monkeypatch.setattr(socket, "socket", Refusing)
    assert bind_problem("::1", 5).startswith(said)
