"""The routes of a resources server of NeMo Gym: ``/verify``, ``/seed_session``, ``/aggregate_metrics`` and one more."""

from __future__ import annotations

from collections.abc import Mapping
from statistics import fmean, pstdev
from typing import Any

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict
from starlette.responses import Response

from reward_servers.gateway.body import read_as, read_object
from reward_servers.gateway.errors import invalid
from reward_servers.gateway.json_codec import reply
from reward_servers.gateway.openapi import described
from reward_servers.gateway.scoring import ScoredRollout, Scoring
from trainer_client import Rollout, RolloutError
from trainer_client.adapters.fields import content_id, reference_of

_LABELS = ("reference", "expected_answer", "answer", "ground_truth", "label")
_TASK = "_ng_task_index"


class VerifyBody(BaseModel):
    """A response of the Responses API with what it answers, and the data set's fields beside them."""

    model_config = ConfigDict(extra="allow")

    responses_create_params: dict[str, Any]
    response: dict[str, Any]


class VerifyAnswer(BaseModel):
    """The request again, with its reward. `mask_sample` says that there is none."""

    model_config = ConfigDict(extra="allow")

    reward: float
    mask_sample: bool
    reward_components: dict[str, float] | None = None
    failure_kind: str | None = None
    failure_reason: str | None = None


class SeedBody(BaseModel):
    """Whatever an agent sends; nothing is kept of a session."""

    model_config = ConfigDict(extra="allow")


class AggregateBody(BaseModel):
    """Answers of `/verify`."""

    verify_responses: list[dict[str, Any]]


class AggregateAnswer(BaseModel):
    """Means over answers that have a reward."""

    group_level_metrics: list[dict[str, Any]]
    agent_metrics: dict[str, Any]
    key_metrics: dict[str, Any]


BODIES: list[type[BaseModel]] = [VerifyBody, SeedBody, AggregateBody]


def routes(scoring: Scoring) -> APIRouter:
    """The routes."""
    router = APIRouter(tags=["NeMo Gym"])

    @router.post("/verify", response_model=VerifyAnswer, **described(VerifyBody))
    async def verify(request: Request) -> Response:
        """Judge one rollout of an agent."""
        body = await read_object(request, scoring.config)
        judged = await scoring.one(request, _rollout(body), details=False)
        return reply(body | _verified(scoring, judged))

    @router.post("/seed_session", **described(SeedBody))
    async def seed_session(request: Request) -> Response:
        """Begin a session: there is nothing to prepare."""
        await read_object(request, scoring.config)
        return reply({})

    @router.post("/aggregate_metrics", response_model=AggregateAnswer, **described(AggregateBody))
    async def aggregate_metrics(request: Request) -> Response:
        """Means of answers, without those that have no reward."""
        body = await read_as(AggregateBody, request, scoring.config)
        return reply(_aggregated(body.verify_responses))

    @router.get("/reverify_mode")
    async def reverify_mode() -> str:
        """Whether the same rollout may be judged again: always."""
        return "stateless"

    return router


def _rollout(body: Mapping[str, Any]) -> Rollout:
    params, response = _object(body, "responses_create_params"), _object(body, "response")
    text = _text_of(response)
    label = next((body[name] for name in _LABELS if body.get(name) is not None), None)
    metadata = body.get("metadata")
    try:
        return Rollout(
            content_id(params.get("input"), text, label),
            _prompt_of(params.get("input")),
            text,
            reference=reference_of(label),
            metadata=metadata if isinstance(metadata, dict) else None,
            task=body["task"] if isinstance(body.get("task"), str) else "",
        )
    except RolloutError as error:
        raise invalid(
            error.reason, "responses_create_params.input" if error.field == "prompt" else "response"
        ) from None


def _object(body: Mapping[str, Any], name: str) -> dict[str, Any]:
    value = body.get(name)
    if not isinstance(value, dict):
        raise invalid(f"expected an object, found {type(value).__name__}", name)
    return value


def _text_of(response: Mapping[str, Any]) -> str:
    """What the assistant wrote: the texts of all its messages, as Gym's own servers read them."""
    output = response.get("output")
    if not isinstance(output, list):
        raise invalid("expected a list", "response.output")
    texts = []
    for item in output:
        if isinstance(item, dict) and item.get("type") == "message":
            content = item.get("content")
            if isinstance(content, str):
                texts.append(content)
            for part in content if isinstance(content, list) else ():
                if isinstance(part, dict) and part.get("type") == "output_text" and isinstance(part.get("text"), str):
                    texts.append(part["text"])
    return "".join(texts)


def _prompt_of(prompt: Any) -> Any:
    """The input of the request: a text, or messages of which the text parts are kept."""
    if prompt is None or isinstance(prompt, str):
        return prompt or ""
    if not isinstance(prompt, list):
        raise invalid("expected a text or a list of messages", "responses_create_params.input")
    messages = []
    for item in prompt:
        if not isinstance(item, dict) or not isinstance(item.get("role"), str):
            continue  # a call or its output, which a prompt may hold and no verifier reads as a message
        content = item.get("content")
        if isinstance(content, list):
            content = "".join(str(part.get("text") or "") for part in content if isinstance(part, dict))
        role = "system" if item["role"] == "developer" else item["role"]
        messages.append({"role": role, "content": content if isinstance(content, str) else ""})
    return messages


def _verified(scoring: Scoring, judged: ScoredRollout) -> dict[str, Any]:
    recipe = scoring.client.recipe
    scores = judged.result.scores
    answer: dict[str, Any] = {
        "reward": 0.0 if judged.reward is None else judged.reward,
        "mask_sample": not judged.valid,
    }
    if all(reward.gate is None for reward in recipe.rewards):
        # What each adds; they sum to the reward. A closed gate replaces the sum, so that there are no parts.
        parts = {reward.name: reward.weight * (scores[reward.name] or 0.0) for reward in recipe.rewards}
        answer["reward_components"] = parts if judged.valid else dict.fromkeys(parts, 0.0)
    answer |= {f"score/{name}": score for name, score in scores.items() if score is not None}
    if not judged.valid:
        answer |= {
            "failure_kind": "judge_failed", "failure_reason": judged.reason,
            "_ng_failure_class": "judge_failed", "_ng_failure_judge_error": judged.reason,
        }  # fmt: skip
    return answer


def _aggregated(answers: list[dict[str, Any]]) -> dict[str, Any]:
    masked = [bool(answer.get("mask_sample") or answer.get("_ng_failure_class")) for answer in answers]
    counted = [answer for answer, out in zip(answers, masked, strict=True) if not out]
    tasks: dict[Any, list[dict[str, Any]]] = {}
    for row in counted:
        tasks.setdefault(str(row.get(_TASK, "")), []).append(row)
    groups = [{_TASK: rows[0].get(_TASK), **_means(rows)} for rows in tasks.values()]
    overall = {**_means(counted), "count": len(counted), "masked": sum(masked)}
    key = {"mean/reward": overall["mean/reward"]} if "mean/reward" in overall else {}
    return {"group_level_metrics": groups, "agent_metrics": overall, "key_metrics": key}


def _means(rows: list[dict[str, Any]]) -> dict[str, float]:
    values_by_name: dict[str, list[float]] = {}
    for row in rows:
        for name, value in row.items():
            if isinstance(value, int | float) and not isinstance(value, bool) and not name.startswith("_ng_"):
                values_by_name.setdefault(name, []).append(float(value))
    means = {f"mean/{name}": fmean(values) for name, values in values_by_name.items()}
    return {**means, **{f"std/{name}": pstdev(values) for name, values in values_by_name.items()}}
