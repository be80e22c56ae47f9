"""From rollouts and a recipe to calls: which rewards travel together, and where to cut.

A `CallSpec` is a set of rewards that one server gives the same rollouts before the same deadline: they travel in one
call. A `Chunk` is one call's worth.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from trainer_client._errors import RolloutError
from trainer_client._transport.encoding import EncodedGroup, encode_json
from trainer_client.recipe.recipe import Recipe
from trainer_client.recipe.rewards import Reward
from trainer_client.result.batch import Batch
from trainer_client.result.outcomes import OutcomeStore
from trainer_client.result.verifiers import VerifierInfo
from trainer_client.rollout.types import Rollout

_LOSSES_OF_A_SUSPECT = 2


class Evaluation(NamedTuple):
    """One reward as it is asked for."""

    verifier: str
    version: str
    digest: str
    options: bytes
    max_cpu_s: float | None


@dataclass(slots=True, eq=False)
class CallSpec:
    """Rewards that travel together.

    Attributes:
        name: part of the request id.
        columns: columns of the table.
        evaluations: what to ask, one per column.
        expires: when to give up, on the loop's clock.
        whole_groups: whether some reward judges groups, which must then travel complete.
        at_once: whether all results may come in one answer, since none takes long.
        repeatable: whether the same item always gets the same verdict, so that two replicas may judge it at once.
        trace: the span that the caller is in; empty for none.
    """

    name: str
    columns: tuple[int, ...]
    evaluations: tuple[Evaluation, ...]
    expires: float
    whole_groups: bool
    at_once: bool
    repeatable: bool
    trace: str = ""


@dataclass(slots=True)
class Chunk:
    """One call's worth of work.

    Attributes:
        spec: where it belongs.
        parts: groups with the rows to send of each.
        asked: positions in the spec's evaluations.
        tries: how often these items were answered by a fault that may pass.
        losses: how often a call with these items broke. One that broke twice is suspected of breaking it, and is
            sent with no other suspect beside it.
        proven: how often it broke as the only suspect.
        mismatches: how often a replica turned out to host another version than it had said.
        takeovers: how often it was taken from a replica that made no progress.
        refused_by: addresses of the replicas that refused it.
        rounds: how often these items were sent again, for whatever reason.
        passed_on: cells that wait for another try already.
    """

    spec: CallSpec
    parts: list[tuple[EncodedGroup, list[int]]]
    asked: tuple[int, ...]
    tries: int = 0
    losses: int = 0
    proven: int = 0
    mismatches: int = 0
    rounds: int = 0
    takeovers: int = 0
    refused_by: frozenset[str] = frozenset()
    passed_on: set[tuple[int, int]] = field(default_factory=set)

    def successor(self, parts: list[tuple[EncodedGroup, list[int]]], evaluations: tuple[int, ...]) -> Chunk:
        """A chunk with part of this one's work and all of its history."""
        return replace(self, parts=parts, asked=evaluations, passed_on=set())

    @property
    def verifiers(self) -> tuple[str, ...]:
        """Names of the verifiers that are asked."""
        return tuple(self.spec.evaluations[place].verifier for place in self.asked)

    @property
    def is_suspect(self) -> bool:
        """Whether it may be what breaks calls."""
        return self.losses >= _LOSSES_OF_A_SUSPECT

    @property
    def is_smallest(self) -> bool:
        """Whether it cannot be cut any further."""
        return len(self.parts) == 1 and (self.spec.whole_groups or len(self.parts[0][1]) == 1)

    @property
    def columns(self) -> list[int]:
        """Column of each evaluation asked."""
        return [self.spec.columns[position] for position in self.asked]

    @property
    def needs(self) -> dict[str, str]:
        """Digest by verifier, empty for any."""
        evaluations = self.spec.evaluations
        return {evaluations[p].verifier: evaluations[p].digest for p in self.asked}

    @property
    def items(self) -> int:
        """Rollouts times evaluations."""
        return sum(len(rows) for _, rows in self.parts) * len(self.asked)

    def cells(self) -> Iterator[tuple[int, int]]:
        """Its cells ``(row, column)``, without those that wait for another try."""
        columns = self.columns
        for _, rows in self.parts:
            for row in rows:
                for column in columns:
                    if (row, column) not in self.passed_on:
                        yield row, column


def call_specs(
    batch: Batch,
    server: str,
    verifiers: Mapping[str, VerifierInfo],
    pins: Mapping[str, str],
    columns: Sequence[int],
    groups: Sequence[EncodedGroup],
) -> list[tuple[CallSpec, list[tuple[EncodedGroup, list[int]]]]]:
    """Rewards that travel together: asked of the same rollouts, before the same deadline.

    Args:
        batch: what is to be scored.
        server: name of the server.
        verifiers: what is known of its verifiers, by name.
        pins: pinned digests, by verifier.
        columns: columns whose verifiers it hosts.
        groups: the rollouts.

    Raises:
        RolloutError: a verifier judges whole groups, and a group is not complete.
    """
    rewards, left = batch.recipe.at(batch.labels.step).rewards, batch.store.left
    need_of = {
        task: tuple(column for column in columns if rewards[column].applies_to(task))
        for task in {rollout.task for rollout in batch.rollouts}
    }
    keys_of = {need: _by_deadline(need, rewards) for need in need_of.values()}
    work: dict[tuple[float, tuple[int, ...]], list[tuple[EncodedGroup, list[int]]]] = {}
    if len(need_of) == 1 and all(left):
        # One task of which nothing is settled yet, as most batches are: all groups whole.
        all_rows = [(group, group.rows) for group in groups]
        work, groups = {key: all_rows for keys in keys_of.values() for key in keys}, ()
    for group in groups:
        by_need: dict[tuple[int, ...], list[int]] = {}
        for row in group.rows:
            if left[row]:
                by_need.setdefault(need_of[batch.rollouts[row].task], []).append(row)
        for need, rows in by_need.items():
            for key in keys_of[need]:
                work.setdefault(key, []).append((group, rows))
    specs = []
    for (deadline, together), parts in work.items():
        evaluations = tuple(
            _evaluation(rewards[column], verifiers[rewards[column].verifier_name].id.name, pins) for column in together
        )
        infos = [verifiers[evaluation.verifier] for evaluation in evaluations]
        spec = CallSpec(
            name=f"{server}:{'+'.join(map(str, together))}",
            columns=together,
            evaluations=evaluations,
            expires=batch.started + deadline,
            whole_groups=any(info.judges_groups for info in infos),
            at_once=all(info.is_trivial for info in infos),
            repeatable=all(info.is_deterministic for info in infos),
            trace=batch.labels.trace,
        )
        if spec.whole_groups:
            _require_complete(server, batch, parts)
        specs.append((spec, parts))
    return specs


def _by_deadline(need: tuple[int, ...], rewards: Sequence[Reward]) -> list[tuple[float, tuple[int, ...]]]:
    """Deadlines, each with the columns that have it."""
    deadlines = dict.fromkeys(rewards[column].deadline_s for column in need)
    return [
        (deadline, tuple(column for column in need if rewards[column].deadline_s == deadline)) for deadline in deadlines
    ]


def _evaluation(reward: Reward, name: str, pins: Mapping[str, str]) -> Evaluation:
    options = encode_json(reward.options) if reward.options else b""
    return Evaluation(name, reward.version, pins.get(name, ""), options, reward.max_cpu_s)


def _require_complete(server: str, batch: Batch, parts: Sequence[tuple[EncodedGroup, list[int]]]) -> None:
    for group, rows in parts:
        if group.size != len(rows):
            raise RolloutError(
                f"a verifier of server {server!r} judges whole groups, but the batch has {len(rows)} rollouts of group "
                f"{group.group_id!r}, which needs {group.size or 'an unknown number'}; score complete groups of one "
                "task, or pass group_size with single rollouts",
                "group_id",
                batch.rollouts[rows[0]].rollout_id,
            )


def select(recipe: Recipe, rollouts: Sequence[Rollout]) -> list[list[int] | range]:
    """Rows that each reward is asked of; none of one whose scores are read from the verdicts of another."""
    all_rows = range(len(rollouts))
    columns_read = {reading.column for reading in recipe.readings if reading.column != reading.asked}
    by_task: dict[str, list[int]] = {}
    if any(reward.tasks is not None for reward in recipe.rewards):
        for row, rollout in enumerate(rollouts):
            by_task.setdefault(rollout.task, []).append(row)

    def rows(column: int, reward: Reward) -> list[int] | range:
        if column in columns_read:
            return []
        if reward.tasks is None:
            return all_rows
        return sorted(row for task, task_rows in by_task.items() if reward.applies_to(task) for row in task_rows)

    return [rows(column, reward) for column, reward in enumerate(recipe.rewards)]


def pack(work: Chunk, max_items: int, max_bytes: int) -> Iterator[Chunk]:
    """Cut work into calls, keeping groups together where a call can hold them.

    A group is split only when it does not fit into one call and no reward judges it as a whole.
    """
    evaluations = work.asked
    if work.items <= max_items and sum(group.all_bytes for group, _ in work.parts) <= max_bytes:
        # Most batches are a call: nothing is cut, and no group is looked at twice.
        yield work.successor(work.parts, evaluations)
        return
    open_parts: list[tuple[EncodedGroup, list[int]]] = []
    items = size = 0
    for group, rows in work.parts:
        for piece in [rows] if work.spec.whole_groups else _pieces(group, rows, len(evaluations), max_items, max_bytes):
            piece_items = len(piece) * len(evaluations)
            piece_bytes = group.bytes_of(piece)
            if open_parts and (items + piece_items > max_items or size + piece_bytes > max_bytes):
                yield work.successor(open_parts, evaluations)
                open_parts, items, size = [], 0, 0
            open_parts.append((group, piece))
            items += piece_items
            size += piece_bytes
    if open_parts:
        yield work.successor(open_parts, evaluations)


def _pieces(group: EncodedGroup, rows: list[int], width: int, max_items: int, max_bytes: int) -> Iterator[list[int]]:
    if len(rows) * width <= max_items and group.bytes_of(rows) <= max_bytes:
        yield rows
        return
    piece: list[int] = []
    size = group.head_bytes
    for row in rows:
        if piece and ((len(piece) + 1) * width > max_items or size + group.row_bytes[row] > max_bytes):
            yield piece
            piece, size = [], group.head_bytes
        piece.append(row)
        size += group.row_bytes[row]
    yield piece


def unfinished(
    chunk: Chunk, store: OutcomeStore, cells: Collection[tuple[int, int]] | None = None
) -> list[tuple[tuple[int, ...], list[tuple[EncodedGroup, list[int]]]]]:
    """What a chunk still lacks, by the evaluations that are lacking.

    A group that is judged as a whole is sent as a whole again, whichever of its rollouts lacks something.

    Args:
        chunk: the work.
        store: the outcomes.
        cells: cells ``(row, column)`` to look at; None for all that do not wait for another try already.
    """
    columns = chunk.spec.columns
    lacking: dict[tuple[int, ...], list[tuple[EncodedGroup, list[int]]]] = {}
    for group, rows in chunk.parts:
        by_need: dict[tuple[int, ...], list[int]] = {}
        for row in rows:
            need = tuple(
                p
                for p in chunk.asked
                if store.is_open(row, columns[p])
                and ((row, columns[p]) not in chunk.passed_on if cells is None else (row, columns[p]) in cells)
            )
            if need:
                by_need.setdefault(need, []).append(row)
        if by_need and chunk.spec.whole_groups:
            by_need = {tuple(sorted({p for need in by_need for p in need})): rows}
        for need, part in by_need.items():
            lacking.setdefault(need, []).append((group, part))
    return list(lacking.items())
