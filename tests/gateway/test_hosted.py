"""Hosted fine-tuning: the events that AWS's documents and Fireworks' Reward Kit show, and what they get back."""

from __future__ import annotations

from typing import Any

import pytest

from tests.adapters.page import lines_of
from tests.gateway.conftest import ANSWERS, Start, post

QUESTION = {"role": "user", "content": "1+1?"}


def event(name: str, text: Any, **more: Any) -> dict[str, Any]:
    return {"id": name, "messages": [QUESTION, {"role": "assistant", "content": text}], **more}


def test_a_reward_lambda_passes_its_event_on(url: str) -> None:
    events = [
        event("a", "2", reference_answer={"answer": "2"}),
        event("b", [{"type": "text", "text": "3"}], reference_answer="2"),
    ]
    told = post(f"{url}/aws", json=events).json()
    assert [(one["id"], one["aggregate_reward_score"]) for one in told] == [("a", 1.5), ("b", 0.5)]
    assert told[0]["metrics_list"] == [
        {"name": "correct", "value": 1.0, "type": "Reward"},
        {"name": "short", "value": 1.0, "type": "Reward"},
        {"name": "valid", "value": 1.0, "type": "Metric"},
    ]
    assert post(f"{url}/aws", json={"trajectories": events}).json() == told
    assert post(f"{url}/aws", json=events[0]).json() == told[:1]
    assert post(f"{url}/aws", json=[]).json() == []


def test_a_reward_that_is_missing_follows_the_rule(url: str, gateway: Start) -> None:
    events = [event("a", "2")]
    refused = post(f"{url}/aws", json=events)
    assert (refused.status_code, refused.json()["error"]["code"]) == (503, "no_reward")
    stated = gateway(ANSWERS, "--on-missing", "-1")
    (told,) = post(f"{stated}/aws", json=events).json()
    assert told["aggregate_reward_score"] == -1.0
    assert told["metrics_list"][-1] == {"name": "valid", "value": 0.0, "type": "Metric"}
    body = {"messages": [QUESTION, {"role": "assistant", "content": "2"}]}
    answer = post(f"{stated}/fireworks", json=body).json()
    assert (answer["score"], answer["is_score_valid"]) == (-1.0, False)
    assert "correct: missing_reference" in answer["reason"]
    metric = {"score": 0.0, "is_score_valid": False, "reason": "missing_reference", "success": False}
    assert answer["metrics"]["correct"] == metric


def test_a_remote_evaluator(url: str) -> None:
    tools = [
        QUESTION,
        {"role": "assistant", "content": None, "tool_calls": [{"function": {"name": "f", "arguments": "{}"}}]},
        {"role": "tool", "content": "3"},
        {"role": "assistant", "content": "2"},
    ]
    body = {"messages": tools, "original_messages": [QUESTION], "ground_truth": "2", "metadata": {"n": 1}}
    answer = post(f"{url}/fireworks", json=body).json()
    assert (answer["score"], answer["is_score_valid"], answer["reason"]) == (1.5, True, "")
    assert answer["metrics"]["correct"] == {
        "score": 1.0, "is_score_valid": True, "reason": "accepted", "success": True,
    }  # fmt: skip


def test_what_the_reward_kit_sends_without_a_reference_is_none(url: str) -> None:
    # RewardFunction.__call__ of reward-kit 0.4.1, mode "remote": no reference, no key.
    messages = [QUESTION, {"role": "assistant", "content": "2"}]
    body = {"messages": messages, "ground_truth": messages[:-1], "reference_answer": "2"}
    headers = {"Content-Type": "application/json", "Authorization": ""}
    assert post(f"{url}/fireworks", json=body, headers=headers).json()["score"] == 1.5
    refused = post(f"{url}/fireworks", json={**body, "reference_answer": None}, headers=headers)
    assert refused.status_code == 503
    assert "correct: missing_reference" in refused.json()["error"]["message"]


def test_the_pages_lambda(url: str) -> None:
    lines = lines_of("Hosted fine-tuning", "def lambda_handler")
    handler: dict[str, Any] = {}
    exec(lines.replace("https://HOST", url), handler)
    (told,) = handler["lambda_handler"]([event("a", "2", reference_answer="2")], None)
    assert told["aggregate_reward_score"] == 1.5


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("/aws", "text", None),
        ("/aws", [1], "[0].id"),
        ("/aws", [{"id": 5, "messages": [QUESTION]}], "[0].id"),
        ("/aws", [{"id": "a"}], "[0].messages"),
        ("/aws", [{"id": "a", "messages": [QUESTION]}], "[0].messages"),
        ("/aws", [{"id": "a", "messages": [QUESTION, {"role": 5}]}], "[0].messages.response"),
        ("/fireworks", {"messages": []}, "messages"),
        ("/fireworks", {"messages": ["text"]}, "messages.0"),
        ("/fireworks", {"messages": [QUESTION]}, "messages"),
    ],
)
def test_what_is_wrong_is_named(url: str, path: str, body: Any, field: str | None) -> None:
    refused = post(url + path, json=body)
    assert refused.status_code == 422, refused.text
    assert refused.json()["error"].get("field") == field
