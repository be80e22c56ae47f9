"""Every verifier reads the same visible text of a response, and a recipe's marks reach all of them."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reward_servers import Rollout
from reward_servers.core import Message, Part, PromptContext, ToolCall, Verdict
from reward_servers.engines.citations import check_citations
from reward_servers.engines.code import extract
from reward_servers.engines.text import visible
from reward_servers.verifiers._shown import reader_view
from reward_servers.verifiers.choice import ChoiceOptions, ChoiceReference, choice
from reward_servers.verifiers.exact import ExactOptions, ExactReference, exact
from reward_servers.verifiers.format import FormatOptions, FormatReference, format
from reward_servers.verifiers.math import Answer, MathOptions, math
from tests.verifiers.harness import bench

PLAN = (("<plan>", "</plan>"),)
_MARKS = [
    *("<think>", "</think>", "<reasoning>", "</reasoning>", "<analysis>", "</analysis>", "<scratchpad>", "</THINKING>"),
    *("[THINK]", "[/THINK]", "◁think▷", "◁/think▷", "<seed:think>", "</seed:think>", "<|begin_of_thought|>"),
    *("<|channel|>analysis<|message|>", "<|end|>", "<|start|>assistant<|channel|>final<|message|>"),
    *("<!--", "-->", "<plan>", "</plan>", "\n", " "),
]
_PIECES = st.one_of(
    st.sampled_from(_MARKS),
    st.sampled_from("ABCD").map(lambda letter: f"\n\\boxed{{{letter}}}\n"),
    st.sampled_from(["1", "2"]).map(lambda name: f"\n```python\nx{name} = 1\n```\n"),
)
_RESPONSES = st.lists(_PIECES, max_size=10).map("".join)


def rollout(response: str) -> Rollout:
    return Rollout(response, PromptContext(reasoning_marks=PLAN))


def judged(verifier: Any, response: str, reference: Any, options: Any) -> float | None:
    """The score that the function of a verifier gives; None for the floor."""
    outcome = verifier.target(rollout(response), reference, options)
    value: float | None = (asyncio.run(outcome) if asyncio.iscoroutine(outcome) else outcome).value
    return value


@settings(deadline=None, max_examples=300)
@given(_RESPONSES)
def test_all_verifiers_see_the_same_text(response: str) -> None:
    text = visible(response, PLAN).text
    letters = [piece[1:2] for piece in text.split("\\boxed")[1:]]
    last = letters[-1] if letters else None
    boxed, box_only = (
        ExactOptions.model_validate({"take": "boxed"}),
        MathOptions.model_validate({"profile": "box_only"}),
    )
    count = ChoiceOptions.model_validate({})
    for right in "ABCD":
        expected = last == right
        assert (judged(exact, response, ExactReference(answer=right), boxed) == 1.0) == expected
        assert (judged(choice, response, ChoiceReference(answer=right), count) == 1.0) == expected
        assert (judged(math, response, Answer.model_validate({"answer": right}), box_only) == 1.0) == expected
    whole = ExactReference(answer=text.strip() or "-")
    assert (judged(exact, response, whole, ExactOptions.model_validate({})) == 1.0) == bool(text.strip())
    one_box = FormatOptions.model_validate({"boxed": True})
    assert (judged(format, response, FormatReference(), one_box) == 1.0) == (len(letters) == 1)
    assert reader_view(rollout(response)) == text
    blocks = extract(response, "python", blocks="all", marks=PLAN)
    for name in ("x1", "x2"):
        assert (name in (blocks.source or "")) == (name in text)
    statements = check_citations(response, [], marks=PLAN).statements
    assert {name for name in "ABCD" if any(f"{{{name}}}" in one.text for one in statements)} <= set(letters)


@pytest.mark.parametrize(
    ("verifier", "reference", "options"),
    [
        (exact, {"answer": "A"}, {"take": "boxed"}),
        (choice, {"answer": "A"}, {}),
        (math, {"answer": "A"}, {}),
        (format, {}, {"boxed": True}),
    ],
    ids=lambda value: getattr(value, "name", ""),
)
async def test_marks_of_a_recipe_reach_a_verifier(verifier: Any, reference: Any, options: Any) -> None:
    contexts = [
        PromptContext("g", reference=json.dumps(reference).encode(), reasoning_marks=marks) for marks in ((), PLAN)
    ]
    async with bench(verifier) as running:
        without, given = [
            (await running.outcomes(verifier.name, [Rollout("<plan>\\boxed{A}", context)], options))[0]
            for context in contexts
        ]
    assert isinstance(without, Verdict)
    assert isinstance(given, Verdict)
    assert (without.score, given.score) == (1.0, 0.0)


def test_a_reader_of_a_transcript_sees_visible_text_and_tool_calls() -> None:
    turns = (
        Message("assistant", (Part("text", "<think>a</think>b"),), tool_calls=(ToolCall("1", "f", "{}"),)),
        Message("tool", (Part("text", "<think>kept</think>"),)),
        Message("assistant", (Part("text", "<plan>c</plan>d"),)),
    )
    one = Rollout(turns, PromptContext(reasoning_marks=PLAN))
    assert reader_view(one) == "d"
    assert (
        reader_view(one, transcript=True) == "assistant: b\n[calls f({})]\n\ntool: <think>kept</think>\n\nassistant: d"
    )
    assert "<think>a" in reader_view(one, transcript=True, reasoning=True)
