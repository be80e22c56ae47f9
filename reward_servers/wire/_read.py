"""From messages to the core's types."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from itertools import accumulate
from typing import Any, ClassVar

from reward_servers.core import (
    Content,
    Document,
    Evaluation,
    Group,
    Message,
    Part,
    PromptContext,
    RequestError,
    Rollout,
    Source,
    ToolCall,
    quoted,
)
from trainer_client.contract.v1 import types_pb2

_PART = 64
"""Rollouts that are read at a time: few enough that their texts are judged while the processor's caches hold them."""
_PIECES = 16_384
"""Messages, parts or documents of one rollout or prompt."""


@dataclass(frozen=True, slots=True)
class ReadGroups:
    """Groups that were read.

    Attributes:
        groups: The groups.
        indices: The caller's index of each rollout, in order.
        source: The rollouts for worker processes that read them by themselves; None where they cannot.
    """

    groups: Sequence[Group]
    indices: Sequence[int]
    source: Source | None = None


class GroupReader:
    """Reads the groups of one call, part by part."""

    def __init__(self) -> None:
        self._seen: set[int] = set()
        self._blobs: dict[str, tuple[bytes, str]] = {}

    def take_blobs(self, messages: Iterable[types_pb2.Blob]) -> None:
        """Take the blobs that parts refer to.

        Raises:
            RequestError: A blob does not hold its bytes, or has the digest of another one.
        """
        for place, blob in enumerate(messages):
            if blob.WhichOneof("content") != "inline":
                raise RequestError(f"blobs[{place}].uri: blobs are taken inline only; send the bytes in `inline`")
            blob_fields = (blob.inline, blob.mime)
            if self._blobs.setdefault(blob.digest, blob_fields) != blob_fields:
                raise RequestError(f"blobs[{place}].digest: {quoted(blob.digest)} names two different blobs")

    def read(self, messages: Sequence[types_pb2.Group], *, later: bool = False) -> ReadGroups:
        """Read groups.

        Args:
            messages: The groups.
            later: Whether groups that hold nothing but texts are read only where they are looked at, and given with
                what worker processes can read by themselves.

        Returns:
            What has been read.

        Raises:
            RequestError: A field is wrong; the message names it.
        """
        if later and (texts := _texts_only(messages)) is not None:
            self._use(texts.indices)
            return texts
        blobs = self._blobs
        groups: list[Group] = []
        indices: list[int] = []
        for group in messages:
            context, rollouts = _read_context(group, blobs), list(group.rollouts)
            indices += [rollout.index for rollout in rollouts]
            groups.append(Group(context, _read_rollouts(rollouts, context, blobs)))
        self._use(indices)
        return ReadGroups(groups, indices)

    def _use(self, indices: Sequence[int]) -> None:
        indices_seen = self._seen
        before = len(indices_seen)
        indices_seen.update(indices)
        if len(indices_seen) - before == len(indices):
            return
        counts = Counter(indices)
        twice = next((index for index in indices if counts[index] > 1), indices[0])
        raise RequestError(f"groups: index {twice} is used twice; indices are unique in a call")


def count_rollouts(messages: Iterable[types_pb2.Group]) -> int:
    """The number of rollouts in groups."""
    return sum(len(group.rollouts) for group in messages)


def parts(messages: Iterable[types_pb2.Group]) -> Iterator[list[types_pb2.Group]]:
    """Cut groups into parts of some dozens of rollouts."""
    part: list[types_pb2.Group] = []
    count = 0
    for group in messages:
        part.append(group)
        count += len(group.rollouts) or 1
        if count >= _PART:
            yield part
            part, count = [], 0
    if part:
        yield part


def read_evaluations(messages: Iterable[types_pb2.Evaluation]) -> tuple[Evaluation, ...]:
    """Read the evaluations of a request."""
    return tuple(
        Evaluation(
            message.verifier,
            message.version_constraint,
            message.expected_digest,
            message.options_json,
            message.item_limit.ToNanoseconds() / 1e9 if message.HasField("item_limit") else None,
        )
        for message in messages
    )


def _read_context(message: types_pb2.Group, blobs: Mapping[str, tuple[bytes, str]]) -> PromptContext:
    if not len(message.documents) and not message.prompt.HasField("messages"):
        context = _WireContext.__new__(_WireContext)
        context.reference = message.reference_json
        marks = message.reasoning_marks
        context.reasoning_marks = _read_marks(marks) if len(marks) else ()
        context._message = message
        return context
    return PromptContext(
        message.group_id,
        _read_content(message.prompt, blobs),
        message.reference_json,
        _read_documents(message.documents, blobs) if message.documents else (),
        message.size,
        _read_marks(message.reasoning_marks) if message.reasoning_marks else (),
    )


class _ReadLater:
    """What few verifiers ask for is read from the message when it is asked for."""

    __slots__ = ()
    _message: Any
    _plain: ClassVar[type]
    _called: ClassVar[str]
    _later: ClassVar[Mapping[str, Callable[[Any], Any]]]

    def __getattr__(self, name: str) -> Any:
        """Read a field that was not set."""
        if name not in self._later:
            raise AttributeError(f"a {self._called} has no {name!r}")
        value = self._later[name](self._message)
        setattr(self, name, value)
        return value

    def __reduce__(self) -> tuple[type, tuple[Any, ...]]:
        """Travel as a plain one."""
        return self._plain, tuple(getattr(self, field.name) for field in fields(self._plain))


class _WireContext(_ReadLater, PromptContext):
    """What rollouts share, of texts alone."""

    __slots__ = ("_message",)
    _message: types_pb2.Group
    _plain = PromptContext
    _called = "prompt"
    _later: ClassVar[Mapping[str, Callable[[types_pb2.Group], Any]]] = {
        "group_id": lambda message: message.group_id,
        "prompt": lambda message: message.prompt.text,
        "documents": lambda message: (),
        "size": lambda message: message.size,
    }


class _WireGroup(Group):
    """A group that is read from its message when it is looked at. Its message can be read without an error."""

    __slots__ = ("message",)
    message: types_pb2.Group

    def __getattr__(self, name: str) -> Any:
        """Read what was not set."""
        if name == "prompt_context":
            self.prompt_context = _read_context(self.message, {})
            return self.prompt_context
        if name == "rollouts":
            self.rollouts = _read_rollouts(self.message.rollouts, self.prompt_context, {})
            return self.rollouts
        raise AttributeError(f"a group has no {name!r}")

    def __len__(self) -> int:
        """The number of rollouts that are present."""
        return len(self.message.rollouts)


class _Messages:
    """Rollouts of some groups as their messages: a source for worker processes."""

    reader = f"{__name__}:read_rollouts"

    def __init__(self, groups: Sequence[_WireGroup]) -> None:
        self._groups = groups
        self._ends = list(accumulate(map(len, groups)))

    def rollout(self, rank: int) -> Rollout:
        """The rollout with that number."""
        place = bisect_right(self._ends, rank)
        return self._groups[place].rollouts[rank - (self._ends[place - 1] if place else 0)]

    def pieces(self, first: int, last: int) -> list[bytes]:
        """The bytes of rollouts, up to but not including the last: a message for each group."""
        messages: list[bytes] = []
        place = bisect_right(self._ends, first)
        start = self._ends[place - 1] if place else 0
        while start < last:
            end, message = self._ends[place], self._groups[place].message
            if first > start or last < end:
                message = _cut(message, max(0, first - start), last - start)
            if end > start:
                messages.append(message.SerializeToString())
            place, start = place + 1, end
        return messages


def _cut(message: types_pb2.Group, first: int, last: int) -> types_pb2.Group:
    """A group with only some of its rollouts."""
    part = types_pb2.Group(group_id=message.group_id, reference_json=message.reference_json, size=message.size)
    part.prompt.CopyFrom(message.prompt)
    part.rollouts.extend(message.rollouts[first:last])
    return part


def read_rollouts(data: bytes) -> list[Rollout]:
    """Read the rollouts of a group that holds nothing but texts."""
    message = types_pb2.Group.FromString(data)
    return _read_rollouts(message.rollouts, _read_context(message, {}), {})


def _texts_only(messages: Sequence[types_pb2.Group]) -> ReadGroups | None:
    """Groups that hold nothing but texts, which can be read without an error; None where one holds more."""
    indices: list[int] = []
    for message in messages:
        if message.prompt.HasField("messages") or message.documents or message.reasoning_marks:
            return None
        for rollout in message.rollouts:
            if rollout.response.HasField("messages") or rollout.documents:
                return None
            indices.append(rollout.index)
    groups: list[_WireGroup] = []
    for message in messages:
        group = _WireGroup.__new__(_WireGroup)
        group.message = message
        groups.append(group)
    return ReadGroups(groups, indices, _Messages(groups))


class _WireRollout(_ReadLater, Rollout):
    """A rollout whose content alone is read at once."""

    __slots__ = ("_message",)
    _message: types_pb2.Rollout
    _plain = Rollout
    _called = "rollout"
    _later: ClassVar[Mapping[str, Callable[[types_pb2.Rollout], Any]]] = {
        "rollout_id": lambda message: message.rollout_id,
        "finish_reason": lambda message: message.finish_reason,
        "own_reference": lambda message: message.reference_json,
        "token_ids": lambda message: tuple(message.token_ids),
        "metadata_json": lambda message: message.metadata_json,
    }


def _read_rollouts(
    messages: Iterable[types_pb2.Rollout], context: PromptContext, blobs: Mapping[str, tuple[bytes, str]]
) -> list[Rollout]:
    kind, new, rollouts = _WireRollout, _WireRollout.__new__, list[Rollout]()
    for message in messages:
        rollout = new(kind)
        response, documents = message.response, message.documents
        rollout.content = response.text or _read_content(response, blobs)
        rollout.prompt_context = context
        # Read here, since blobs that are not there are the whole call's fault.
        rollout.own_documents = _read_documents(documents, blobs) if len(documents) else ()
        rollout._message = message
        rollouts.append(rollout)
    return rollouts


def _read_marks(messages: Iterable[types_pb2.ReasoningMarks]) -> tuple[tuple[str, str], ...]:
    marks = tuple((message.open, message.close) for message in messages)
    for place, pair in enumerate(marks):
        if not all(mark.strip() for mark in pair) or pair[0] == pair[1]:
            raise RequestError(f"groups.reasoning_marks[{place}]: open and close are two different texts, not blank")
    return marks


def _read_content(message: types_pb2.Content, blobs: Mapping[str, tuple[bytes, str]]) -> Content:
    if message.WhichOneof("form") != "messages":
        return message.text
    _check_pieces("messages", len(message.messages.messages))
    _check_pieces("parts", sum(len(message.parts) + len(message.tool_calls) for message in message.messages.messages))
    return tuple(
        Message(
            message.role,
            tuple(_read_part(part, blobs) for part in message.parts),
            message.name,
            tuple(ToolCall(call.id, call.name, call.arguments) for call in message.tool_calls),
            message.tool_call_id,
        )
        for message in message.messages.messages
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
        raise RequestError(f"blobs: none has digest {quoted(digest)}; send every blob that parts refer to")
    return blobs[digest]


def _check_pieces(name: str, count: int) -> None:
    if count > _PIECES:
        raise RequestError(f"groups: {count} {name} in one place, the limit is {_PIECES}")


def _read_documents(
    messages: Sequence[types_pb2.Document], blobs: Mapping[str, tuple[bytes, str]]
) -> tuple[Document, ...]:
    _check_pieces("documents", len(messages))
    documents = []
    for message in messages:
        text = message.text
        if message.WhichOneof("content") == "blob":
            text = _blob(message.blob.digest, blobs)[0].decode("utf-8", "replace")
        documents.append(Document(message.id, text, message.title, message.uri))
    return tuple(documents)
