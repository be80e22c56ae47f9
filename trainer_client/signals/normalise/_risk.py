"""Advantages of bundles of prompts from the quantiles of their joint score."""

from __future__ import annotations

from typing import Literal, NamedTuple, get_args

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
    """Advantages, and where they were not scaled.

    Attributes:
        advantages: ``[N]``.
        degenerate: ``[B]`` bundles whose papers have no spread to divide by.
    """

    advantages: FloatArray
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


def paper_values(
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
    eps: float = 1e-6,
) -> FloatArray:
    """``[M]`` RiskPO's value of each paper: what it scores between two quantiles, less what it lacks to the lower one.

    ``g = ((R - low)+ - (R - high)+ + low - high) / (level_high - level_low)``, ``h = -(low - R)+ / level_low``, and
    ``(weight * h + g) / (weight + 1)``.

    Args:
        papers: from `bundle_papers`.
        low: ``[B]`` lower quantile for each bundle.
        high: ``[B]`` upper quantile.
        level_low: level of ``low``.
        level_high: level of ``high``.
        measure: ``mixed``; ``range`` leaves the lower tail out; ``seeking`` puts the upper one in its place.
        weight: of the tail.
        centred: adds ``low - high`` to ``g``, which makes a paper at the upper quantile neutral.
        means: subtracted from ``g`` and ``h`` before the division.
        eps: added to divisors.

    Raises:
        BadOption: levels out of order, or an unknown ``measure``.

    Source: RTkenny/RiskPO verl/trainer/ppo/core_algos.py @65ec40c9.
    """
    if not 0.0 < level_low < level_high < 1.0:
        raise BadOption(f"levels: {level_low} and {level_high} must be in order and within (0, 1)")
    if measure not in get_args(RiskMeasure):
        raise BadOption(f"measure: {measure!r} is not one of {', '.join(get_args(RiskMeasure))}")
    total = papers.scores
    a, c = papers.bundles.spread(low), papers.bundles.spread(high)
    within = np.maximum(total - a, 0.0) - np.maximum(total - c, 0.0) + (a - c if centred else 0.0)
    value: FloatArray = (within - means[0]) / (level_high - level_low + eps)
    if measure == "range":
        return value
    tail = np.maximum(total - c, 0.0) / (1.0 - level_high + eps)
    if measure == "mixed":
        tail = (-np.maximum(a - total, 0.0) - means[1]) / (level_low + eps)
    return (weight * tail + value) / (weight + 1.0)


def risk_advantages(
    values: FloatArray,
    scores: FloatArray,
    prompts: Groups,
    papers: Papers,
    *,
    divide: bool = True,
    flat: float = 1e-3,
    credit: RiskCredit = "std",
    eps: float = 1e-6,
) -> Risk:
    """The papers' values over the deviation of their bundle, handed down to the rollouts.

    Args:
        values: ``[M]`` from `paper_values`.
        scores: ``[N]`` of the rollouts.
        prompts: partition by prompt.
        papers: from `bundle_papers`.
        divide: False leaves the values as they are.
        flat: a bundle whose deviation is below this, or that has one paper, is not divided.
        credit: ``std`` over the deviation of the prompt's scores; ``uniform``; ``score`` (half for those that scored,
            one and a half for the others); ``share`` (in proportion to the score above the prompt's mean among the
            paper's rollouts; equal parts where these sum to 0).
        eps: added to divisors.

    Raises:
        BadOption: an unknown ``credit``.

    Source: RTkenny/RiskPO verl/trainer/ppo/core_algos.py @65ec40c9.
    """
    if credit not in get_args(RiskCredit):
        raise BadOption(f"credit: {credit!r} is not one of {', '.join(get_args(RiskCredit))}")
    deviation = papers.bundles.deviation(papers.scores, 1)
    degenerate = (deviation < flat) | (papers.bundles.sizes == 1)
    if divide:
        values = values / papers.bundles.spread(np.where(degenerate, 1.0, deviation) + eps)
    taken = papers.of_row >= 0
    per_row = np.where(taken, values[np.where(taken, papers.of_row, 0)] if values.size else 0.0, 0.0)
    return Risk(per_row * _shares(scores, prompts, papers, credit, eps), degenerate)


def _shares(scores: FloatArray, prompts: Groups, papers: Papers, credit: RiskCredit, eps: float) -> FloatArray:
    """``[N]`` factor by which a rollout takes part in its paper's advantage."""
    if credit == "uniform":
        return np.ones(scores.size)
    if credit == "score":
        return np.where(scores > 0, 0.5, 1.5)
    if credit == "std":
        spread = prompts.deviation(scores, 1)
        return 1.0 / prompts.spread(np.where(spread > 1e-3, spread, 1.0) + eps)
    taken = papers.of_row >= 0
    paper = np.where(taken, papers.of_row, 0)
    above = np.where(taken, prompts.apply(np.subtract, scores, prompts.mean(scores)), 0.0)
    total = np.bincount(paper, above, papers.scores.size)[paper]
    number = np.bincount(paper, taken, papers.scores.size)[paper]
    small = np.abs(total) <= 1e-6
    return np.where(small, 1.0 / np.maximum(number, 1), above / np.where(small, 1.0, total))
