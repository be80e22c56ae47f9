"""``/v1/score``: a batch of rollouts, judged by the recipe; each item with its own outcome."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, Literal

import numpy as np
from fastapi import APIRouter, Request
from pydantic import BaseModel, Field
from starlette.responses import Response, StreamingResponse

from reward_servers.gateway.body import read
from reward_servers.gateway.errors import HttpError, error_of, invalid
from reward_servers.gateway.json_codec import reply, write_json
from reward_servers.gateway.openapi import described
from reward_servers.gateway.scoring import Scoring
from trainer_client import Outcome, RewardError, Rollout, RolloutError, ScoreTable
from trainer_client.adapters.fields import content_id
from trainer_client.recipe.state import keeps_state
from trainer_client.rollout.files import rollout_of
from trainer_client.signals import SignalError


class RolloutBody(BaseModel):
    """A rollout; only `response` must be there."""

    response: str | list[dict[str, Any]]
    prompt: str | list[dict[str, Any]] = ""
    rollout_id: str | None = None
    group_id: str | None = None
    task: str | None = None
    reference: Any = None
    metadata: dict[str, Any] | None = None
    finish_reason: str | None = None
    documents: list[dict[str, Any]] | None = None
    token_ids: list[int] | None = Field(default=None)
    extra: dict[str, Any] | None = Field(default=None, description="Further columns, for the recipe's inputs.")


class ScoreBody(BaseModel):
    """A batch. Where a verifier or the method reads groups, all rollouts of a group must be in it."""

    rollouts: list[RolloutBody]
    run: str = ""
    step: int | None = Field(
        default=None, ge=0, lt=1 << 31, description="Training step; needed where the recipe follows it."
    )
    seed: int = Field(default=0, ge=0, lt=1 << 31)
    stream: bool = Field(default=False, description="Answer a line per item (NDJSON) as groups complete.")
    advantages: bool = Field(default=False, description="Advantages by the recipe's method, which keeps no state.")
    detail: bool = Field(default=False, description="Evidence, aspects and steps too. May quote references.")


class ScoreItem(BaseModel):
    """What became of one reward of one rollout."""

    outcome: Literal["verdict", "fault", "skip", "not_asked"]
    score: float | None
    code: str
    message: str | None = None
    party: str | None = None
    detail: dict[str, Any] | None = None


class RolloutItem(BaseModel):
    """What became of a rollout. `reward` is null where `valid` is false, whatever the gateway's on_missing."""

    index: int
    rollout_id: str
    group_id: str
    reward: float | None
    valid: bool
    scores: dict[str, ScoreItem]
    advantage: float | None = None
    error: str | None = Field(default=None, description="Why the rollout could not be read; no server was asked.")


class ScoreAnswer(BaseModel):
    """The items in the order of the request."""

    recipe: str
    items: list[RolloutItem]
    incomplete: list[str] = Field(description="Rewards of which more scores are missing than the recipe tolerates.")
    versions: dict[str, list[str]] = Field(description="Verifier, version and digest that answered, by reward.")


BODIES: list[type[BaseModel]] = [ScoreBody]
_KNOWN = frozenset(ScoreBody.model_fields)
_FIELDS = frozenset(RolloutBody.model_fields)
_OUTCOMES = [outcome.name.lower() for outcome in Outcome]
_VERDICT = Outcome.VERDICT.value
_WITH_REASONS = (Outcome.FAULT.value, Outcome.SKIP.value)
_OPTIONS: Mapping[str, type] = {
    "run": str, "step": int, "seed": int, "stream": bool, "advantages": bool, "detail": bool,
}  # fmt: skip


def routes(scoring: Scoring) -> APIRouter:
    """The routes."""
    router = APIRouter(tags=["assay"])

    @router.post("/v1/score", response_model=ScoreAnswer, **described(ScoreBody))
    async def score(request: Request) -> Response:
        """Judge a batch of rollouts by the recipe."""
        body = await read(request, scoring.config)
        options = _options(body, scoring)
        rollouts, places, refused = _rollouts(body["rollouts"])
        if options.pop("stream"):
            lines = _lines(scoring, rollouts, places, refused, options)
            return StreamingResponse(lines, media_type="application/x-ndjson")
        with scoring.hold(len(rollouts)):
            table = await scoring.batch(request, rollouts, **options) if rollouts else None
        items = dict(refused)
        if table is not None:
            try:
                items |= dict(zip(places, _items(table, places, options["advantages"], options["detail"]), strict=True))
            except RewardError as error:
                raise error_of(error) from None
            except SignalError as error:
                raise invalid(str(error), "advantages") from None
        recipe = scoring.client.recipe
        return reply(
            {
                "recipe": recipe.name,
                "items": [items[place] for place in range(len(items))],
                "incomplete": _incomplete(table, recipe.max_missing),
                "versions": _versions(table),
            }
        )

    return router


def _options(body: Any, scoring: Scoring) -> dict[str, Any]:
    """The options of a request, each of the type that it should have."""
    if not isinstance(body, dict):
        raise invalid(f"expected an object, found {type(body).__name__}")
    unknown = sorted(body.keys() - _KNOWN)
    if unknown:
        raise invalid(f"{unknown[0]!r} is not known; there are {', '.join(sorted(_KNOWN))}", unknown[0])
    if not isinstance(body.get("rollouts"), list):
        raise invalid("expected a list of rollouts", "rollouts")
    options: dict[str, Any] = {}
    for name, kind in _OPTIONS.items():
        value: Any = body.get(name, kind())
        options[name] = value
        if type(value) is not kind or (isinstance(value, int) and not 0 <= value < 1 << 31):
            form = {str: "a text", int: "a whole number from 0 to 2147483647", bool: "true or false"}[kind]
            raise invalid(f"expected {form}, found {value!r}"[:200], name)
    if options["advantages"]:
        _check_method(scoring)
    return options


def _check_method(scoring: Scoring) -> None:
    estimator = scoring.client.recipe.estimator()
    if estimator is None:
        raise invalid("the recipe has no advantage", "advantages")
    if keeps_state(estimator):
        reason = f"{estimator.name} goes on from step to step, and callers of the gateway share no steps"
        raise invalid(f"{reason}; compute it in the trainer (trainer_client.advantages)", "advantages")


def _rollouts(bodies: Sequence[Any]) -> tuple[list[Rollout], list[int], dict[int, dict[str, Any]]]:
    """Rollouts that can be read with their places, and answers for those that cannot."""
    rollouts: list[Rollout] = []
    places: list[int] = []
    refused: dict[int, dict[str, Any]] = {}
    ids: set[str] = set()
    prompts: dict[str, Any] = {}
    for place, body in enumerate(bodies):
        try:
            rollout = _rollout(body, place, ids)
            if prompts.setdefault(rollout.group_id, rollout.prompt) != rollout.prompt:
                raise RolloutError(f"differs from that of others in group {rollout.group_id!r}", "prompt")
        except RolloutError as error:
            fields = body if isinstance(body, dict) else {}
            refused[place] = {
                "index": place, "rollout_id": str(fields.get("rollout_id") or place),
                "group_id": str(fields.get("group_id") or ""), "reward": None, "valid": False, "scores": {},
                "error": ": ".join(part for part in (f"rollouts[{place}]", error.field, error.reason) if part),
            }  # fmt: skip
            continue
        ids.add(rollout.rollout_id)
        rollouts.append(rollout)
        places.append(place)
    return rollouts, places, refused


def _rollout(body: Any, place: int, ids: set[str]) -> Rollout:
    if not isinstance(body, dict):
        raise RolloutError(f"expected an object, found {type(body).__name__}")
    extra = body.pop("extra", None)
    if extra is not None and not isinstance(extra, dict):
        raise RolloutError(f"expected an object, found {type(extra).__name__}", "extra")
    if not body.keys() <= _FIELDS:
        fields = ", ".join(RolloutBody.model_fields)
        raise RolloutError(f"is not a field of a rollout; the fields are {fields}", min(body.keys() - _FIELDS))
    if body.get("rollout_id") is None:
        name = content_id(body.get("prompt"), body.get("response"), body.get("reference"))
        body["rollout_id"] = name if name not in ids else f"{name}-{place}"
    elif str(body["rollout_id"]) in ids:
        raise RolloutError(f"{body['rollout_id']!r} is used twice; ids must differ within a request", "rollout_id")
    rollout = rollout_of(body)
    rollout.extra = extra or {}
    return rollout


def _items(table: ScoreTable, places: Sequence[int], advantages: bool, detail: bool) -> list[dict[str, Any]]:
    columns = [_cells(table, column, detail) for column in range(len(table.columns))]
    rewards, mask = table.rewards.tolist(), table.mask.tolist()
    ids, groups, names = table.rollout_ids, table.group_ids, table.columns
    items: list[dict[str, Any]] = [
        {
            "index": place, "rollout_id": ids[row], "group_id": groups[row], "reward": rewards[row] if valid else None,
            "valid": valid, "scores": dict(zip(names, cells, strict=True)),
        }
        for row, (place, valid, cells) in enumerate(zip(places, mask, zip(*columns, strict=True), strict=True))
    ]  # fmt: skip
    if advantages:
        for item, advantage in zip(items, table.advantages.tolist(), strict=True):
            item["advantage"] = advantage
    return items


def _cells(table: ScoreTable, column: int, detail: bool) -> list[dict[str, Any]]:
    """What became of one reward of each rollout."""
    outcomes, scores = table.outcomes[:, column].tolist(), table.scores[:, column].tolist()
    codes = table.code_names
    cells = [
        {"outcome": _OUTCOMES[outcome], "score": score if outcome == _VERDICT else None, "code": codes[number]}
        for outcome, score, number in zip(outcomes, scores, table.code_numbers[:, column].tolist(), strict=True)
    ]
    for row, outcome in enumerate(outcomes):
        if detail or outcome in _WITH_REASONS:
            _add_details(cells[row], table, row, column, detail)
    return cells


def _add_details(cell: dict[str, Any], table: ScoreTable, row: int, column: int, detail: bool) -> None:
    details = table.cell(row, column)
    if details.message:
        cell["message"] = details.message
    if details.party:
        cell["party"] = details.party
    if detail:
        cell["detail"] = {
            "note": details.note, "evidence": details.evidence, "feedback": details.feedback,
            "aspects": dict(details.aspects), "steps": list(details.steps), "usage": dict(details.usage),
            "queue_seconds": details.queue_seconds, "run_seconds": details.run_seconds, "cached": details.cached,
        }  # fmt: skip


def _incomplete(table: ScoreTable | None, tolerated: float) -> list[str]:
    if table is None:
        return []
    counts_asked = np.maximum(table.asked.sum(axis=0), 1)
    missing = (table.asked & ~table.valid).sum(axis=0) / counts_asked
    return [name for name, share in zip(table.columns, missing.tolist(), strict=True) if share > tolerated]


def _versions(table: ScoreTable | None) -> Mapping[str, list[str]]:
    if table is None:
        return {}
    return {
        name: [f"{identity.name}@{identity.version}#{identity.digest}" for identity in identities]
        for name, identities in zip(table.columns, table.versions, strict=True)
    }


async def _lines(
    scoring: Scoring,
    rollouts: list[Rollout],
    places: list[int],
    refused: Mapping[int, dict[str, Any]],
    options: dict[str, Any],
) -> AsyncIterator[bytes]:
    """A line per item as its group completes, and one that says that all are there."""
    place_of = {rollout.rollout_id: place for rollout, place in zip(rollouts, places, strict=True)}
    advantages, detail = options.pop("advantages"), options.pop("detail")
    for item in refused.values():
        yield write_json(item) + b"\n"
    line_count = len(refused)
    try:
        scoring.refuse_unfit(rollouts)
        with scoring.hold(len(rollouts)):
            async for table in scoring.batches(advantages=advantages, detail=detail).stream(rollouts, **options):
                await scoring.confirm(table)
                rows = [place_of[name] for name in table.rollout_ids]
                for item in _items(table, rows, advantages, detail):
                    line_count += 1
                    yield write_json(item) + b"\n"
    except asyncio.CancelledError:
        raise
    except (RewardError, SignalError, HttpError) as error:
        http_error = error if isinstance(error, HttpError) else None
        if http_error is None:
            http_error = error_of(error) if isinstance(error, RewardError) else invalid(str(error), "advantages")
        yield write_json({"error": {"code": http_error.code, "message": http_error.message}}) + b"\n"
        return
    yield write_json({"done": True, "items": line_count}) + b"\n"
