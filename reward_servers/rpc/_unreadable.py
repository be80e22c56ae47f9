"""Texts of a message that are no UTF-8.

A text of protobuf is UTF-8, and a message that holds another one cannot be parsed at all. Some languages send it all
the same, when a policy wrote such bytes, and one rollout would cost its whole call.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

from google.protobuf.descriptor import Descriptor, FieldDescriptor

from reward_servers.rpc._scan import BYTES, FIXED32, FIXED64, VARINT, varint

_DEEPEST = 32


@cache
def _fields(kind: Descriptor) -> dict[int, Descriptor | None]:
    """Of a kind of message by number: what is nested, and None for texts."""
    descriptors: dict[int, Descriptor | None] = {
        field.number: field.message_type for field in kind.fields if field.message_type is not None
    }
    return descriptors | {field.number: None for field in kind.fields if field.type == FieldDescriptor.TYPE_STRING}


def with_readable_texts(kind: Descriptor, data: bytes) -> bytes | None:
    """A message whose bytes that are no UTF-8 are U+FFFD, as our own client sends them.

    Args:
        kind: Which message it is.
        data: Its bytes.

    Returns:
        The bytes that can be parsed; None where texts are not what is wrong.
    """
    try:
        changed = b"".join(_pieces(kind, data, 0))
    except IndexError:
        return None
    return changed if changed != data else None


def _pieces(kind: Descriptor, data: bytes, depth: int) -> Iterator[bytes]:
    """The bytes of the fields of a message.

    Raises:
        IndexError: It is cut off, nested too deeply, or no message.
    """
    if depth > _DEEPEST:
        raise IndexError
    fields, at, piece_start = _fields(kind), 0, 0
    while at < len(data):
        at, tag = varint(data, at)
        form = tag & 7
        if form == VARINT:
            at, _ = varint(data, at)
        elif form == BYTES:
            behind_tag = at
            at, length = varint(data, at)
            start, at = at, at + length
            if at > len(data):
                raise IndexError
            if tag >> 3 in fields:
                value = data[start:at]
                inner = fields[tag >> 3]
                new = _readable(value) if inner is None else b"".join(_pieces(inner, value, depth + 1))
                if new != value:
                    yield data[piece_start:behind_tag]
                    yield _varint(len(new))
                    yield new
                    piece_start = at
        elif form in (FIXED64, FIXED32):
            at += 8 if form == FIXED64 else 4
        else:
            raise IndexError
    if at > len(data):
        raise IndexError
    yield data[piece_start:]


def _readable(text: bytes) -> bytes:
    return text.decode("utf-8", "replace").encode()


def _varint(number: int) -> bytes:
    """A number as protobuf writes it."""
    groups = bytearray()
    while number >= 0x80:
        groups.append(number & 0x7F | 0x80)
        number >>= 7
    groups.append(number)
    return bytes(groups)
