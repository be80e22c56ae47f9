"""Routes that score texts and chats as inference servers and reward services do: UniRL's and vLLM's.

Both call theirs ``/score``; the body tells them apart (`requests` or `text_1`).
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.responses import Response

from reward_servers.gateway.body import read_as, read_object
from reward_servers.gateway.errors import HttpError, invalid
from reward_servers.gateway.json_codec import reply
from reward_servers.gateway.openapi import described
from reward_servers.gateway.scoring import ScoredRollout, Scoring
from trainer_client import Rollout, RolloutError
from trainer_client.adapters.fields import content_id, reference_of

_Chat = list[dict[str, Any]]


class UniRlTurn(BaseModel):
    """A turn: what was asked, and a picture or a text that answers."""

    text: str
    image_b64: str | None = None
    video_b64: str | None = None
    video_path: str | None = None
    image_ipc: str | None = None


class UniRlRequest(BaseModel):
    """One sample and the rewards that are wanted of it."""

    model_config = ConfigDict(extra="allow")

    history: list[UniRlTurn] = Field(min_length=1)
    required_rewards: list[str]
    metadata: dict[str, Any] | None = None
    request_id: str | None = None
    sample_id: str | None = None
    group_id: str | None = None


class ScoreRouteBody(BaseModel):
    """UniRL's body (`requests`), or vLLM's (`text_1`, `text_2`)."""

    model_config = ConfigDict(extra="allow")

    requests: list[UniRlRequest] | None = None
    protocol_version: str = "1"
    model: str | None = None
    text_1: str | list[str] | None = None
    text_2: str | list[str] | None = None


class PoolingBody(BaseModel):
    """vLLM's body: texts, or a chat whose last message is what is scored."""

    model_config = ConfigDict(extra="allow")

    model: str | None = None
    input: str | list[str] | None = None
    messages: list[dict[str, Any]] | None = None


BODIES: list[type[BaseModel]] = [ScoreRouteBody, PoolingBody]


def routes(scoring: Scoring) -> APIRouter:
    """The routes."""
    router = APIRouter(tags=["scores"])

    @router.post("/score", **described(ScoreRouteBody))
    async def score(request: Request) -> Response:
        """UniRL's `/score`, and that of vLLM: `text_1` asks, `text_2` answers."""
        body = await read_object(request, scoring.config)
        try:
            parsed = ScoreRouteBody.model_validate(body)
        except ValidationError as error:
            first = error.errors(include_url=False, include_context=False, include_input=False)[0]
            raise invalid(str(first["msg"]), ".".join(map(str, first["loc"]))) from None
        if parsed.requests is not None:
            return reply(await _unirl(scoring, request, parsed))
        if parsed.text_1 is None or parsed.text_2 is None:
            raise invalid("expected `requests`, as UniRL posts it, or `text_1` and `text_2`, as vLLM takes them")
        judged = await scoring.all(
            request, [_rollout(*pair) for pair in _pairs(parsed.text_1, parsed.text_2)], details=False
        )
        data = [{"index": place, "object": "score", "score": result.reward} for place, result in enumerate(judged)]
        return reply(_listed(parsed.model, data, judged))

    @router.post("/pooling", **described(PoolingBody))
    async def pooling(request: Request) -> Response:
        """VLLM's `/pooling` of a reward model: one value a text."""
        body = await read_as(PoolingBody, request, scoring.config)
        judged = await scoring.all(request, _of_pooling(body), details=False)
        data = [{"index": place, "object": "pooling", "data": [result.reward]} for place, result in enumerate(judged)]
        return reply(_listed(body.model, data, judged))

    @router.post("/classify", **described(PoolingBody))
    async def classify(request: Request) -> Response:
        """VLLM's `/classify` of a model with one class, which verl's reward-model path asks."""
        body = await read_as(PoolingBody, request, scoring.config)
        judged = await scoring.all(request, _of_pooling(body), details=False)
        data = [
            {"index": place, "label": "reward", "probs": [result.reward], "num_classes": 1}
            for place, result in enumerate(judged)
        ]
        return reply(_listed(body.model, data, judged))

    @router.get("/rewards")
    async def rewards() -> dict[str, list[str]]:
        """The rewards that UniRL may ask for."""
        return {"rewards": list(scoring.client.recipe.columns)}

    return router


async def _unirl(scoring: Scoring, request: Request, body: ScoreRouteBody) -> dict[str, Any]:
    """Scores by request and reward; one that is missing is an entry of `errors`, never a number."""
    if body.protocol_version != "1":
        raise invalid(f'{body.protocol_version!r} is not spoken here; send "1"', "protocol_version")
    requests = body.requests or []
    columns = scoring.client.recipe.columns
    for place, item in enumerate(requests):
        unknown = [name for name in item.required_rewards if name not in columns]
        if unknown:
            problem = f"the recipe has no reward {unknown[0]!r}; it has {', '.join(columns)}"
            raise HttpError(400, "unknown_reward", problem, f"requests.{place}.required_rewards")
    rollouts = [_of_unirl(item, place) for place, item in enumerate(requests)]
    readable = [rollout for rollout in rollouts if isinstance(rollout, Rollout)]
    answers = iter(await scoring.results(request, readable) if readable else ())
    results: list[dict[str, dict[str, float]]] = []
    errors: list[dict[str, str]] = []
    for item, rollout in zip(requests, rollouts, strict=True):
        answer = next(answers) if isinstance(rollout, Rollout) else rollout
        scores: dict[str, dict[str, float]] = {}
        problems: dict[str, str] = {}
        for name in item.required_rewards:
            if isinstance(answer, HttpError):
                problems[name] = answer.message
                continue
            cell = answer.cell(name)
            if cell.score is None:
                problems[name] = f"{cell.code}: {cell.message}" if cell.message else cell.code
            else:
                scores[name] = {name: cell.score, **{key: v for key, v in cell.aspects.items() if v is not None}}
        results.append(scores)
        errors.append(problems)
    identity_fields = ("request_id", "sample_id", "group_id", "source_rank", "policy_version", "idempotency_key")
    identities = [{name: getattr(request_item, name, None) for name in identity_fields} for request_item in requests]
    return {"results": results, "errors": errors, "identities": identities, "protocol_version": "1"}


def _of_unirl(request: UniRlRequest, place: int) -> Rollout | HttpError:
    last = request.history[-1]
    if last.video_b64 or last.video_path or last.image_ipc:
        return invalid("video and shared memory are not taken here; send image_b64", f"requests.{place}.history")
    response: Any = last.text
    prompt: Any = "\n".join(turn.text for turn in request.history[:-1])
    if last.image_b64:
        prompt = "\n".join(turn.text for turn in request.history)
        picture = {"type": "image_url", "image_url": {"url": f"data:{_kind(last.image_b64)};base64,{last.image_b64}"}}
        response = [{"role": "assistant", "content": [picture]}]
    label = (request.metadata or {}).get("reference")
    try:
        return Rollout(
            request.sample_id or content_id(prompt, response, label), prompt, response, request.group_id or "",
            reference=reference_of(label), metadata=request.metadata,
        )  # fmt: skip
    except RolloutError as error:
        return invalid(error.reason, f"requests.{place}.{error.field}")


def _kind(base64: str) -> str:
    """The media type that the first bytes of a picture say."""
    return "image/jpeg" if base64.startswith("/9j/") else "image/webp" if base64.startswith("UklGR") else "image/png"


def _pairs(first: str | list[str], second: str | list[str]) -> list[tuple[str, str]]:
    left = [first] if isinstance(first, str) else first
    right = [second] if isinstance(second, str) else second
    if len(left) == 1:
        left = left * len(right)
    if len(left) != len(right):
        raise invalid("expected one text, or as many as text_2 has", "text_1")
    return list(zip(left, right, strict=True))


def _of_pooling(body: PoolingBody) -> list[Rollout]:
    if (body.input is None) == (body.messages is None):
        raise invalid("expected either `input`, a text or texts, or `messages`; token ids cannot be read here", "input")
    if body.messages is not None:
        if len(body.messages) < 2 or body.messages[-1].get("role") != "assistant":
            raise invalid("the last message must be the assistant's, after what it answers", "messages")
        return [_rollout(body.messages[:-1], body.messages[-1:])]
    texts = [body.input] if isinstance(body.input, str) else body.input or []
    return [_rollout("", text) for text in texts]


def _rollout(prompt: str | _Chat, response: str | _Chat) -> Rollout:
    try:
        return Rollout(content_id(prompt, response), prompt, response)
    except RolloutError as error:
        raise invalid(error.reason, error.field) from None


def _listed(model: str | None, data: list[dict[str, Any]], judged: Sequence[ScoredRollout]) -> dict[str, Any]:
    for entry, result in zip(data, judged, strict=True):
        entry["valid"] = result.valid
    return {
        "id": f"score-{time.time_ns():x}", "object": "list", "created": int(time.time()), "model": model or "assay",
        "data": data, "usage": {"prompt_tokens": 0, "total_tokens": 0},
    }  # fmt: skip
