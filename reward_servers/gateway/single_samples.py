"""Routes of trainers that hand over single samples: OpenRLHF and slime."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request
from pydantic import BaseModel
from starlette.responses import Response

from reward_servers.gateway.body import read_object, sample_of
from reward_servers.gateway.errors import HttpError, invalid
from reward_servers.gateway.json_codec import reply
from reward_servers.gateway.openapi import described
from reward_servers.gateway.scoring import ScoredRollout, Scoring
from trainer_client import Rollout
from trainer_client.adapters.fields import response_of
from trainer_client.adapters.numbers import numbers_of


class OpenRlhfBody(BaseModel):
    """What OpenRLHF posts: prompt and response in one text, the prompt again, and the label."""

    query: list[str]
    prompts: list[str]
    labels: list[Any] | None = None


class OpenRlhfAnswer(BaseModel):
    """A number for each query. `extra_logs` has the same keys in every answer."""

    rewards: list[float | None]
    scores: list[float | None]
    extra_logs: dict[str, list[float]]


class SlimeBody(BaseModel):
    """What slime's `remote_rm` posts."""

    prompt: str | list[dict[str, Any]]
    response: str
    label: Any = None
    metadata: dict[str, Any] | None = None


class SlimeAnswer(BaseModel):
    """For `--reward-key reward`."""

    reward: float | None
    valid: bool
    scores: dict[str, float | None]
    codes: dict[str, str]


BODIES: list[type[BaseModel]] = [OpenRlhfBody, SlimeBody]


def routes(scoring: Scoring) -> APIRouter:
    """The routes."""
    router = APIRouter(tags=["trainers"])

    @router.post("/openrlhf", response_model=OpenRlhfAnswer, **described(OpenRlhfBody))
    async def openrlhf(request: Request) -> Response:
        """OpenRLHF: `--reward.remote_url http://HOST:PORT/openrlhf`."""
        rollouts = _of_openrlhf(await read_object(request, scoring.config), scoring.config.openrlhf.strip_end)
        judged = await scoring.all(request, rollouts, details=False)
        rewards = [single.reward for single in judged]
        return reply({"rewards": rewards, "scores": rewards, "extra_logs": _logs(judged)})

    @router.post("/slime", response_model=SlimeAnswer, **described(SlimeBody))
    async def slime(request: Request) -> Response:
        """slime: `--rm-type remote_rm --rm-url http://HOST:PORT/slime --reward-key reward`."""
        judged = await scoring.one(request, _of_slime(await read_object(request, scoring.config)), details=False)
        result = judged.result
        return reply({"reward": judged.reward, "valid": judged.valid, "scores": result.scores, "codes": result.codes})

    @router.post("/slime/number", response_model=float, **described(SlimeBody))
    async def slime_number(request: Request) -> Response:
        """The same without `--reward-key`: a bare number, which is always a reward."""
        judged = await scoring.one(request, _of_slime(await read_object(request, scoring.config)), details=False)
        if not judged.valid:
            # A bare number cannot say that it is none.
            raise HttpError(503, "no_reward", judged.reason)
        return reply(judged.reward)

    return router


def _of_openrlhf(body: dict[str, Any], ends: tuple[str, ...]) -> list[Rollout]:
    queries, prompts = _texts(body, "query"), _texts(body, "prompts")
    labels = body.get("labels")
    if labels is None:
        labels = [None] * len(queries)
    if not isinstance(labels, list) or not len(queries) == len(prompts) == len(labels):
        raise invalid("query, prompts and labels must be lists of one length", "labels")
    rollouts = []
    for place, (query, prompt, label) in enumerate(zip(queries, prompts, labels, strict=True)):
        response = response_of(query, prompt, ends)
        if response is None:
            raise invalid(
                "the query does not hold the prompt whole, so it is not known where the response begins; it may have "
                "been cut to max_len",
                f"query[{place}]",
            )
        rollouts.append(sample_of(prompt, response, label))
    return rollouts


def _texts(body: dict[str, Any], name: str) -> list[str]:
    value = body.get(name)
    if not isinstance(value, list) or not all(isinstance(text, str) for text in value):
        raise invalid("expected a list of texts", name)
    return value


def _of_slime(body: dict[str, Any]) -> Rollout:
    for name in ("prompt", "response"):
        if name not in body:
            raise invalid("is missing; slime posts prompt, response and label", name)
    return sample_of(body["prompt"], body["response"], body.get("label"), body.get("metadata"))


def _logs(judged: list[ScoredRollout]) -> dict[str, list[float]]:
    """Columns of one set of keys, as the adapter gives them: see `numbers_of`."""
    rows = [numbers_of(single.valid, single.result.scores, {}, {}) for single in judged]
    return {name: [row[name] for row in rows] for name in (rows[0] if rows else ())}
