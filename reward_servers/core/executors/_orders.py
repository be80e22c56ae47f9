"""What a server tells its worker processes: which verifiers to set up, and what to judge.

Pickles of plain tuples, since a worker trusts its server, and behind them rollouts as their caller has sent them.
"""

from __future__ import annotations

import importlib
import pickle
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from reward_servers.core._model import Group, PromptContext, Rollout
from reward_servers.core._stretch import Stretch, Units
from reward_servers.core._work import Job, Unit
from reward_servers.core.executors._frames import frame


@dataclass(frozen=True, slots=True)
class WorkerSpec:
    """One verifier that a worker is to set up.

    Attributes:
        path: Import path of the verifier.
        settings: Its settings as JSON.
        cpu: CPU seconds of an item at most.
        memory: Bytes that an item may take beyond the idle worker; 0 for no bound.
        code: Digest of the code that it must have; empty where the worker cannot have any other.
    """

    path: str
    settings: bytes
    cpu: float
    memory: int
    code: str = ""


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


_AskedTuple = tuple[bytes, float, int, float | None]


def _question_of(job: Job) -> _AskedTuple:
    return job.options, job.max_cpu_s, job.seed, job.deadline


def encode_chunk(number: int, hosting: int, units: Units) -> list[bytes]:
    """A chunk of one verifier, in pieces to be written one after the other."""
    return (
        _encode_stretch(number, hosting, units)
        if isinstance(units, Stretch)
        else [_encode_units(number, hosting, units)]
    )


def _encode_stretch(number: int, hosting: int, stretch: Stretch) -> list[bytes]:
    """Rollouts as they came, behind a head that says how to read them."""
    pieces = stretch.pieces()
    lengths = list(map(len, pieces))
    head = pickle.dumps(("read", number, hosting, _question_of(stretch.job), stretch.reader, lengths), protocol=5)
    return [frame(head, pieces), *pieces]


def _encode_units(number: int, hosting: int, units: Sequence[Unit]) -> bytes:
    """Units one by one; what a group shares travels once, and so does what a job asks."""
    jobs_asked: list[_AskedTuple] = []
    jobs: dict[int, int] = {}
    shared: list[_ContextTuple] = []
    items: list[tuple[Any, ...]] = []
    context, place = None, -1
    for unit in units:
        subject, job = unit.subject, unit.job
        position = jobs.setdefault(id(job), len(jobs_asked))
        if position == len(jobs_asked):
            jobs_asked.append(_question_of(job))
        if subject.prompt_context is not context:
            context, place = subject.prompt_context, len(shared)
            shared.append(
                (
                    context.group_id,
                    context.prompt,
                    context.reference,
                    context.documents,
                    context.size,
                    context.reasoning_marks,
                )
            )
        if isinstance(subject, Group):
            items.append((place, [_rollout(rollout) for rollout in subject.rollouts], position))
        else:
            items.append((place, _rollout(subject), position))
    return frame(pickle.dumps(("run", number, hosting, jobs_asked, shared, items), protocol=5))


@dataclass(frozen=True, slots=True)
class ChunkItem:
    """An item of a chunk.

    Attributes:
        subject: What is judged.
        options: Options as JSON.
        max_cpu_s: CPU seconds that it may take.
        seed: Seed of the run.
        deadline: When the caller stops waiting, on the monotonic clock; None for never.
    """

    subject: Rollout | Group
    options: bytes
    max_cpu_s: float
    seed: int
    deadline: float | None


@dataclass(frozen=True, slots=True)
class Order:
    """What a server tells a worker.

    Attributes:
        number: The chunk that it is about.
        last: The last place of that chunk that is to be run; None for a new chunk.
        hosting: The verifier that a new chunk is for.
        items: Gives the items of a new chunk, in order.
    """

    number: int
    last: int | None = None
    hosting: int = 0
    items: Callable[[], list[ChunkItem]] = list


def drop_after(number: int, place: int) -> bytes:
    """Tell a worker which item of a chunk is the last that it is to run."""
    return frame(pickle.dumps(("drop", number, place), protocol=5))


def read_order(payload: bytes) -> Order:
    """Read a message of the server."""
    kind, number, *fields = pickle.loads(payload)  # noqa: S301 - our own server
    if kind == "drop":
        return Order(number, last=fields[0])
    hosting, *fields = fields
    if kind == "read":
        return Order(number, None, hosting, lambda: _read_stretch(payload, *fields))
    return Order(number, None, hosting, lambda: _decode_units(*fields))


@cache
def _reader(path: str) -> Callable[[bytes], list[Rollout]]:
    module, _, name = path.partition(":")
    reader: Callable[[bytes], list[Rollout]] = getattr(importlib.import_module(module), name)
    return reader


def _read_stretch(payload: bytes, question: _AskedTuple, reader: str, lengths: Sequence[int]) -> list[ChunkItem]:
    reader_function, start = _reader(reader), len(payload) - sum(lengths)
    items: list[ChunkItem] = []
    for length in lengths:
        items += [ChunkItem(rollout, *question) for rollout in reader_function(payload[start : start + length])]
        start += length
    return items


def _decode_units(
    questions: Sequence[_AskedTuple], shared: Sequence[_ContextTuple], items: Sequence[tuple[Any, ...]]
) -> list[ChunkItem]:
    contexts = [PromptContext(*values) for values in shared]
    decoded: list[ChunkItem] = []
    for place, payload, position in items:
        context = contexts[place]
        subject: Rollout | Group
        if isinstance(payload, list):
            subject = Group(context, [Rollout(values[0], context, *values[1:]) for values in payload])
        else:
            subject = Rollout(payload[0], context, *payload[1:])
        decoded.append(ChunkItem(subject, *questions[position]))
    return decoded
