"""From rollouts and a recipe to calls: what is shared by a group, which rewards travel together, where to cut.

A `Bundle` is a group made ready to send, its shared parts encoded once. A `Route` is a set of rewards that one
server gives the same rollouts before the same deadline: they travel in one call. A `Parcel` is one call's worth.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ._content import Content, read_turns
from ._errors import RolloutError
from ._ledger import Ledger, LocalOutcome, Outcome, Party
from ._rollout import Rollout

if TYPE_CHECKING:
    from ._recipe import Recipe, Reward

_LOSSES_OF_A_SUSPECT = 2
_ROW_BYTES = 64
"""What a message holds beside its texts, generously."""


@dataclass(slots=True)
class Bundle:
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


class Evaluation(NamedTuple):
    """One reward as it is asked for."""

    verifier: str
    version: str
    digest: str
    options: bytes
    cpu_limit: float | None


@dataclass(slots=True, eq=False)
class Route:
    """Rewards that travel together.

    Attributes:
        name: part of the request id.
        columns: columns of the table.
        evaluations: what to ask, one per column.
        expires: when to give up, on the loop's clock.
        whole_groups: whether some reward judges groups, which must then travel complete.
        at_once: whether all results may come in one answer, since none takes long.
    """

    name: str
    columns: tuple[int, ...]
    evaluations: tuple[Evaluation, ...]
    expires: float
    whole_groups: bool
    at_once: bool


@dataclass(slots=True)
class Parcel:
    """One call's worth of work.

    Attributes:
        route: where it belongs.
        parts: bundles with the rows to send of each.
        asked: positions in the route's evaluations.
        tries: how often these items were answered by a fault that may pass.
        losses: how often a call with these items broke. One that broke twice is suspected of breaking it, and is
            sent with no other suspect beside it.
        proven: how often it broke as the only suspect.
        refusals: how often a replica turned out to host another version than it had said.
        rounds: how often these items were sent again, for whatever reason.
        passed_on: cells that wait for another try already.
    """

    route: Route
    parts: list[tuple[Bundle, list[int]]]
    asked: tuple[int, ...]
    tries: int = 0
    losses: int = 0
    proven: int = 0
    refusals: int = 0
    rounds: int = 0
    passed_on: set[tuple[int, int]] = field(default_factory=set)

    def successor(self, parts: list[tuple[Bundle, list[int]]], asked: tuple[int, ...]) -> Parcel:
        """A parcel with part of this one's work and all of its history."""
        return replace(self, parts=parts, asked=asked, passed_on=set())

    @property
    def is_suspect(self) -> bool:
        """Whether it may be what breaks calls."""
        return self.losses >= _LOSSES_OF_A_SUSPECT

    @property
    def is_smallest(self) -> bool:
        """Whether it cannot be cut any further."""
        return len(self.parts) == 1 and (self.route.whole_groups or len(self.parts[0][1]) == 1)

    @property
    def items(self) -> int:
        """Rollouts times evaluations."""
        return sum(len(rows) for _, rows in self.parts) * len(self.asked)

    def cells(self) -> Iterator[tuple[int, int]]:
        """Its cells ``(row, column)``, without those that wait for another try."""
        columns = [self.route.columns[position] for position in self.asked]
        for _, rows in self.parts:
            for row in rows:
                for column in columns:
                    if (row, column) not in self.passed_on:
                        yield row, column


def bundle(
    rollouts: Sequence[Rollout], sizes: Mapping[str, int] | None
) -> tuple[list[Bundle], dict[int, LocalOutcome]]:
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
    unusable: dict[int, LocalOutcome] = {}
    bundles = []
    for group_id, rows in rows_of.items():
        size = len(rows) if sizes is None else sizes.get(group_id, 0)
        made = Bundle(group_id, size, rows)
        _fill(made, rollouts, unusable)
        bundles.append(made)
    return bundles, unusable


def _fill(made: Bundle, rollouts: Sequence[Rollout], unusable: dict[int, LocalOutcome]) -> None:
    first = rollouts[made.rows[0]]
    prompt, reference, documents = first.prompt, first.reference, first.documents
    same_reference = same_documents = True
    sizes = made.row_bytes
    for row in made.rows:
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
    made.shares_documents = same_documents
    made.head_bytes = _ROW_BYTES + _content_bytes(prompt)
    if same_reference:
        made.reference = _encode_reference(made.rows, first, unusable)
        made.head_bytes += len(made.reference)
    else:
        for row in made.rows:
            made.references[row] = _encode_reference([row], rollouts[row], unusable)
            sizes[row] += len(made.references[row])
    if same_documents:
        made.head_bytes += _document_bytes(first)
    else:
        for row in made.rows:
            sizes[row] += _document_bytes(rollouts[row])
    made.all_bytes = made.head_bytes + sum(sizes.values())


def _equal(one: Any, other: Any) -> bool:
    """Equality that holds 1, 1.0 and True apart, as JSON does, at the price of a look at scalars only."""
    if one is other:
        return True
    if type(one) is not type(other):
        return False
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(_equal(value, other[key]) for key, value in one.items())
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(_equal, one, other))
    return isinstance(one, str | int | float) and one == other


def _encode_reference(rows: list[int], rollout: Rollout, unusable: dict[int, LocalOutcome]) -> bytes:
    if rollout.reference is None:
        return b""
    try:
        return encode_json(rollout.reference)
    except (TypeError, ValueError, RecursionError) as error:
        fault = LocalOutcome(
            Outcome.FAULT, "bad_reference", Party.DATASET, f"reference: cannot be sent as JSON: {error}"
        )
        unusable.update(dict.fromkeys(rows, fault))
        return b""


def _refuse_twin(rollouts: Sequence[Rollout]) -> None:
    seen: set[str] = set()
    for rollout in rollouts:
        if rollout.rollout_id in seen:
            raise RolloutError("stands twice in the batch; ids must differ", "rollout_id", rollout.rollout_id)
        seen.add(rollout.rollout_id)


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
    return _ENCODER.encode(value).encode()


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"{type(value).__name__} has no JSON form")


_ENCODER = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"), default=_plain)


def select(recipe: Recipe, rollouts: Sequence[Rollout]) -> list[list[int] | range]:
    """Rows that each reward is asked of."""
    everything = range(len(rollouts))
    if all(reward.tasks is None for reward in recipe.rewards):
        return [everything] * len(recipe.rewards)
    by_task: dict[str, list[int]] = {}
    for row, rollout in enumerate(rollouts):
        by_task.setdefault(rollout.task, []).append(row)
    return [
        everything
        if reward.tasks is None
        else sorted(row for task in set(reward.tasks) for row in by_task.get(task, ()))
        for reward in recipe.rewards
    ]


def applies(reward: Reward, rollout: Rollout) -> bool:
    """Whether a reward is asked of a rollout."""
    return reward.tasks is None or rollout.task in reward.tasks


def pack(work: Parcel, max_items: int, max_bytes: int) -> Iterator[Parcel]:
    """Cut work into calls, keeping groups together where a call can hold them.

    A group is split only when it does not fit into one call and no reward judges it as a whole.
    """
    asked = work.asked
    open_parts: list[tuple[Bundle, list[int]]] = []
    items = size = 0
    for made, rows in work.parts:
        for piece in [rows] if work.route.whole_groups else _pieces(made, rows, len(asked), max_items, max_bytes):
            piece_items = len(piece) * len(asked)
            piece_bytes = made.bytes_of(piece)
            if open_parts and (items + piece_items > max_items or size + piece_bytes > max_bytes):
                yield work.successor(open_parts, asked)
                open_parts, items, size = [], 0, 0
            open_parts.append((made, piece))
            items += piece_items
            size += piece_bytes
    if open_parts:
        yield work.successor(open_parts, asked)


def _pieces(made: Bundle, rows: list[int], width: int, max_items: int, max_bytes: int) -> Iterator[list[int]]:
    if len(rows) * width <= max_items and made.bytes_of(rows) <= max_bytes:
        yield rows
        return
    piece: list[int] = []
    size = made.head_bytes
    for row in rows:
        if piece and ((len(piece) + 1) * width > max_items or size + made.row_bytes[row] > max_bytes):
            yield piece
            piece, size = [], made.head_bytes
        piece.append(row)
        size += made.row_bytes[row]
    yield piece


def unfinished(parcel: Parcel, ledger: Ledger) -> list[tuple[tuple[int, ...], list[tuple[Bundle, list[int]]]]]:
    """What a parcel still lacks, by the evaluations that are lacking.

    A group that is judged as a whole is sent as a whole again, whichever of its rollouts lacks something.
    """
    columns = parcel.route.columns
    lacking: dict[tuple[int, ...], list[tuple[Bundle, list[int]]]] = {}
    for made, rows in parcel.parts:
        by_need: dict[tuple[int, ...], list[int]] = {}
        for row in rows:
            need = tuple(
                p for p in parcel.asked if ledger.is_open(row, columns[p]) and (row, columns[p]) not in parcel.passed_on
            )
            if need:
                by_need.setdefault(need, []).append(row)
        if by_need and parcel.route.whole_groups:
            by_need = {tuple(sorted({p for need in by_need for p in need})): rows}
        for need, part in by_need.items():
            lacking.setdefault(need, []).append((made, part))
    return list(lacking.items())
