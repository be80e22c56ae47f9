"""`combine`: a table of scores becomes one reward per rollout."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, get_args

import numpy as np
from numpy.typing import ArrayLike

from trainer_client.signals._arrays import (
    AnyArray,
    BoolArray,
    FloatArray,
    IntArray,
    as_bools,
    as_floats,
    require_finite,
    require_length,
)
from trainer_client.signals._errors import InputError, MissingScoreError, OptionError, TooManyMissingError
from trainer_client.signals._groups import GroupIds, Groups
from trainer_client.signals.parts.terms import Action, Optional, Term

_ACTIONS: tuple[Action, ...] = get_args(Action)

_CODE: dict[Action, int] = {action: number for number, action in enumerate(_ACTIONS)}


@dataclass(frozen=True, slots=True, eq=False)
class Combined:
    """Rewards, and how each was computed.

    Attributes:
        rewards: ``[N]``; NaN where not valid, so that a row without a verdict cannot be mistaken for a wrong
            one.
        valid: ``[N]`` rows that have a reward.
        contributions: ``[N, R]`` weighted part of each term; 0 for a term that takes no part in the row.
            ``contributions.sum(1) + closed_value`` is the reward of a valid row.
        closed_by: ``[N]`` index of the term whose gate closed, -1 for none.
        closed_value: ``[N]`` value declared by that gate, 0 for none.
        components: ``[N, R]`` scores as the sum reads them: a floor in place of what is missing, 0 for what a closed
            gate shuts out, and the value that the gate declares for that case put where it counts. The weighted sum
            over a row whose components are all valid is its reward.
        components_valid: ``[N, R]`` which of them take part; an optional score that is missing does not.
        needed: ``[R]`` scores that the reward needed of each term.
        missing: ``[R]`` those of them that are not there.
        dropped: ``[N]`` rows lost because their whole group was dropped.
    """

    rewards: FloatArray
    valid: BoolArray
    contributions: FloatArray
    closed_by: IntArray
    closed_value: FloatArray
    components: FloatArray
    components_valid: BoolArray
    needed: IntArray
    missing: IntArray
    dropped: BoolArray

    @property
    def missing_share(self) -> FloatArray:
        """``[R]`` share of the scores that were needed and not there."""
        share: FloatArray = self.missing / np.maximum(self.needed, 1)
        return share


def combine(
    scores: ArrayLike,
    valid: ArrayLike | None,
    terms: Sequence[Term],
    *,
    codes: ArrayLike | None = None,
    code_names: Sequence[str] | Mapping[int, str] | None = None,
    asked: ArrayLike | None = None,
    groups: GroupIds | Groups | None = None,
    optional: Optional = "neutral",
    max_missing: float = 0.2,
) -> Combined:
    """Weighted sum of the scores of each rollout, under gates, over the mask.

    The rules for gates and for missing scores are in ``docs/signals.md``, "Combining scores".

    Args:
        scores: ``[N, R]``; entries that are not valid may hold anything, NaN included.
        valid: ``[N, R]`` entries that hold a verdict; None when all do.
        terms: ``R`` terms, one per column.
        codes: ``[N, R]`` why an entry is missing: strings, or integers together with ``code_names``.
        code_names: name of each integer code.
        asked: ``[N, R]`` entries that the recipe asks for; one not asked for (another task's verifier)
            contributes 0, is not missing, and cannot close a gate. None when all are asked for.
        groups: ``[N]`` ids; needed by ``drop_group``. Without them the batch is one group for ``neutral``.
        optional: how a missing optional score takes no part.
        max_missing: largest tolerated share of missing scores, for each term on its own: a verifier that is
            down must not hide behind four that are up.

    Raises:
        InputError: shapes differ, a valid score is not finite, a code has no name.
        OptionError: ``drop_group`` without groups, an unknown ``optional``, ``max_missing`` outside [0, 1].
        TooManyMissingError: a term's share of missing scores passes ``max_missing``.
        MissingScoreError: a score is missing under a code whose action is ``abort``.
    """
    _check_options(optional, max_missing)
    table = _Table.read(scores, valid, terms, codes, code_names, asked, groups)
    actions = table.actions()
    table.fill_floors(actions)
    gates = _walk_gates(table)
    needed = table.asked & gates.reached
    missing = needed & ~table.given
    _stop_on(table, actions, missing, missing.sum(0) / np.maximum(needed.sum(0), 1), max_missing)

    dropped = _dropped(table, missing & (actions == _CODE["drop_group"]))
    required = np.array([term.required for term in terms], np.bool_)
    row_valid = ~(missing & ~table.present & required).any(1) & (needed & table.present).any(1) & ~dropped
    contributions = _contributions(table, needed, row_valid, required, optional)
    return Combined(
        rewards=np.where(row_valid, contributions.sum(1) + gates.closed_value, np.nan),
        valid=row_valid,
        contributions=contributions,
        closed_by=gates.closed_by,
        closed_value=gates.closed_value,
        components=_components(table, gates),
        components_valid=table.present | ~(gates.reached & table.asked) & (gates.closed_by >= 0)[:, None],
        needed=needed.sum(0),
        missing=missing.sum(0),
        dropped=dropped,
    )


def _check_options(optional: str, max_missing: float) -> None:
    if optional not in get_args(Optional):
        raise OptionError(f"optional: {optional!r} is not one of {', '.join(get_args(Optional))}")
    if not 0 <= max_missing <= 1:
        raise OptionError(f"max_missing: {max_missing} is not a share between 0 and 1")


@dataclass(slots=True, eq=False, repr=False)
class _Table:
    """The score table as read: ``given`` is what came, ``present`` also what a floor replaces."""

    terms: Sequence[Term]
    scores: FloatArray
    given: BoolArray
    present: BoolArray
    asked: BoolArray
    codes: AnyArray | None
    code_names: Mapping[int, str]
    groups: Groups | None

    @property
    def rows(self) -> int:
        return int(self.scores.shape[0])

    @classmethod
    def read(
        cls,
        scores: ArrayLike,
        valid: ArrayLike | None,
        terms: Sequence[Term],
        codes: ArrayLike | None,
        code_names: Sequence[str] | Mapping[int, str] | None,
        asked: ArrayLike | None,
        groups: GroupIds | Groups | None,
    ) -> _Table:
        table = as_floats("scores", scores, 2)
        if table.shape[1] != len(terms):
            raise InputError(f"scores: {table.shape[1]} columns for {len(terms)} terms; one term per column is needed")
        all_true = np.ones(table.shape, np.bool_)
        present = all_true if valid is None else as_bools("valid", valid, 2)
        is_asked = all_true if asked is None else as_bools("asked", asked, 2)
        reasons = None if codes is None else np.asarray(codes)
        for name, array in (("valid", present), ("asked", is_asked), ("codes", reasons)):
            if array is not None and array.shape != table.shape:
                raise InputError(f"{name}: shape {array.shape} differs from the scores' {table.shape}")
        present = present & is_asked
        require_finite("scores", table, present, [term.name for term in terms])
        partition = None
        if groups is not None:
            # Telling texts apart costs more than all else here: not where no term looks at siblings.
            reads = any(not term.required or "drop_group" in term.on_missing.values() for term in terms)
            if reads or not isinstance(groups, list):
                partition = Groups.of(groups)
                require_length("groups", partition.rows, table.shape[0])
            else:
                require_length("groups", len(groups), table.shape[0])
        elif any("drop_group" in term.on_missing.values() for term in terms):
            raise OptionError("on_missing: drop_group needs the groups of the rows; pass groups=")
        names = dict(code_names) if isinstance(code_names, Mapping) else dict(enumerate(code_names or ()))
        return cls(terms, np.where(present, table, 0.0), present, present.copy(), is_asked, reasons, names, partition)

    def name_of(self, code: object) -> str:
        if isinstance(code, (int, np.integer)):
            if int(code) not in self.code_names:
                raise InputError(f"codes: {code} is not in the code_names; name every code")
            return self.code_names[int(code)]
        return str(code)

    def actions(self) -> IntArray:
        """``[N, R]`` number of the action for each entry that is asked for and not given; -1 elsewhere."""
        result = np.full(self.scores.shape, -1)
        for column, term in enumerate(self.terms):
            absent = np.flatnonzero(self.asked[:, column] & ~self.given[:, column])
            if not absent.size:
                continue
            if self.codes is None:
                result[absent, column] = _CODE[term.action("default")]
                continue
            kinds, inverse = np.unique(self.codes[absent, column], return_inverse=True)
            result[absent, column] = np.array([_CODE[term.action(self.name_of(k))] for k in kinds.tolist()])[inverse]
        return result

    def fill_floors(self, actions: IntArray) -> None:
        for column, term in enumerate(self.terms):
            if term.floor is not None:
                at_floor = actions[:, column] == _CODE["floor"]
                self.scores[at_floor, column] = term.floor
                self.present[at_floor, column] = True

    def describe(self, row: int, column: int) -> str:
        code = "" if self.codes is None else f" ({self.name_of(self.codes[row, column].item())})"
        return f"row {row}, {self.terms[column].name!r}{code}"


class _Gates(NamedTuple):
    reached: BoolArray
    closed_by: IntArray
    closed_value: FloatArray


def _walk_gates(table: _Table) -> _Gates:
    """Find the first closed gate of each row, and the entries that lie before or at it."""
    reached = np.ones(table.scores.shape, np.bool_)
    closed_by = np.full(table.rows, -1)
    closed_value = np.zeros(table.rows)
    undecided = np.ones(table.rows, np.bool_)
    is_gate = np.array([term.gate is not None for term in table.terms], np.bool_)
    for column, term in enumerate(table.terms):
        if term.gate is None:
            continue
        has_score = table.present[:, column]
        closes = undecided & has_score & ~term.gate.is_open(table.scores[:, column])
        closed_by[closes] = column
        closed_value[closes] = term.gate.closed
        undecided &= (has_score | ~table.asked[:, column]) & ~closes
        behind = ~is_gate | (np.arange(is_gate.size) > column)
        reached[np.ix_(closes, behind)] = False
    return _Gates(reached, closed_by, closed_value)


def _dropped(table: _Table, asking: BoolArray) -> BoolArray:
    """``[N]`` rows of the groups in which an entry asks for the group to be dropped."""
    if table.groups is None:
        return np.zeros(table.rows, np.bool_)
    lost: BoolArray = np.logical_or.reduce(asking, axis=1)
    result: BoolArray = table.groups.spread(table.groups.any(lost))
    return result


def _stop_on(table: _Table, actions: IntArray, missing: BoolArray, share: FloatArray, max_missing: float) -> None:
    abort = np.argwhere(missing & (actions == _CODE["abort"]))
    if abort.size:
        row, column = (int(i) for i in abort[0])
        raise MissingScoreError(
            f"{table.describe(row, column)}: no score, and on_missing says abort ({len(abort)} entries); "
            "repair the source, or choose mask, floor or drop_group for this code"
        )
    if bool((share > max_missing).any()):
        column = int(np.argmax(share))
        row = int(np.argmax(missing[:, column]))
        raise TooManyMissingError(
            f"{table.terms[column].name!r}: {share[column]:.1%} of its scores are missing, more than "
            f"max_missing = {max_missing:.1%}; first at {table.describe(row, column)}. "
            "Repair the cause before you continue training, or raise max_missing"
        )


def _components(table: _Table, gates: _Gates) -> FloatArray:
    """``[N, R]`` scores of which the weighted sum is the reward.

    The value of a closed gate goes to the gate's own entry. A gate of weight 0 has none that counts: there it goes to
    all the rewards that it shuts out, in equal parts.
    """
    weights = np.array([term.weight for term in table.terms])
    counts = table.present & gates.reached
    components: FloatArray = np.where(counts, table.scores, 0.0)
    for column, term in enumerate(table.terms):
        rows = (gates.closed_by == column) & (gates.closed_value != 0)
        if not bool(rows.any()):
            continue
        if term.weight != 0:
            components[rows, column] += gates.closed_value[rows] / term.weight
            continue
        shut = ~gates.reached & rows[:, None] & table.asked
        total = (shut * weights).sum(1)
        carried = rows & (total != 0)
        share = np.divide(gates.closed_value, total, out=np.zeros(table.rows), where=carried)
        components = np.where(shut & (weights != 0), components + share[:, None], components)
    return components


def _contributions(
    table: _Table, needed: BoolArray, row_valid: BoolArray, required: BoolArray, optional: Optional
) -> FloatArray:
    """``[N, R]`` weighted scores, with the chosen reading of optional ones that are missing."""
    weights = np.array([term.weight for term in table.terms])
    counts = needed & table.present & row_valid[:, None]
    parts: FloatArray = np.where(counts, table.scores * weights, 0.0)
    absent = needed & ~table.present & ~required & row_valid[:, None]
    if optional == "omit" or not bool(absent.any()):
        return parts
    if optional == "renormalise":
        size = np.abs(weights)
        present = (counts * size).sum(1)
        full_weight = ((counts | absent) * size).sum(1)
        parts *= np.divide(full_weight, present, out=np.ones(table.rows), where=present > 0)[:, None]
        return parts
    groups = table.groups if table.groups is not None else Groups.of(np.zeros(table.rows, np.int64))
    for column in np.flatnonzero(absent.any(0)):
        having = groups.sum(counts[:, column])
        mean = np.divide(groups.sum(parts[:, column]), having, out=np.zeros(len(groups)), where=having > 0)
        parts[:, column] = np.where(absent[:, column], groups.spread(mean), parts[:, column])
    return parts
