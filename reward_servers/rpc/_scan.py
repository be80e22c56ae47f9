"""What a message would cost, counted before it is parsed.

Two bytes can stand for an object of a hundred: a message of many megabytes that holds nothing else would be parsed into
gigabytes. Honest messages are mostly text, so that counting what they hold takes a step for each kilobyte.
"""

from __future__ import annotations

from functools import cache

from google.protobuf.descriptor import Descriptor

from reward_servers.core import RequestError

SCANNED_FROM = 2 << 20
"""Bytes below which a message is parsed without being scanned: whatever it holds, that stays below some 100 MB."""

_LONGEST_NUMBER = 70
"""Bits of a number, rounded up to whole groups of seven."""
VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
"""Forms of fields."""


@cache
def _nested(kind: Descriptor) -> dict[int, Descriptor]:
    return {field.number: field.message_type for field in kind.fields if field.message_type is not None}


def check_density(kind: Descriptor, data: bytes, most: int) -> None:
    """Count the messages within a message, at every depth.

    Raises:
        RequestError: There are more than allowed, or the bytes are no message.
    """
    left = most
    waiting = [(0, len(data), kind)]
    try:
        while waiting:
            at, end, field = waiting.pop()
            nested = _nested(field)
            while at < end:
                at, tag = varint(data, at)
                form = tag & 7
                if form == VARINT:
                    at, _ = varint(data, at)
                elif form == BYTES:
                    at, length = varint(data, at)
                    inner = nested.get(tag >> 3)
                    if inner is not None:
                        left -= 1
                        if left < 0:
                            problem = f"more than {most} rollouts, messages, parts and documents"
                            raise RequestError(f"groups: {problem} in one call; send smaller batches")
                        waiting.append((at, at + length, inner))
                    at += length
                elif form in (FIXED64, FIXED32):
                    at += 8 if form == FIXED64 else 4
                else:
                    raise RequestError("the request uses a form of fields that this contract does not have")
            if at > end:
                raise IndexError
    except IndexError:
        raise RequestError(f"the request cannot be read as {kind.full_name}: it is cut off") from None


def varint(data: bytes, at: int) -> tuple[int, int]:
    """The position behind a number, and the number.

    Raises:
        IndexError: There is none.
    """
    byte = data[at]
    if byte < 0x80:
        return at + 1, byte
    value, shift = byte & 0x7F, 7
    while byte >= 0x80:
        at += 1
        byte = data[at]
        value |= (byte & 0x7F) << shift
        shift += 7
        if shift > _LONGEST_NUMBER:
            raise IndexError
    return at + 1, value
