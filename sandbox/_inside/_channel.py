"""The data descriptor as a driver sees it."""

from __future__ import annotations

import os
import struct
from typing import Any

_DESCRIPTOR = 3
_LENGTH = struct.Struct("!I")


def names(use: str) -> dict[str, Any]:
    """Return the driver's names for the data descriptor.

    Args:
        use: `none`, `request` (read whole, before the driver starts) or `session` (messages both ways).
    """
    request = _read_all() if use == "request" else b""
    return {"request": request, "reply": _write, "receive": _receive, "send": _send}


def _read_all() -> bytes:
    parts = []
    while part := os.read(_DESCRIPTOR, 1 << 20):
        parts.append(part)
    return b"".join(parts)


def _write(data: bytes) -> None:
    """Append bytes to the reply."""
    view = memoryview(data)
    while view:
        view = view[os.write(_DESCRIPTOR, view) :]


def _send(message: bytes) -> None:
    """Send one message."""
    _write(_LENGTH.pack(len(message)) + message)


def _read_exactly(size: int) -> bytes | None:
    parts = []
    while size:
        part = os.read(_DESCRIPTOR, min(size, 1 << 20))
        if not part:
            return None
        parts.append(part)
        size -= len(part)
    return b"".join(parts)


def _receive() -> bytes | None:
    """Return the next message, None when there will be none."""
    head = _read_exactly(_LENGTH.size)
    return None if head is None else _read_exactly(_LENGTH.unpack(head)[0])
