"""Messages of calls: generated from the contract, and broken."""

from __future__ import annotations

import random
from typing import Any

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

_TEXTS = ("", "a", "test/equal", "g", "\0", "é" * 50, "x" * 5000, "sha256:0", "{}", "1", "fault", "0")
_BYTES = (b"", b"{}", b'{"answer": "a"}', b"{", b"[" * 500, b"\xff\xfe", b'{"marks": 1e400}', b"null", b"x" * 3000)
_NUMBERS = (0, 1, 2, 127, 2**31 - 1, 2**32 - 1)


def fill(message: Message, draw: random.Random, depth: int = 0) -> Message:
    """Fill a message at random, after its descriptor."""
    filled: Any = message
    fields: Any = message.DESCRIPTOR.fields
    for field in fields:
        if draw.random() < 0.35:
            continue
        if field.is_repeated:
            if field.message_type is not None and field.message_type.GetOptions().map_entry:
                continue
            for _ in range(draw.choice((0, 1, 2, 2, 30)) if depth < 5 else 0):
                if field.message_type is not None:
                    fill(getattr(filled, field.name).add(), draw, depth + 1)
                else:
                    getattr(filled, field.name).append(_value(field, draw))
        elif field.message_type is not None:
            if depth < 7:
                child = getattr(filled, field.name)
                child.SetInParent()
                fill(child, draw, depth + 1)
        else:
            setattr(filled, field.name, _value(field, draw))
    return message


def _value(field: Any, draw: random.Random) -> Any:
    if field.cpp_type == FieldDescriptor.CPPTYPE_STRING:
        return draw.choice(_BYTES if field.type == FieldDescriptor.TYPE_BYTES else _TEXTS)
    if field.cpp_type == FieldDescriptor.CPPTYPE_BOOL:
        return draw.random() < 0.5
    if field.cpp_type in (FieldDescriptor.CPPTYPE_DOUBLE, FieldDescriptor.CPPTYPE_FLOAT):
        return draw.choice((0.0, -1.0, 1e308, float("nan"), float("inf")))
    if field.cpp_type == FieldDescriptor.CPPTYPE_ENUM:
        return draw.choice((0, 1, 2, 99))
    number = draw.choice(_NUMBERS)
    signed = field.cpp_type in (FieldDescriptor.CPPTYPE_INT32, FieldDescriptor.CPPTYPE_INT64)
    return min(number, 2**31 - 1) if signed else number


def broken(data: bytes, draw: random.Random) -> bytes:
    """The bytes of a message with some of them changed, cut out or repeated."""
    spoiled = bytearray(data)
    for _ in range(draw.randrange(1, 6)):
        if not spoiled:
            break
        place = draw.randrange(len(spoiled))
        choice = draw.randrange(4)
        if choice == 0:
            spoiled[place] = draw.randrange(256)
        elif choice == 1:
            del spoiled[place : place + draw.randrange(1, 20)]
        elif choice == 2:
            spoiled[place:place] = spoiled[max(0, place - 10) : place] * draw.randrange(1, 20)
        else:
            del spoiled[place:]
    return bytes(spoiled)
