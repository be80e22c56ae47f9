"""Bounds what an endpoint may send: a reply without an end would cost every other item its memory."""

from __future__ import annotations

from typing import Any

LONGEST = 16 << 20
"""Bytes of a body at most; twenty alternatives for each of 8,192 tokens are less."""


class BodyTooLongError(Exception):
    """An endpoint sent more than a body may be, or compressed it although it was asked not to."""


async def bounded(response: Any) -> None:
    """Bound the body of an HTTP response that is not read yet.

    Raises:
        BodyTooLongError: Its header already says that it is too long, or that its length cannot be known.
    """
    length = response.headers.get("content-length", "")
    if length.isdecimal() and int(length) > LONGEST:
        raise BodyTooLongError
    if response.headers.get("content-encoding", "identity").strip().lower() != "identity":
        raise BodyTooLongError
    body = bytearray()
    async for part in response.aiter_raw():
        body += part
        if len(body) > LONGEST:
            raise BodyTooLongError
    response.stream = type(response)(response.status_code, content=bytes(body)).stream
    response.is_stream_consumed = response.is_closed = False
