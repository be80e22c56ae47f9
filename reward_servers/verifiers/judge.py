"""Asks a language model for a verdict, over any endpoint of the OpenAI chat-completions protocol."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, StringConstraints, model_validator

from reward_servers import (
    Context,
    DatasetError,
    ItemLimits,
    Options,
    Reference,
    Rollout,
    Score,
    Settings,
    StartupError,
    UpstreamError,
    verifier,
)
from reward_servers.engines.judging import (
    SCALES,
    ChatClient,
    ChatError,
    ChatRejected,
    ChatUnavailable,
    Controls,
    Exchange,
    Prices,
    Protocol,
    Question,
    Spend,
    unit_score,
)
from reward_servers.verifiers._shown import shown

__all__ = ["OPPONENT_PROVOKED", "Judge", "JudgeOptions", "JudgeReference", "JudgeSettings"]

_ITEMS = 256
OPPONENT_PROVOKED = "opponent_provoked"
"""Code of a comparison that the other response loses; aspect of a floor score where it is to blame as well."""
Url = Annotated[str, StringConstraints(pattern=r"^https?://")]

_PROTOCOLS = {
    "binary": Protocol.BINARY,
    "likert_1_10": Protocol.LIKERT_1_10,
    "likert_1_5": Protocol.LIKERT_1_5,
    "pairwise": Protocol.PAIRWISE,
}
_WITH_REFERENCE = "The final answer of the response means the same as the reference answer."
_WITHOUT_REFERENCE = "The response does what the prompt asks, correctly and completely."
_PAIRWISE = "The better response does what the prompt asks more correctly and completely; length alone is no merit."


class SpendSettings(Settings):
    """What this server may spend since its start; 0 for no bound."""

    max_requests: int = Field(0, ge=0)
    max_tokens: int = Field(0, ge=0, description="Tokens read and written.")
    max_cost: float = Field(0.0, ge=0, allow_inf_nan=False)
    input_price: float = Field(0.0, ge=0, allow_inf_nan=False, description="Price of a million tokens read.")
    output_price: float = Field(0.0, ge=0, allow_inf_nan=False, description="Price of a million tokens written.")

    def spend(self) -> Spend:
        """The account."""
        prices = Prices(self.input_price, self.output_price)
        return Spend(self.max_requests, self.max_tokens, self.max_cost, prices)


class JudgeSettings(Settings):
    """The endpoint, the model and how it is asked."""

    score_neutral: ClassVar[frozenset[str]] = frozenset(
        {"base_url", "api_key_env", "concurrency", "timeout", "total_timeout", "spend"}
    )

    base_url: Url | Annotated[tuple[Url, ...], Field(min_length=1)] = Field(
        description="Root of the protocol, such as http://127.0.0.1:8000/v1, or several that serve the same model."
    )
    model: str = Field(min_length=1)
    api_key_env: str = Field("", description="Name of the environment variable that holds the key; empty for no key.")
    concurrency: int = Field(64, ge=1, le=4096, description="Requests in flight at most, at each address.")
    timeout: float = Field(60.0, gt=0, description="Seconds for one request.")
    total_timeout: float = Field(240.0, gt=0, description="Seconds for an item, re-asks and retries included.")
    temperature: float = Field(0.0, ge=0)
    max_tokens: int = Field(2048, ge=16)
    send_seed: bool = Field(True, description="Whether each request carries a seed that follows from the item's.")
    parameters: dict[str, Any] = Field(default_factory=dict, description="Further parameters of every request.")
    spend: SpendSettings = Field(default_factory=lambda: SpendSettings.model_validate({}))

    @property
    def urls(self) -> tuple[str, ...]:
        """The addresses."""
        return (self.base_url,) if isinstance(self.base_url, str) else self.base_url


class JudgeReference(Reference):
    """What a judge may be shown beside prompt and response.

    Attributes:
        answer: The reference answer.
        opponent: The other response, for the pairwise protocol.
    """

    answer: Any = None
    opponent: str | None = None


class JudgeOptions(Options):
    """What is asked, and in which form."""

    protocol: Literal["binary", "likert_1_10", "likert_1_5", "pairwise"] = "binary"
    criteria: str = Field("", description="What to judge by; empty for a sentence that fits the protocol.")
    show_reference: bool = Field(True, description="Whether the judge sees the reference answer.")
    show_transcript: bool = Field(False, description="Whether it sees all turns and tool calls, or the last answer.")
    show_reasoning: bool = Field(False, description="Whether it sees reasoning, or only what is visible.")
    position: Literal["first", "second"] = Field("first", description="Place of this rollout in a pairwise question.")
    max_reasks: int = Field(2, ge=0, le=5, description="How often an unusable reply is asked again.")
    on_provoked: Literal["floor", "fault"] = Field(
        "floor", description="What a failure of the judge that the response provably caused is: the floor, or a fault."
    )

    @model_validator(mode="after")
    def _check(self) -> JudgeOptions:
        if self.position == "second" and self.protocol != "pairwise":
            raise ValueError("position is for the pairwise protocol")
        return self


@verifier(
    "judge",
    version="4",
    deterministic=False,
    # The endpoint's own timeouts bound an item. This is a backstop: an item may wait long for a place at a busy one.
    limits=ItemLimits(wall=3600.0, response=1 << 18),
    aspects=("rating",),
)
class Judge:
    """What a language model says: yes or no, a rating, or which of two responses is better."""

    def setup(self, settings: JudgeSettings) -> None:
        """Opens the connection pools."""
        key = os.environ.get(settings.api_key_env, "") if settings.api_key_env else "none"
        if not key:
            raise StartupError(f"judge: api_key_env names {settings.api_key_env}, which is not set in the environment")
        parameters = {"temperature": settings.temperature, "max_tokens": settings.max_tokens, **settings.parameters}
        self._chat = ChatClient(
            settings.urls,
            settings.model,
            key,
            settings.concurrency,
            settings.timeout,
            parameters,
            settings.spend.spend(),
        )
        try:
            self._chat.open()
        except ImportError as error:
            raise StartupError(f"judge: {error}; install it with: pip install 'assay[judge]'") from None
        self._controls = Controls()
        self._settings = settings
        # Items that wait for a place, or for their next attempt, are no requests in flight.
        self.concurrency = max(_ITEMS, 2 * settings.concurrency * len(settings.urls))

    async def close(self) -> None:
        """Closes the connections."""
        await self._chat.close()

    async def score(self, rollout: Rollout, ref: JudgeReference, options: JudgeOptions, ctx: Context) -> Score:
        """Asks until there is a verdict, or reports why there is none."""
        response = shown(rollout, transcript=options.show_transcript, reasoning=options.show_reasoning)
        if not response.strip():
            return Score.floor("no_answer", "the response is empty")
        question = _question(rollout, response, ref, options, ctx.seed)
        exchange = Exchange(question)
        failure, said = await self._hold(exchange, options, ctx)
        if failure:
            return await self._without_verdict(failure, said, exchange, options, ctx)
        value = unit_score(question.protocol, exchange.value)
        if options.position == "second":
            value = 1.0 - value
        rating = {"rating": float(exchange.value)} if question.protocol in SCALES else {}
        return Score(value, aspects=rating, evidence=exchange.evidence())

    def _budget(self, ctx: Context) -> float:
        left, longest = ctx.remaining(), self._settings.total_timeout
        return longest if left is None else min(left, longest)

    async def _hold(self, exchange: Exchange, options: JudgeOptions, ctx: Context) -> tuple[str, str]:
        """Holds the exchange; why there is no verdict, in a word and in a sentence, both empty when there is one.

        Raises:
            UpstreamError: The endpoint is away.
        """
        try:
            await exchange.run(
                self._chat,
                reasks=options.max_reasks,
                budget=self._budget(ctx),
                send_seed=self._settings.send_seed,
            )
        except ChatUnavailable as error:
            raise _fault("unavailable", str(error), exchange, retryable=True, retry_after=error.retry_after) from None
        except ChatRejected as error:
            return error.reason, str(error)
        finally:
            _count(ctx, exchange)
        statuses = ", ".join(one["status"] for one in exchange.replies)
        return exchange.failure, f"no usable verdict ({statuses})"

    async def _without_verdict(
        self, failure: str, said: str, exchange: Exchange, options: JudgeOptions, ctx: Context
    ) -> Score:
        """The floor for a failure that the response provably caused, a fault for every other."""
        try:
            blame = exchange.planters() if exchange.repeats_plants else ()
            if not any(blame):
                blame = await self._controls.provokers(
                    failure, exchange.question, self._chat, self._budget(ctx), lambda control: _count(ctx, control)
                )
        except ChatError as error:
            # Whether the response caused it cannot be told as long as the judge is away.
            raise _fault("unavailable", f"{said}; control call: {error}", exchange, retryable=True) from None
        code = "planted" if exchange.repeats_plants else failure
        if not any(blame) or options.on_provoked == "fault":
            raise _fault(f"provoked_{code}" if any(blame) else failure, said, exchange)
        own = blame[-1] if options.position == "second" else blame[0]
        opponent = len(blame) > 1 and (blame[0] if options.position == "second" else blame[1])
        if not own:
            note = f"the other response caused it: {said}"
            return Score(1.0, OPPONENT_PROVOKED, note=note, evidence=exchange.evidence())
        floor = Score.floor(f"provoked_{code}", f"the response caused it: {said}", exchange.evidence())
        return replace(floor, aspects={OPPONENT_PROVOKED: 1.0}) if opponent else floor


def _fault(
    reason: str, said: str, exchange: Exchange, *, retryable: bool = False, retry_after: float | None = None
) -> UpstreamError:
    return UpstreamError(
        said, code=f"judge_{reason}", retryable=retryable, retry_after=retry_after, evidence=exchange.evidence()
    )


def _count(ctx: Context, exchange: Exchange) -> None:
    ctx.usage.upstream_calls += exchange.calls
    ctx.usage.input_tokens += exchange.input_tokens
    ctx.usage.output_tokens += exchange.output_tokens


def _question(rollout: Rollout, response: str, ref: JudgeReference, options: JudgeOptions, seed: int) -> Question:
    answer = _text(ref.answer) if options.show_reference else ""
    responses: tuple[str, ...] = (response,)
    criteria = options.criteria or (_WITH_REFERENCE if answer else _WITHOUT_REFERENCE)
    if options.protocol == "pairwise":
        if ref.opponent is None:
            raise DatasetError("reference.opponent: the pairwise protocol needs the other response")
        responses = (response, ref.opponent) if options.position == "first" else (ref.opponent, response)
        criteria = options.criteria or _PAIRWISE
    return Question(_PROTOCOLS[options.protocol], criteria, rollout.prompt, responses, answer, seed)


def _text(answer: Any) -> str:
    if answer is None:
        return ""
    return answer if isinstance(answer, str) else json.dumps(answer, ensure_ascii=False)
