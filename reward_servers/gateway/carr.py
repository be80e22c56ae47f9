"""The route of CaRR's trainer, which hands over whole conversations with a browser."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fastapi import APIRouter, Request
from pydantic import BaseModel, Field
from starlette.responses import Response

from reward_servers.gateway.body import read_as
from reward_servers.gateway.browser_pages import pages_of
from reward_servers.gateway.errors import invalid
from reward_servers.gateway.json_codec import reply
from reward_servers.gateway.openapi import described
from reward_servers.gateway.scoring import Scoring
from trainer_client import Rollout, RolloutError
from trainer_client.adapters.fields import content_id, reference_of


class CarrBody(BaseModel):
    """What CaRR's trainer posts."""

    history: list[dict[str, Any]] = Field(min_length=1)
    label: Any
    task_unfinished: bool
    remote_env_info: dict[str, Any]


class CarrAnswer(BaseModel):
    """The rewards named `outcome` and `rubric` of the recipe, the whole, and what became of each rubric."""

    reward: float | None
    outcome_reward: float | None
    rubric_reward: float | None
    rubric_scores: dict[str, dict[str, Any]]
    valid: bool


BODIES: list[type[BaseModel]] = [CarrBody]


def routes(scoring: Scoring) -> APIRouter:
    """The route."""
    router = APIRouter(tags=["trainers"])

    @router.post("/evaluate", response_model=CarrAnswer, **described(CarrBody))
    async def evaluate(request: Request) -> Response:
        """CaRR: `{history, label, task_unfinished, remote_env_info}`."""
        judged = await scoring.one(request, _rollout(await read_as(CarrBody, request, scoring.config)))
        scores = judged.result.scores
        rubric = judged.result.cell("rubric") if "rubric" in scores else None
        return reply(
            {
                "reward": judged.reward,
                "outcome_reward": scores.get("outcome"),
                "rubric_reward": scores.get("rubric"),
                "rubric_scores": _rubric_scores(rubric.aspects, rubric.evidence) if rubric is not None else {},
                "valid": judged.valid,
            }
        )

    return router


def _rollout(body: CarrBody) -> Rollout:
    """The conversation with the pages that its tools showed as documents, and its rubrics in the reference.

    One that is not finished, or does not end with words of the policy, has given no answer: what it said on the way is
    none.
    """
    info = body.remote_env_info
    first = info.get("search_forbidden_strs")
    question = first[0] if isinstance(first, list) and first and isinstance(first[0], str) else ""
    reference = reference_of(body.label)
    rubrics = info.get("rubrics")
    if rubrics and isinstance(reference, Mapping):
        reference = {"rubrics": rubrics, **reference}
    documents, places = pages_of(body.history)
    last = body.history[-1]
    has_answer = not body.task_unfinished and last.get("role") == "assistant" and bool(last.get("content"))
    try:
        return Rollout(
            content_id(body.history, body.label),
            question,
            [_usual(message, place, places) for place, message in enumerate(body.history)] if has_answer else "",
            reference=reference,
            metadata=info,
            finish_reason="length" if body.task_unfinished else "",
            documents=documents,
        )
    except RolloutError as error:
        raise invalid(error.reason, "history") from None


def _usual(message: dict[str, Any], place: int, places: frozenset[tuple[int, int]]) -> dict[str, Any]:
    """A message as chat APIs write it: CaRR's calls and their outputs lie flat.

    Args:
        message: The message.
        place: Its number.
        places: Places of outputs that the documents hold; they are not repeated.
    """
    plain_message = dict(message)
    content = message.get("content")
    if message.get("role") == "tool" and isinstance(content, list):
        plain_message["content"] = "\n".join(
            "(pages among the documents)" if (place, number) in places else str(part.get("output", ""))
            for number, part in enumerate(content)
            if isinstance(part, dict)
        )
    calls = message.get("tool_calls")
    if isinstance(calls, list):
        plain_message["tool_calls"] = [_usual_call(call) for call in calls]
    return plain_message


def _usual_call(call: Any) -> Any:
    if not isinstance(call, dict) or "function" in call:
        return call
    function = {"name": call.get("name", ""), "arguments": call.get("arguments", "")}
    return {"id": call.get("tool_call_id", ""), "type": "function", "function": function}


def _rubric_scores(aspects: Mapping[str, float | None], evidence: Any) -> dict[str, dict[str, Any]]:
    """What became of each rubric, under the names that CaRR's trainer reads; of another verifier, its aspects."""
    rubrics = evidence.get("rubrics") if isinstance(evidence, Mapping) else None
    if not isinstance(rubrics, list):
        return {name: {"score": value} for name, value in aspects.items()}
    return {
        str(place): {
            "raw_rubric": rubric["text"],
            "all_entity_identified": rubric["identified"],
            "is_supported": rubric["supported"],
            "connected_to_answer": rubric["reached"],
            "score": int(rubric["reached"]),
        }
        for place, rubric in enumerate(rubrics)
    }
