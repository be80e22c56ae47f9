"""How many rollouts each prompt gets: Knapsack RL, V_0, XRPO."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from trainer_client.signals._arrays import BoolArray, FloatArray, IntArray
from trainer_client.signals._batch import SignalBatch
from trainer_client.signals._errors import BadInput
from trainer_client.signals._groups import Groups
from trainer_client.signals._registry import register
from trainer_client.signals._signal import Signal
from trainer_client.signals.normalise import group_normalise
from trainer_client.signals.selection import (
    BudgetSolver,
    Cost,
    allocate_contrast,
    allocate_knapsack,
    allocate_uncertain,
    release_knapsack,
)
from trainer_client.signals.shaping import mean_logprobs
from trainer_client.signals.trackers import OutcomeWindow, RecentSuccess, Tracker

_KNAPSACK = "liziniu/KnapsackRL verl/trainer/ppo/exploration_utils.py @ca5d5f5b"
_XRPO = "XRPO (arXiv 2510.06672), public reviews"
_READ = ("groups", "rewards|success_rates")


@register(
    "knapsack_rl",
    room="selection",
    needs="state",
    inputs=_READ,
    certainty="code",
    source=f"Knapsack RL (arXiv 2509.25849); {_KNAPSACK}; solved by marginal value, which is exact",
    formula="maximise sum_q (1 - p^N - (1-p)^N) * p * (1-p)^2 with sum_q N_q = total",
    papers=("knapsack-rl",),
)
class KnapsackRL(Tracker):
    """Knapsack RL: rollouts go where a group with both outcomes is likely and teaches most.

    ``budget`` is for the next time the batch's prompts come up. Rewards (0 to 1) that the batch carries are taken into
    each prompt's success rate first; ``success_rates`` of a predictor count instead of that rate. A batch with one
    row a prompt and success rates plans without any history. ``total`` is ``default_n`` for each prompt unless given.
    The published script clips advantages at 5.
    """

    kind = "knapsack_rl"
    parts = ("_success",)

    def __init__(
        self,
        *,
        default_n: int = 8,
        min_n: int = 2,
        max_n: int = 128,
        failed_n: int | None = None,
        solved_n: int | None = None,
        total: int | None = None,
        fallback: bool = True,
        confidence: float = 0.9,
        cost: Cost = "probability",
        enough: int = 16,
        known_after: int = 8,
    ) -> None:
        self.total, self.default_n = total, default_n
        self.options: dict[str, Any] = {
            "default_n": default_n,
            "min_n": min_n,
            "max_n": max_n,
            "failed_n": failed_n,
            "solved_n": solved_n,
            "fallback": fallback,
            "confidence": confidence,
            "cost": cost,
        }
        self._success = RecentSuccess(enough=enough, known_after=known_after)

    def __call__(self, batch: SignalBatch) -> Signal:
        """Take in the rewards, and give the budget of the prompts that have a valid row."""
        groups = batch.taken()[1]
        if "rewards" in batch:
            self._success.update(groups, _rates(batch, "rewards"))
        rates, known = self._success.rates(groups.labels.tolist())
        if "success_rates" in batch:
            rates, known = groups.mean(_rates(batch, "success_rates")), np.ones(len(groups), np.bool_)
        total = self.total if self.total is not None else self.default_n * len(groups)
        budget = allocate_knapsack(rates, known, total, **self.options) if len(groups) else np.zeros(0, np.int64)
        return _budgeted(batch, groups, budget, {"knapsack_rl/known": _share(known)})


@register(
    "release/knapsack_rl",
    room="selection",
    needs="batch",
    inputs=("groups", "success_rates"),
    certainty="code",
    source=_KNAPSACK,
    formula="as knapsack_rl; an item without extra rollouts is worth 0, one with k is worth V(min_n + k)",
    papers=("knapsack-rl",),
)
def release_knapsack_rl(
    batch: SignalBatch,
    *,
    default_n: int = 8,
    min_n: int = 2,
    max_n: int = 128,
    failed_n: int | None = None,
    solved_n: int | None = None,
    fallback: bool = True,
    confidence: float = 0.9,
) -> Signal:
    """Knapsack RL's release, which spreads too thin and stops where nobody can take a surplus.

    A prompt whose rate is not known has no valid row; it is given ``default_n``, as the release does.
    """
    groups = batch.groups
    known = groups.any(batch.valid)
    rates = groups.sum(np.where(batch.valid, batch["success_rates"], 0.0)) / np.maximum(groups.sum(batch.valid), 1)
    budget = release_knapsack(
        rates,
        known,
        default_n=default_n,
        min_n=min_n,
        max_n=max_n,
        failed_n=failed_n,
        solved_n=solved_n,
        fallback=fallback,
        confidence=confidence,
    )
    return batch.signal(budget=groups.spread(budget))


@register(
    "v_0",
    room="selection",
    needs="state",
    inputs=_READ,
    optional=("embeddings",),
    certainty="secondary",
    source="V_0 (arXiv 2602.03584) eq. 9, 10 and appendix C, as quoted in a public digest; the stand-in for "
    "the value model is ours",
    formula="maximise sum_q B * (1-p) * (1 - (1-p)^(B-1)) with sum_q B_q <= total",
    papers=("v_0",),
)
class V0(Tracker):
    """V_0: rollouts by the expected number of wrong ones that stand beside a right one.

    ``success_rates`` come from a value model, served elsewhere, that reads the policy's last 256 outcomes. Without
    them the outcomes are kept here and a Beta estimate stands in for it, shrunk to the nearest prompts by
    ``embeddings`` if the batch carries them. ``greedy`` is the paper's solver; the utility is convex at first for
    hard prompts, where ``exact`` finds more. Rewards are outcomes from 0 to 1.
    """

    kind = "v_0"
    parts = ("_window",)

    def __init__(
        self,
        *,
        total: int | None = None,
        default_n: int = 8,
        low: int = 2,
        high: int = 128,
        solver: BudgetSolver = "greedy",
        window: int = 256,
        strength: float = 2.0,
        neighbours: int = 16,
    ) -> None:
        self.total, self.default_n, self.low, self.high = total, default_n, low, high
        self.solver: BudgetSolver = solver
        self._window = OutcomeWindow(size=window, strength=strength, neighbours=neighbours)

    def __call__(self, batch: SignalBatch) -> Signal:
        """Take in the outcomes, and give the budget of the prompts that have a valid row."""
        valid, groups = batch.taken()
        places = batch["embeddings"][valid] if "embeddings" in batch else None
        labels = groups.labels.tolist()
        if "rewards" in batch:
            self._window.update([labels[q] for q in groups.index.tolist()], _rates(batch, "rewards"), places)
        if "success_rates" in batch:
            rates = groups.mean(_rates(batch, "success_rates"))
        else:
            rates = self._window.predict(labels, None if places is None else groups.first(places))
        total = self.total if self.total is not None else max(self.default_n, self.low) * len(groups)
        budget = allocate_contrast(rates, total, low=self.low, high=self.high, solver=self.solver)
        return _budgeted(batch, groups, budget, {"v_0/unspent": total - int(budget.sum())})


@register(
    "xrpo_budget",
    room="selection",
    needs="batch",
    inputs=("rewards", "groups"),
    certainty="secondary",
    source=f"{_XRPO}; the estimate of the gain and the exploration term are ours",
    formula="next rollout to the largest h(n) - h(n+1) + exploration * sqrt(ln(1+T) / n), h = t * std / sqrt(n)",
    papers=("xrpo",),
)
def xrpo_budget(
    batch: SignalBatch, *, extra: int | None = None, confidence: float = 0.95, exploration: float = 1.0
) -> Signal:
    """XRPO's allocation: the next round's rollouts go to the prompts whose mean reward is least certain.

    ``budget`` is what a row's prompt is to be given on top of what it has; together ``extra``, one a prompt unless
    given.
    """
    valid, groups = batch.taken()
    deviations = groups.deviation(batch.rewards[valid], 1)
    number = len(groups) if extra is None else extra
    given = allocate_uncertain(groups.sizes, deviations, number, confidence=confidence, exploration=exploration)
    return _budgeted(batch, groups, given, {})


@register(
    "xrpo",
    room="advantage",
    needs="group",
    inputs=("rewards", "groups", "old_logprobs", "lengths|mask"),
    certainty="secondary",
    source=f"{_XRPO} and a third party's arithmetic",
    formula="right rows: A + min(max(lam * (1 - eta), 0), kappa * A), eta = exp(s - mean s); A from GRPO",
    papers=("xrpo",),
)
def xrpo(
    batch: SignalBatch,
    *,
    lam: float = 2.5,
    kappa: float = 0.5,
    correct: float = 1.0,
    ddof: int = 1,
    eps: float = 1e-6,
) -> Signal:
    """XRPO's sharpening: right answers that the policy found unlikely among their siblings gain more.

    ``s`` is a row's mean log-probability. Rows that are wrong or have no positive advantage keep what GRPO gives them.
    """
    valid, groups = batch.taken()
    rewards = batch.rewards[valid]
    scores = mean_logprobs(batch["old_logprobs"], batch.mask)[valid]
    eta = np.exp(np.minimum(groups.apply(np.subtract, scores, groups.mean(scores)), 50.0))
    plain = group_normalise(rewards, groups, ddof=ddof, eps=eps)
    bonus = np.minimum(np.maximum(lam * (1.0 - eta), 0.0), kappa * np.maximum(plain, 0.0))
    return batch.signal(advantages=batch.scatter(plain + np.where(rewards >= correct, bonus, 0.0)))


def _rates(batch: SignalBatch, name: str) -> FloatArray:
    """An input of the valid rows that has to lie in [0, 1]."""
    values: FloatArray = batch[name]
    bad = np.flatnonzero(batch.valid & ((values < 0) | (values > 1)))
    if bad.size:
        raise BadInput(f"{name}: row {bad[0]} holds {values[bad[0]]}; a success rate lies in [0, 1], map it there")
    return values[batch.valid]


def _budgeted(batch: SignalBatch, groups: Groups, budget: IntArray, report: Mapping[str, Any]) -> Signal:
    """Every valid row gets its prompt's number; a row that takes no part has 0."""
    spread = np.zeros(batch.rows, np.int64)
    spread[batch.valid] = groups.spread(budget)
    return batch.signal(budget=spread, report=report)


def _share(flags: BoolArray) -> float:
    return float(flags.mean()) if flags.size else 0.0
