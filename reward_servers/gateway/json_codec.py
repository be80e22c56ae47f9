"""JSON in and out: bodies that are read raw, exact and bounded, and answers that any text fits into."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from typing import Any

import orjson
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

_ONES = bytes(ord("1") if chr(byte).isascii() and chr(byte).isdigit() else ord(" ") for byte in range(256))
"""Every digit becomes 1, and all else a space: digits in a row are then found as fast as memory is read."""
_LONG_NUMBER = b"1" * 19
"""What may be an integer that does not fit 64 bits: orjson would make a float of it, and a label would change."""
_EVERY = 6
_LONG_NUMBER_SAMPLED = b"1" * (len(_LONG_NUMBER) // _EVERY)
"""What of it is in every sixth byte at least."""


class BodyError(ValueError):
    """A body that cannot be read.

    Attributes:
        status: 400, 408 or 413.
    """

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


async def read_body(request: Request, limit: int, seconds: float) -> bytes:
    """The bytes of a body.

    Raises:
        BodyError: It is larger than it may be, or does not arrive in time.
        ClientDisconnect: The caller has gone.
    """
    length = next((value for name, value in request.scope["headers"] if name == b"content-length"), b"")
    if length.isdigit() and int(length) > limit:
        raise _too_large(limit)
    parts: list[bytes] = []
    size, more = 0, True
    try:
        async with asyncio.timeout(seconds):
            while more:
                message = await request.receive()
                if message["type"] == "http.disconnect":
                    raise ClientDisconnect
                part, more = message.get("body", b""), message.get("more_body", False)
                size += len(part)
                if size > limit:
                    raise _too_large(limit)
                parts.append(part)
    except TimeoutError:
        raise BodyError(408, f"the body did not arrive within {seconds:g} s") from None
    return parts[0] if len(parts) == 1 else b"".join(parts)


def _too_large(limit: int) -> BodyError:
    return BodyError(413, f"the body is larger than {limit} bytes (limits.max_body_bytes); send smaller batches")


def read_json(body: bytes) -> Any:
    """The value of a body.

    Raises:
        BodyError: It is not JSON.
    """
    if not holds_long_number(body):
        try:
            return orjson.loads(body)
        except orjson.JSONDecodeError:
            pass  # a lone surrogate, which models write and orjson does not read; or no JSON at all
    try:
        return json.loads(body.decode("utf-8-sig"), parse_constant=_refuse_constant)
    except UnicodeDecodeError as error:
        raise BodyError(400, f"the body is not UTF-8: {error.reason} at byte {error.start}") from None
    except json.JSONDecodeError as error:
        raise BodyError(400, f"the body is not JSON: {error.msg} at character {error.pos + 1}") from None
    except (ValueError, RecursionError) as error:
        raise BodyError(400, f"the body cannot be read as JSON: {error}") from None


def holds_long_number(body: bytes) -> bool:
    """Whether 19 digits are in a row somewhere. A sample of the bytes is looked at first."""
    if _LONG_NUMBER_SAMPLED not in body[::_EVERY].translate(_ONES):
        return False
    return _LONG_NUMBER in body.translate(_ONES)


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not a JSON value")


def write_json(value: Any) -> bytes:
    """A value as JSON; a lone surrogate, which has no UTF-8 form, as its escape."""
    try:
        return orjson.dumps(value, option=orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_NON_STR_KEYS)
    except (TypeError, orjson.JSONEncodeError):
        return json.dumps(value, allow_nan=False).encode()


def reply(value: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """An answer of JSON."""
    return Response(write_json(value), status, headers, "application/json")
