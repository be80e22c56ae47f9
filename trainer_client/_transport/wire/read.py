"""Messages into outcomes."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from google.protobuf.duration_pb2 import Duration

from protos.assay.rewards.v1 import reward_service_pb2 as service
from protos.assay.rewards.v1 import types_pb2 as types
from trainer_client._outcomes import ClientOutcome, Outcome, OutcomeStore, Party
from trainer_client._transport.wire.info import read_id

REFUSALS: Final = frozenset(
    {"unknown_verifier", "invalid_options", "version_mismatch", "digest_mismatch", "invalid_request"}
)
"""Codes of the caller's faults that concern the request and not the item."""

_SKIPS: Final = {
    types.SKIP_REASON_DEADLINE: "deadline",
    types.SKIP_REASON_NOT_NEEDED: "not_needed",
    types.SKIP_REASON_OVERLOADED: "overloaded",
}


class Passing(NamedTuple):
    """An outcome that may be better another time.

    Attributes:
        row: its row.
        column: its column.
        outcome: what to settle the cell with if it is not tried again.
        retry_after: seconds to wait, as the server asks.
        overloaded: whether the server was full, and has done no work on it.
        wrong_pin: whether the replica hosts another version than the one pinned.
    """

    row: int
    column: int
    outcome: ClientOutcome
    retry_after: float
    overloaded: bool = False
    wrong_pin: bool = False


def read_response(
    response: service.ScoreStreamResponse | service.ScoreResponse, store: OutcomeStore, columns: Sequence[int]
) -> tuple[int, list[Passing]]:
    """Settle the cells that a response answers.

    Args:
        response: results in any order.
        store: where they go.
        columns: column of each evaluation of the call.

    Returns:
        How many cells were settled, and the outcomes that are worth another try, whose cells stay open.
    """
    for position, identity in enumerate(response.verifiers[: len(columns)]):
        store.versions[columns[position]].setdefault(identity.digest, read_id(identity))
    width = store.width
    state, scores, codes, numbers = store.state, store.scores, store.codes, store.numbers
    sources, left = store.sources, store.left
    settled = 0
    passing: list[Passing] = []
    complete: list[int] = []
    pending, rows, evaluations = Outcome.PENDING.value, store.rows, len(columns)
    for result in response.results:
        row = result.index
        evaluation = result.evaluation
        if row >= rows or evaluation >= evaluations:
            continue
        cell = row * width + columns[evaluation]
        if state[cell] != pending:
            continue
        if result.HasField("verdict"):
            verdict = result.verdict
            score = verdict.score
            # x - x is 0 for every finite number and NaN for the others.
            if score - score == 0.0:
                state[cell] = 1
                scores[cell] = score
                code = verdict.code
                number = numbers.get(code)
                codes[cell] = store.number_of(code) if number is None else number
                sources[cell] = result
            else:
                _settle_bad_score(store, cell, score)
        else:
            again = _read_scoreless(result, store, cell)
            if again is not None:
                passing.append(again)
                continue
        settled += 1
        left[row] -= 1
        if not left[row]:
            complete.append(row)
    store.announce(complete)
    return settled, passing


def _settle_bad_score(store: OutcomeStore, cell: int, score: float) -> None:
    outcome = ClientOutcome(
        Outcome.FAULT, "invalid_score", Party.SERVICE, f"the server sent {score}, which is not a finite score"
    )
    store.state[cell] = outcome.outcome
    store.parties[cell] = outcome.party
    store.codes[cell] = store.number_of(outcome.code)
    store.sources[cell] = outcome


def _read_scoreless(result: types.Result, store: OutcomeStore, cell: int) -> Passing | None:
    """Settle a fault or a skip, or return it when it may be better another time."""
    kind = result.WhichOneof("outcome")
    row, column = divmod(cell, store.width)
    if kind == "skip":
        code = _SKIPS.get(result.skip.reason, "skipped")
        outcome = ClientOutcome(Outcome.SKIP, code)
        if code == "overloaded":
            return Passing(row, column, outcome, _seconds(result.skip.retry_after), overloaded=True)
    elif kind == "fault":
        fault = result.fault
        party = Party(fault.party) if fault.party <= Party.CALLER else Party.NONE
        wait = _seconds(fault.retry_after) if fault.HasField("retry_after") else None
        outcome = ClientOutcome(Outcome.FAULT, fault.code, party or Party.SERVICE, fault.message, fault.retryable, wait)
        wrong_pin = party is Party.CALLER and fault.code == "digest_mismatch"
        if fault.retryable or wrong_pin:
            return Passing(row, column, outcome, wait or 0.0, wrong_pin=wrong_pin)
        if party is Party.CALLER and fault.code in REFUSALS:
            store.refusal = (column, fault.code, fault.message)
    else:
        outcome = ClientOutcome(
            Outcome.FAULT, "no_outcome", Party.SERVICE, "the server sent a result without an outcome"
        )
    store.state[cell] = outcome.outcome
    store.parties[cell] = outcome.party
    store.codes[cell] = store.number_of(outcome.code)
    store.sources[cell] = outcome if kind is None else result
    return None


def _seconds(duration: Duration) -> float:
    return float(duration.seconds) + duration.nanos * 1e-9


class Times(NamedTuple):
    """Flat columns of times in microseconds, and of whether a verdict came from a cache."""

    queue_us: array[int]
    run_us: array[int]
    cached: bytearray


def read_times(sources: Sequence[Any]) -> Times:
    """Times of settled cells; 0 where no server answered."""
    times = Times(array("I", bytes(4 * len(sources))), array("I", bytes(4 * len(sources))), bytearray(len(sources)))
    for cell, source in enumerate(sources):
        if source is None or isinstance(source, ClientOutcome):
            continue
        result = types.Result.FromString(source) if isinstance(source, bytes) else source
        times.queue_us[cell] = result.queue_us
        times.run_us[cell] = result.run_us
        times.cached[cell] = result.cached
    return times


def read_details(source: Any, aspects: Sequence[str]) -> dict[str, Any]:
    """Everything a result says beyond its score, code and times, as plain values."""
    if source is None:
        return {}
    if isinstance(source, ClientOutcome):
        return {"message": source.message, "retryable": source.retryable, "retry_after": source.retry_after}
    if isinstance(source, bytes):
        source = types.Result.FromString(source)
    details: dict[str, Any] = {}
    details["queue_seconds"] = source.queue_us * 1e-6
    details["run_seconds"] = source.run_us * 1e-6
    details["cached"] = source.cached
    if source.HasField("fault"):
        details["message"] = source.fault.message
    if source.HasField("usage"):
        usage = source.usage
        details["usage"] = {
            "cpu_seconds": usage.cpu_us * 1e-6,
            "upstream_calls": usage.upstream_calls,
            "input_tokens": usage.input_tokens,
            "output_tokens": usage.output_tokens,
        }
    if not source.HasField("verdict"):
        return details
    verdict = source.verdict
    details["note"] = verdict.note
    details["evidence_json"] = verdict.evidence_json
    details["feedback_json"] = verdict.feedback_json
    details["aspects"] = {
        aspects[a.name] if a.name < len(aspects) else str(a.name): a.value if a.HasField("value") else None
        for a in verdict.aspects
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
