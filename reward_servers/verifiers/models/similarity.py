"""How close a response is in meaning to reference texts, by an encoder or a cross-encoder from local files."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field

from reward_servers import DatasetError, Fault, Item, ItemLimits, Reference, Score, ServiceError, verifier
from reward_servers.engines.preference import CrossModel, TextModel
from reward_servers.verifiers._answers import Answer, AnswerOptions, answer_part, nothing_taken
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
    """Which part of the response is compared, and which further evidence is returned."""

    against: Literal["reference", "prompt"] = Field(
        "reference", description="What the response is compared with: the closest reference, or the prompt."
    )
    embedding: bool = Field(
        False,
        description="Whether the evidence has the vector of the response, `embedding`, and of what it is closest to, "
        '`other`, for methods that read them: `[inputs] ... = "NAME.evidence.embedding"`.',
    )


class SimilarityReference(Reference):
    """One text to be close to, or several; needed unless the prompt takes their place."""

    model_config = ConfigDict(coerce_numbers_to_str=True)

    answer: Answer | Annotated[tuple[Answer, ...], Field(min_length=1)] | None = None

    @property
    def answers(self) -> tuple[str, ...]:
        """The texts."""
        return (self.answer,) if isinstance(self.answer, str) else self.answer or ()


@dataclass(frozen=True, slots=True)
class _Prepared:
    texts: tuple[Any, ...]
    is_empty: bool


# The memory bound is off: a device's libraries reserve far more address space than they use.
@verifier(
    "similarity",
    version="3",
    limits=ItemLimits(cpu_s=300.0, wall_s=300.0, memory_bytes=0, response_bytes=1 << 20),
    max_batch=256,
    aspects={"raw": None},
)
class Similarity(OneByOne):
    """How close the response is in meaning to the closest reference, or to the prompt: a cosine, or a probability.

    A cosine is that of an encoder's vectors, a probability that of a cross-encoder.

    Source: Sentence-BERT (arXiv 1908.10084) for cosines, its cross-encoders for probabilities.
    """

    Options = SimilarityOptions
    Reference = SimilarityReference

    def setup(self, settings: SimilaritySettings) -> None:
        """Load the model."""
        self.batch_tokens = settings.tokens_of_a_batch()
        self._model: TextModel | CrossModel
        with loading("similarity"):
            if settings.kind == "encoder":
                self._model = TextModel(settings.path, settings.summary, settings.max_length, **settings.where())
            else:
                self._model = CrossModel(settings.path, settings.label, settings.max_length, **settings.where())
        self.item_tokens = self._model.max_length

    def prepare(self, item: Item) -> _Prepared | Score | Fault:
        """Encode the response and what it is compared with."""
        options: SimilarityOptions = item.options
        against_prompt = options.against == "prompt"
        others = (item.rollout.prompt,) if against_prompt else item.ref.answers
        source = "the prompt" if against_prompt else "reference.answer"
        if not any(text.strip() for text in others):
            return DatasetError(f"{source} is missing, and is compared with", code="missing_reference").to_fault()
        text = answer_part(item.rollout, options)
        with_vector = options.embedding and isinstance(self._model, TextModel)
        if text is None and not with_vector:
            return nothing_taken(options)
        texts = tuple(self._model.encoded(text or "", others))
        longest, most = [len(encoded.ids) for encoded in texts], self._model.max_length
        if isinstance(self._model, TextModel):
            alone = longest[1:]
        else:
            alone = (
                longest if max(longest) <= most else [len(encoded.ids) for encoded in self._model.encoded("", others)]
            )
        if max(alone) > most:
            message = f"{source} has at least {max(alone)} tokens, and the model takes {most}"
            return DatasetError(message, code="reference_too_long").to_fault()
        if not min(alone):
            return DatasetError(
                f"{source}: the model's tokenizer has no token for it", code="unusable_answer"
            ).to_fault()
        if max(longest) > most:
            return Score.floor("limit", f"at least {max(longest)} tokens, of at most {most}")
        if not longest[0] and not with_vector:
            return nothing_taken(options)
        item.context.usage.input_tokens += sum(longest)
        return _Prepared(texts, text is None or not longest[0])

    def _scored(self, item: Item) -> Score | Fault:
        prepared: _Prepared = item.prepared
        options: SimilarityOptions = item.options
        if prepared.is_empty:
            return self._nothing(prepared, options)
        closest = self._model.closest(prepared.texts)
        if not math.isfinite(closest.raw):
            return ServiceError(f"the model gave {closest.raw}", code="not_finite").to_fault()
        evidence: dict[str, Any] = {"model": self._model.fingerprint, "reference": closest.place}
        if options.embedding and closest.vector:
            evidence |= {"embedding": closest.vector, "other": closest.other}
        return Score(closest.value, aspects={"raw": closest.raw}, evidence=evidence)

    def _nothing(self, prepared: _Prepared, options: SimilarityOptions) -> Score:
        """The floor of a response without text: its vector is zero and similar to no other."""
        assert isinstance(self._model, TextModel)
        vector: list[float] = self._model.vector(prepared.texts[1]).tolist()
        return replace(nothing_taken(options), evidence={"embedding": [0.0] * len(vector), "other": vector})
