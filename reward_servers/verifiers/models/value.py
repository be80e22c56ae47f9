"""How probably the present policy solves a prompt, from a value model in local files."""

from __future__ import annotations

import math

from pydantic import BaseModel, ConfigDict, Field

from reward_servers import Fault, Item, ItemLimits, Reference, Score, ServiceError, verifier
from reward_servers.engines.preference import ValueModel
from reward_servers.verifiers.models._loading import ModelSettings, OneByOne, loading

_MOST = 1024


class ValueSettings(ModelSettings):
    """The model that ``assay train value`` wrote, and where its encoder runs."""

    max_length: int = Field(512, ge=8, description="Tokens of a prompt that are read; less when the model takes fewer.")


class PastOutcome(BaseModel):
    """A prompt that the present policy was asked before, and how it went."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    prompt: str
    outcome: float = Field(ge=0, le=1, description="0 for a failure, 1 for a success, or a share of successes.")


class ValueReference(Reference):
    """What the present policy did with other prompts."""

    history: tuple[PastOutcome, ...] = Field(
        (), max_length=_MOST, description="Its latest outcomes, such as the last 256; none for the prior alone."
    )


# The memory bound is off: a device's libraries reserve far more address space than they use.
@verifier(
    "value",
    version="2",
    limits=ItemLimits(cpu_s=300.0, wall_s=300.0, memory_bytes=0),
    max_batch=256,
    aspects=dict.fromkeys(("prior", "deviation")),
)
class Value(OneByOne):
    """How probably the present policy solves the prompt, from its latest outcomes; the response is not read.

    Source: V_0, a generalist value model (see the method `v_0`), with our own encoder and head.
    """

    Reference = ValueReference

    def setup(self, settings: ValueSettings) -> None:
        """Load the model."""
        self.batch_tokens = settings.tokens_of_a_batch()
        with loading("value"):
            self._model = ValueModel(settings.path, settings.max_length, **settings.where())
        self.item_tokens = self._model.max_length

    def _scored(self, item: Item) -> Score | Fault:
        history = [(attempt.prompt, attempt.outcome) for attempt in item.ref.history]
        mean, deviation, prior = self._model.value(item.rollout.prompt, history)
        if not all(map(math.isfinite, (mean, deviation, prior))):
            return ServiceError(f"the model gave {[mean, deviation, prior]}", code="not_finite").to_fault()
        aspects = {"prior": prior, "deviation": deviation}
        return Score(mean, aspects=aspects, evidence={"model": self._model.fingerprint, "history": len(history)})
