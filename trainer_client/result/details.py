"""What a result says beyond its score and code, read when it is asked for."""

from __future__ import annotations

import json
from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from trainer_client.contract.aspect_names import name_of
from trainer_client.result.outcomes import ClientOutcome, ModelUsage, Outcome, OutcomeStore

if TYPE_CHECKING:
    from trainer_client.contract.v1 import reward_service_pb2 as service
    from trainer_client.contract.v1 import types_pb2 as types

_SHOWN = 65_536
"""Bytes that are kept of evidence that cannot be read."""

PARTIES = ("", "dataset", "service", "upstream", "caller")


@dataclass(frozen=True, slots=True)
class Cell:
    """One reward of one rollout, with everything its verifier said.

    Attributes:
        outcome: verdict, fault, skip, or not asked.
        score: the score; None without a verdict.
        code: what was found, or why there is no score.
        party: whose failure a fault is; empty otherwise.
        message: what happened, of a fault or skip.
        retryable: whether a fault may pass; the client has tried as often as it was told.
        retry_after: seconds that the server asks to wait before that; None when it did not say.
        note: one line for a reader.
        evidence: what was extracted and compared, or tried without success. May quote references and hidden tests.
        feedback: what the policy may be shown.
        aspects: parts of the judgement; None for one that could not be judged.
        steps: scores of parts of the response: message, start, end, unit, score.
        usage: CPU seconds, calls of models, their tokens, and their price, that the item cost.
        queue_seconds: time it waited at the server.
        run_seconds: time it ran.
        cached: whether the verdict came from a cache.
    """

    outcome: Outcome
    score: float | None
    code: str
    party: str = ""
    message: str = ""
    retryable: bool = False
    retry_after: float | None = None
    note: str = ""
    evidence: Any = None
    feedback: Any = None
    aspects: Mapping[str, float | None] = field(default_factory=dict)
    steps: Sequence[Mapping[str, Any]] = ()
    usage: Mapping[str, float] = field(default_factory=dict)
    queue_seconds: float = 0.0
    run_seconds: float = 0.0
    cached: bool = False


class Times(NamedTuple):
    """Flat columns of times in microseconds, and of whether a verdict came from a cache."""

    queue_us: array[int]
    run_us: array[int]
    cached: bytearray
    cpu_us: array[int]


def read_times(sources: Sequence[Any], places: Sequence[int]) -> Times:
    """Times of settled cells; 0 where no server answered.

    Args:
        sources: what each cell was settled with.
        places: position of each cell in a source that has many.
    """
    from trainer_client.contract.v1 import reward_service_pb2 as service
    from trainer_client.contract.v1 import types_pb2 as types

    cells = len(sources)
    none = array("Q", bytes(8 * cells))
    times = Times(array("I", bytes(4 * cells)), array("I", bytes(4 * cells)), bytearray(cells), none)
    times_by_source: dict[int, Times] = {}
    for cell, source in enumerate(sources):
        if source is None or isinstance(source, ClientOutcome):
            continue
        if isinstance(source, service.ResultColumns):
            columns = times_by_source.get(id(source))
            if columns is None:
                columns = times_by_source[id(source)] = _times_of(source)
            place = places[cell]
            times.queue_us[cell] = columns.queue_us[place]
            times.run_us[cell] = columns.run_us[place]
            times.cached[cell] = columns.cached[place]
            times.cpu_us[cell] = columns.cpu_us[place]
            continue
        result = types.Result.FromString(source) if isinstance(source, bytes) else source
        times.queue_us[cell] = result.queue_us
        times.run_us[cell] = result.run_us
        times.cached[cell] = result.cached
        if result.HasField("usage"):
            times.cpu_us[cell] = result.usage.cpu_us
    return times


def _times_of(columns: service.ResultColumns) -> Times:
    count = len(columns.index)
    return Times(
        array("I", columns.queue_us[:] or [0] * count),
        array("I", columns.run_us[:] or [0] * count),
        bytearray(columns.cached[:] or [False] * count),
        array("Q", columns.cpu_us[:] or [0] * count),
    )


def seconds(microseconds: array[int]) -> NDArray[np.float64]:
    """A column of times in seconds."""
    return np.asarray(microseconds).astype(np.float64) * 1e-6


def read_spent(sources: Sequence[Any]) -> ModelUsage:
    """What the models that settled cells asked have cost together, faults and verdicts of a cache among them."""
    from trainer_client.contract.v1 import reward_service_pb2 as service
    from trainer_client.contract.v1 import types_pb2 as types

    calls, tokens_in, tokens_out, cost = 0, 0, 0, 0.0
    for source in sources:
        # Columns hold what asked no model.
        if source is None or isinstance(source, ClientOutcome | service.ResultColumns):
            continue
        result = types.Result.FromString(source) if isinstance(source, bytes) else source
        if result.HasField("usage"):
            usage = result.usage
            calls, tokens_in, tokens_out = (
                calls + usage.upstream_calls,
                tokens_in + usage.input_tokens,
                tokens_out + usage.output_tokens,
            )
            cost += usage.cost
    return ModelUsage(calls, tokens_in, tokens_out, cost)


def read_aspects(sources: Sequence[Any], names: Sequence[str], labels: Sequence[str]) -> dict[str, array[float]]:
    """Aspects of settled cells by name; NaN where a verdict does not have one.

    Args:
        sources: what each cell was settled with.
        names: names by which they number aspects.
        labels: names of those that are read.
    """
    from trainer_client.contract.v1 import reward_service_pb2 as service
    from trainer_client.contract.v1 import types_pb2 as types

    values = {name: array("d", [float("nan")]) * len(sources) for name in labels}
    for cell, source in enumerate(sources):
        # Verdicts that come column by column have none.
        if source is None or isinstance(source, ClientOutcome | service.ResultColumns):
            continue
        result = types.Result.FromString(source) if isinstance(source, bytes) else source
        for aspect in result.verdict.aspects if result.HasField("verdict") else ():
            column = values.get(name_of(aspect, names))
            if column is not None and aspect.HasField("value"):
                column[cell] = aspect.value
    return values


def read_cell(store: OutcomeStore, at: int, aspects: Sequence[str]) -> Cell:
    """Everything said of a settled cell.

    Args:
        store: where it is.
        at: its place in the flat columns.
        aspects: names by which it numbers the parts of its judgement.
    """
    outcome = Outcome(store.state[at])
    details = read_details(store.sources[at], store.places[at], aspects)
    evidence, feedback = details.pop("evidence_json", b""), details.pop("feedback_json", b"")
    return Cell(
        outcome=outcome,
        score=store.scores[at] if outcome is Outcome.VERDICT else None,
        code=store.code_names[store.codes[at]],
        party=PARTIES[store.parties[at]],
        evidence=_json(evidence),
        feedback=_json(feedback),
        **details,
    )


def _json(data: bytes) -> Any:
    """What a server has written as JSON; what is none is kept as text, since it must cost a reader no other cell."""
    if not data:
        return None
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        return {"unreadable": data[:_SHOWN].decode("utf-8", "backslashreplace")}


def read_details(source: Any, place: int, aspects: Sequence[str]) -> dict[str, Any]:
    """Everything a result says beyond its score, code and times, as plain values.

    Args:
        source: what its cell was settled with.
        place: its position there, where the source has many.
        aspects: names of the parts of its judgement.
    """
    if source is None:
        return {}
    if isinstance(source, ClientOutcome):
        return {"message": source.message, "retryable": source.retryable, "retry_after": source.retry_after}
    from trainer_client.contract.v1 import reward_service_pb2 as service
    from trainer_client.contract.v1 import types_pb2 as types

    if isinstance(source, service.ResultColumns):
        source = result_at(source, place)
    if isinstance(source, bytes):
        source = types.Result.FromString(source)
    details: dict[str, Any] = {}
    details["queue_seconds"] = source.queue_us * 1e-6
    details["run_seconds"] = source.run_us * 1e-6
    details["cached"] = source.cached
    if source.HasField("fault"):
        fault = source.fault
        details["message"] = fault.message
        details["retryable"] = fault.retryable
        details["evidence_json"] = fault.evidence_json
        details["retry_after"] = fault.retry_after.ToNanoseconds() * 1e-9 if fault.HasField("retry_after") else None
    if source.HasField("usage"):
        usage = source.usage
        details["usage"] = {
            "cpu_seconds": usage.cpu_us * 1e-6,
            "upstream_calls": usage.upstream_calls,
            "input_tokens": usage.input_tokens,
            "output_tokens": usage.output_tokens,
            "cost": usage.cost,
        }
    if not source.HasField("verdict"):
        return details
    verdict = source.verdict
    details["note"] = verdict.note
    details["evidence_json"] = verdict.evidence_json
    details["feedback_json"] = verdict.feedback_json
    details["aspects"] = {
        name_of(aspect, aspects): aspect.value if aspect.HasField("value") else None for aspect in verdict.aspects
    }
    details["steps"] = [
        {
            "message": step.message,
            "start": step.start,
            "end": step.end,
            "unit": "token" if step.unit == types.STEP_UNIT_TOKEN else "character",
            "score": step.score if step.HasField("score") else None,
        }
        for step in verdict.steps
    ]
    return details


def result_at(columns: service.ResultColumns, place: int) -> types.Result:
    """One of the verdicts that came column by column, but for its score and code."""
    from trainer_client.contract.v1 import types_pb2 as types

    result = types.Result(verdict=types.Verdict())
    if columns.queue_us:
        result.queue_us = columns.queue_us[place]
    if columns.run_us:
        result.run_us = columns.run_us[place]
    if columns.cached:
        result.cached = columns.cached[place]
    if columns.cpu_us and columns.cpu_us[place]:
        result.usage.cpu_us = columns.cpu_us[place]
    return result
