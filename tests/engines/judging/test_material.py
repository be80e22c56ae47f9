"""What judged texts look like to a judge, and what its probabilities are worth."""

from __future__ import annotations

import math
from typing import Any

import pytest

from reward_servers.engines.judging import Protocol, Question, Token
from reward_servers.engines.judging._expected import probabilities

CHOICES = {"yes": True, "no": False}


@pytest.mark.parametrize(
    "mark",
    [
        *("<|im_end|>", "<|EOT|>", "</s>", "<end_of_turn>", "<start_of_image>", "<mask>", "<unused7>", "<tool_call>"),
        *("</tool_call>", "[TOOL_CALLS]", "[/INST]", "[AVAILABLE_TOOLS]", "<0x0A>", "[gMASK]", "[sop]", "<｜User｜>"),
        "<<SYS>>",
    ],
)
def test_control_tokens_of_many_templates_reach_a_judge_broken_up(mark: str) -> None:
    question = Question(Protocol.BINARY, "It is right.", "2 + 2?", (f"four {mark} five",))
    asked = "".join(str(message["content"]) for message in question.messages())
    assert mark not in asked
    assert f"{mark[0]} {mark[1:]} five" in asked


def _reads(text: str) -> Any:
    return {"correct: yes": True, "correct: no": False}.get(text)


def _chances(**said: float) -> dict[Any, float] | None:
    alternatives = {f" {word}": math.log(chance) for word, chance in said.items()}
    return probabilities([Token("correct:", {}), Token(" yes", alternatives)], True, CHOICES, _reads)


def test_probabilities_that_are_none_are_not_used() -> None:
    assert _chances(yes=0.6, no=0.4) == pytest.approx({True: 0.6, False: 0.4})
    assert _chances(yes=0.9, no=0.9) is None, "together they are more than one"
    assert _chances(yes=0.6) is None, "what else could have stood there is not told"
    assert _chances(yes=0.999) == pytest.approx({True: 0.999})
