"""Scores of the steps of a response, from a process reward model in local files."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from pydantic import Field

from reward_servers import Fault, Item, ItemLimits, Options, Rollout, Score, ServiceError, verifier
from reward_servers import Step as StepScore
from reward_servers.engines.preference import ProcessModel, Step, TokenisedSteps, split_steps
from reward_servers.verifiers.models._loading import ModelSettings, OneByOne, loading, no_room


class ProcessSettings(ModelSettings):
    """The model, and how it was trained to be read."""

    kind: Literal["classifier", "causal"] = Field(
        "classifier", description="Whether tokens are classified, or a language model writes 'good' or 'bad'."
    )
    separator: str = Field("\n", min_length=1, description="Text behind each step; its last token is read.")
    good: str = Field("1", min_length=1, description="Label of a right step, by name or number; or what is written.")
    bad: str = Field("0", description="The same of a wrong step; empty for a classifier with one output.")


class ProcessOptions(Options):
    """What a step is, and how the response's score follows from those of its steps."""

    split: str = Field("\n\n", min_length=1, max_length=64, description="Text between two steps.")
    aggregate: Literal["min", "mean", "product", "last"] = Field(
        "min", description="Score of the response, from the probabilities of its steps."
    )


@dataclass(frozen=True, slots=True)
class _Prepared:
    laid: TokenisedSteps
    steps: tuple[Step, ...]
    message: int


def _last_message(rollout: Rollout) -> int:
    """The message that ``response`` is the text of."""
    messages = rollout.messages
    places = [place for place, message in enumerate(messages) if message.role == "assistant" and message.text]
    return places[-1] if places else 0


# The memory bound is off: a device's libraries reserve far more address space than they use.
@verifier(
    "process",
    version="2",
    limits=ItemLimits(cpu_s=300.0, wall_s=300.0, memory_bytes=0, response_bytes=1 << 20),
    max_batch=256,
    aspects=dict.fromkeys(("min", "mean", "product", "last", "steps"), 0.0),
)
class Process(OneByOne):
    """How right a process reward model finds the steps of a response: each step, and all of them together.

    Source: process reward models (arXiv 2305.20050), with the least step as in Math-Shepherd (arXiv 2312.08935).
    """

    Options = ProcessOptions

    def setup(self, settings: ProcessSettings) -> None:
        """Load the model."""
        self.batch_tokens = settings.tokens_of_a_batch()
        with loading("process"):
            self._model = ProcessModel(
                settings.path,
                settings.kind,
                settings.separator,
                settings.good,
                settings.bad,
                settings.max_length,
                **settings.where(),
            )
        self.item_tokens = self._model.max_length

    def prepare(self, item: Item) -> _Prepared | Score | Fault:
        """Cut the response into steps and encode them."""
        text = item.rollout.response
        steps = split_steps(text, item.options.split)
        if not steps:
            return Score.floor("no_answer", "the response has no step")
        laid = self._model.lay(item.rollout.prompt, [text[step.start : step.end] for step in steps])
        if laid.prompt_tokens >= self._model.max_length:
            return no_room(laid.prompt_tokens, self._model.max_length)
        if len(laid.ids) > self._model.max_length:
            return Score.floor("limit", f"more than the {self._model.max_length} tokens that the model takes")
        item.context.usage.input_tokens += len(laid.ids)
        return _Prepared(laid, tuple(steps), _last_message(item.rollout))

    def _scored(self, item: Item) -> Score | Fault:
        prepared: _Prepared = item.prepared
        options: ProcessOptions = item.options
        chances = self._model.score(prepared.laid)
        if not all(map(math.isfinite, chances)):
            return ServiceError(f"the model gave {chances[:8]}", code="not_finite").to_fault()
        aspects = {
            "min": min(chances),
            "mean": math.fsum(chances) / len(chances),
            "product": math.prod(chances),
            "last": chances[-1],
            "steps": float(len(chances)),
        }
        steps = [
            StepScore(step.start, step.end, chance, prepared.message)
            for step, chance in zip(prepared.steps, chances, strict=True)
        ]
        evidence = {"model": self._model.fingerprint, "tokens": len(prepared.laid.ids)}
        return Score(aspects[options.aggregate], aspects=aspects, steps=steps, evidence=evidence)
