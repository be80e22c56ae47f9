"""Conversations in the forms of the chat completions and the Responses API are the same turns."""

from __future__ import annotations

from typing import Any

import pytest

from trainer_client.rollout.content import ContentError, read_turns


def test_items_of_the_responses_api_are_read_as_turns() -> None:
    items: list[dict[str, Any]] = [
        {"type": "reasoning", "summary": [{"type": "summary_text", "text": "I look it up."}]},
        {"type": "function_call", "call_id": "c1", "name": "search", "arguments": '{"q": "x"}'},
        {"type": "function_call_output", "call_id": "c1", "output": "3 degrees"},
        {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "It is 3 degrees."}]},
    ]
    chat: list[dict[str, Any]] = [
        {"role": "assistant", "content": [{"type": "reasoning", "text": "I look it up."}]},
        {
            "role": "assistant",
            "tool_calls": [{"id": "c1", "function": {"name": "search", "arguments": '{"q": "x"}'}}],
        },
        {"role": "tool", "tool_call_id": "c1", "content": "3 degrees"},
        {"role": "assistant", "content": "It is 3 degrees."},
    ]
    assert read_turns(items) == read_turns(chat)


def test_a_call_without_a_name_is_named_by_its_place() -> None:
    with pytest.raises(ContentError, match=r"\[0\]\.name"):
        read_turns([{"type": "function_call", "call_id": "c1", "arguments": "{}"}])
    with pytest.raises(ContentError, match=r"\[0\]\.output"):
        read_turns([{"type": "function_call_output", "call_id": "c1", "output": 3}])
    with pytest.raises(ContentError, match=r"\[0\]\.role"):
        read_turns([{"type": "web_search_call"}])
