"""The calls that a response makes, and the calls that a reference expects."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, Field

from reward_servers import Rollout
from reward_servers.engines.text import visible
from reward_servers.engines.toolcalls import Call, is_harmony, read_calls, read_object


class ExpectedCall(BaseModel):
    """One call that is right."""

    name: str = Field(min_length=1)
    arguments: dict[str, Any] = Field(default_factory=dict)


def made_calls(rollout: Rollout) -> list[Call]:
    """Calls that the messages carry; where there is none, those in the visible text, or in a text of Harmony.

    Raises:
        MalformedCallError: A text that is meant as a call is no valid call.
    """
    calls = [
        Call(call.name, read_object(call.arguments))
        for message in rollout.messages
        if message.role == "assistant"
        for call in message.tool_calls
    ]
    if calls:
        return calls
    text = rollout.response
    return read_calls(text if is_harmony(text) else visible(text, rollout.reasoning_marks).text)
