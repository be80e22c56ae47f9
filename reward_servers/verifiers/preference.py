"""Scores a response with a preference model from local files."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from reward_servers import (
    CallerError,
    DatasetError,
    Fault,
    Item,
    ItemLimits,
    Options,
    Rollout,
    Score,
    ServiceError,
    verifier,
)
from reward_servers.engines.models import (
    Compute,
    Conversation,
    Encoded,
    EncodingError,
    Outputs,
    ResponseRefusedError,
)
from reward_servers.engines.preference import Golden, Head, PreferenceModel, combine
from reward_servers.engines.text import visible
from reward_servers.verifiers.models._loading import ScaledSettings, computing, loading, no_room, turns


class HeadSettings(BaseModel):
    """One output of a model with several."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    output: int = Field(ge=0, description="Its place among the model's outputs, from 0.")
    mean: float = Field(0.0, allow_inf_nan=False)
    std: float = Field(1.0, gt=0, allow_inf_nan=False)
    weight: float = Field(1.0, allow_inf_nan=False)


class GoldenSettings(BaseModel):
    """A score that the model's card states; the server refuses to start when the model gives another."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    prompt: str
    response: str
    logit: float = Field(allow_inf_nan=False)
    tolerance: float = Field(0.05, gt=0, allow_inf_nan=False)


class PreferenceSettings(ScaledSettings):
    """The model, where it runs, and how its logits become scores."""

    kernel: Literal["auto", "alone", "packed", "invariant"] = Field(
        "auto", description="How sequences are computed: one at a time, packed, or packed in passes of one shape."
    )
    prefix_cache_bytes: int = Field(512 << 20, ge=0, description="Memory for prompts that are kept between batches.")
    template: Literal["chat", "pair", "concat"] = "chat"
    add_eos: Literal["auto", "true", "false"] = Field(
        "auto", description="Whether a conversation ends in the end-of-sequence token."
    )
    label: int | None = Field(None, ge=0, description="Output to read, for a model with several.")
    mean: float = Field(0.0, allow_inf_nan=False, description="Subtracted from the logit.")
    std: float = Field(1.0, gt=0, allow_inf_nan=False, description="Divides the logit after that.")
    heads: dict[str, HeadSettings] = Field(
        default_factory=dict, description="Outputs by name, for a model with several."
    )
    normaliser: str = Field(
        "", max_length=100, description="Version of the means and deviations, kept in the evidence."
    )
    golden: tuple[GoldenSettings, ...] = Field((), description="Scores that the model's card states.")
    adapters: dict[str, Path] = Field(default_factory=dict, description="Directories of LoRA adapters by name.")


class PreferenceOptions(Options):
    """The treatment of a conversation that is too long, and how the logit becomes a score."""

    truncation: Literal["refuse", "left", "middle"] = Field(
        "refuse",
        description="'refuse' gives what is too long the floor score; the others say in the evidence what was cut.",
    )
    scale: Literal["sigmoid", "linear", "probabilities"] = Field(
        "sigmoid",
        description="'linear' keeps differences as they are, clipped at both ends of the range; 'probabilities' is the "
        "weighted mean of the heads, each squashed by itself.",
    )
    show_reasoning: bool = Field(False, description="Whether the model sees reasoning spans of the response.")
    adapter: str = Field("", max_length=100, description="Name of a declared adapter; empty for the model as it is.")
    weights: dict[str, Annotated[float, Field(allow_inf_nan=False)]] | None = Field(
        None, max_length=64, description="Weights of the model's heads by name, in place of the server's."
    )


# The memory bound is off: a device's libraries reserve far more address space than they use.
# What a conversation costs is bounded by `max_length`, so neither bound of time is the candidate's to exceed.
@verifier(
    "preference",
    version="6",
    limits=ItemLimits(cpu_s=300.0, wall_s=300.0, memory_bytes=0, response_bytes=1 << 20),
    max_batch=256,
    aspects={"logit": None},
)
class Preference:
    """How good a preference model finds the response, between 0 and 1.

    Source: reward models after Bradley and Terry as in InstructGPT (arXiv 2203.02155).
    """

    Options = PreferenceOptions

    def setup(self, settings: PreferenceSettings) -> None:
        """Load the model."""
        self.batch_tokens = settings.tokens_of_a_batch()
        declared = {name: Head(**head.model_dump()) for name, head in settings.heads.items()}
        compute = Compute(
            **settings.where(),
            prefix_bytes=settings.prefix_cache_bytes,
            kernel=settings.kernel,
            batch_tokens=self.batch_tokens,
        )
        with loading("preference"):
            self._model = PreferenceModel(
                settings.path,
                compute,
                adapters=settings.adapters,
                template=settings.template,
                max_length=settings.max_length,
                add_eos=settings.add_eos,
                label=settings.label,
                heads=declared,
                mean=settings.mean,
                std=settings.std,
                golden=[Golden(pair.prompt, pair.response, pair.logit, pair.tolerance) for pair in settings.golden],
            )
        self.item_tokens = self._model.max_length
        self._settings = settings
        self._heads = self._model.heads

    def prepare(self, item: Item) -> Encoded | Score | Fault:
        """Encode the conversation, while the device is busy with others."""
        prepared = self._encoded(item.rollout, item.options)
        if isinstance(prepared, Encoded):
            item.context.usage.input_tokens += len(prepared.ids)
        return prepared

    def score_batch(self, items: Sequence[Item]) -> Sequence[Score | Fault]:
        """Score encoded conversations."""
        with computing():
            outputs = self._model.run([item.prepared for item in items])
        return [self._scored(item.prepared, output, item.options) for item, output in zip(items, outputs, strict=True)]

    def _encoded(self, rollout: Rollout, options: PreferenceOptions) -> Encoded | Score | Fault:
        if unknown := sorted(set(options.weights or ()) - set(self._heads)):
            message = f"options.weights: the model has no head {unknown[0]!r}; it has {', '.join(self._heads)}"
            return CallerError(message, code="unknown_head").to_fault()
        if options.adapter and options.adapter not in self._settings.adapters:
            declared = (
                ", ".join(self._settings.adapters) or "none; name its directory in [verifiers.preference.adapters]"
            )
            message = f"options.adapter: there is no {options.adapter!r}; declared: {declared}"
            return CallerError(message, code="unknown_adapter").to_fault()
        weights = self._weights(options).values()
        if not any(weights) or (options.scale == "probabilities" and min(weights) < 0):
            message = (
                "options.weights: at least one has to be other than 0, and none below 0 with scale 'probabilities'"
            )
            return CallerError(message, code="bad_weights").to_fault()
        response = turns(rollout.content, "assistant")
        if not options.show_reasoning:
            response = tuple((role, visible(text, rollout.reasoning_marks).text) for role, text in response)
        if not any(text.strip() for role, text in response if role == "assistant"):
            return Score.floor("no_answer", "the response is empty")
        try:
            encoded = self._model.encoder.encode(
                Conversation(turns(rollout.prompt_context.prompt, "user"), response), options.truncation
            )
        except ResponseRefusedError as error:
            return Score.floor("malformed", f"response: {error}")
        except EncodingError as error:
            return DatasetError(f"prompt: {error}", code="invalid_prompt").to_fault()
        if not encoded.ids:
            return Score.floor("no_answer", "the model's tokenizer has no token for the response")
        longest = self._model.encoder.max_length
        if encoded.prompt_tokens >= longest and options.truncation == "refuse":
            return no_room(encoded.prompt_tokens, longest)
        if len(encoded.ids) > longest:
            return Score.floor("limit", f"at least {encoded.tokens} tokens, of at most {longest}")
        return replace(encoded, adapter=options.adapter) if options.adapter else encoded

    def _scored(self, encoded: Encoded, outputs: Outputs, options: PreferenceOptions) -> Score | Fault:
        if outputs.out_of_memory:
            message = f"the device has no memory for {len(encoded.ids)} tokens; lower max_length or free memory"
            return ServiceError(message, code="out_of_memory").to_fault()
        standard = combine(self._heads, outputs.values, options.weights)
        if not math.isfinite(standard):
            return ServiceError(f"the model gave {list(outputs.values)}", code="not_finite").to_fault()
        value = self._value(standard, outputs, options)
        evidence: dict[str, Any] = {
            "tokens": encoded.tokens,
            "cut": encoded.cut,
            "truncation": options.truncation,
            "escaped": encoded.escaped,
            "model": self._model.fingerprint,
        }
        if options.adapter:
            evidence["adapter"] = options.adapter
        if self._settings.normaliser:
            evidence["normaliser"] = self._settings.normaliser
        if self._settings.heads:
            standardised = {name: head.standard(outputs.values[head.output]) for name, head in self._heads.items()}
            aspects: dict[str, float | None] = {"logit": None, **standardised}
        else:
            aspects = {name: outputs.values[head.output] for name, head in self._heads.items()}
        return Score(value, aspects=aspects, evidence=evidence)

    def _weights(self, options: PreferenceOptions) -> Mapping[str, float]:
        """Weights of the heads by name."""
        declared = {name: head.weight for name, head in self._heads.items()}
        return declared if options.weights is None else options.weights

    def _value(self, standard: float, outputs: Outputs, options: PreferenceOptions) -> float:
        if options.scale == "sigmoid":
            return _squashed(standard)
        if options.scale == "linear":
            return self._settings.linear(standard)
        weights = self._weights(options)
        heads = {name: self._heads[name] for name in weights}
        parts = [weights[name] * _squashed(head.standard(outputs.values[head.output])) for name, head in heads.items()]
        return min(1.0, math.fsum(parts) / math.fsum(weights.values()))


def _squashed(value: float) -> float:
    return 1 / (1 + math.exp(-value)) if value >= 0 else math.exp(value) / (1 + math.exp(value))
