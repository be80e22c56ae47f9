"""Messages between the owner of a slot and the manager in its container: plain data with byte strings, over a stream.

A message is a line of JSON, in which a byte string is its number, and then all byte strings. Reading one can yield
nothing but plain data.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from typing import Any

_BYTES = "\0bytes"
_HEAD = struct.Struct("!II")
MOST = 512 << 20
"""Largest message that is read."""


def pack(message: dict[str, Any]) -> bytes:
    """Encode a dictionary of plain data with byte strings anywhere in it."""
    parts: list[bytes] = []

    def take(value: object) -> dict[str, int]:
        if not isinstance(value, bytes):
            raise TypeError(f"{type(value).__name__} cannot be sent")
        parts.append(value)
        return {_BYTES: len(value)}

    text = json.dumps(message, default=take).encode()
    data = b"".join(parts)
    return _HEAD.pack(len(text), len(data)) + text + data


def read(receive: Callable[[int], bytes]) -> dict[str, Any]:
    """Decode the next message.

    Args:
        receive: Returns exactly so many bytes of the stream.

    Raises:
        EOFError: By `receive`.
        ValueError: It is none of ours.
    """
    sizes = _HEAD.unpack(receive(_HEAD.size))
    if sum(sizes) > MOST:
        raise ValueError(f"a message of {sum(sizes)} bytes")
    text, data = receive(sizes[0]), receive(sizes[1])
    place = 0

    def give(value: dict[str, Any]) -> Any:
        nonlocal place
        if value.keys() != {_BYTES}:
            return value
        place += value[_BYTES]
        return data[place - value[_BYTES] : place]

    message: dict[str, Any] = json.loads(text, object_hook=give)
    return message
