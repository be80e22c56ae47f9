"""How likely a language model from local files finds the reference after the response, or the response itself."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import Field, field_validator

from reward_servers import CallerError, DatasetError, Fault, Item, ItemLimits, Options, Score, ServiceError, verifier
from reward_servers.engines.models import EncodingError
from reward_servers.engines.preference import Continuation, LikelihoodModel
from reward_servers.verifiers._answers import TextReference
from reward_servers.verifiers.models._loading import ModelSettings, OneByOne, loading, turns, visible_or_floor


class LikelihoodSettings(ModelSettings):
    """The model, and where it runs."""


class LikelihoodReference(TextReference):
    """Accepted answers; for ``of = "response"`` there need be none."""

    answer: Any = ()

    @field_validator("answer", mode="before")
    @classmethod
    def _check_given(cls, value: Any) -> Any:
        return value if value == () else TextReference(answer=value).answers

    @property
    def answers(self) -> tuple[str, ...]:
        """The accepted answers."""
        return tuple(self.answer)


class LikelihoodOptions(Options):
    """The text whose likelihood counts, and how its tokens' probabilities become one number."""

    of: Literal["reference", "response"] = Field(
        "reference", description="The reference behind the response and 'lead', or the response behind the prompt."
    )
    lead: str = Field("\n\nThe answer is ", max_length=1000, description="Text between response and reference.")
    reduce: Literal["geometric", "mean", "product"] = Field(
        "geometric", description="Mean of the tokens' probabilities, or the probability of all of them."
    )


@dataclass(frozen=True, slots=True)
class _Prepared:
    candidates: tuple[Continuation, ...]


def _reduced(logs: Sequence[float], how: str) -> float:
    if how == "mean":
        return math.fsum(map(math.exp, logs)) / len(logs)
    total = math.fsum(logs)
    return math.exp(total if how == "product" else total / len(logs))


# The memory bound is off: a device's libraries reserve far more address space than they use.
@verifier(
    "likelihood",
    version="2",
    limits=ItemLimits(cpu_s=300.0, wall_s=300.0, memory_bytes=0, response_bytes=1 << 20),
    max_batch=256,
    aspects={"log_likelihood": None, "tokens": 0.0},
)
class Likelihood(OneByOne):
    """How likely a language model finds the reference after the response, or the response after the prompt.

    Source: the probability of the reference answer as in VeriFree (arXiv 2505.21493) and RLPR (arXiv 2506.18254).
    """

    Options = LikelihoodOptions
    Reference = LikelihoodReference

    def setup(self, settings: LikelihoodSettings) -> None:
        """Load the model."""
        self.batch_tokens = settings.tokens_of_a_batch()
        with loading("likelihood"):
            self._model = LikelihoodModel(settings.path, settings.max_length, **settings.where())
        self.item_tokens = self._model.max_length

    def prepare(self, item: Item) -> _Prepared | Score | Fault:
        """Encode the texts whose likelihood counts."""
        options: LikelihoodOptions = item.options
        prompt = turns(item.rollout.prompt_context.prompt, "user")
        text = visible_or_floor(item.rollout)
        if isinstance(text, Score):
            return text
        if options.of == "reference" and not item.ref.answers:
            message = 'answer: is missing; of = "reference" needs it, of = "response" does not'
            return DatasetError(message, code="missing_reference").to_fault()
        try:
            if options.of == "response":
                candidates = [self._model.after(prompt, "", text)]
            else:
                candidates = [
                    self._model.after(prompt, text + options.lead, candidate) for candidate in item.ref.answers
                ]
        except EncodingError as error:
            return DatasetError(f"prompt: {error}", code="invalid_prompt").to_fault()
        if any(candidate.start == 0 for candidate in candidates):
            return CallerError("prompt: it has no token to begin with; give a prompt", code="no_prompt").to_fault()
        if any(candidate.start == len(candidate.ids) for candidate in candidates):
            if options.of == "response":
                return Score.floor("no_answer", "the model's tokenizer has no token for the response")
            return DatasetError("answer: the model's tokenizer has no token for it", code="unusable_answer").to_fault()
        longest = max(len(candidate.ids) for candidate in candidates)
        if longest > self._model.max_length:
            return self._too_long(item, longest)
        item.context.usage.input_tokens += sum(len(candidate.ids) for candidate in candidates)
        return _Prepared(tuple(candidates))

    def _too_long(self, item: Item, longest: int) -> Score | Fault:
        """The floor of a response that does not fit; a fault where without it there is no room either."""
        prompt, options = turns(item.rollout.prompt_context.prompt, "user"), item.options
        most = self._model.max_length
        if options.of == "response":
            without = self._model.after(prompt, "", "").start
        else:
            without = max(len(self._model.after(prompt, options.lead, answer).ids) for answer in item.ref.answers)
        if without >= most:
            message = f"at least {without} tokens without the response leave no room for it within {most}"
            return DatasetError(message, code="prompt_too_long").to_fault()
        return Score.floor("limit", f"at least {longest} tokens, of at most {most}")

    def _scored(self, item: Item) -> Score | Fault:
        prepared: _Prepared = item.prepared
        options: LikelihoodOptions = item.options
        logs = [self._model.log_likelihoods(candidate) for candidate in prepared.candidates]
        values = [_reduced(log_chances, options.reduce) for log_chances in logs]
        if not all(map(math.isfinite, values)):
            return ServiceError("the model gave what is no probability", code="not_finite").to_fault()
        place = max(range(len(values)), key=values.__getitem__)
        aspects = {"log_likelihood": math.fsum(logs[place]), "tokens": float(len(logs[place]))}
        evidence = {"model": self._model.fingerprint, "reference": place}
        return Score(min(1.0, values[place]), aspects=aspects, evidence=evidence)
