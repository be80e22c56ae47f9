"""Ports that a test listens on more than once."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator


@contextlib.contextmanager
def kept_port() -> Iterator[int]:
    """A port of 127.0.0.1 that no other test is given meanwhile, also while nothing listens on it.

    It is bound and not listened on: a server that is told the number may listen, one that asks for any is given
    another.
    """
    with socket.socket() as kept:
        kept.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        kept.bind(("127.0.0.1", 0))
        yield int(kept.getsockname()[1])
