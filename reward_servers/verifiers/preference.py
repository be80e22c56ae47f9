"""Scores a response with a preference model from local files."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from reward_servers import (
    DatasetError,
    Fault,
    Item,
    ItemLimits,
    Options,
    Rollout,
    Score,
    ServiceError,
    Settings,
    StartupError,
    verifier,
)
from reward_servers.engines.preference import (
    Conversation,
    Encoded,
    Encoder,
    EncodingError,
    ModelUnusable,
    PreferenceModel,
)
from reward_servers.engines.text import visible

__all__ = ["Preference", "PreferenceOptions", "PreferenceSettings"]


class PreferenceSettings(Settings):
    """The model, where it runs, and how its logits become scores."""

    path: Path = Field(description="Directory with configuration, tokenizer and safetensors weights.")
    device: str = "cpu"
    dtype: Literal["float32", "bfloat16", "float16"] = "float32"
    batch_size: int = Field(1, ge=1, le=256, description="Sequences of one forward pass; 1 is best on a CPU.")
    threads: int = Field(0, ge=0, description="Threads for computing on the CPU; 0 leaves the choice to torch.")
    max_length: int = Field(4096, ge=8, description="Tokens of prompt and response together.")
    template: Literal["chat", "pair", "concat"] = "chat"
    label: int | None = Field(None, ge=0, description="Output to read, for a model with several.")
    mean: float = Field(0.0, allow_inf_nan=False, description="Subtracted from the logit.")
    std: float = Field(1.0, gt=0, allow_inf_nan=False, description="Divides the logit after that.")
    linear_range: float = Field(20.0, gt=0, description="For scale 'linear': -range to range becomes 0 to 1.")


class PreferenceOptions(Options):
    """What becomes of a conversation that is too long, and of the logit."""

    truncation: Literal["refuse", "left", "middle"] = Field(
        "refuse",
        description="'refuse' gives what is too long the floor score; the others say in the evidence what was cut.",
    )
    scale: Literal["sigmoid", "linear"] = Field(
        "sigmoid", description="'linear' keeps differences as they are, clipped at both ends of the range."
    )
    show_reasoning: bool = Field(False, description="Whether the model sees reasoning spans of the response.")


def _turns(content: str | tuple[Any, ...], role: str) -> tuple[tuple[str, str], ...]:
    """The turns of a prompt or response, with their visible text."""
    if isinstance(content, str):
        return ((role, content),) if content or role == "assistant" else ()
    return tuple((message.role, message.text) for message in content)


# The memory bound is off: a device's libraries reserve far more address space than they use.
@verifier("preference", version="2", limits=ItemLimits(wall=300.0, memory=0, response=1 << 20), aspects=("logit",))
class Preference:
    """How good a preference model finds the response, between 0 and 1."""

    Options = PreferenceOptions

    def setup(self, settings: PreferenceSettings) -> None:
        """Loads the model."""
        try:
            self._model = PreferenceModel(
                settings.path,
                device=settings.device,
                dtype=settings.dtype,
                batch_size=settings.batch_size,
                max_length=settings.max_length,
                label=settings.label,
                threads=settings.threads,
            )
            self._encoder = Encoder(self._model.tokenizer, settings.template, self._model.max_length)
        except ImportError as error:
            raise StartupError(f"preference: {error}; install it with: pip install 'assay[model]'") from None
        except (ModelUnusable, EncodingError) as error:
            raise StartupError(f"preference: {error}") from None
        self._settings = settings

    def score_batch(self, items: Sequence[Item]) -> Sequence[Score | Fault]:
        """Scores what can be scored, and says of each of the others why not."""
        outcomes: list[Score | Fault | None] = []
        encoded: list[Encoded] = []
        for item in items:
            prepared = self._prepare(item.rollout, item.options)
            outcomes.append(None if isinstance(prepared, Encoded) else prepared)
            if isinstance(prepared, Encoded):
                item.context.usage.input_tokens += len(prepared.ids)
                encoded.append(prepared)
        logits = iter(zip(encoded, self._model.logits(encoded), strict=True))
        return [
            self._scored(*next(logits), item.options) if outcome is None else outcome
            for item, outcome in zip(items, outcomes, strict=True)
        ]

    def _prepare(self, rollout: Rollout, options: PreferenceOptions) -> Encoded | Score | Fault:
        response = _turns(rollout.content, "assistant")
        if not options.show_reasoning:
            response = tuple((role, visible(text, rollout.reasoning_marks).text) for role, text in response)
        if not any(text.strip() for role, text in response if role == "assistant"):
            return Score.floor("no_answer", "the response is empty")
        try:
            encoded = self._encoder.encode(
                Conversation(_turns(rollout.prompt_context.prompt, "user"), response), options.truncation
            )
        except EncodingError as error:
            return DatasetError(f"prompt: {error}", code="invalid_prompt").to_fault()
        longest = self._encoder.max_length
        if encoded.prompt_tokens >= longest and options.truncation == "refuse":
            what = f"prompt: {encoded.prompt_tokens} tokens leave no room for a response within {longest}"
            return DatasetError(what, code="prompt_too_long").to_fault()
        if len(encoded.ids) > longest:
            return Score.floor("limit", f"{encoded.tokens} tokens, of at most {longest}")
        return encoded

    def _scored(self, encoded: Encoded, logit: float, options: PreferenceOptions) -> Score | Fault:
        if not math.isfinite(logit):
            return ServiceError(f"the model gave {logit}", code="not_finite").to_fault()
        standard = (logit - self._settings.mean) / self._settings.std
        if options.scale == "sigmoid":
            value = 1 / (1 + math.exp(-standard)) if standard >= 0 else math.exp(standard) / (1 + math.exp(standard))
        else:
            value = min(1.0, max(0.0, 0.5 + standard / (2 * self._settings.linear_range)))
        evidence = {
            "tokens": encoded.tokens,
            "cut": encoded.cut,
            "truncation": options.truncation,
            "escaped": encoded.escaped,
            "model": self._model.fingerprint,
        }
        return Score(value, aspects={"logit": logit}, evidence=evidence)
