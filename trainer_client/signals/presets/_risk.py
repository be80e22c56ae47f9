"""Bundles of prompts judged by quantiles: RiskPO."""

from __future__ import annotations

from typing import Any, ClassVar, Literal, get_args

import numpy as np

from trainer_client.signals._arrays import FloatArray
from trainer_client.signals._batch import SignalBatch
from trainer_client.signals._errors import BadOption
from trainer_client.signals._groups import Groups
from trainer_client.signals._registry import register
from trainer_client.signals._signal import Signal
from trainer_client.signals.normalise import (
    Papers,
    RiskCredit,
    RiskMeasure,
    bundle_papers,
    paper_values,
    risk_advantages,
)
from trainer_client.signals.trackers import QuantileTracker, Tracker

_RISKPO = "RTkenny/RiskPO verl/trainer/ppo/core_algos.py, ray_trainer.py, scripts @65ec40c9"
_READ = ("rewards", "groups")
QuantileSource = Literal["track", "batch", "mix"]


@register(
    "riskpo",
    room="advantage",
    needs="state",
    inputs=_READ,
    optional=("bundles",),
    certainty="code",
    source=_RISKPO,
    formula="R_k = sum of the bundle's k-th scores; A = (w * -(a - R)+ / al + g) / (w + 1), "
    "g = ((R - a)+ - (R - c)+ + a - c) / (au - al)",
    papers=("riskpo",),
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
            raise BadOption(f"riskpo: bundle_size = {bundle_size} must be positive, quantiles = {quantiles!r} known")
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
        found = risk_advantages(values, scores, groups, papers, flat=self._flat, **self.handing)
        self._tracker.update(papers.scores)
        report = {
            "riskpo/degenerate": int(found.degenerate.sum()),
            "riskpo/low": self._tracker.at(self.options["level_low"]),
            "riskpo/high": self._tracker.at(self.options["level_high"]),
        }
        return batch.signal(advantages=batch.scatter(found.advantages), report=report)

    def _quantiles(self, papers: Papers, level: str) -> FloatArray:
        """``[B]`` the quantile that each bundle is held against."""
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
    room="advantage",
    needs="state",
    inputs=_READ,
    optional=("bundles",),
    certainty="code",
    source=_RISKPO,
    formula="as riskpo; a bundle of equal papers is divided by eps",
    papers=("riskpo",),
)
class ReleaseRiskPO(RiskPO):
    """RiskPO as released: an all-wrong bundle gets advantages of a million once quantiles are tracked."""

    kind = "release/riskpo"
    _flat = 0.0
