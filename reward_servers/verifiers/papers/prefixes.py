"""The gain of each step of a response: another verifier scores growing prefixes (DenseGRPO)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Literal

from pydantic import Field

from reward_servers import CallerError, Context, ItemLimits, Options, Rollout, Score, verifier
from reward_servers.core import Content, Step
from reward_servers.verifiers._composing import replies_to

Place = tuple[int, int]
"""Number of a message, and an end in its text."""

_ENDS = {
    "line": re.compile(r"\n+"),
    "paragraph": re.compile(r"\n\s*\n"),
    "sentence": re.compile(r"(?<=[.!?。！？])\s+|\n+"),
}


class PrefixesOptions(Options):
    """Who is asked, and where a response is cut."""

    verifier: str = Field(min_length=1, description="Who is asked about each prefix; its scores are between 0 and 1.")
    options: dict[str, Any] = Field(default_factory=dict, description="Its options.")
    cut: Literal["line", "paragraph", "sentence"] = Field(
        "paragraph", description="End of a step. A response of several messages is cut after each turn of the policy."
    )
    max_steps: int = Field(16, ge=1, le=64, description="Steps; of a response with more, neighbours are one step.")


@verifier(
    "prefixes",
    version="1",
    deterministic=False,
    limits=ItemLimits(wall_s=3600.0, response_bytes=1 << 19),
    aspects={"steps": 0.0, "prefix_0": 0.0},
)
async def prefixes(rollout: Rollout, options: PrefixesOptions, ctx: Context) -> Score:
    """The score of another verifier, and what it says of the empty response and of the response after each step.

    The aspects `prefix_0`, `prefix_1`, ... are the input `prefix_scores` of the method `dense_grpo`; a response has as
    many as it has steps, and one more. The steps of the verdict carry what each has added. Source: DenseGRPO, from its
    abstract.
    """
    if options.verifier == ctx.verifier:
        raise CallerError("options.verifier: prefixes cannot ask itself", code="invalid_options")
    if not rollout.content or not (rollout.response.strip() or len(rollout.messages) > 1):
        return Score.floor("no_answer", "the response is empty")
    places = _joined(
        _ends_of_text(rollout.content, options) if isinstance(rollout.content, str) else _ends_of_turns(rollout),
        options.max_steps,
    )
    contents: list[Content] = ["", *(_until(rollout, place) for place in places[:-1]), rollout.content]
    replies = await replies_to({
        f"prefix {number}": ctx.score(options.verifier, replace(rollout, content=content), options=options.options)
        for number, content in enumerate(contents)
    })  # fmt: skip
    stopped = replies.stop("prefixes")
    if stopped is not None:
        return stopped
    verdicts = [replies.verdicts[f"prefix {number}"] for number in range(len(contents))]
    scores = [verdict.score for verdict in verdicts]
    aspects = {"steps": float(len(places))} | {f"prefix_{number}": score for number, score in enumerate(scores)}
    steps = []
    for number, (message, end) in enumerate(places, 1):
        before, start = places[number - 2] if number > 1 else (message, 0)
        gain = scores[number] - scores[number - 1]
        steps.append(Step(start if message == before else 0, end, gain, message=message))
    return Score(scores[-1], verdicts[-1].code, aspects=aspects, steps=steps, note=verdicts[-1].note)


def _ends_of_text(text: str, options: PrefixesOptions) -> list[Place]:
    """Where each step ends."""
    begins, stops = len(text) - len(text.lstrip()), len(text.rstrip())
    ends = [
        match.end() for match in _ENDS[options.cut].finditer(text) if begins < match.start() and match.end() < stops
    ]
    return [(0, end) for end in (*ends, len(text))]


def _ends_of_turns(rollout: Rollout) -> list[Place]:
    """The turns of the policy, each with the length of its text."""
    turns = rollout.messages
    return [(place, len(turn.text)) for place, turn in enumerate(turns) if turn.role == "assistant"] or [(0, 0)]


def _until(rollout: Rollout, place: Place) -> Content:
    """The response until a step has ended."""
    message, end = place
    return rollout.content[:end] if isinstance(rollout.content, str) else rollout.messages[: message + 1]


def _joined(pieces: Sequence[Place], most: int) -> list[Place]:
    """Every so many of them, the last one among them, so that no more than `most` are left."""
    if len(pieces) <= most:
        return list(pieces)
    return [pieces[(number + 1) * len(pieces) // most - 1] for number in range(most)]
