"""What a reader of a rollout is shown: its visible text, unless it asks for more."""

from __future__ import annotations

from dataclasses import replace

from reward_servers import Rollout
from reward_servers.core import Message, Part
from reward_servers.engines.text import visible


def reader_view(rollout: Rollout, *, transcript: bool = False, reasoning: bool = False) -> str:
    """Write what a reader sees of a rollout.

    Args:
        rollout: The rollout.
        transcript: Whether it sees all turns and tool calls, or the last answer.
        reasoning: Whether it sees reasoning that is in the text.
    """
    if not transcript:
        return rollout.response if reasoning else visible(rollout.response, rollout.reasoning_marks).text
    if reasoning:
        return rollout.transcript
    content = rollout.content
    if isinstance(content, str):
        return visible(content, rollout.reasoning_marks).text
    turns = tuple(_without_reasoning(turn, rollout) if turn.role == "assistant" else turn for turn in content)
    return replace(rollout, content=turns).transcript


def is_empty(rollout: Rollout, text: str, *, transcript: bool, images: bool) -> bool:
    """Whether there is nothing to judge. A picture alone is enough for a judge that sees pictures.

    Args:
        rollout: The rollout.
        text: The part of its text that is shown.
        transcript: Whether the reader sees all turns, or the last answer.
        images: Whether it is to see pictures.
    """
    return not text.strip() and not (images and has_pictures(rollout, transcript=transcript))


def has_pictures(rollout: Rollout, *, transcript: bool) -> bool:
    """Whether what a reader sees of a response holds pictures.

    Args:
        rollout: The rollout.
        transcript: Whether the reader sees all turns, or the last answer.
    """
    messages = rollout.messages if transcript else rollout.messages[-1:]
    return any(part.kind == "blob" for message in messages for part in message.parts)


def picture_of(rollout: Rollout) -> bytes | None:
    """The bytes of the last picture of the last assistant message that has one."""
    for message in reversed(rollout.messages):
        blobs = [part.data for part in message.parts if part.kind == "blob"]
        if message.role == "assistant" and blobs:
            return blobs[-1]
    return None


def _without_reasoning(message: Message, rollout: Rollout) -> Message:
    return replace(message, parts=(Part("text", visible(message.text, rollout.reasoning_marks).text),))
