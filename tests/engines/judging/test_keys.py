"""Keys under which questions and their answers are kept: what asks something else has another key."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import pytest

from reward_servers.engines.judging import CompletionRequest, Protocol, Question, Spelling, Template
from reward_servers.engines.judging._asks import Slot
from reward_servers.engines.judging._control import _key
from reward_servers.engines.judging._recording import key_of

_ASKED = CompletionRequest([{"role": "user", "content": "?"}])
_OTHER_ASKED: dict[str, Any] = {
    "messages": [{"role": "user", "content": "??"}],
    "spelling": Spelling((Slot("a", ("b",)),), "c"),
    "seed": 0,
    "sample": 1,
    "logprobs": True,
    "schema": {"type": "object"},
}


@pytest.mark.parametrize("name", [one.name for one in fields(CompletionRequest)])
def test_whatever_is_asked_otherwise_is_another_question(name: str) -> None:
    assert key_of("m", _ASKED) == key_of("m", replace(_ASKED))
    assert key_of("m", _ASKED) != key_of("m", replace(_ASKED, **{name: _OTHER_ASKED[name]}))


_QUESTION = Question(Protocol.RUBRIC, "criteria", "prompt", ("a",), keys=("x", "y"))
_OTHERS: dict[str, Any] = {
    "protocol": Protocol.BEST,
    "criteria": "other",
    "prompt": "other",
    "responses": ("a", "a"),
    "reference": "told",
    "seed": 1,
    "keys": ("x",),
    "reference_last": True,
    "template": Template("{prompt} {response} {criteria} {form}"),
    "reply": "prometheus",
    "arguments": ("for it",),
    "prompt_images": ("data:image/png;base64,AA",),
    "response_images": (("data:image/png;base64,AA",),),
    "trusts_prompt": False,
    "argues": "favour",
    "reasoning_marks": (("<mull>", "</mull>"),),
}


@pytest.mark.parametrize("name", [one.name for one in fields(Question) if one.init])
def test_what_a_control_call_proves_counts_for_the_same_question_alone(name: str) -> None:
    known = _key("planted", _QUESTION, "model")
    assert known == _key("planted", replace(_QUESTION), "model")
    assert known != _key("planted", replace(_QUESTION, **{name: _OTHERS[name]}), "model")


def test_texts_that_move_from_one_list_to_another_are_another_question() -> None:
    moved = replace(_QUESTION, keys=("x",), prompt_images=("y",))
    assert _key("planted", replace(_QUESTION, keys=("x", "y")), "model") != _key("planted", moved, "model")
