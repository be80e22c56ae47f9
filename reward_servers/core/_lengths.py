"""How long a response is, in bytes."""

from __future__ import annotations

from reward_servers.core._model import Content, Message


def longer(content: Content, limit: int) -> bool:
    """Whether a content is longer than so many bytes."""
    if isinstance(content, str):
        # A character is at most four bytes: short texts need no encoding to be measured.
        return len(content) * 4 > limit and len(content.encode()) > limit
    return sum(map(_size, content)) > limit


def _size(message: Message) -> int:
    calls = sum(len(call.arguments.encode()) for call in message.tool_calls)
    return calls + sum(len(part.text.encode()) for part in message.parts)
