"""Asks a language model for a verdict, over any endpoint of the OpenAI chat-completions protocol."""

from __future__ import annotations

import json
import os
from typing import Any, ClassVar, Literal

from pydantic import Field, model_validator

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
    ChatRejected,
    ChatUnavailable,
    Exchange,
    Protocol,
    Question,
    Status,
    unit_score,
)
from reward_servers.verifiers._shown import shown

__all__ = ["Judge", "JudgeOptions", "JudgeReference", "JudgeSettings"]

_PROTOCOLS = {
    "binary": Protocol.BINARY,
    "likert_1_10": Protocol.LIKERT_1_10,
    "likert_1_5": Protocol.LIKERT_1_5,
    "pairwise": Protocol.PAIRWISE,
}
_WITH_REFERENCE = "The final answer of the response means the same as the reference answer."
_WITHOUT_REFERENCE = "The response does what the prompt asks, correctly and completely."
_PAIRWISE = "The better response does what the prompt asks more correctly and completely; length alone is no merit."


class JudgeSettings(Settings):
    """The endpoint, the model and how it is asked."""

    score_neutral: ClassVar[frozenset[str]] = frozenset(
        {"base_url", "api_key_env", "concurrency", "timeout", "total_timeout", "max_retries"}
    )

    base_url: str = Field(pattern=r"^https?://", description="Root of the protocol, such as http://127.0.0.1:8000/v1.")
    model: str = Field(min_length=1)
    api_key_env: str = Field("", description="Name of the environment variable that holds the key; empty for no key.")
    concurrency: int = Field(64, ge=1, le=4096, description="Requests in flight.")
    timeout: float = Field(60.0, gt=0, description="Seconds for one request.")
    total_timeout: float = Field(240.0, gt=0, description="Seconds for an item, re-asks and retries included.")
    max_retries: int = Field(5, ge=0, description="Retries of a request that failed in passing.")
    temperature: float = Field(0.0, ge=0)
    max_tokens: int = Field(2048, ge=16)
    send_seed: bool = Field(True, description="Whether each request carries a seed that follows from the item's.")
    parameters: dict[str, Any] = Field(default_factory=dict, description="Further parameters of every request.")


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

    @model_validator(mode="after")
    def _check(self) -> JudgeOptions:
        if self.position == "second" and self.protocol != "pairwise":
            raise ValueError("position is for the pairwise protocol")
        return self


@verifier(
    "judge", version="2", deterministic=False, limits=ItemLimits(wall=300.0, response=1 << 18), aspects=("rating",)
)
class Judge:
    """What a language model says: yes or no, a rating, or which of two responses is better."""

    def setup(self, settings: JudgeSettings) -> None:
        """Opens the connection pool."""
        key = os.environ.get(settings.api_key_env, "") if settings.api_key_env else "none"
        if not key:
            raise StartupError(f"judge: api_key_env names {settings.api_key_env}, which is not set in the environment")
        parameters = {"temperature": settings.temperature, "max_tokens": settings.max_tokens, **settings.parameters}
        self._chat = ChatClient(
            settings.base_url, settings.model, key, settings.timeout, settings.max_retries, parameters
        )
        try:
            self._chat.open()
        except ImportError as error:
            raise StartupError(f"judge: {error}; install it with: pip install 'assay[judge]'") from None
        self._settings = settings
        self.concurrency = settings.concurrency

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
        left, longest = ctx.remaining(), self._settings.total_timeout
        try:
            reply = await exchange.run(
                self._chat,
                reasks=options.max_reasks,
                budget=longest if left is None else min(left, longest),
                send_seed=self._settings.send_seed,
            )
        except ChatUnavailable as error:
            raise UpstreamError(
                str(error), code="judge_unavailable", retryable=True, retry_after=error.retry_after
            ) from None
        except ChatRejected as error:
            raise UpstreamError(str(error), code="judge_rejected") from None
        finally:
            ctx.usage.upstream_calls += exchange.calls
            ctx.usage.input_tokens += exchange.input_tokens
            ctx.usage.output_tokens += exchange.output_tokens
        if reply.status is not Status.OK:
            said = ", ".join(one["status"] for one in exchange.replies)
            last = exchange.replies[-1]["text"][:300]
            raise UpstreamError(f"no usable verdict ({said}); the last reply: {last!r}", code="judge_unparsed")
        value = unit_score(question.protocol, reply.value)
        if options.position == "second":
            value = 1.0 - value
        rating = {"rating": float(reply.value)} if question.protocol in SCALES else {}
        return Score(value, aspects=rating, evidence=exchange.evidence())


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
