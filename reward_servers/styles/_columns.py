"""A rollout as the columns of a data set, and its texts and messages in the form that trainers give them."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import ConfigDict

from reward_servers import DatasetError, Reference, Rollout
from reward_servers.core import Content, Message
from trainer_client.adapters.fields import ANSWERS


class Columns(Reference):
    """The columns of a data set beside the prompt: whatever the function reads."""

    model_config = ConfigDict(extra="allow", frozen=True)


def columns_of(rollout: Rollout) -> dict[str, Any]:
    """The columns of a rollout: its metadata, and its reference on top; objects that belong to this call alone.

    What is called an answer by one is a solution or a ground truth to others: whichever of the names is missing holds
    what the first of them holds.
    """
    reference = json.loads(rollout.reference) if rollout.reference else {}
    columns = {**rollout.metadata, **(reference if isinstance(reference, dict) else {"answer": reference})}
    answer = next((columns[name] for name in ANSWERS if columns.get(name) is not None), None)
    if answer is not None:
        for name in ANSWERS:
            columns.setdefault(name, answer)
    return columns


def require(names: Sequence[str], columns: Mapping[str, Any], owner: str) -> None:
    """Refuse a rollout that lacks a column.

    Raises:
        DatasetError: It names the column and those that there are.
    """
    missing = [name for name in names if name not in columns]
    if missing:
        columns_here = ", ".join(sorted(columns)) or "nothing"
        raise DatasetError(
            f"{owner} needs the column {missing[0]!r}: give it in the reference or the metadata, which hold "
            f"{columns_here}",
            code="missing_reference",
        )


def content_of(content: Content, role: str, *, messages: bool) -> str | list[dict[str, Any]]:
    """A prompt or a response as it came, or as messages."""
    if isinstance(content, str):
        return [{"role": role, "content": content}] if messages else content
    return [_message(part) for part in content]


def _message(message: Message) -> dict[str, Any]:
    plain = all(part.kind == "text" for part in message.parts)
    content: str | list[dict[str, Any]] = message.text
    if not plain:
        content = [
            {"type": "image_url", "image_url": {"url": _data_url(part.mime, part.data)}}
            if part.kind == "blob"
            else {"type": part.kind, "text": part.text}
            for part in message.parts
        ]
    fields: dict[str, Any] = {"role": message.role, "content": content}
    if message.name:
        fields["name"] = message.name
    if message.tool_calls:
        fields["tool_calls"] = [
            {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
            for call in message.tool_calls
        ]
    if message.tool_call_id:
        fields["tool_call_id"] = message.tool_call_id
    return fields


def _data_url(mime: str, data: bytes) -> str:
    return f"data:{mime};base64,{base64.b64encode(data).decode()}"
