"""Messages of the contract. The only module that touches them.

Each field is touched once: building and reading messages costs more than coding them (0.8 and 0.35 us an item
against 0.1), so both loops are written flat.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from google.protobuf.duration_pb2 import Duration

from protos.assay.rewards.v1 import reward_service_pb2 as service
from protos.assay.rewards.v1 import types_pb2 as types

from ._content import Content, read_turns
from ._ledger import Ledger, LocalOutcome, Outcome, Party, VerifierVersion
from ._plan import Bundle, Parcel, encode_json
from ._rollout import Document, Rollout

_SERVICE: Final = "/assay.rewards.v1.RewardService/"
SCORE_STREAM: Final = _SERVICE + "ScoreStream"
LIST_VERIFIERS: Final = _SERVICE + "ListVerifiers"
GET_SERVER_INFO: Final = _SERVICE + "GetServerInfo"

serialize_score: Final = service.ScoreStreamRequest.SerializeToString
parse_score: Final = service.ScoreStreamResponse.FromString
parse_listing: Final = service.ListVerifiersResponse.FromString
parse_info: Final = service.GetServerInfoResponse.FromString

REFUSALS: Final = frozenset({"unknown_verifier", "invalid_options", "digest_mismatch", "invalid_request"})
"""Codes of the caller's faults that concern the request and not the item."""

_SKIPS: Final = {
    types.SKIP_REASON_DEADLINE: "deadline",
    types.SKIP_REASON_NOT_NEEDED: "not_needed",
    types.SKIP_REASON_OVERLOADED: "overloaded",
}


class VerifierFacts(NamedTuple):
    """What a server says of a verifier.

    Attributes:
        version: name, version, digest, aspects.
        judges_groups: whether it judges the rollouts of a prompt together.
        floor: its score for a candidate that gave nothing to judge.
        description: what it judges, in a sentence.
        score_min: its lowest score.
        score_max: its highest score.
    """

    version: VerifierVersion
    judges_groups: bool
    floor: float
    description: str
    score_min: float
    score_max: float


class ServerFacts(NamedTuple):
    """What a server says of itself; 0 where it sets no limit."""

    verifiers: Mapping[str, VerifierFacts]
    max_items: int
    max_message_bytes: int
    suggested_items: int
    items_limit: int
    draining: bool


def read_facts(listing: service.ListVerifiersResponse, info: service.GetServerInfoResponse) -> ServerFacts:
    """Read what a server says of itself and of its verifiers."""
    return ServerFacts(
        verifiers={
            entry.identity.name: VerifierFacts(
                version=_version(entry.identity),
                judges_groups=entry.scope == service.SCOPE_GROUP,
                floor=entry.floor,
                description=entry.description,
                score_min=entry.score_min,
                score_max=entry.score_max,
            )
            for entry in listing.verifiers
        },
        max_items=info.limits.max_items,
        max_message_bytes=info.limits.max_message_bytes,
        suggested_items=info.limits.suggested_items,
        items_limit=info.load.items_limit,
        draining=info.load.draining,
    )


def _version(identity: types.VerifierIdentity) -> VerifierVersion:
    return VerifierVersion(identity.name, identity.version, identity.digest, tuple(identity.aspects))


class Labels(NamedTuple):
    """What a batch is labelled with: its id, the run, the step, the seed."""

    batch: str
    run: str = ""
    step: int = 0
    seed: int = 0


def build_request(
    parcel: Parcel, rollouts: Sequence[Rollout], labels: Labels
) -> tuple[service.ScoreStreamRequest, dict[int, LocalOutcome]]:
    """Build the message of a parcel.

    The same work keeps its name: the request id follows from the batch, the route and the evaluations asked, and
    the index of a rollout is its row. A server can therefore join a retry with work still under way.

    Returns:
        The message, and the rows left out of it because they cannot be sent, with the reason.
    """
    request = service.ScoreStreamRequest()
    chunk = request.chunk
    chunk.request_id = f"{labels.batch}/{parcel.route.name}/{'.'.join(map(str, parcel.asked))}"
    chunk.seed = labels.seed
    chunk.run = labels.run
    chunk.step = labels.step
    for position in parcel.asked:
        asked = parcel.route.evaluations[position]
        message = chunk.evaluations.add(
            verifier=asked.verifier,
            version_constraint=asked.version,
            expected_digest=asked.digest,
            options_json=asked.options,
        )
        if asked.cpu_limit is not None:
            message.item_limit.FromNanoseconds(int(asked.cpu_limit * 1e9))
    blobs: dict[str, types.Blob] = {}
    unusable: dict[int, LocalOutcome] = {}
    for bundle, rows in parcel.parts:
        _add_group(chunk, bundle, rows, rollouts, blobs, unusable)
    chunk.blobs.extend(blobs.values())
    return request, unusable


def _add_group(
    chunk: service.ScoreRequest,
    bundle: Bundle,
    rows: Sequence[int],
    rollouts: Sequence[Rollout],
    blobs: dict[str, types.Blob],
    unusable: dict[int, LocalOutcome],
) -> None:
    first = rollouts[bundle.rows[0]]
    group = chunk.groups.add(group_id=_clean(bundle.group_id), size=bundle.size, reference_json=bundle.reference)
    _set_content(group.prompt, first.prompt, blobs)
    if bundle.shares_documents:
        _add_documents(group.documents, first.documents)
    references = bundle.references
    add = group.rollouts.add
    for row in rows:
        rollout = rollouts[row]
        response = rollout.response
        try:
            message = add(index=row, rollout_id=rollout.rollout_id)
            if type(response) is str:
                message.response.text = response
            else:
                _set_content(message.response, response, blobs)
        except UnicodeEncodeError:
            del group.rollouts[-1]
            message = add(index=row, rollout_id=_clean(rollout.rollout_id))
            _set_content(message.response, response, blobs)
        if rollout.finish_reason:
            message.finish_reason = _clean(rollout.finish_reason)
        if references:
            message.reference_json = references[row]
        if rollout.token_ids:
            message.token_ids.extend(rollout.token_ids)
        if not bundle.shares_documents:
            _add_documents(message.documents, rollout.documents)
        if rollout.metadata:
            try:
                message.metadata_json = encode_json(rollout.metadata)
            except (TypeError, ValueError, RecursionError) as error:
                del group.rollouts[-1]
                unusable[row] = LocalOutcome(
                    Outcome.FAULT, "bad_metadata", Party.DATASET, f"metadata: cannot be sent as JSON: {error}"
                )


def _set_content(message: types.Content, content: Content, blobs: dict[str, types.Blob]) -> None:
    if isinstance(content, str):
        message.text = _clean(content)
        return
    message.messages.SetInParent()
    for turn in read_turns(content):
        sent = message.messages.messages.add(
            role=_clean(turn.role), name=_clean(turn.name), tool_call_id=_clean(turn.tool_call_id)
        )
        for part in turn.parts:
            if part.kind == "text":
                sent.parts.add(text=_clean(part.text))
            elif part.kind == "reasoning":
                sent.parts.add(reasoning=_clean(part.text))
            else:
                import hashlib

                digest = "sha256:" + hashlib.sha256(part.data).hexdigest()
                blobs.setdefault(digest, types.Blob(digest=digest, mime=part.mime, inline=part.data))
                sent.parts.add(blob=types.BlobRef(digest=digest))
        for call in turn.calls:
            sent.tool_calls.add(id=_clean(call.id), name=_clean(call.name), arguments=_clean(call.arguments))


def _add_documents(field: Any, documents: Sequence[Document]) -> None:
    for document in documents:
        field.add(
            id=_clean(document.id),
            uri=_clean(document.uri),
            title=_clean(document.title),
            text=_clean(document.text),
        )


def _clean(text: str) -> str:
    """Replace lone surrogates, which JSON can hold and UTF-8 cannot, by U+FFFD as tokenizers do."""
    if text.isascii():
        return text
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


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
    outcome: LocalOutcome
    retry_after: float
    overloaded: bool = False
    wrong_pin: bool = False


def read_response(
    response: service.ScoreStreamResponse, ledger: Ledger, columns: Sequence[int]
) -> tuple[int, list[Passing]]:
    """Settle the cells that a response answers.

    Args:
        response: results in any order.
        ledger: where they go.
        columns: column of each evaluation of the call.

    Returns:
        How many cells were settled, and the outcomes that are worth another try, whose cells stay open.
    """
    for evaluation, identity in enumerate(response.verifiers[: len(columns)]):
        ledger.versions[columns[evaluation]].setdefault(identity.digest, _version(identity))
    width = ledger.width
    state, scores, codes, numbers = ledger.state, ledger.scores, ledger.codes, ledger.numbers
    queue_us, run_us, sources, left = ledger.queue_us, ledger.run_us, ledger.sources, ledger.left
    settled = 0
    passing: list[Passing] = []
    complete: list[int] = []
    pending = Outcome.PENDING.value
    for result in response.results:
        row = result.index
        if row >= ledger.rows or result.evaluation >= len(columns):
            continue
        cell = row * width + columns[result.evaluation]
        if state[cell] != pending:
            continue
        kind = result.WhichOneof("outcome")
        if kind == "verdict":
            verdict = result.verdict
            score = verdict.score
            # x - x is 0 for every finite number and NaN for the others.
            if score - score == 0.0:
                state[cell] = 1
                scores[cell] = score
                code = verdict.code
                number = numbers.get(code)
                codes[cell] = ledger.number_of(code) if number is None else number
                sources[cell] = result
                if result.cached:
                    ledger.cached[cell] = 1
            else:
                _settle_bad_score(ledger, cell, score)
        else:
            again = _read_scoreless(result, kind, ledger, cell)
            if again is not None:
                passing.append(again)
                continue
        queue_us[cell] = result.queue_us
        run_us[cell] = result.run_us
        settled += 1
        left[row] -= 1
        if not left[row]:
            complete.append(row)
    ledger.announce(complete)
    return settled, passing


def _settle_bad_score(ledger: Ledger, cell: int, score: float) -> None:
    outcome = LocalOutcome(
        Outcome.FAULT, "invalid_score", Party.SERVICE, f"the server sent {score}, which is not a finite score"
    )
    ledger.state[cell] = outcome.outcome
    ledger.parties[cell] = outcome.party
    ledger.codes[cell] = ledger.number_of(outcome.code)
    ledger.sources[cell] = outcome


def _read_scoreless(result: types.Result, kind: str | None, ledger: Ledger, cell: int) -> Passing | None:
    """Settle a fault or a skip, or return it when it may be better another time."""
    row, column = divmod(cell, ledger.width)
    if kind == "skip":
        code = _SKIPS.get(result.skip.reason, "skipped")
        outcome = LocalOutcome(Outcome.SKIP, code)
        if code == "overloaded":
            return Passing(row, column, outcome, _seconds(result.skip.retry_after), overloaded=True)
    elif kind == "fault":
        fault = result.fault
        party = Party(fault.party) if fault.party <= Party.CALLER else Party.NONE
        outcome = LocalOutcome(Outcome.FAULT, fault.code, party or Party.SERVICE, fault.message)
        wrong_pin = party is Party.CALLER and fault.code == "digest_mismatch"
        if fault.retryable or wrong_pin:
            return Passing(row, column, outcome, _seconds(fault.retry_after), wrong_pin=wrong_pin)
        if party is Party.CALLER and fault.code in REFUSALS:
            ledger.refusal = (column, fault.code, fault.message)
    else:
        outcome = LocalOutcome(
            Outcome.FAULT, "no_outcome", Party.SERVICE, "the server sent a result without an outcome"
        )
    ledger.state[cell] = outcome.outcome
    ledger.parties[cell] = outcome.party
    ledger.codes[cell] = ledger.number_of(outcome.code)
    ledger.sources[cell] = outcome if kind is None else result
    return None


def _seconds(duration: Duration) -> float:
    return float(duration.seconds) + duration.nanos * 1e-9


def read_details(source: Any, aspects: Sequence[str]) -> dict[str, Any]:
    """Everything a result says beyond its score, code and times, as plain values."""
    if source is None or isinstance(source, LocalOutcome):
        return {"message": source.message} if source is not None else {}
    if isinstance(source, bytes):
        source = types.Result.FromString(source)
    details: dict[str, Any] = {}
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
