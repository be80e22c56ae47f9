"""What a server and its worker processes say to each other: length-prefixed pickles of plain tuples.

Both ends are the same program on the same machine, and a worker never runs a candidate's program in its own process, so
pickle is safe here. Tuples of plain values cost a third of what pickled objects cost.
"""

from __future__ import annotations

import pickle
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from reward_servers.core._model import Group, PromptContext, Rollout
from reward_servers.core._outcomes import Fault, Outcome, Party, Skip, SkipReason, Usage, Verdict
from reward_servers.core._work import Unit

__all__ = [
    "FrameReader",
    "Hosting",
    "decode_chunk",
    "decode_outcome",
    "decode_usage",
    "encode_chunk",
    "encode_outcome",
    "frame",
]

_HEADER = struct.Struct("<I")


@dataclass(frozen=True, slots=True)
class Hosting:
    """One verifier that a worker is to set up.

    Attributes:
        path: Import path of the verifier.
        settings: Its settings as JSON.
        cpu: CPU seconds of an item at most.
        memory: Bytes that an item may take beyond the idle worker; 0 for no bound.
    """

    path: str
    settings: bytes
    cpu: float
    memory: int


def frame(message: object) -> bytes:
    """One message, ready to be written."""
    payload = pickle.dumps(message, protocol=5)
    return _HEADER.pack(len(payload)) + payload


class FrameReader:
    """Cuts a stream of bytes into messages."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[Any]:
        """Takes bytes as they arrive and yields the messages that they complete."""
        buffer = self._buffer
        buffer += data
        start = 0
        while len(buffer) - start >= 4:
            end = start + 4 + _HEADER.unpack_from(buffer, start)[0]
            if len(buffer) < end:
                break
            yield pickle.loads(memoryview(buffer)[start + 4 : end])  # noqa: S301 - our own worker, see above
            start = end
        if start:
            del buffer[:start]


_ContextTuple = tuple[Any, ...]


def _rollout(rollout: Rollout) -> tuple[Any, ...]:
    return (
        rollout.content,
        rollout.rollout_id,
        rollout.finish_reason,
        rollout.own_reference,
        rollout.own_documents,
        rollout.token_ids,
        rollout.metadata_json,
    )


def encode_chunk(number: int, hosting: int, units: Sequence[Unit]) -> bytes:
    """A chunk of units of one job; what a group shares travels once."""
    job = units[0].job
    seed, deadline = job.seed, job.deadline
    shared: list[_ContextTuple] = []
    items: list[tuple[Any, ...]] = []
    context, place = None, -1
    for unit in units:
        subject = unit.subject
        if subject.prompt_context is not context:
            context, place = subject.prompt_context, len(shared)
            shared.append((context.group_id, context.prompt, context.reference, context.documents, context.size))
        if isinstance(subject, Group):
            items.append((place, [_rollout(rollout) for rollout in subject.rollouts], seed, deadline))
        else:
            items.append((place, _rollout(subject), seed, deadline))
    return frame(("run", number, hosting, job.options, job.cpu_limit, shared, items))


def decode_chunk(
    shared: Sequence[_ContextTuple], items: Sequence[tuple[Any, ...]]
) -> list[tuple[Rollout | Group, int, float | None]]:
    """The subjects of a chunk, each with the seed of its run and its deadline."""
    contexts = [PromptContext(*values) for values in shared]
    decoded: list[tuple[Rollout | Group, int, float | None]] = []
    for place, payload, seed, deadline in items:
        context = contexts[place]
        subject: Rollout | Group
        if isinstance(payload, list):
            subject = Group(context, [Rollout(values[0], context, *values[1:]) for values in payload])
        else:
            subject = Rollout(payload[0], context, *payload[1:])
        decoded.append((subject, seed, deadline))
    return decoded


def encode_outcome(outcome: Outcome) -> tuple[Any, ...]:
    """An outcome as a tuple; its length tells the kinds apart."""
    if isinstance(outcome, Verdict):
        if outcome.plain:
            return (outcome.score, outcome.code)
        return (
            outcome.score,
            outcome.code,
            outcome.aspects,
            outcome.steps,
            outcome.note,
            outcome.evidence,
            outcome.feedback,
        )
    if isinstance(outcome, Fault):
        return (outcome.party.value, outcome.code, outcome.message, outcome.retryable, outcome.retry_after)
    return (outcome.reason.value, outcome.retry_after, None)


def decode_outcome(values: tuple[Any, ...]) -> Outcome:
    """The outcome that a tuple stands for."""
    if len(values) in (2, 7):
        return Verdict(*values)
    if len(values) == 5:
        return Fault(Party(values[0]), *values[1:])
    return Skip(SkipReason(values[0]), values[1])


def decode_usage(values: tuple[int, int, int, int] | None) -> Usage | None:
    """The cost that a tuple stands for."""
    return None if values is None else Usage(*values)
