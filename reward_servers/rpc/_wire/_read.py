"""From messages to the core's types."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import fields
from typing import Any

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
    ToolCall,
    shown,
)
from trainer_client.contract.v1 import types_pb2

_PART = 128
"""Rollouts that are read at a time: few enough that their texts are judged while the processor's caches hold them."""
_PIECES = 16_384
"""Messages, parts or documents of one rollout or prompt."""


class GroupReader:
    """Reads the groups of one call, part by part."""

    def __init__(self) -> None:
        self._seen: set[int] = set()
        self._blobs: dict[str, tuple[bytes, str]] = {}

    def take_blobs(self, messages: Iterable[types_pb2.Blob]) -> None:
        """Take the blobs that parts refer to.

        Raises:
            RequestError: A blob does not hold its bytes.
        """
        for place, blob in enumerate(messages):
            if blob.WhichOneof("content") != "inline":
                raise RequestError(f"blobs[{place}].uri: blobs are taken inline only; send the bytes in `inline`")
            self._blobs[blob.digest] = (blob.inline, blob.mime)

    def read(self, messages: Iterable[types_pb2.Group]) -> tuple[list[Group], list[int]]:
        """Read groups.

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
    """Cut groups into parts of some dozens of rollouts."""
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
    """Read the evaluations of a request."""
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


class _WireRollout(Rollout):
    """A rollout that reads what is seldom asked for from its message when it is asked for."""

    __slots__ = ("_message",)
    _message: types_pb2.Rollout

    def __getattr__(self, name: str) -> Any:
        """Read a field that was not set."""
        if name not in _READ_LATER:
            raise AttributeError(f"a rollout has no {name!r}")
        value = _READ_LATER[name](self._message)
        setattr(self, name, value)
        return value

    def __reduce__(self) -> tuple[type[Rollout], tuple[Any, ...]]:
        """Travel as a plain rollout."""
        return Rollout, tuple(getattr(self, one.name) for one in fields(Rollout))


_READ_LATER: Mapping[str, Callable[[types_pb2.Rollout], Any]] = {
    "rollout_id": lambda message: message.rollout_id,
    "finish_reason": lambda message: message.finish_reason,
    "own_reference": lambda message: message.reference_json,
    "token_ids": lambda message: tuple(message.token_ids),
    "metadata_json": lambda message: message.metadata_json,
}


def _read_rollout(
    message: types_pb2.Rollout, context: PromptContext, blobs: Mapping[str, tuple[bytes, str]]
) -> Rollout:
    rollout = _WireRollout.__new__(_WireRollout)
    response, documents = message.response, message.documents
    rollout.content = response.text or _read_content(response, blobs)
    rollout.prompt_context = context
    # Read here, since blobs that are not there are the whole call's fault.
    rollout.own_documents = _read_documents(documents, blobs) if documents else ()
    rollout._message = message
    return rollout


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
