"""Multi-Agent Deep Research: Training Multi-Agent Systems with M-GRPO.

M-GRPO (arXiv 2511.13288) eq. 6 to 13 and section 5.1; ddof 0 as printed, eps is ours.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike

from trainer_client.signals.authoring import (
    FloatArray,
    Groups,
    Input,
    Laws,
    OptionError,
    Paper,
    Signal,
    SignalBatch,
    as_ints,
    register,
    uniforms,
)
from trainer_client.signals.parts.group_normalise import group_normalise
from trainer_client.signals.parts.state import Tracker
from trainer_client.signals.parts.weighted import weighted_normalise

PAPER = Paper("m-grpo", __doc__, provenance="paper")

_SUBAGENT = Input("subagent", "N", "bool", "row was written by a sub-agent within its trajectory")


@register(
    "m_grpo",
    paper=PAPER,
    needs="state",
    inputs=("rewards", "groups", "trajectories", _SUBAGENT),
    formula=(
        "main: (r - mean) / (std + eps) over the prompt's main rows; sub: the same over its sub-agents' "
        "rows, each trajectory counting as d of them"
    ),
    laws=Laws(shift=True, scale="invariant", constant=True),
)
class MGRPO(Tracker):
    """M-GRPO: main and sub-agents are normalised apart, and every rollout's sub-agents count alike.

    A trajectory with ``d_k`` rows of sub-agents is brought to ``d`` rows, where ``d`` covers a share ``quantile`` of
    all trajectories seen (or is ``target``). ``weights`` gives each of its rows the weight ``d / d_k``; ``resample``
    duplicates and drops rows at random as the paper does: the count is in ``copies`` and in the weights, for a trainer
    to use one of them. A trajectory without sub-agents has no row to weigh.
    """

    kind = "m_grpo"
    parts = ("_calls",)

    def __init__(
        self,
        *,
        align: Literal["weights", "resample"] = "weights",
        target: int | None = None,
        quantile: float = 0.99,
        eps: float = 1e-6,
        seed: int = 0,
    ) -> None:
        if not 0.0 < quantile <= 1.0 or (target is not None and target < 1):
            raise OptionError(f"m_grpo: quantile = {quantile} must lie in (0, 1], target = {target} be at least 1")
        self.align, self.target, self.quantile, self.eps, self.seed = align, target, quantile, eps, seed
        self._calls = CountHistogram()

    def __call__(self, batch: SignalBatch) -> Signal:
        """Take the trajectories' sizes into account, and give advantages and weights."""
        valid, groups = batch.taken()
        rewards, sub = batch.rewards[valid], batch["subagent"][valid]
        episodes = groups.cross(batch.ids("trajectories").take(valid))
        self._calls.update(episodes.sum(sub))
        target = self.target or max(self._calls.quantile(self.quantile), 1)
        draws = None
        if self.align == "resample":
            draws = uniforms(batch.groups, seed=self.seed, step=batch.step, stream="m_grpo")[valid][sub]
        counts = aligned_counts(episodes.take(sub), target, draws)
        advantages = group_normalise(rewards, groups, ~sub, ddof=0, eps=self.eps)
        among_subs = weighted_normalise(rewards[sub], groups.take(sub), counts, eps=self.eps)
        advantages[sub] = np.where(counts > 0, among_subs, 0.0)
        weights = np.ones(rewards.size)
        weights[sub] = counts
        return batch.signal(
            advantages=batch.scatter(advantages),
            weights=batch.scatter(weights),
            copies=batch.scatter(weights).astype(np.int64) if self.align == "resample" else None,
            report={"m_grpo/rows_per_trajectory": target},
        )


def aligned_counts(trajectories: Groups, target: int, draws: FloatArray | None = None) -> FloatArray:
    """``[N]`` how often each row has to count for every trajectory to have ``target`` rows.

    Args:
        trajectories: partition of the rows by the rollout they belong to.
        target: rows that each rollout is brought to.
        draws: ``[N]`` random numbers in [0, 1): rows are duplicated or dropped at random, those of the smallest
            numbers counting once more. None gives every row ``target / size``, the expectation of that.

    Source: M-GRPO (arXiv 2511.13288) eq. 9 to 11.
    """
    if draws is None:
        even: FloatArray = trajectories.spread(target / np.maximum(trajectories.sizes, 1))
        return even
    quotient, left = np.divmod(target, np.maximum(trajectories.sizes, 1))
    more = trajectories.rank(draws) < trajectories.spread(left)
    return trajectories.spread(quotient).astype(np.float64) + more


class CountHistogram(Tracker):
    """Quantiles of a count (sub-agent calls, turns, hints used) over all steps."""

    kind = "count_histogram"

    def __init__(self) -> None:
        self._seen: dict[int, int] = {}

    @property
    def total(self) -> int:
        """Numbers seen."""
        return sum(self._seen.values())

    def update(self, counts: ArrayLike) -> None:
        """Take in a batch of counts.

        Raises:
            InputError: a count is not a whole number.
        """
        values, times = np.unique(as_ints("counts", counts), return_counts=True)
        for value, often in zip(values.tolist(), times.tolist(), strict=True):
            self._seen[value] = self._seen.get(value, 0) + often

    def quantile(self, q: float) -> int:
        """The smallest count that a share ``q`` of all seen does not exceed; 0 before the first."""
        needed, reached = q * self.total, 0
        for value in sorted(self._seen):
            reached += self._seen[value]
            if reached >= needed - 1e-9:
                return value
        return 0

    def _state(self) -> dict[str, Any]:
        return {"seen": [[value, self._seen[value]] for value in sorted(self._seen)]}

    def _restore(self, state: Mapping[str, Any]) -> None:
        self._seen = {int(value): int(often) for value, often in state["seen"]}
