"""Prompts and responses: plain text, or conversations in the form that chat APIs use.

A `Turn` is one message after reading: role, parts, tool calls. Reading happens twice, once to check a rollout
when it is made and once to send it, so that a conversation costs no memory beyond what the caller holds.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, NamedTuple, TypeAlias

Content: TypeAlias = str | Sequence[Mapping[str, Any]]
"""Text, or a list of messages ``{"role": ..., "content": ...}``; items of the Responses API may stand among them."""

_TEXT_KINDS = {"text": "text", "input_text": "text", "output_text": "text", "refusal": "refusal"}
_REASONING_KINDS = {"reasoning": ("reasoning", "text"), "thinking": ("thinking", "text")}
_REASONING_FIELDS = ("reasoning_content", "reasoning")


class Part(NamedTuple):
    """A piece of a message: text, reasoning, or the bytes of a blob with their media type."""

    kind: Literal["text", "reasoning", "blob"]
    text: str = ""
    data: bytes = b""
    mime: str = ""


class Call(NamedTuple):
    """A tool call."""

    id: str
    name: str
    arguments: str


class Turn(NamedTuple):
    """One message."""

    role: str
    name: str
    parts: list[Part]
    calls: list[Call]
    tool_call_id: str


class ContentError(ValueError):
    """A message cannot be read; the text says where in it and why."""


def read_turns(messages: Sequence[Mapping[str, Any]]) -> list[Turn]:
    """Read messages.

    Raises:
        ContentError: naming the message and the key.
    """
    return [_turn(f"[{number}]", message) for number, message in enumerate(messages)]


def _turn(place: str, message: Any) -> Turn:
    if not isinstance(message, Mapping):
        raise ContentError(f'{place}: expected a message {{"role": ..., "content": ...}}, found {_kind(message)}')
    if "role" not in message and message.get("type") in _ITEMS:
        return _ITEMS[message["type"]](place, message)
    parts = [
        Part("reasoning", message[key])
        for key in _REASONING_FIELDS
        if isinstance(message.get(key), str) and message[key]
    ][:1]
    parts += _read_parts(f"{place}.content", message.get("content"))
    calls = message.get("tool_calls") or ()
    if not isinstance(calls, Sequence) or isinstance(calls, str):
        raise ContentError(f"{place}.tool_calls: expected a list, found {_kind(calls)}")
    return Turn(
        role=_text(place, message, "role", required=True),
        name=_text(place, message, "name"),
        parts=parts,
        calls=[_call(f"{place}.tool_calls[{i}]", call) for i, call in enumerate(calls)],
        tool_call_id=_text(place, message, "tool_call_id"),
    )


def _read_parts(place: str, content: Any) -> list[Part]:
    if isinstance(content, str):
        return [Part("text", content)]
    if isinstance(content, Sequence) and not isinstance(content, bytes | bytearray):
        return [_part(f"{place}[{i}]", part) for i, part in enumerate(content)]
    if content is not None:
        raise ContentError(f"{place}: expected text or a list of parts, found {_kind(content)}")
    return []


def _called(place: str, item: Mapping[str, Any]) -> Turn:
    call = Call(
        _text(place, item, "call_id"), _text(place, item, "name", required=True), _text(place, item, "arguments")
    )
    return Turn("assistant", "", [], [call], "")


def _returned(place: str, item: Mapping[str, Any]) -> Turn:
    output = item.get("output")
    parts = _read_parts(f"{place}.output", output)
    return Turn("tool", "", parts, [], _text(place, item, "call_id"))


def _reasoned(place: str, item: Mapping[str, Any]) -> Turn:
    pieces = [*(item.get("summary") or ()), *(item.get("content") or ())]
    texts = [_text(f"{place}.reasoning", piece, "text") for piece in pieces if isinstance(piece, Mapping)]
    return Turn("assistant", "", [Part("reasoning", "\n".join(texts))] if texts else [], [], "")


_ITEMS: dict[str, Callable[[str, Mapping[str, Any]], Turn]] = {
    "function_call": _called,
    "function_call_output": _returned,
    "reasoning": _reasoned,
}
"""Items of the Responses API that are no messages."""


def _part(place: str, part: Any) -> Part:
    if isinstance(part, str):
        return Part("text", part)
    if not isinstance(part, Mapping):
        raise ContentError(f'{place}: expected a part {{"type": ...}}, found {_kind(part)}')
    kind = part.get("type")
    if kind in _TEXT_KINDS:
        return Part("text", _text(place, part, _TEXT_KINDS[kind], required=True))
    if kind in _REASONING_KINDS:
        keys = _REASONING_KINDS[kind]
        return Part("reasoning", _text(place, part, keys[0] if keys[0] in part else keys[1], required=True))
    if kind == "image_url":
        source = part.get("image_url")
        url = source.get("url") if isinstance(source, Mapping) else source
        return _data_url(f"{place}.image_url", url)
    raise ContentError(f"{place}.type: {kind!r} is not one of text, reasoning, thinking, image_url (with a data: URL)")


def _data_url(place: str, url: Any) -> Part:
    """Read ``data:image/png;base64,...``; servers fetch nothing, so any other URL is refused."""
    if not isinstance(url, str) or not url.startswith("data:"):
        raise ContentError(f"{place}: only inline images are sent; give a data: URL with base64 content")
    header, comma, payload = url[5:].partition(",")
    mime, _, coding = header.partition(";")
    if not comma or coding != "base64":
        raise ContentError(f"{place}: expected data:<media type>;base64,<content>")
    try:
        return Part("blob", data=base64.b64decode(payload, validate=True), mime=mime)
    except binascii.Error as error:
        raise ContentError(f"{place}: not base64 ({error})") from None


def _call(place: str, call: Any) -> Call:
    if not isinstance(call, Mapping):
        raise ContentError(f"{place}: expected a tool call, found {_kind(call)}")
    function = call.get("function", call)
    if not isinstance(function, Mapping):
        raise ContentError(f"{place}.function: expected name and arguments, found {_kind(function)}")
    arguments = function.get("arguments", "")
    if not isinstance(arguments, str):
        # Chat templates want arguments as an object, APIs give them as text; verifiers get text.
        try:
            arguments = json.dumps(arguments, ensure_ascii=False)
        except (TypeError, ValueError) as error:
            raise ContentError(f"{place}.function.arguments: {error}") from None
    return Call(_text(place, call, "id"), _text(place, function, "name", required=True), arguments)


def _text(place: str, table: Mapping[str, Any], key: str, *, required: bool = False) -> str:
    value = table.get(key)
    if isinstance(value, str):
        return value
    if value is None and not required:
        return ""
    kind = "nothing" if value is None else _kind(value)
    raise ContentError(f"{place}.{key}: expected text, found {kind}")


def _kind(value: Any) -> str:
    return "null" if value is None else type(value).__name__
