"""Rollouts of a prompt group ready to send: the parts that they share are encoded once."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from trainer_client._errors import RolloutError
from trainer_client.result.outcomes import ClientOutcome, Outcome, Party
from trainer_client.rollout.content import Content, read_turns
from trainer_client.rollout.types import Rollout

_ROW_BYTES = 64
"""What a message holds beside its texts, generously."""


@dataclass(slots=True)
class EncodedGroup:
    """Rollouts of one prompt.

    Attributes:
        group_id: the group.
        size: number of rollouts of the complete group; 0 when it is not known.
        rows: the rollouts' rows in the batch.
        reference: the reference that all of them share, as JSON.
        references: references by row, when they differ.
        shares_documents: whether all rollouts have the documents of the first.
        head_bytes: size of what travels once.
        row_bytes: size of each rollout, by row.
        all_bytes: size of the whole group.
    """

    group_id: str
    size: int
    rows: list[int]
    reference: bytes = b""
    references: dict[int, bytes] = field(default_factory=dict)
    shares_documents: bool = True
    head_bytes: int = 0
    row_bytes: dict[int, int] = field(default_factory=dict)
    all_bytes: int = 0

    def bytes_of(self, rows: Sequence[int]) -> int:
        """Size of a message with some of the rollouts: an upper bound, but for messages of many small parts."""
        if len(rows) == len(self.rows):
            return self.all_bytes
        return self.head_bytes + sum(map(self.row_bytes.__getitem__, rows))


def encode_groups(
    rollouts: Sequence[Rollout], sizes: Mapping[str, int] | None
) -> tuple[list[EncodedGroup], dict[int, ClientOutcome]]:
    """Gather the rollouts of each prompt and encode what goes on the wire as JSON.

    Args:
        rollouts: the batch.
        sizes: size of each complete group; None: every group of the batch is complete.

    Returns:
        The groups in order of appearance, and the rows that cannot be sent with the reason.

    Raises:
        RolloutError: two rollouts of a group have different prompts, or two rollouts one id.
    """
    rows_of: dict[str, list[int]] = {}
    for row, rollout in enumerate(rollouts):
        rows = rows_of.get(rollout.group_id)
        if rows is None:
            rows_of[rollout.group_id] = [row]
        else:
            rows.append(row)
    if len({rollout.rollout_id for rollout in rollouts}) != len(rollouts):
        _refuse_twin(rollouts)
    unusable: dict[int, ClientOutcome] = {}
    groups: list[EncodedGroup] = []
    for group_id, rows in rows_of.items():
        size = len(rows) if sizes is None else sizes.get(group_id, 0)
        group = EncodedGroup(group_id, size, rows)
        _fill(group, rollouts, unusable)
        groups.append(group)
    return groups, unusable


def _fill(group: EncodedGroup, rollouts: Sequence[Rollout], unusable: dict[int, ClientOutcome]) -> None:
    first = rollouts[group.rows[0]]
    prompt, reference, documents = first.prompt, first.reference, first.documents
    same_reference = same_documents = True
    sizes = group.row_bytes
    for row in group.rows:
        rollout = rollouts[row]
        response = rollout.response
        plain = type(response) is str and response.isascii()
        sizes[row] = _ROW_BYTES + (len(response) if plain else _content_bytes(response)) + 5 * len(rollout.token_ids)
        # Identity first: what a group shares is mostly one object, and this runs for every rollout.
        if rollout.prompt is not prompt and rollout.prompt != prompt:
            raise RolloutError(
                f"differs from that of rollout {first.rollout_id!r}; rollouts of one group answer one prompt",
                "prompt",
                rollout.rollout_id,
            )
        if rollout.reference is not reference and same_reference:
            same_reference = _equal(rollout.reference, reference)
        if rollout.documents is not documents and same_documents:
            same_documents = rollout.documents == documents
    group.shares_documents = same_documents
    group.head_bytes = _ROW_BYTES + (
        len(prompt) if type(prompt) is str and prompt.isascii() else _content_bytes(prompt)
    )
    if same_reference:
        group.reference = _encode_reference(group.rows, first, unusable)
        group.head_bytes += len(group.reference)
    else:
        for row in group.rows:
            group.references[row] = _encode_reference([row], rollouts[row], unusable)
            sizes[row] += len(group.references[row])
    if same_documents:
        group.head_bytes += _document_bytes(first) if documents else 0
    else:
        for row in group.rows:
            sizes[row] += _document_bytes(rollouts[row])
    group.all_bytes = group.head_bytes + sum(sizes.values())


def _equal(first: Any, second: Any) -> bool:
    """Equality that holds 1, 1.0 and True apart, as JSON does, at the price of a look at scalars only."""
    if first is second:
        return True
    if type(first) is not type(second):
        return False
    if isinstance(first, dict):
        return first.keys() == second.keys() and all(_equal(value, second[key]) for key, value in first.items())
    if isinstance(first, list | tuple):
        return len(first) == len(second) and all(map(_equal, first, second))
    return isinstance(first, str | int | float) and first == second


def _encode_reference(rows: list[int], rollout: Rollout, unusable: dict[int, ClientOutcome]) -> bytes:
    if rollout.reference is None:
        return b""
    try:
        return encode_json(rollout.reference)
    except (TypeError, ValueError, RecursionError) as error:
        fault = ClientOutcome(
            Outcome.FAULT, "bad_reference", Party.DATASET, f"reference: cannot be sent as JSON: {error}"
        )
        unusable.update(dict.fromkeys(rows, fault))
        return b""


def _refuse_twin(rollouts: Sequence[Rollout]) -> None:
    ids: set[str] = set()
    for rollout in rollouts:
        if rollout.rollout_id in ids:
            raise RolloutError("occurs twice in the batch; ids must differ", "rollout_id", rollout.rollout_id)
        ids.add(rollout.rollout_id)


def _document_bytes(rollout: Rollout) -> int:
    return sum(32 + _text_bytes(d.text) + _text_bytes(d.title) + len(d.uri) + len(d.id) for d in rollout.documents)


def _content_bytes(content: Content) -> int:
    if isinstance(content, str):
        return len(content) if content.isascii() else 3 * len(content)
    return sum(
        64
        + sum(8 + _text_bytes(part.text) + len(part.data) for part in turn.parts)
        + sum(16 + _text_bytes(call.arguments) for call in turn.calls)
        for turn in read_turns(content)
    )


def _text_bytes(text: str) -> int:
    # An upper bound is enough for cutting, and spares encoding the text to measure it.
    return len(text) if text.isascii() else 3 * len(text)


def encode_json(value: Any) -> bytes:
    """Compact UTF-8 JSON; numpy scalars and arrays become numbers and lists.

    Raises:
        TypeError: a value has no JSON form.
        ValueError: NaN, infinity, or a circular value.
    """
    if type(value) is dict and len(value) == 1:
        # An answer, which is what most references are: json makes an encoder for each value, at four times the price.
        ((name, text),) = value.items()
        if type(name) is str and type(text) is str:
            return f"{{{_quoted(name)}:{_quoted(text)}}}".encode()
    return _ENCODER.encode(value).encode()


def plain_value(value: Any) -> Any:
    """What JSON writes of a value that it does not know; for `json.JSONEncoder`.

    Raises:
        TypeError: it has no JSON form.
    """
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"{type(value).__name__} has no JSON form")


_quoted = json.encoder.encode_basestring
_ENCODER = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"), default=plain_value)
