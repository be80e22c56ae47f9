"""How close a response is in meaning to reference texts, by an encoder or a cross-encoder from local files."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import Field

from reward_servers import Fault, Item, ItemLimits, Score, ServiceError, verifier
from reward_servers.engines.preference import CrossModel, TextModel
from reward_servers.verifiers._answers import AnswerOptions, TextReference, taken
from reward_servers.verifiers.models._loading import ModelSettings, OneByOne, loading


class SimilaritySettings(ModelSettings):
    """The model, and what it is."""

    kind: Literal["encoder", "cross"] = Field(
        "encoder", description="An encoder of single texts, or a cross-encoder that reads reference and response."
    )
    summary: Literal["mean", "first", "last"] = Field(
        "mean", description="How an encoder's hidden states become one vector."
    )
    label: int = Field(0, ge=0, description="Output that a cross-encoder is read by.")
    max_length: int = Field(512, ge=8, description="Tokens of a text, or of a pair; less when the model takes fewer.")


class SimilarityOptions(AnswerOptions):
    """Which part of the response is compared, and what else is told."""

    embedding: bool = Field(False, description="Whether the evidence has the response's vector, for later stages.")


@dataclass(frozen=True, slots=True)
class _Prepared:
    texts: tuple[Any, ...]


# The memory bound is off: a device's libraries reserve far more address space than they use.
@verifier(
    "similarity",
    version="1",
    limits=ItemLimits(cpu=300.0, wall=300.0, memory=0, response=1 << 20),
    max_batch=256,
    aspects=("raw",),
)
class Similarity(OneByOne):
    """How close the response is in meaning to the closest reference: a cosine, or a cross-encoder's probability."""

    Options = SimilarityOptions
    Reference = TextReference

    def setup(self, settings: SimilaritySettings) -> None:
        """Load the model."""
        self.batch_tokens = settings.tokens_of_a_batch()
        self._model: TextModel | CrossModel
        with loading("similarity"):
            if settings.kind == "encoder":
                self._model = TextModel(settings.path, settings.summary, settings.max_length, **settings.where())
            else:
                self._model = CrossModel(settings.path, settings.label, settings.max_length, **settings.where())

    def prepare(self, item: Item) -> _Prepared | Score:
        """Encode the response and the references."""
        text = taken(item.rollout, item.options)
        if text is None or not text.strip():
            return Score.floor("no_answer", f"nothing to compare (take = {item.options.take})")
        texts = tuple(self._model.encoded(text, item.ref.answers))
        longest = max(len(one.ids) for one in texts)
        if longest > self._model.max_length:
            return Score.floor("limit", f"{longest} tokens, of at most {self._model.max_length}")
        item.context.usage.input_tokens += sum(len(one.ids) for one in texts)
        return _Prepared(texts)

    def _scored(self, item: Item) -> Score | Fault:
        prepared: _Prepared = item.prepared
        options: SimilarityOptions = item.options
        found = self._model.closest(prepared.texts)
        if not math.isfinite(found.raw):
            return ServiceError(f"the model gave {found.raw}", code="not_finite").to_fault()
        evidence: dict[str, Any] = {"model": self._model.fingerprint, "reference": found.place}
        if options.embedding and found.vector:
            evidence["embedding"] = found.vector
        return Score(found.value, aspects={"raw": found.raw}, evidence=evidence)
