"""Which groups a page shows: those that deserve a look first, then a sample that depends on nothing but their ids."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from reward_servers.reporting._numbers import ADDRESSES, HIDDEN, Numbers
from trainer_client.result.rows import draw_of
from trainer_client.signals import Groups

BoolArray = NDArray[np.bool_]
_APART = 0.75
_SURE = 0.9
_SHORTER = 4.0
_LEAST = 3

KINDS: Mapping[str, str] = {
    "confident": "Wrong but confident: a low reward for the answer that at least half of the group gave, or that the "
    "policy was sure of (metadata.confidence)",
    "label": "Against the label: a score contradicts expected.score",
    "disagreement": "Disagreement: of two verifiers' scores, each on its own range, one is high and one is low",
    "masked": "Masked: a score is missing, or there is no reward",
    "suspicious": "Paid but suspicious: the best reward of its group for a text with unseen characters, words to a "
    "judge, or a quarter of the usual length",
}
"""Filters of a page, and what each of them says."""


@dataclass(frozen=True, slots=True)
class Choice:
    """Groups that are shown.

    Attributes:
        groups: Their numbers, the most telling first.
        flags: ``[N]`` rows of each kind.
        found: Groups of each kind in the whole file.
        rule: How they were chosen, in a sentence.
    """

    groups: tuple[int, ...]
    flags: dict[str, BoolArray]
    found: dict[str, int]
    rule: str

    def most(self, numbers: Numbers, kind: str) -> list[int]:
        """Numbers of the groups with rollouts of a kind, those with the most of them first."""
        count = np.bincount(numbers.groups[self.flags[kind]], minlength=len(numbers.group_ids))
        return sorted(np.flatnonzero(count).tolist(), key=lambda number: -int(count[number]))


def choose(numbers: Numbers, limit: int) -> Choice:
    """Choose groups to show.

    Args:
        numbers: What is known of all rows.
        limit: Groups at most.
    """
    ids = list(numbers.group_ids)
    flags = flags_of(numbers)
    counts = {kind: np.bincount(numbers.groups[rows], minlength=len(ids)) for kind, rows in flags.items()}
    counts_of_kind = {kind: int((count > 0).sum()) for kind, count in counts.items()}
    if len(ids) <= limit:
        return Choice(tuple(range(len(ids))), flags, counts_of_kind, f"all {len(ids)} groups are shown")
    by_lot = sorted(range(len(ids)), key=lambda number: draw_of(ids[number]))
    rank = {number: place for place, number in enumerate(by_lot)}
    chosen: dict[int, None] = {}
    share = limit // (2 * len(KINDS))
    for count in counts.values():
        most = sorted((-int(count[number]), rank[number], number) for number in np.flatnonzero(count).tolist())
        chosen |= dict.fromkeys(number for *_, number in most[:share])
    for number in by_lot:
        if len(chosen) >= limit:
            break
        chosen.setdefault(number)
    rule = (
        f"{len(chosen)} of {len(ids)} groups are shown: up to {share} with the most rollouts of each filter below, and "
        "the rest by the lowest SHA-256 of their ids"
    )
    return Choice(tuple(chosen), flags, counts_of_kind, rule)


def flags_of(numbers: Numbers) -> dict[str, BoolArray]:
    """``[N]`` rows of each kind."""
    no_rows = np.zeros(numbers.rows, np.bool_)
    if not numbers.rows:
        return dict.fromkeys(KINDS, no_rows)
    outcome = numbers.outcome()
    masked = numbers.missing | (np.isnan(numbers.rewards) & ~np.isnan(numbers.rewards).all())
    return {
        "confident": _confident(numbers, outcome),
        "label": numbers.against,
        "disagreement": _disagreement(numbers),
        "masked": masked,
        "suspicious": _suspicious(numbers, outcome),
    }


def _confident(numbers: Numbers, outcome: NDArray[np.float64]) -> BoolArray:
    if np.isnan(outcome).all():
        return np.zeros(numbers.rows, np.bool_)
    low = outcome < (np.nanmin(outcome) + np.nanmax(outcome)) / 2
    groups = Groups.of(numbers.groups)
    sure = numbers.confidences >= _SURE
    has_answer = numbers.answers != 0
    shared = Groups.of(numbers.answers).cross(groups)
    alike = shared.spread(shared.sizes)
    group_sizes = groups.spread(groups.sum(has_answer.astype(np.float64)))
    common: BoolArray = has_answer & (alike >= 2) & (2 * alike >= group_sizes)
    result: BoolArray = low & (common | sure)
    return result


def _disagreement(numbers: Numbers) -> BoolArray:
    scores = numbers.scores
    with np.errstate(invalid="ignore"):
        has_score = ~np.isnan(scores)
        low = np.min(scores, axis=0, initial=np.inf, where=has_score)
        high = np.max(scores, axis=0, initial=-np.inf, where=has_score)
        varies = high > low
        if varies.sum() < 2:
            return np.zeros(numbers.rows, np.bool_)
        scaled = (scores[:, varies] - low[varies]) / (high - low)[varies]
        most = np.max(scaled, axis=1, initial=-np.inf, where=~np.isnan(scaled))
        least = np.min(scaled, axis=1, initial=np.inf, where=~np.isnan(scaled))
        apart: BoolArray = most - least >= _APART
    return apart


def _suspicious(numbers: Numbers, outcome: NDArray[np.float64]) -> BoolArray:
    has_outcome = ~np.isnan(outcome)
    if not has_outcome.any():
        return np.zeros(numbers.rows, np.bool_)
    groups = Groups.of(numbers.groups)
    filled = np.where(has_outcome, outcome, -np.inf)
    paid = has_outcome & (filled >= groups.spread(groups.max(filled))) & (filled > filled[has_outcome].min())
    lengths = np.nan_to_num(numbers.lengths)
    usual = groups.spread(groups.median(lengths))
    short = (lengths * _SHORTER < usual) & (groups.spread(groups.sizes) >= _LEAST)
    odd: BoolArray = paid & (short | (numbers.signs & (HIDDEN | ADDRESSES) > 0))
    return odd
