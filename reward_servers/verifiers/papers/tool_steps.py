"""The steps of a policy that uses tools, each compared with the step that it ought to have been (iTool)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import Field, model_validator

from reward_servers import ItemLimits, Options, Reference, Rollout, Score, verifier
from reward_servers.core import Message
from reward_servers.core import Step as StepScore
from reward_servers.engines.text import visible
from reward_servers.engines.toolcalls import Call, MalformedCallError, Rules, read_calls, read_object, same_arguments
from trainer_client.signals.preference.itool import token_overlap, tool_step_reward

_LOWEST, _HIGHEST = -0.6, 0.6
_MOST = 64
_RULES = Rules()
_BETWEEN = {"whole": None, "line": re.compile(r"\n+"), "paragraph": re.compile(r"\n\s*\n")}


class ToolStepsReference(Reference):
    """The right steps."""

    steps: tuple[str | None, ...] = Field(
        min_length=1,
        max_length=_MOST,
        description="Text of each step, such as `[search(query='tides')]`; null for one that is free. `answer`, a "
        "text, is read as the only step.",
    )

    @model_validator(mode="before")
    @classmethod
    def _take_answer(cls, data: Any) -> Any:
        if isinstance(data, dict) and "steps" not in data and isinstance(data.get("answer"), str):
            return {**data, "steps": [data["answer"]]}
        return data

    @model_validator(mode="after")
    def _check(self) -> ToolStepsReference:
        if not any(step is not None and step.strip() for step in self.steps):
            raise ValueError("steps: all are free, so nothing is compared")
        if any(step is not None and not step.strip() for step in self.steps):
            raise ValueError("steps: a text has no words; null stands for a step that is free")
        return self


class ToolStepsOptions(Options):
    """Where a step ends, and how words are counted."""

    cut: Literal["whole", "line", "paragraph"] = Field(
        "whole", description="The steps of a text: all of it, lines or paragraphs. Of messages each turn is a step."
    )
    overlap: Literal["longer", "shorter"] = Field(
        "longer",
        description="Text whose words the shared ones are counted in. 'shorter' is as released, and pays a step of one "
        "right word like the whole.",
    )


@dataclass(frozen=True, slots=True)
class _Step:
    text: str
    message: int
    start: int
    end: int


@verifier(
    "tool_steps",
    version="1",
    score_range=(_LOWEST, _HIGHEST),
    limits=ItemLimits(response_bytes=1 << 19),
    aspects=dict.fromkeys(("called", "overlap", "exact", "steps"), 0.0),
)
def tool_steps(rollout: Rollout, ref: ToolStepsReference, options: ToolStepsOptions) -> Score:
    """Mean reward of the steps of a policy that uses tools: whether each calls a tool where it should, and its words.

    A step gets 0.1 for a call (`)]`) just where the reference has one, else -0.1, and the share of words in common less
    0.5; one that is free gets 0.1 for a bracket that closes. Steps that are missing, and those beyond the reference,
    get -0.6. The verdict carries the reward of each step; `exact` is the share whose calls are the same as values.
    Calls apart from the text are read as `[name(key=value)]`. Source: zeng-yirong/iTool mcts/mcts_vllm.py @871eceb4.
    """
    taken_steps = _steps(rollout, options)
    if not taken_steps:
        return Score.floor("no_answer", "there is no step")
    if len(taken_steps) > _MOST:
        return Score.floor("limit", f"{len(taken_steps)} steps")
    pairs = list(zip(taken_steps, ref.steps, strict=False))  # either side may have more
    rewards = [tool_step_reward(step.text, right, of=options.overlap) for step, right in pairs]
    rewards += [_LOWEST] * (max(len(taken_steps), len(ref.steps)) - len(pairs))
    compared = [(step.text, right) for step, right in pairs if right is not None]
    count = sum(right is not None for right in ref.steps)
    aspects = {
        "called": sum((")]" in text) == (")]" in right) for text, right in compared) / count,
        "overlap": sum(token_overlap(right, text, of=options.overlap) for text, right in compared) / count,
        "exact": sum(_same_calls(text, right) for text, right in compared) / count,
        "steps": float(len(taken_steps)),
    }
    steps = [
        StepScore(step.start, step.end, reward, message=step.message)
        for step, reward in zip(taken_steps, rewards, strict=False)
    ]
    value = min(_HIGHEST, max(_LOWEST, sum(rewards) / len(rewards)))
    return Score(value, "accepted" if aspects["exact"] == 1.0 and value > 0 else "", aspects=aspects, steps=steps)


def _steps(rollout: Rollout, options: ToolStepsOptions) -> list[_Step]:
    """The steps with words, each with its place."""
    if not isinstance(rollout.content, str):
        turns = [(place, message) for place, message in enumerate(rollout.messages) if message.role == "assistant"]
        all_steps = [_Step(_turn_text(turn, rollout), place, 0, len(turn.text)) for place, turn in turns]
        return [step for step in all_steps if step.text.strip()]
    text, between = visible(rollout.response, rollout.reasoning_marks).text, _BETWEEN[options.cut]
    pieces = [text] if between is None else between.split(text)
    steps, reached = [], 0
    for piece in filter(str.strip, pieces):
        # The visible text is found in the response piece by piece. Reasoning may interrupt a piece.
        start = max(reached, rollout.response.find(piece, reached))
        reached = min(len(rollout.response), start + len(piece))
        steps.append(_Step(piece, 0, start, reached))
    return steps


def _turn_text(turn: Message, rollout: Rollout) -> str:
    """A turn with its calls as Python has them."""
    calls = []
    for call in turn.tool_calls:
        try:
            arguments = ", ".join(f"{name}={value!r}" for name, value in read_object(call.arguments).items())
        except MalformedCallError:
            arguments = call.arguments
        calls.append(f"{call.name}({arguments})")
    text = visible(turn.text, rollout.reasoning_marks).text
    return f"{text}\n[{', '.join(calls)}]" if calls else text


def _same_calls(text: str, right: str) -> bool:
    """Whether two steps make the same calls, in order; where none is wanted, whether none is made."""
    calls, wanted_calls = _calls(text), _calls(right)
    if calls is None or wanted_calls is None:
        return calls is wanted_calls
    return len(calls) == len(wanted_calls) and all(
        call.name == right_call.name and all(same_arguments(call.arguments, right_call.arguments, _RULES).values())
        for call, right_call in zip(calls, wanted_calls, strict=True)
    )


def _calls(text: str) -> list[Call] | None:
    """The calls of a step, or of its last line; None where it is meant as a call and is none."""
    bare = text.strip()
    try:
        return read_calls(bare) or read_calls(bare.rpartition("\n")[2].strip())
    except MalformedCallError:
        return None
