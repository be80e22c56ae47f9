"""The messages between processes of one host: frames of JSON and bytes. Reading them runs no code.

A frame is two lengths, a head in JSON, and the bytes that the head counts. Rollouts are encoded one by one, so that one
that cannot be read costs no other anything. Numbers arrive exactly.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

from trainer_client._errors import (
    BlockingCallError,
    RecipeError,
    RequestRejectedError,
    RewardError,
    RolloutError,
    ServerUnavailableError,
    StateError,
)
from trainer_client._transport.encoding import plain_value
from trainer_client.contract.aspect_names import AspectNames
from trainer_client.contract.v1 import reward_service_pb2 as service
from trainer_client.contract.v1 import types_pb2 as types
from trainer_client.recipe.recipe import Recipe
from trainer_client.result.batch import Batch, Labels
from trainer_client.result.details import result_at
from trainer_client.result.outcomes import ClientOutcome, OutcomeStore
from trainer_client.result.rollout_result import RolloutResult
from trainer_client.result.table import IncompleteBatchError
from trainer_client.result.verifiers import VerifierId, VerifierInfo
from trainer_client.rollout.types import Document, Rollout

_LENGTHS = struct.Struct("!QQ")
_MAX_BYTES = 1 << 33
"""Far above any frame of ours: what is longer is none."""

_ERRORS: dict[str, type[RewardError]] = {
    kind.__name__: kind
    for kind in (
        BlockingCallError,
        RecipeError,
        RequestRejectedError,
        RewardError,
        RolloutError,
        ServerUnavailableError,
        StateError,
    )
}

Head: TypeAlias = list[Any]
Token: TypeAlias = int


class Frame(NamedTuple):
    """A message: what it is and says, and the bytes that belong to it."""

    head: Head
    body: memoryview


def pack(head: Head, parts: Sequence[bytes] = ()) -> bytes:
    """A frame as bytes."""
    header = _ENCODER.encode(head).encode()
    size = sum(map(len, parts))
    return b"".join((_LENGTHS.pack(len(header), size), header, *parts))


class Reader:
    """Cuts received bytes into frames."""

    def __init__(self) -> None:
        self._held = bytearray()

    def feed(self, data: bytes) -> Iterator[Frame]:
        """Take bytes; yield the frames that are whole.

        Raises:
            ValueError: it is no frame.
        """
        self._held += data
        while len(self._held) >= _LENGTHS.size:
            header_size, size = _LENGTHS.unpack_from(self._held)
            end = _LENGTHS.size + header_size + size
            if end > _MAX_BYTES:
                raise ValueError(f"a frame of {end} bytes")
            if len(self._held) < end:
                return
            frame = bytes(memoryview(self._held)[:end])
            del self._held[:end]
            head = json.loads(frame[_LENGTHS.size : _LENGTHS.size + header_size])
            if not isinstance(head, list) or not head:
                raise ValueError("a frame without a kind")
            yield Frame(head, memoryview(frame)[_LENGTHS.size + header_size :])


# Rollouts


def pack_rollout(rollout: Rollout) -> bytes:
    """Everything of a rollout that servers are told.

    Raises:
        TypeError: it holds a value that has no JSON form.
        ValueError: it holds NaN, an infinity, or itself.
        RecursionError: it is nested too deeply.
    """
    documents = [(document.id, document.text, document.title, document.uri) for document in rollout.documents]
    return _STRICT.encode(
        (
            rollout.rollout_id,
            rollout.prompt,
            rollout.response,
            rollout.group_id,
            rollout.task,
            rollout.reference,
            rollout.metadata,
            rollout.finish_reason,
            documents,
            rollout.token_ids,
        )
    ).encode()


def unpack_rollout(data: memoryview) -> Rollout:
    """The rollout of `pack_rollout`.

    Raises:
        ValueError: it is none.
        RecursionError: it is nested too deeply.
    """
    name, prompt, response, group, task, reference, metadata, reason, documents, token_ids = json.loads(bytes(data))
    documents_read = tuple(Document(*fields) for fields in documents)
    return Rollout(name, prompt, response, group, task, reference, metadata, reason, documents_read, token_ids)


def pack_score(labels: Labels, tokens: Sequence[Token], rollouts: Sequence[bytes]) -> bytes:
    """The question for the scores of rollouts."""
    return pack(["score", list(labels), list(tokens), list(map(len, rollouts))], rollouts)


def split(body: memoryview, sizes: Sequence[int]) -> list[memoryview]:
    """The parts of a frame's bytes."""
    parts, at = [], 0
    for size in sizes:
        parts.append(body[at : at + size])
        at += size
    return parts


# Results


def pack_results(tokens: Sequence[Token], results: Sequence[RolloutResult | IncompleteBatchError]) -> bytes:
    """The results of rollouts of one batch, with all details."""
    parts: list[bytes] = []
    lines = []
    batch: Batch | None = None
    for token, result in zip(tokens, results, strict=True):
        if isinstance(result, RolloutResult):
            batch = result._batch
            lines.append([token, result.reward, "", *_cells(batch.store, result._row, parts)])
        else:
            lines.append([token, None, str(result.args[0]), *_cells(result.table._store, 0, parts)])
    store = batch.store if batch is not None else results[0].table._store  # type: ignore[union-attr]
    floors = list(batch.floors.items()) if batch is not None else []
    versions = [[list(identity) for identity in identities.values()] for identities in store.versions]
    return pack(["done", versions, [names.names for names in store.aspects], floors, lines], parts)


def _cells(store: OutcomeStore, row: int, parts: list[bytes]) -> list[Any]:
    cells: list[Any] = []
    for cell in range(row * store.width, (row + 1) * store.width):
        source, length = store.sources[cell], 0
        outcome = None
        if isinstance(source, ClientOutcome):
            outcome = list(source)
        elif source is not None:
            if isinstance(source, service.ResultColumns):
                source = result_at(source, store.places[cell])
            data = source.SerializeToString() if isinstance(source, types.Result) else source
            length = len(data)
            parts.append(data)
        score = store.scores[cell]
        code = store.code_names[store.codes[cell]]
        cells += (store.state[cell], score, code, store.parties[cell], outcome or length)
    return cells


def tokens_of(frame: Frame) -> list[Token]:
    """What the results in a frame of `pack_results` belong to."""
    *_, lines = frame.head
    return [line[0] for line in lines]


def unpack_results(
    frame: Frame, rollouts_by_token: Mapping[Token, Rollout], recipe: Recipe, labels: Labels
) -> Iterator[tuple[Token, RolloutResult, str]]:
    """The results in a frame.

    Args:
        frame: from `pack_results`.
        rollouts_by_token: the rollouts that are waited for. Results of others are left out.
        recipe: the recipe that was asked.
        labels: what it was labelled with.

    Yields:
        Token, result, and the message of an error when the recipe ends the run for a score that is missing.
    """
    _, versions, aspects, floors, lines = frame.head
    width = len(recipe.rewards)
    store = OutcomeStore(len(lines), width)
    store.versions = [{fields[2]: _verifier(fields) for fields in identities} for identities in versions]
    store.aspects = [AspectNames(names) for names in aspects]
    rollouts: list[Any] = [rollouts_by_token.get(line[0]) for line in lines]
    at = cell = 0
    for line in lines:
        for place in range(3, len(line), 5):
            state, score, code, party, source = line[place : place + 5]
            store.state[cell] = state
            store.scores[cell] = score
            store.codes[cell] = store.number_of(code)
            store.parties[cell] = party
            if isinstance(source, list):
                store.sources[cell] = ClientOutcome(*source)
            elif source:
                store.sources[cell] = bytes(frame.body[at : at + source])
                at += source
            cell += 1
    batch = Batch(rollouts, recipe, store, labels, 0.0, {}, {int(column): floor for column, floor in floors})
    for row, line in enumerate(lines):
        if rollouts[row] is not None:
            yield line[0], RolloutResult(batch, row, line[1]), line[2]


# Errors, and facts about verifiers


def pack_error(tokens: Sequence[Token], error: BaseException) -> bytes:
    """An error that tokens get instead of a result."""
    kind = type(error).__name__
    if kind not in _ERRORS or not isinstance(error, RewardError):
        return pack(["failed", list(tokens), "RewardError", [f"{kind}: {error}"]])
    return pack(["failed", list(tokens), kind, [arg for arg in error.args if _is_plain(arg)]])


def unpack_error(kind: str, arguments: Sequence[Any]) -> RewardError:
    """The error of `pack_error`."""
    return _ERRORS[kind](*(tuple(argument) if isinstance(argument, list) else argument for argument in arguments))


def _is_plain(value: Any) -> bool:
    return value is None or isinstance(value, str | int | float) or (isinstance(value, tuple) and _are_texts(value))


def _are_texts(values: tuple[Any, ...]) -> bool:
    return bool(values) and all(isinstance(value, str) for value in values)


def pack_facts(token: Token, facts: Mapping[str, VerifierInfo]) -> bytes:
    """The servers' facts about each reward's verifier."""
    return pack(["facts", token, {name: [list(info.id), *info[1:]] for name, info in facts.items()}])


def unpack_facts(infos: Mapping[str, Sequence[Any]]) -> dict[str, VerifierInfo]:
    """The facts of `pack_facts`."""
    return {name: VerifierInfo(_verifier(info[0]), *info[1:]) for name, info in infos.items()}


def _verifier(fields: Sequence[Any]) -> VerifierId:
    name, version, digest, aspects = fields
    return VerifierId(name, version, digest, tuple(aspects))


_ENCODER = json.JSONEncoder(separators=(",", ":"), default=plain_value)
_STRICT = json.JSONEncoder(separators=(",", ":"), allow_nan=False, default=plain_value)
