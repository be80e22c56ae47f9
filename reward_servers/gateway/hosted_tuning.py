"""Routes in the shapes of hosted fine-tuning: AWS's reward Lambdas, and Fireworks' remote evaluators.

A Lambda of three lines passes its event on and the answer back; the Reward Kit asks a URL.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from reward_servers.gateway.body import read, read_as, sample_of
from reward_servers.gateway.errors import invalid
from reward_servers.gateway.json_codec import reply
from reward_servers.gateway.openapi import described
from reward_servers.gateway.scoring import ScoredRollout, Scoring
from trainer_client import Rollout

_REFERENCES = ("reference_answer", "ground_truth", "reference", "answer", "label")


class AwsTrajectory(BaseModel):
    """What Bedrock and SageMaker hand to a reward Lambda, in a list: a conversation that ends with the answer."""

    model_config = ConfigDict(extra="allow")

    id: str
    messages: list[dict[str, Any]] = Field(min_length=1)
    reference_answer: Any = None


class AwsScore(BaseModel):
    """What the Lambda gives back for each."""

    id: str
    aggregate_reward_score: float | None
    metrics_list: list[dict[str, Any]]


class FireworksBody(BaseModel):
    """What a remote evaluator of Fireworks' Reward Kit is posted: the last message is what is judged."""

    model_config = ConfigDict(extra="allow")

    messages: list[dict[str, Any]] = Field(min_length=1)
    original_messages: list[dict[str, Any]] | None = None
    ground_truth: Any = None
    metadata: dict[str, Any] | None = None


class FireworksAnswer(BaseModel):
    """An `EvaluateResult`."""

    score: float | None
    is_score_valid: bool
    reason: str
    metrics: dict[str, dict[str, Any]]


BODIES: list[type[BaseModel]] = [AwsTrajectory, FireworksBody]


def routes(scoring: Scoring) -> APIRouter:
    """The routes."""
    router = APIRouter(tags=["trainers"])

    @router.post("/aws", response_model=list[AwsScore], **described(AwsTrajectory))
    async def aws(request: Request) -> Response:
        """AWS: the event of a reward Lambda, a list of trajectories, or an object with the key `trajectories`."""
        event = await read(request, scoring.config)
        listed = event.get("trajectories", [event]) if isinstance(event, Mapping) else event
        if not isinstance(listed, list):
            raise invalid(f"expected a list of trajectories, found {type(event).__name__}")
        rollouts = [_of_aws(event, place) for place, event in enumerate(listed)]
        judged = await scoring.all(request, rollouts, details=False)
        return reply([_aws_score(event["id"], result) for event, result in zip(listed, judged, strict=True)])

    @router.post("/fireworks", response_model=FireworksAnswer, **described(FireworksBody))
    async def fireworks(request: Request) -> Response:
        """Fireworks: a remote evaluator of the Reward Kit."""
        body = await read_as(FireworksBody, request, scoring.config)
        more = body.model_extra or {}
        truth = None if _is_context(body.ground_truth) else body.ground_truth
        label = next((candidate for candidate in (truth, *map(more.get, _REFERENCES)) if candidate is not None), None)
        judged = await scoring.one(request, _rollout(body.messages, label, "messages", body.metadata))
        scores, codes = judged.result.scores, judged.result.codes
        metrics = {
            name: {
                "score": 0.0 if score is None else score, "is_score_valid": score is not None, "reason": codes[name],
                "success": score is not None,  # where the Reward Kit's own client looks
            }
            for name, score in scores.items()
        }  # fmt: skip
        reason = "" if judged.valid else judged.reason
        return reply({"score": judged.reward, "is_score_valid": judged.valid, "reason": reason, "metrics": metrics})

    return router


def _is_context(truth: Any) -> bool:
    """Whether it is what the Reward Kit sends where it was given no reference: the messages before the answer."""
    return (
        isinstance(truth, list)
        and bool(truth)
        and all(isinstance(message, Mapping) and "role" in message for message in truth)
    )


def _of_aws(event: Any, place: int) -> Rollout:
    if not isinstance(event, Mapping) or not isinstance(event.get("id"), str):
        raise invalid("expected an object with a text `id`, as AWS hands it over", f"[{place}].id")
    label = next((event[key] for key in _REFERENCES if event.get(key) is not None), None)
    return _rollout(event.get("messages"), label, f"[{place}].messages", event.get("metadata"))


def _rollout(messages: Any, label: Any, field: str, metadata: Any) -> Rollout:
    """The messages before the last answer are the prompt; what the policy wrote since the last question is judged."""
    if not isinstance(messages, list) or not messages or not all(isinstance(message, Mapping) for message in messages):
        raise invalid("expected messages, of which the last is the answer", field)
    prompt_places = [
        place for place, message in enumerate(messages) if message.get("role") in ("user", "system", "developer")
    ]
    start = prompt_places[-1] + 1 if prompt_places else 0
    if start == len(messages):
        raise invalid("ends with a question; the answer is to be the last message", field)
    prompt, response = messages[:start], messages[start:]
    return sample_of(prompt, response, label, metadata, field=field)


def _aws_score(name: str, judged: ScoredRollout) -> dict[str, Any]:
    """A score that is missing is no metric; whether the whole is one is."""
    metrics = [
        {"name": reward, "value": score, "type": "Reward"}
        for reward, score in judged.result.scores.items()
        if score is not None
    ]
    metrics.append({"name": "valid", "value": float(judged.valid), "type": "Metric"})
    return {"id": name, "aggregate_reward_score": judged.reward, "metrics_list": metrics}
