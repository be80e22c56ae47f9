"""Raw HTTP/2 as no client of ours writes it."""

from __future__ import annotations

import contextlib
import random
import socket
import struct

_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_KINDS = range(12)
_HEADERS = (
    b"\x83\x86"
    + b"\x04\x25/assay.rewards.v1.RewardService/Score"
    + b"\x41\x09localhost"
    + b"\x5f\x10application/grpc"
    + b"\x40\x02te\x08trailers"
)
"""Header block of a call of Score: POST, http, the path, an authority and gRPC's own two."""


def _frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    return struct.pack(">I", len(payload))[1:] + bytes([kind & 255, flags & 255]) + struct.pack(">I", stream) + payload


def _odd(draw: random.Random) -> bytes:
    """One frame: of a right form with wrong contents, of a wrong form, or no frame at all."""
    choice = draw.randrange(6)
    stream = draw.choice((0, 1, 2, 3, 2**31 - 1))
    if choice == 0:
        return _frame(draw.choice(_KINDS), draw.randrange(256), stream, draw.randbytes(draw.randrange(64)))
    if choice == 1:
        return _frame(4, 0, 0, struct.pack(">HI", draw.randrange(8), draw.randrange(2**32)) * draw.randrange(1, 20))
    if choice == 2:
        return _frame(8, 0, stream, struct.pack(">I", draw.choice((0, 1, 2**31 - 1, 2**32 - 1))))
    if choice == 3:
        # A message that claims to be longer than it is, compressed, or empty.
        claimed = draw.choice((0, 1, 5, 2**16, 2**32 - 1))
        body = draw.randbytes(draw.randrange(32))
        message = struct.pack(">BI", draw.randrange(3), claimed) + body
        return _frame(1, 4, 1, _HEADERS) + _frame(0, draw.randrange(2), 1, message)
    if choice == 4:
        return _frame(1, 4, 1, _HEADERS) + _frame(3, 0, 1, struct.pack(">I", draw.randrange(16)))
    return draw.randbytes(draw.randrange(1, 200))


def attack(address: str, draw: random.Random) -> None:
    """Open a connection, write odd frames into it and leave."""
    host, _, port = address.rpartition(":")
    with contextlib.suppress(OSError), socket.create_connection((host, int(port)), timeout=2) as connection:
        connection.settimeout(0.05)
        if draw.random() < 0.95:
            connection.sendall(_PREFACE + _frame(4, 0, 0, b""))
        for _ in range(draw.randrange(1, 12)):
            connection.sendall(_odd(draw))
        with contextlib.suppress(TimeoutError):
            connection.recv(4096)
