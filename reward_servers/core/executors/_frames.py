"""Frames: messages of a server and its workers behind their lengths."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence

_LENGTH = struct.Struct("<I")
_LONGEST = 256 << 20


class MessageError(ValueError):
    """A worker has sent what no worker of ours sends."""


def frame(payload: bytes, tail: Sequence[bytes] = ()) -> bytes:
    """One message, ready to be written; what its tail holds is written behind it, and counted."""
    return _LENGTH.pack(len(payload) + sum(map(len, tail))) + payload


class FrameReader:
    """Cuts a stream of bytes into messages."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Take bytes as they arrive and yield the messages that they complete.

        Raises:
            MessageError: A message is longer than any of ours.
        """
        buffer = self._buffer
        buffer += data
        start = 0
        while len(buffer) - start >= 4:
            (length,) = _LENGTH.unpack_from(buffer, start)
            if length > _LONGEST:
                raise MessageError(f"a message of {length} bytes")
            end = start + 4 + length
            if len(buffer) < end:
                break
            yield bytes(buffer[start + 4 : end])
            start = end
        if start:
            del buffer[:start]
