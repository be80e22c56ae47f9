"""Which of two responses a pair model from local files prefers, asked in both orders."""

from __future__ import annotations

import math
from dataclasses import dataclass

from pydantic import Field, field_validator

from reward_servers import DatasetError, Fault, Item, ItemLimits, Options, Reference, Score, ServiceError, verifier
from reward_servers.engines.models import Encoded
from reward_servers.engines.preference import PAIR_LAYOUT, CrossModel, laid_out
from reward_servers.verifiers.models._loading import ModelSettings, OneByOne, loading, no_room, visible_or_floor

_PLACES = ("prompt", "first", "second")
OPPONENT_TOO_LONG = "opponent_too_long"
"""Code of a fault: the two do not fit together, and the opponent is the longer one."""


class ComparisonSettings(ModelSettings):
    """The model, and the text that it was trained to read."""

    layout: str = Field(
        PAIR_LAYOUT,
        description="The text that is read, with {prompt}, {first} and {second}; higher means the first is better.",
    )
    label: int = Field(0, ge=0, description="Output that is read.")

    @field_validator("layout")
    @classmethod
    def _check(cls, value: str) -> str:
        if missing := [place for place in _PLACES if value.count(f"{{{place}}}") != 1]:
            raise ValueError(f"needs {{{missing[0]}}} once")
        return value


class ComparisonOptions(Options):
    """How the model's output becomes a probability."""

    temperature: float = Field(1.0, gt=0, le=1000, description="Divides the difference of both orders.")


class ComparisonReference(Reference):
    """The response that it is compared with."""

    opponent: str


@dataclass(frozen=True, slots=True)
class _Prepared:
    orders: tuple[Encoded, Encoded]


# The memory bound is off: a device's libraries reserve far more address space than they use.
@verifier(
    "comparison",
    version="2",
    limits=ItemLimits(cpu_s=300.0, wall_s=300.0, memory_bytes=0, response_bytes=1 << 20),
    max_batch=256,
    aspects=dict.fromkeys(("as_first", "as_second", "position_bias")),
)
class Comparison(OneByOne):
    """The probability with which a pair model prefers the response to its opponent, as the mean over both orders.

    Source: pair models as in PairRM (LLM-Blender, arXiv 2306.02561), read in both orders.
    """

    Options = ComparisonOptions
    Reference = ComparisonReference

    def setup(self, settings: ComparisonSettings) -> None:
        """Load the model."""
        self.batch_tokens = settings.tokens_of_a_batch()
        self._layout = settings.layout
        with loading("comparison"):
            self._model = CrossModel(settings.path, settings.label, settings.max_length, **settings.where())
        self.item_tokens = 2 * self._model.max_length

    def prepare(self, item: Item) -> _Prepared | Score | Fault:
        """Encode both orders."""
        own = visible_or_floor(item.rollout)
        if isinstance(own, Score):
            return own
        prompt, opponent = self._model.shorten(item.rollout.prompt), item.ref.opponent
        # A text alone has more tokens than the model takes if its beginning shows that.
        if any(self._model.shorten(text) != text for text in (own, opponent)):
            return self._too_long(prompt, own, opponent)
        one_way = laid_out(self._layout, prompt, own, opponent)
        other_way = laid_out(self._layout, prompt, opponent, own)
        orders = (self._model.single(one_way), self._model.single(other_way))
        if max(len(encoded.ids) for encoded in orders) > self._model.max_length:
            return self._too_long(prompt, own, opponent)
        if not min(len(encoded.ids) for encoded in orders):
            return Score.floor("no_answer", "the model's tokenizer has no token for the response")
        item.context.usage.input_tokens += sum(len(encoded.ids) for encoded in orders)
        return _Prepared(orders)

    def _too_long(self, prompt: str, own: str, opponent: str) -> Score | Fault:
        """The outcome for two responses that do not fit together: the longer one is too long."""
        most, bare = self._model.max_length, self._count(prompt, "")
        if bare >= most:
            return no_room(bare, most)
        # Beginnings show that a text is too long, and which one is the longer, unless the whole of one has as many
        # tokens as the beginning of the other has, or both are too long: then whole texts are counted.
        own_start, start = self._model.shorten(own), self._model.shorten(opponent)
        own_count, count = self._count(prompt, own_start), self._count(prompt, start)
        if (own_start != own and own_count < count) or (start != opponent and count <= own_count):
            own_count, count = self._count(prompt, own), self._count(prompt, opponent)
        if count > own_count:
            counts = f"at least {count - bare} tokens, beside {own_count - bare} of the response"
            message = f"opponent: {counts}, do not fit within {most}"
            return DatasetError(message, code=OPPONENT_TOO_LONG).to_fault()
        return Score.floor("limit", f"about {own_count + count - bare} tokens, of at most {most}")

    def _count(self, prompt: str, text: str) -> int:
        """Tokens of the layout with one response."""
        return len(self._model.single(laid_out(self._layout, prompt, text, "")).ids)

    def _scored(self, item: Item) -> Score | Fault:
        prepared: _Prepared = item.prepared
        options: ComparisonOptions = item.options
        first, second = self._model.raw(prepared.orders)
        if not (math.isfinite(first) and math.isfinite(second)):
            return ServiceError(f"the model gave {[first, second]}", code="not_finite").to_fault()
        value = 0.5 * (1.0 + math.tanh((first - second) / (2.0 * options.temperature)))
        aspects = {"as_first": first, "as_second": -second, "position_bias": (first + second) / 2.0}
        return Score(value, aspects=aspects, evidence={"model": self._model.fingerprint})
