"""RiskPO: Risk-based Policy Optimization via Verifiable Reward.

RTkenny/RiskPO verl/trainer/ppo/core_algos.py, ray_trainer.py, scripts @65ec40c9.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal, NamedTuple, get_args

import numpy as np

from trainer_client.signals.authoring import (
    BoolArray,
    Case,
    FloatArray,
    Groups,
    Input,
    InputError,
    IntArray,
    Laws,
    OptionError,
    Paper,
    Signal,
    SignalBatch,
    golden,
    register,
)
from trainer_client.signals.parts.state import Tracker

PAPER = Paper("riskpo", __doc__, provenance="code")

_BUNDLES = Input("bundles", "N", "ids", "bundle of prompts that a row's prompt belongs to")

QuantileSource = Literal["track", "batch", "mix"]

RiskMeasure = Literal["mixed", "range", "seeking"]

RiskCredit = Literal["std", "uniform", "score", "share"]


def _whole_bundles(inputs: dict[str, Any]) -> None:
    inputs["bundles"] = inputs["groups"] // 2


@register(
    "riskpo",
    paper=PAPER,
    needs="state",
    inputs=("rewards", "groups"),
    optional=(_BUNDLES,),
    formula=(
        "R_k = sum of the bundle's k-th scores; A = (w * -(a - R)+ / al + g) / (w + 1), g = ((R - a)+ - "
        "(R - c)+ + a - c) / (au - al)"
    ),
    laws=Laws(permutation=False, prepare=_whole_bundles),
)
class RiskPO(Tracker):
    """RiskPO: several prompts are one exam; what counts is the score between two quantiles, and the worst papers.

    ``bundles`` says which prompts belong together; without it ``bundle_size`` consecutive prompts do. The k-th rollouts
    of a bundle's prompts make its k-th paper; rollouts beyond the smallest group get 0. Quantiles are tracked over
    steps (``track``), taken from the bundle itself (``batch``), or their mean (``mix``). A bundle whose papers hardly
    differ is not divided by their deviation: with tracked quantiles the release multiplies its advantages by a
    million. ``mean_baseline`` subtracts the tracked means of both parts.
    """

    kind = "riskpo"
    parts = ("_tracker",)
    _flat: ClassVar[float] = 1e-3

    def __init__(
        self,
        *,
        level_low: float = 0.2,
        level_high: float = 0.9,
        measure: RiskMeasure = "mixed",
        weight: float = 1.5,
        quantiles: QuantileSource = "track",
        credit: RiskCredit = "std",
        centred: bool = True,
        mean_baseline: bool = False,
        divide: bool = True,
        bundle_size: int = 5,
        rate: float = 0.1,
        eps: float = 1e-6,
    ) -> None:
        if bundle_size < 1 or quantiles not in get_args(QuantileSource):
            raise OptionError(f"riskpo: bundle_size = {bundle_size} must be positive, quantiles = {quantiles!r} known")
        self.options: dict[str, Any] = {
            "level_low": level_low,
            "level_high": level_high,
            "measure": measure,
            "weight": weight,
            "centred": centred,
            "eps": eps,
        }
        self.handing: dict[str, Any] = {"divide": divide, "credit": credit, "eps": eps}
        self.quantiles, self.bundle_size, self.mean_baseline = quantiles, bundle_size, mean_baseline
        self._tracker = QuantileTracker(rate=rate)

    def __call__(self, batch: SignalBatch) -> Signal:
        """Advantages by the quantiles known so far, which then take in the step."""
        valid, groups = batch.taken()
        scores = batch.rewards[valid]
        if "bundles" in batch:
            bundles = batch.ids("bundles").take(valid)
        else:
            bundles = Groups.of(groups.index // self.bundle_size)
        papers = bundle_papers(scores, groups, bundles)
        low, high = self._quantiles(papers, "level_low"), self._quantiles(papers, "level_high")
        values = paper_values(papers, low, high, means=self._means(), **self.options)
        result = risk_advantages(values, scores, groups, papers, flat=self._flat, **self.handing)
        self._tracker.update(papers.scores)
        report = {
            "riskpo/degenerate": int(result.degenerate.sum()),
            "riskpo/low": self._tracker.at(self.options["level_low"]),
            "riskpo/high": self._tracker.at(self.options["level_high"]),
        }
        return batch.signal(advantages=batch.scatter(result.advantages), report=report)

    def _quantiles(self, papers: Papers, level: str) -> FloatArray:
        """``[B]`` the quantile that each bundle is compared with."""
        own = papers.bundles.quantile(papers.scores, self.options[level])
        tracked = self._tracker.at(self.options[level])
        if tracked is None or self.quantiles == "batch":
            return own
        return np.full(own.size, tracked) if self.quantiles == "track" else (own + tracked) / 2

    def _means(self) -> tuple[float, float]:
        """Expected parts between and below the quantiles, by the trapezoid rule over the tracked levels."""
        levels, values = self._tracker.levels, self._tracker.quantiles
        if not self.mean_baseline or values is None:
            return 0.0, 0.0
        low, high = (float(self._tracker.at(self.options[name]) or 0.0) for name in ("level_low", "level_high"))
        shift = low - high if self.options["centred"] else 0.0
        within = np.maximum(values - low, 0.0) - np.maximum(values - high, 0.0) + shift
        below = -np.maximum(low - values, 0.0)
        return float(np.trapezoid(within, levels)), float(np.trapezoid(below, levels))


@register(
    "release/riskpo",
    like="riskpo",
    formula="as riskpo; a bundle of equal papers is divided by eps",
    laws=Laws(permutation=False, prepare=_whole_bundles),
)
class ReleaseRiskPO(RiskPO):
    """RiskPO as released: an all-wrong bundle gets advantages of a million once quantiles are tracked."""

    kind = "release/riskpo"
    _flat = 0.0


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
        InputError: a prompt belongs to two bundles.
    """
    home = bundles.index[prompts.first(np.arange(prompts.rows))] if prompts.rows else np.zeros(0, np.int64)
    if bool((prompts.spread(home) != bundles.index).any()):
        row = int(np.argmax(prompts.spread(home) != bundles.index))
        raise InputError(f"bundles: row {row} puts its prompt into a second bundle; a prompt belongs to one")
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
        OptionError: levels out of order, or an unknown ``measure``.

    Source: RTkenny/RiskPO verl/trainer/ppo/core_algos.py @65ec40c9.
    """
    if not 0.0 < level_low < level_high < 1.0:
        raise OptionError(f"levels: {level_low} and {level_high} must be in order and within (0, 1)")
    if measure not in get_args(RiskMeasure):
        raise OptionError(f"measure: {measure!r} is not one of {', '.join(get_args(RiskMeasure))}")
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
        OptionError: an unknown ``credit``.

    Source: RTkenny/RiskPO verl/trainer/ppo/core_algos.py @65ec40c9.
    """
    if credit not in get_args(RiskCredit):
        raise OptionError(f"credit: {credit!r} is not one of {', '.join(get_args(RiskCredit))}")
    deviation = papers.bundles.deviation(papers.scores, 1)
    degenerate = (deviation < flat) | (papers.bundles.sizes == 1)
    if divide:
        values = values / papers.bundles.spread(np.where(degenerate, 1.0, deviation) + eps)
    in_paper = papers.of_row >= 0
    per_row = np.where(in_paper, values[np.where(in_paper, papers.of_row, 0)] if values.size else 0.0, 0.0)
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
    in_paper = papers.of_row >= 0
    paper = np.where(in_paper, papers.of_row, 0)
    above = np.where(in_paper, prompts.apply(np.subtract, scores, prompts.mean(scores)), 0.0)
    total = np.bincount(paper, above, papers.scores.size)[paper]
    number = np.bincount(paper, in_paper, papers.scores.size)[paper]
    small = np.abs(total) <= 1e-6
    return np.where(small, 1.0 / np.maximum(number, 1), above / np.where(small, 1.0, total))


_MEASURES = {(True, False): "mixed", (False, False): "range", (False, True): "seeking", (True, True): "mixed"}


def _quantile(own: Any, case: Case, side: str) -> Any:
    tracked, mode = case.inputs[f"q_track_{side}"], case.params["use_q_track_mode"]
    if tracked is None or mode == "batch":
        return own
    return np.full(own.size, tracked) if mode == "track" else (own + tracked) / 2


@golden("RiskPO", rtol=1e-4, atol=1e-5)
def _(case: Case) -> Any:
    params, scores = case.params, case.array("scores")
    prompts = Groups.of(case.inputs["question"])
    papers = bundle_papers(scores, prompts, Groups.of(case.inputs["bundle"]))
    low, high = (
        _quantile(papers.bundles.quantile(papers.scores, params[f"quantile_{side}"]), case, side)
        for side in ("down", "up")
    )
    measure = _MEASURES[params["use_mixing_risk_measure"], params["risk_seeking_upper_tail"]]
    means = (case.inputs["g_rvar_avg"], case.inputs["g_cvar_avg"]) if params["use_mean_as_baseline"] else (0.0, 0.0)
    credit = params["credit_assign_mode"]
    values = paper_values(
        papers,
        low,
        high,
        level_low=params["quantile_down"],
        level_high=params["quantile_up"],
        measure=measure,  # type: ignore[arg-type]
        weight=params["upper_weight" if measure == "seeking" else "w_mix"],
        centred=params["natural_baseline_adv"],
        means=means,
    )
    handed = {"divide": params["norm_adv_by_std_in_grpo"], "credit": "share" if credit == "sum-mean" else credit}
    return risk_advantages(values, scores, prompts, papers, flat=0.0, **handed).advantages


@golden("RiskPO tracker", rtol=1e-4, atol=1e-6)
def _(case: Case) -> Any:
    tracker = QuantileTracker(rate=case.params["lr_q"])
    if case.inputs["q"] is not None:
        tracker.quantiles = case.array("q")
    tracker.update(case.array("bundle_scores"))
    return tracker.quantiles


class QuantileTracker(Tracker):
    """Quantiles at fixed levels, moved by each batch: ``q += rate * (level - share of values below q)``.

    The first batch sets its own quantiles.

    Args:
        levels: number of levels, evenly spaced within (0, 1); 19 gives 0.05 to 0.95.
        rate: step size.

    Source: RTkenny/RiskPO verl/trainer/ppo/ray_trainer.py @65ec40c9.
    """

    kind = "quantiles"

    def __init__(self, *, levels: int = 19, rate: float = 0.1) -> None:
        if levels < 1 or not rate > 0:
            raise OptionError(f"levels: {levels} and rate: {rate} must be positive")
        self.levels: FloatArray = np.arange(1, levels + 1) / (levels + 1)
        self.rate = rate
        self.quantiles: FloatArray | None = None

    def update(self, values: FloatArray) -> None:
        """Take in the values of a step, ``[M]``; without any nothing changes."""
        if not values.size:
            return
        if self.quantiles is None:
            self.quantiles = np.quantile(values, self.levels)
            return
        below = np.searchsorted(np.sort(values), self.quantiles, side="left") / values.size
        self.quantiles = self.quantiles + self.rate * (self.levels - below)

    def at(self, level: float) -> float | None:
        """The quantile of the nearest level; None before the first batch."""
        return None if self.quantiles is None else float(self.quantiles[np.argmin(np.abs(self.levels - level))])

    def _state(self) -> dict[str, Any]:
        return {"quantiles": None if self.quantiles is None else self.quantiles.tolist()}

    def _restore(self, state: Mapping[str, Any]) -> None:
        quantiles = state["quantiles"]
        if quantiles is not None and len(quantiles) != self.levels.size:
            raise KeyError(f"{len(quantiles)} quantiles for {self.levels.size} levels")
        self.quantiles = None if quantiles is None else np.asarray(quantiles, dtype=np.float64)
