"""Rollouts into messages."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from trainer_client._transport.encoding import EncodedGroup, encode_json
from trainer_client._transport.plan import Chunk
from trainer_client.contract.v1 import reward_service_pb2 as service
from trainer_client.contract.v1 import types_pb2 as types
from trainer_client.result.batch import Labels
from trainer_client.result.outcomes import ClientOutcome, Outcome, Party
from trainer_client.rollout.content import Content, read_turns
from trainer_client.rollout.types import Document, Rollout


def build_request(
    chunk: Chunk,
    rollouts: Sequence[Rollout],
    batch: str,
    labels: Labels,
    reasoning_marks: Sequence[tuple[str, str]] = (),
    *,
    form: service.ResultForm.ValueType = service.RESULT_FORM_UNSPECIFIED,
) -> tuple[service.ScoreStreamRequest, dict[int, ClientOutcome]]:
    """Build the message of a chunk.

    The same work keeps its name: the request id follows from the batch, the spec and the evaluations asked, and
    the index of a rollout is its row. A server can therefore join a retry with work still under way.

    Args:
        chunk: what to send.
        rollouts: those of the batch, by row.
        batch: name of the batch.
        labels: what servers log.
        reasoning_marks: pairs of marks around reasoning, in addition to those that servers know.
        form: the form in which to ask for results.

    Returns:
        The message, and the rows left out of it because they cannot be sent, with the reason.
    """
    request = service.ScoreStreamRequest()
    message = request.chunk
    message.request_id = f"{batch}/{chunk.spec.name}/{'.'.join(map(str, chunk.asked))}"
    message.seed = labels.seed
    message.run = labels.run
    message.step = labels.step
    message.result_form = form
    for position in chunk.asked:
        spec = chunk.spec.evaluations[position]
        evaluation = message.evaluations.add(
            verifier=spec.verifier,
            version_constraint=spec.version,
            expected_digest=spec.digest,
            options_json=spec.options,
        )
        if spec.max_cpu_s is not None:
            evaluation.item_limit.FromNanoseconds(int(spec.max_cpu_s * 1e9))
    blobs: dict[str, types.Blob] = {}
    unusable: dict[int, ClientOutcome] = {}
    for encoded, rows in chunk.parts:
        _add_group(message, encoded, rows, rollouts, blobs, unusable)
    if reasoning_marks:
        marks = [
            types.ReasoningMarks(open=_clean(opening), close=_clean(closing)) for opening, closing in reasoning_marks
        ]
        for group in message.groups:
            group.reasoning_marks.extend(marks)
    message.blobs.extend(blobs.values())
    return request, unusable


def _add_group(
    request: service.ScoreRequest,
    encoded: EncodedGroup,
    rows: Sequence[int],
    rollouts: Sequence[Rollout],
    blobs: dict[str, types.Blob],
    unusable: dict[int, ClientOutcome],
) -> None:
    first = rollouts[encoded.rows[0]]
    # Fields one by one: half the price of keywords, and a field that is not touched costs nothing.
    group = request.groups.add()
    group.size = encoded.size
    if encoded.reference:
        group.reference_json = encoded.reference
    prompt = first.prompt
    try:
        group.group_id = encoded.group_id
        if type(prompt) is str:
            group.prompt.text = prompt
        else:
            _set_content(group.prompt, prompt, blobs)
    except UnicodeEncodeError:
        group.group_id = _clean(encoded.group_id)
        _set_content(group.prompt, prompt, blobs)
    if encoded.shares_documents and first.documents:
        _add_documents(group.documents, first.documents)
    references = encoded.references
    add = group.rollouts.add
    for row in rows:
        rollout = rollouts[row]
        response = rollout.response
        try:
            message = add()
            message.index, message.rollout_id = row, rollout.rollout_id
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
        if rollout.documents and not encoded.shares_documents:
            _add_documents(message.documents, rollout.documents)
        if rollout.metadata:
            try:
                message.metadata_json = encode_json(rollout.metadata)
            except (TypeError, ValueError, RecursionError) as error:
                del group.rollouts[-1]
                unusable[row] = ClientOutcome(
                    Outcome.FAULT, "bad_metadata", Party.DATASET, f"metadata: cannot be sent as JSON: {error}"
                )


def _set_content(message: types.Content, content: Content, blobs: dict[str, types.Blob]) -> None:
    if isinstance(content, str):
        message.text = _clean(content)
        return
    message.messages.SetInParent()
    for turn in read_turns(content):
        turn_message = message.messages.messages.add(
            role=_clean(turn.role), name=_clean(turn.name), tool_call_id=_clean(turn.tool_call_id)
        )
        for part in turn.parts:
            if part.kind == "text":
                turn_message.parts.add(text=_clean(part.text))
            elif part.kind == "reasoning":
                turn_message.parts.add(reasoning=_clean(part.text))
            else:
                import hashlib

                digest = "sha256:" + hashlib.sha256(part.data).hexdigest()
                blob = blobs.setdefault(digest, types.Blob(digest=digest, mime=part.mime, inline=part.data))
                if blob.mime != part.mime:
                    digest += f";{part.mime}"
                    blobs.setdefault(digest, types.Blob(digest=digest, mime=part.mime, inline=part.data))
                turn_message.parts.add(blob=types.BlobRef(digest=digest))
        for call in turn.calls:
            turn_message.tool_calls.add(id=_clean(call.id), name=_clean(call.name), arguments=_clean(call.arguments))


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
