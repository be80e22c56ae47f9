"""Between messages and the core's types: the only module of the server that reads or builds messages."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence

from google.protobuf.duration_pb2 import Duration

from reward_servers.core import (
    Admission,
    BoundVerifier,
    Content,
    Cost,
    Document,
    Evaluation,
    Fault,
    Group,
    Message,
    Part,
    Party,
    PromptContext,
    RequestError,
    Result,
    Rollout,
    Skip,
    SkipReason,
    Step,
    ToolCall,
    Verdict,
    schema_of,
    shown,
)
from trainer_client.contract.v1 import reward_service_pb2 as service_pb2
from trainer_client.contract.v1 import types_pb2

__all__ = [
    "AspectNames",
    "GroupReader",
    "add_results",
    "count_rollouts",
    "describe",
    "fill_result",
    "identity",
    "load",
    "parts",
    "read_evaluations",
]

_PARTIES = {
    Party.DATASET: types_pb2.PARTY_DATASET,
    Party.SERVICE: types_pb2.PARTY_SERVICE,
    Party.UPSTREAM: types_pb2.PARTY_UPSTREAM,
    Party.CALLER: types_pb2.PARTY_CALLER,
}
_REASONS = {
    SkipReason.DEADLINE: types_pb2.SKIP_REASON_DEADLINE,
    SkipReason.NOT_NEEDED: types_pb2.SKIP_REASON_NOT_NEEDED,
    SkipReason.OVERLOADED: types_pb2.SKIP_REASON_OVERLOADED,
}
_COSTS = {
    Cost.TRIVIAL: service_pb2.COST_CLASS_TRIVIAL,
    Cost.CPU: service_pb2.COST_CLASS_CPU,
    Cost.SANDBOX: service_pb2.COST_CLASS_SANDBOX,
    Cost.NETWORK: service_pb2.COST_CLASS_NETWORK,
    Cost.DEVICE: service_pb2.COST_CLASS_DEVICE,
}
_UNITS = {"character": types_pb2.STEP_UNIT_CHARACTER, "token": types_pb2.STEP_UNIT_TOKEN}
_LONGEST_US = (1 << 32) - 1
_PART = 128
"""Rollouts that are read at a time: few enough that their texts are judged while the processor's caches hold them."""


_PIECES = 16_384
"""Messages, parts or documents of one rollout or prompt."""


def _duration(seconds: float) -> Duration:
    duration = Duration()
    duration.FromNanoseconds(int(seconds * 1e9))
    return duration


class GroupReader:
    """Reads the groups of one call, part by part."""

    def __init__(self) -> None:
        self._seen: set[int] = set()
        self._blobs: dict[str, tuple[bytes, str]] = {}

    def take_blobs(self, messages: Iterable[types_pb2.Blob]) -> None:
        """Takes the blobs that parts refer to.

        Raises:
            RequestError: A blob does not hold its bytes.
        """
        for place, blob in enumerate(messages):
            if blob.WhichOneof("content") != "inline":
                raise RequestError(f"blobs[{place}].uri: blobs are taken inline only; send the bytes in `inline`")
            self._blobs[blob.digest] = (blob.inline, blob.mime)

    def read(self, messages: Iterable[types_pb2.Group]) -> tuple[list[Group], list[int]]:
        """Reads groups.

        Args:
            messages: The groups.

        Returns:
            The groups, and the caller's index of each rollout in order.

        Raises:
            RequestError: A field is wrong; the message names it.
        """
        blobs = self._blobs
        groups: list[Group] = []
        indices: list[int] = []
        for group in messages:
            context = PromptContext(
                group.group_id,
                _read_content(group.prompt, blobs),
                group.reference_json,
                _read_documents(group.documents, blobs) if group.documents else (),
                group.size,
                _read_marks(group.reasoning_marks) if group.reasoning_marks else (),
            )
            rollouts: list[Rollout] = []
            for rollout in group.rollouts:
                indices.append(rollout.index)
                rollouts.append(_read_rollout(rollout, context, blobs))
            groups.append(Group(context, rollouts))
        self._use(indices)
        return groups, indices

    def _use(self, indices: Sequence[int]) -> None:
        seen = self._seen
        before = len(seen)
        seen.update(indices)
        if len(seen) - before == len(indices):
            return
        counts = Counter(indices)
        twice = next((index for index in indices if counts[index] > 1), indices[0])
        raise RequestError(f"groups: index {twice} is used twice; indices are unique in a call")


def count_rollouts(messages: Iterable[types_pb2.Group]) -> int:
    """The number of rollouts in groups."""
    return sum(len(group.rollouts) for group in messages)


def parts(messages: Iterable[types_pb2.Group]) -> Iterator[list[types_pb2.Group]]:
    """Cuts groups into parts of some dozens of rollouts."""
    part: list[types_pb2.Group] = []
    held = 0
    for group in messages:
        part.append(group)
        held += len(group.rollouts) or 1
        if held >= _PART:
            yield part
            part, held = [], 0
    if part:
        yield part


def read_evaluations(messages: Iterable[types_pb2.Evaluation]) -> tuple[Evaluation, ...]:
    """Reads the evaluations of a request."""
    return tuple(
        Evaluation(
            one.verifier,
            one.version_constraint,
            one.expected_digest,
            one.options_json,
            one.item_limit.ToNanoseconds() / 1e9 if one.HasField("item_limit") else None,
        )
        for one in messages
    )


def _read_rollout(
    message: types_pb2.Rollout, context: PromptContext, blobs: Mapping[str, tuple[bytes, str]]
) -> Rollout:
    documents, token_ids = message.documents, message.token_ids
    response = message.response
    return Rollout(
        response.text or _read_content(response, blobs),
        context,
        message.rollout_id,
        message.finish_reason,
        message.reference_json,
        _read_documents(documents, blobs) if documents else (),
        tuple(token_ids) if token_ids else (),
        message.metadata_json,
    )


def _read_marks(messages: Iterable[types_pb2.ReasoningMarks]) -> tuple[tuple[str, str], ...]:
    marks = tuple((one.open, one.close) for one in messages)
    for place, pair in enumerate(marks):
        if not all(mark.strip() for mark in pair) or pair[0] == pair[1]:
            raise RequestError(f"groups.reasoning_marks[{place}]: open and close are two different texts, not blank")
    return marks


def _read_content(message: types_pb2.Content, blobs: Mapping[str, tuple[bytes, str]]) -> Content:
    if message.WhichOneof("form") != "messages":
        return message.text
    _check_pieces("messages", len(message.messages.messages))
    _check_pieces("parts", sum(len(one.parts) + len(one.tool_calls) for one in message.messages.messages))
    return tuple(
        Message(
            one.role,
            tuple(_read_part(part, blobs) for part in one.parts),
            one.name,
            tuple(ToolCall(call.id, call.name, call.arguments) for call in one.tool_calls),
            one.tool_call_id,
        )
        for one in message.messages.messages
    )


def _read_part(message: types_pb2.Part, blobs: Mapping[str, tuple[bytes, str]]) -> Part:
    kind = message.WhichOneof("content")
    if kind == "reasoning":
        return Part("reasoning", message.reasoning)
    if kind == "blob":
        data, mime = _blob(message.blob.digest, blobs)
        return Part("blob", data=data, mime=mime)
    return Part("text", message.text)


def _blob(digest: str, blobs: Mapping[str, tuple[bytes, str]]) -> tuple[bytes, str]:
    if digest not in blobs:
        raise RequestError(f"blobs: none has digest {shown(digest)}; send every blob that parts refer to")
    return blobs[digest]


def _check_pieces(name: str, count: int) -> None:
    if count > _PIECES:
        raise RequestError(f"groups: {count} {name} in one place, the limit is {_PIECES}")


def _read_documents(
    messages: Sequence[types_pb2.Document], blobs: Mapping[str, tuple[bytes, str]]
) -> tuple[Document, ...]:
    _check_pieces("documents", len(messages))
    documents = []
    for one in messages:
        text = one.text
        if one.WhichOneof("content") == "blob":
            text = _blob(one.blob.digest, blobs)[0].decode("utf-8", "replace")
        documents.append(Document(one.id, text, one.title, one.uri))
    return tuple(documents)


class AspectNames:
    """Gives each aspect name of a verifier its position in the response's header."""

    def __init__(self, declared: Iterable[str] = ()) -> None:
        self.places = {name: place for place, name in enumerate(declared)}

    def place(self, name: str) -> int:
        """The position of a name, which is added when it is new."""
        return self.places.setdefault(name, len(self.places))


def add_results(
    response: service_pb2.ScoreResponse, indices: Iterable[int], evaluations: int
) -> list[types_pb2.Result]:
    """Adds empty results to a response, in the order of rollouts and then of evaluations, to be filled later."""
    add, places = response.results.add, []
    for index in indices:
        for evaluation in range(evaluations):
            place = add(index=index)
            if evaluation:
                place.evaluation = evaluation
            places.append(place)
    return places


def fill_result(message: types_pb2.Result, result: Result, names: AspectNames) -> None:
    """Fills the message of one result, all but which item it belongs to."""
    message.queue_us = result.queue_us if result.queue_us < _LONGEST_US else _LONGEST_US
    message.run_us = result.run_us if result.run_us < _LONGEST_US else _LONGEST_US
    if result.cached:
        message.cached = True
    outcome = result.outcome
    if isinstance(outcome, Verdict):
        verdict = message.verdict
        verdict.score = outcome.score
        verdict.code = outcome.code
        if not outcome.plain:
            _fill_details(verdict, outcome, names)
    elif isinstance(outcome, Fault):
        _fill_fault(message.fault, outcome)
    else:
        _fill_skip(message.skip, outcome)
    usage = result.usage
    if usage is not None and (usage.cpu_us or usage.upstream_calls):
        message.usage.cpu_us = usage.cpu_us
        if usage.upstream_calls:
            message.usage.upstream_calls = usage.upstream_calls
            message.usage.input_tokens = usage.input_tokens
            message.usage.output_tokens = usage.output_tokens


def _fill_details(message: types_pb2.Verdict, verdict: Verdict, names: AspectNames) -> None:
    for name, value in verdict.aspects:
        message.aspects.add(name=names.place(name), value=value)
    for step in verdict.steps:
        _fill_step(message.steps.add(), step)
    if verdict.note:
        message.note = verdict.note
    if verdict.evidence:
        message.evidence_json = verdict.evidence
    if verdict.feedback:
        message.feedback_json = verdict.feedback


def _fill_step(message: types_pb2.StepScore, step: Step) -> None:
    message.message, message.start, message.end = step.message, step.start, step.end
    message.unit = _UNITS.get(step.unit, types_pb2.STEP_UNIT_UNSPECIFIED)
    if step.score is not None:
        message.score = step.score


def _fill_fault(message: types_pb2.Fault, fault: Fault) -> None:
    message.party = _PARTIES[fault.party]
    message.code, message.message, message.retryable = fault.code, fault.message, fault.retryable
    if fault.retry_after is not None:
        message.retry_after.CopyFrom(_duration(fault.retry_after))


def _fill_skip(message: types_pb2.Skip, skip: Skip) -> None:
    message.reason = _REASONS[skip.reason]
    if skip.retry_after is not None:
        message.retry_after.CopyFrom(_duration(skip.retry_after))


def identity(hosted: BoundVerifier | None, name: str, aspects: AspectNames) -> types_pb2.VerifierIdentity:
    """The header entry of an evaluation; a verifier that is not hosted has a name only."""
    if hosted is None:
        return types_pb2.VerifierIdentity(name=name)
    who = hosted.identity
    return types_pb2.VerifierIdentity(
        name=who.name, version=who.version, digest=who.digest, aspects=list(aspects.places)
    )


def load(admission: Admission, draining: bool) -> types_pb2.ServerLoad:
    """How busy the server is."""
    return types_pb2.ServerLoad(
        items_in_flight=max(0, admission.items),
        bytes_in_flight=max(0, admission.bytes),
        items_limit=admission.limits.items,
        bytes_limit=admission.limits.bytes,
        draining=draining,
    )


def describe(hosted: BoundVerifier, origin: str) -> service_pb2.VerifierInfo:
    """Everything a caller can know about a verifier."""
    verifier, limits = hosted.verifier, hosted.limits
    return service_pb2.VerifierInfo(
        identity=identity(hosted, verifier.name, AspectNames(verifier.aspects)),
        description=verifier.description,
        scope=service_pb2.SCOPE_GROUP if verifier.scope == "group" else service_pb2.SCOPE_ROLLOUT,
        deterministic=verifier.deterministic,
        cost_class=_COSTS[verifier.cost],
        score_min=verifier.low,
        score_max=verifier.high,
        floor=verifier.floor,
        reference_schema_json=schema_of(verifier.reference),
        options_schema_json=schema_of(verifier.options),
        limits=service_pb2.ItemLimits(
            cpu=_duration(limits.cpu),
            wall=_duration(limits.wall),
            memory_bytes=limits.memory,
            response_bytes=limits.response,
        ),
        origin=origin,
    )
