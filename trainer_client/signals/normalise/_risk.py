"""Advantages of bundles of prompts from the quantiles of their joint score."""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np

from trainer_client.signals._arrays import BoolArray, FloatArray, IntArray
from trainer_client.signals._errors import BadInput, BadOption
from trainer_client.signals._groups import Groups

RiskMeasure = Literal["mixed", "range", "seeking"]
RiskCredit = Literal["std", "uniform", "score", "share"]


class Papers(NamedTuple):
    """Exam papers: the k-th rollout of every prompt of a bundle makes the bundle's k-th paper.

    Attributes:
        scores: ``[M]`` sum over the prompts, papers of a bundle standing together.
        bundles: partition of the papers by bundle.
        of_row: ``[N]`` paper of each rollout; -1 beyond the smallest group of its bundle.
    """

    scores: FloatArray
    bundles: Groups
    of_row: IntArray


class Risk(NamedTuple):
    """Advantages and what they were made of.

    Attributes:
        advantages: ``[N]``.
        below: ``[M]`` lower-tail part of each paper, before any division.
        within: ``[M]`` part between the quantiles.
        degenerate: ``[B]`` bundles whose papers have no spread to divide by.
    """

    advantages: FloatArray
    below: FloatArray
    within: FloatArray
    degenerate: BoolArray


def bundle_papers(scores: FloatArray, prompts: Groups, bundles: Groups) -> Papers:
    """Joint scores of the bundles.

    Raises:
        BadInput: a prompt belongs to two bundles.
    """
    home = bundles.index[prompts.first(np.arange(prompts.rows))] if prompts.rows else np.zeros(0, np.int64)
    if bool((prompts.spread(home) != bundles.index).any()):
        row = int(np.argmax(prompts.spread(home) != bundles.index))
        raise BadInput(f"bundles: row {row} puts its prompt into a second bundle; a prompt belongs to one")
    number = np.full(len(bundles), np.iinfo(np.int64).max)
    np.minimum.at(number, home, prompts.sizes)
    first = np.cumsum(number) - number
    place = prompts.position
    paper = np.where(place < number[bundles.index], first[bundles.index] + place, -1)
    total = np.bincount(paper[paper >= 0], scores[paper >= 0], int(number.sum())).astype(np.float64)
    return Papers(total, Groups(np.arange(len(bundles)), number, index=None, contiguous=True), paper)


def risk_advantages(
    scores: FloatArray,
    prompts: Groups,
    papers: Papers,
    low: FloatArray,
    high: FloatArray,
    *,
    level_low: float = 0.2,
    level_high: float = 0.9,
    measure: RiskMeasure = "mixed",
    weight: float = 1.5,
    centred: bool = True,
    means: tuple[float, float] = (0.0, 0.0),
    divide: bool = True,
    flat: float = 1e-3,
    credit: RiskCredit = "std",
    eps: float = 1e-6,
) -> Risk:
    """RiskPO: papers are rewarded for what they score between two quantiles and punished below the lower one.

    ``g = ((R - low)+ - (R - high)+ + low - high) / (level_high - level_low)``, ``h = -(low - R)+ / level_low``,
    ``A = (weight * h + g) / (weight + 1)``.

    Args:
        scores: ``[N]`` of the rollouts.
        prompts: partition by prompt.
        papers: from `bundle_papers`.
        low: ``[B]`` lower quantile for each bundle.
        high: ``[B]`` upper quantile.
        level_low: level of the lower quantile.
        level_high: level of the upper one.
        measure: ``mixed``; ``range`` leaves the lower tail out; ``seeking`` puts the upper one in its place.
        weight: of the tail.
        centred: adds ``low - high`` to ``g``, which makes a paper at the upper quantile neutral.
        means: subtracted from ``g`` and ``h`` before the division.
        divide: by the deviation of the bundle's papers.
        flat: a bundle whose deviation is below this, or that has one paper, is not divided.
        credit: how a paper's advantage reaches its rollouts: ``std`` over the deviation of the prompt's scores,
            ``uniform``, ``score`` (half for those that scored, one and a half for the others), ``share`` of the
            score above the prompt's mean.
        eps: added to divisors.

    Raises:
        BadOption: levels out of order, or an unknown ``measure`` or ``credit``.

    Source: RTkenny/RiskPO verl/trainer/ppo/core_algos.py @65ec40c9.
    """
    if not 0.0 < level_low < level_high < 1.0:
        raise BadOption(f"levels: {level_low} and {level_high} must be in order and within (0, 1)")
    bundles, total = papers.bundles, papers.scores
    a, c = bundles.spread(low), bundles.spread(high)
    within = np.maximum(total - a, 0.0) - np.maximum(total - c, 0.0) + (a - c if centred else 0.0)
    below = -np.maximum(a - total, 0.0)
    tails = {
        "mixed": (below - means[1]) / (level_low + eps),
        "seeking": np.maximum(total - c, 0.0) / (1.0 - level_high + eps),
    }
    joint = (within - means[0]) / (level_high - level_low + eps)
    if measure in tails:
        joint = (weight * tails[measure] + joint) / (weight + 1.0)
    elif measure != "range":
        raise BadOption(f"measure: {measure!r} is not one of mixed, range, seeking")
    deviation = bundles.deviation(total, 1)
    degenerate = (deviation < flat) | (bundles.sizes == 1)
    if divide:
        joint = joint / bundles.spread(np.where(degenerate, 1.0, deviation) + eps)
    taken = papers.of_row >= 0
    per_row = np.where(taken, joint[np.where(taken, papers.of_row, 0)] if joint.size else 0.0, 0.0)
    return Risk(per_row * _shares(scores, prompts, credit, eps), below, within, degenerate)


def _shares(scores: FloatArray, prompts: Groups, credit: RiskCredit, eps: float) -> FloatArray:
    """``[N]`` factor by which a rollout takes part in its paper's advantage."""
    if credit == "uniform":
        return np.ones(scores.size)
    if credit == "score":
        return np.where(scores > 0, 0.5, 1.5)
    if credit == "std":
        spread = prompts.deviation(scores, 1)
        return 1.0 / prompts.spread(np.where(spread > 1e-3, spread, 1.0) + eps)
    if credit == "share":
        above = prompts.apply(np.subtract, scores, prompts.mean(scores))
        total = prompts.sum(above)
        equal = prompts.spread(1.0 / prompts.sizes)
        small = prompts.spread(np.abs(total) < 1e-6)
        return np.where(small, equal, above / np.where(small, 1.0, prompts.spread(total)))
    raise BadOption(f"credit: {credit!r} is not one of std, uniform, score, share")
