"""Messages between the owner of a slot and the processes behind the wall, over unix stream sockets.

Two kinds, by direction of trust. *Jobs* go inwards and are marshalled dictionaries of plain data, with descriptors.
*Frames* come outwards, possibly from a process that holds foreign text: one letter, a length and raw bytes, so that
reading them can do no more than yield bytes.
"""

from __future__ import annotations

import array
import marshal
import os
import socket
import struct
from collections.abc import Mapping, Sequence
from typing import Any

ZYGOTE = "zygote"
"""Step of a failure that is none of the isolation."""
OWN_USER = b"o"
"""Word of the launcher: the ids are mapped, and no other slot has this one's user of the host."""
SHARED_USER = b"s"
READY = b"R"
FAILED = b"F"
SPARE = b"S"
COMPILED = b"C"
REJECTED = b"X"
ARTEFACT = b"A"
KEPT = b"K"
LEFT = b"L"
ENDED = b"T"

MAX_FRAME = 256 << 20
_MARSHAL_VERSION = 2
_MAX_DESCRIPTORS = 8
_LENGTH = struct.Struct("!I")
_FRAME = struct.Struct("!cI")
SPARE_REQUEST = struct.Struct("!QQ")
"""What the owner asks a zygote by. Alone it is for a spare: bytes that it may store, files that it may make. With the
descriptor of a compiler's product it is for a copy of that: its size, and nothing."""
END_REPORT = struct.Struct("!iddQ")
"""Payload of ENDED: wait status, user and system seconds, largest resident set in KiB."""
DISTURBED = -1
"""In place of a wait status, when nothing can be said of how a run has ended: a signal from outside has reached it."""
TOO_LARGE = b"!"
"""Payload of LEFT: the files are larger than allowed."""
_ENTRY = struct.Struct("!II")


def _send(sock: socket.socket, data: bytes, descriptors: Sequence[int]) -> None:
    if not descriptors:  # by a call that no filter refuses
        sock.sendall(data, socket.MSG_NOSIGNAL)
        return
    ancillary = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", descriptors))]
    sent = sock.sendmsg([data], ancillary, socket.MSG_NOSIGNAL)
    if sent < len(data):
        sock.sendall(memoryview(data)[sent:])


def _receive_head(sock: socket.socket, size: int) -> tuple[bytes, list[int]]:
    space = socket.CMSG_SPACE(_MAX_DESCRIPTORS * 4)
    head, ancillary, _, _ = sock.recvmsg(size, space, socket.MSG_CMSG_CLOEXEC)
    received = array.array("i")
    for level, kind, data in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            received.frombytes(data[: len(data) - len(data) % received.itemsize])
    if head and len(head) < size:
        head += _receive_exactly(sock, size - len(head))
    return head, list(received)


def _receive_exactly(sock: socket.socket, size: int) -> bytes:
    parts = []
    while size:
        part = sock.recv(min(size, 1 << 20))
        if not part:
            raise EOFError("the other side closed in the middle of a message")
        parts.append(part)
        size -= len(part)
    return b"".join(parts)


def send_job(sock: socket.socket, job: dict[str, Any], descriptors: Sequence[int] = ()) -> None:
    """Send a dictionary of plain data and descriptors inwards."""
    body = marshal.dumps(job, _MARSHAL_VERSION)
    _send(sock, _LENGTH.pack(len(body)) + body, descriptors)


def receive_job(sock: socket.socket) -> tuple[dict[str, Any], list[int]] | None:
    """Read what `send_job` sent; None when the other side has closed."""
    head, descriptors = _receive_head(sock, _LENGTH.size)
    if not head:
        return None
    body = _receive_exactly(sock, _LENGTH.unpack(head)[0])
    return marshal.loads(body), descriptors  # noqa: S302 - from the owner, who is trusted


def receive_request(sock: socket.socket) -> tuple[bytes, list[int]]:
    """Read what an owner asks of a zygote; empty when it has closed."""
    return _receive_head(sock, SPARE_REQUEST.size)


def send_request(sock: socket.socket, first: int, second: int, descriptors: Sequence[int] = ()) -> None:
    """Ask something of a zygote, see `SPARE_REQUEST`."""
    _send(sock, SPARE_REQUEST.pack(first, second), descriptors)


def send_frame(sock: socket.socket, letter: bytes, payload: bytes = b"", descriptors: Sequence[int] = ()) -> None:
    """Send a letter and bytes outwards."""
    _send(sock, _FRAME.pack(letter, len(payload)) + payload, descriptors)


def receive_frame(sock: socket.socket) -> tuple[bytes, bytes, list[int]]:
    """Read what `send_frame` sent.

    Raises:
        EOFError: The other side has closed.
        ValueError: The frame is larger than any of ours.
    """
    head, descriptors = _receive_head(sock, _FRAME.size)
    if not head:
        raise EOFError("the other side has closed")
    letter, size = _FRAME.unpack(head)
    if size > MAX_FRAME:
        raise ValueError(f"frame of {size} bytes")
    return letter, _receive_exactly(sock, size), descriptors


def pack_files(files: Mapping[str, bytes]) -> bytes:
    """Payload of LEFT: the files that a run leaves behind."""
    parts = []
    for name, content in files.items():
        encoded = os.fsencode(name)
        parts += [_ENTRY.pack(len(encoded), len(content)), encoded, content]
    return b"".join(parts)


def unpack_files(payload: bytes) -> dict[str, bytes]:
    """Read what `pack_files` wrote; what is no such thing yields less."""
    files: dict[str, bytes] = {}
    position = 0
    while position + _ENTRY.size <= len(payload):
        name, content = _ENTRY.unpack_from(payload, position)
        position += _ENTRY.size
        key = payload[position : position + name].decode("utf-8", "replace")
        files[key] = payload[position + name : position + name + content]
        position += name + content
    return files
