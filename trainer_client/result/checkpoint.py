"""Rows of a score table as JSON, and back: what was judged is not asked again after a restart."""

from __future__ import annotations

import base64
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from google.protobuf.message import DecodeError

from trainer_client.contract.aspect_names import AspectNames
from trainer_client.contract.v1 import reward_service_pb2 as service
from trainer_client.contract.v1 import types_pb2 as types
from trainer_client.recipe.recipe import Recipe
from trainer_client.result.details import result_at
from trainer_client.result.outcomes import ClientOutcome, Outcome, OutcomeStore, Party
from trainer_client.result.table import CarriedState, ScoreTable
from trainer_client.result.verifiers import VerifierId
from trainer_client.rollout.types import Rollout

if TYPE_CHECKING:
    from trainer_client.signals import Estimator, Pipeline


def keep_rows(table: ScoreTable, rows: Sequence[int]) -> dict[str, Any] | None:
    """Everything that is known of some rows, as JSON types.

    Args:
        table: a table with all that its verifiers said.
        rows: which rows.

    Returns:
        What `restore_rows` takes; None where a cell is worth another try: it was skipped, or has a fault that may pass.
    """
    store = table._store
    places = [row * store.width + column for row in rows for column in range(store.width)]
    if not all(_is_final(store, at) for at in places):
        return None
    versions = [[list(identity) for identity in identities.values()] for identities in store.versions]
    names = [names_of_column.names for names_of_column in store.aspects]
    return {"cells": [_pack(store, at) for at in places], "versions": versions, "aspects": names}


def take_rows(table: ScoreTable, rows: Sequence[int]) -> ScoreTable:
    """A table of some rows alone."""
    return ScoreTable(
        table.recipe,
        [table.rollout_ids[row] for row in rows],
        [table.group_ids[row] for row in rows],
        table._store.take(rows),
        floors=table._floors,
        seconds=table.seconds,
        kept=CarriedState(table._estimator, table._window),
        step=table._step,
        partial=table._partial,
        inputs={name: [values[row] for row in rows] for name, values in table._inputs.items()},
    )


def restore_rows(
    saved: Mapping[str, Any],
    rollouts: Sequence[Rollout],
    recipe: Recipe,
    floors: Mapping[int, float],
    estimator: Estimator | Pipeline | None,
    step: int,
) -> ScoreTable:
    """The table of rows that were kept.

    Args:
        saved: what `keep_rows` made.
        rollouts: their rollouts.
        recipe: what was asked.
        floors: score of a candidate that gave nothing to judge, by column.
        estimator: the recipe's method, where it has one.
        step: training step.

    Raises:
        ValueError: that is not what it holds.
    """
    store = _unpack(saved, len(rollouts), len(recipe.columns))
    return ScoreTable.of(rollouts, recipe, store, floors=floors, seconds=0.0, kept=CarriedState(estimator), step=step)


def _unpack(saved: Mapping[str, Any], rows: int, width: int) -> OutcomeStore:
    store = OutcomeStore(rows, width)
    try:
        if len(saved["cells"]) != rows * width or len(saved["versions"]) != width:
            raise ValueError(f"{len(saved['cells'])} cells for {rows} rollouts and {width} rewards")
        for at, (state, score, code, party, source) in enumerate(saved["cells"]):
            outcome = Outcome(state)
            if (outcome is Outcome.VERDICT) != isinstance(score, int | float) or outcome is Outcome.PENDING:
                raise ValueError(f"an outcome {outcome.name} with the score {score!r}")
            store.state[at], store.parties[at] = outcome, Party(party)
            store.codes[at] = store.number_of(str(code))
            if score is not None:
                store.scores[at] = _finite(score)
            store.sources[at] = _source(source, outcome, str(code), Party(party))
        store.versions = [
            {digest: VerifierId(name, version, digest, tuple(aspects)) for name, version, digest, aspects in identities}
            for identities in saved["versions"]
        ]
        store.aspects = [AspectNames(map(str, names)) for names in saved["aspects"]]
        if len(store.aspects) != width:
            raise ValueError(f"names of the aspects of {len(store.aspects)} rewards, and not of {width}")
    except (KeyError, TypeError, ValueError, OverflowError, DecodeError) as error:
        raise ValueError(f"it is not what was kept of a group: {error}") from None
    return store


def _finite(score: float) -> float:
    value = float(score)
    if not math.isfinite(value):
        raise ValueError(f"the score {value} is no finite number")
    return value


def _pack(store: OutcomeStore, at: int) -> list[Any]:
    state, source = store.state[at], store.sources[at]
    packed: Any = None
    if isinstance(source, ClientOutcome):
        packed = [source.message, source.retryable, source.retry_after]
    elif source is not None:
        message = result_at(source, store.places[at]) if isinstance(source, service.ResultColumns) else source
        data = message if isinstance(message, bytes) else message.SerializeToString()
        packed = base64.b64encode(data).decode()
    score = store.scores[at] if state == Outcome.VERDICT else None
    return [int(state), score, store.code_names[store.codes[at]], int(store.parties[at]), packed]


def _source(packed: Any, outcome: Outcome, code: str, party: Party) -> Any:
    if packed is None:
        return None
    if isinstance(packed, str):
        return types.Result.FromString(base64.b64decode(packed, validate=True))
    message, retryable, wait = packed
    return ClientOutcome(outcome, code, party, str(message), bool(retryable), wait)


def _is_final(store: OutcomeStore, at: int) -> bool:
    state, source = store.state[at], store.sources[at]
    if state != Outcome.FAULT:
        return state != Outcome.SKIP
    if isinstance(source, types.Result):
        return not source.fault.retryable
    return isinstance(source, ClientOutcome) and not source.retryable
