"""Advantages within a structure: strata of a group, main and sub-agents, rollouts beside a reference answer."""

from __future__ import annotations

from typing import Literal

import numpy as np

from trainer_client.signals._batch import SignalBatch
from trainer_client.signals._draws import uniforms
from trainer_client.signals._errors import BadOption
from trainer_client.signals._registry import register
from trainer_client.signals._signal import Pair, Signal
from trainer_client.signals.combination import Gate, Term, combine, resolve_weights
from trainer_client.signals.guidance import extreme_row
from trainer_client.signals.normalise import group_normalise, weighted_normalise
from trainer_client.signals.selection import aligned_counts
from trainer_client.signals.trackers import CountHistogram, Tracker
from trainer_client.signals.weights import reference_weights

_MGRPO = "M-GRPO (arXiv 2511.13288)"


@register(
    "stratified_grpo",
    room="advantage",
    needs="group",
    inputs=("rewards", "groups", "strata"),
    certainty="secondary",
    source="Stratified GRPO (arXiv 2510.06214), public reviews; alpha from appendix D.1 as quoted there",
    formula="A = alpha * GRPO within the stratum + (1 - alpha) * GRPO within the group",
    papers=("stratified-grpo",),
)
def stratified_grpo(batch: SignalBatch, *, alpha: float = 0.6, ddof: int = 1, eps: float = 1e-6) -> Signal:
    """Stratified GRPO: rollouts are compared with those of the same structure, and with all.

    A row alone in its stratum keeps ``(1 - alpha)`` of its GRPO advantage; a single stratum is GRPO.
    """
    if not 0.0 <= alpha <= 1.0:
        raise BadOption(f"stratified_grpo: alpha = {alpha} must lie in [0, 1]")
    valid, groups = batch.taken()
    rewards = batch.rewards[valid]
    strata = groups.cross(batch.ids("strata").take(valid))
    within = group_normalise(rewards, strata, ddof=ddof, eps=eps)
    among = group_normalise(rewards, groups, ddof=ddof, eps=eps)
    return batch.signal(advantages=batch.scatter(alpha * within + (1.0 - alpha) * among))


@register(
    "m_grpo_reward",
    room="combination",
    needs="row",
    inputs=("components",),
    certainty="paper",
    source=f"{_MGRPO} eq. 4, 5 and section 5.1",
    formula="r = sum_k w_k * c_k if the format c_0 is valid (1), else 0",
    papers=("m-grpo",),
)
def m_grpo_reward(batch: SignalBatch, *, weights: tuple[float, ...] | None = None) -> Signal:
    """M-GRPO's reward: correctness and expert scores count only where the format is valid.

    Columns: format (0 or 1), correctness; for a sub-agent also the expert's score, correctness being that of the
    main agent's answer, which `combination.joined` fetches. Weights are 0.1 and 0.9 for two columns, 0.1, 0.4 and 0.5
    for three. The format checker and the expert are verifiers of their own. A row that lacks a score is masked.
    """
    components = batch["components"]
    published = {2: (0.1, 0.9), 3: (0.1, 0.4, 0.5)}
    if weights is None and components.shape[1] not in published:
        raise BadOption(
            f"m_grpo_reward: no published weights for {components.shape[1]} components; give one weight for each"
        )
    factors = resolve_weights(weights or published[components.shape[1]], components.shape[1])
    terms = [Term("format", float(factors[0]), gate=Gate(1.0))]
    terms += [Term(f"component {k}", float(w)) for k, w in enumerate(factors[1:], 1)]
    given = batch.components_given
    combined = combine(components, given, terms, groups=np.arange(batch.rows), max_missing=1.0)
    # A closed gate's own share is no part of the published reward: an invalid format earns nothing at all.
    passed = components[:, 0] >= 1.0
    rewards = np.where(combined.valid & passed, combined.rewards, 0.0)
    return batch.signal(keep=combined.valid | ~batch.valid, rewards=rewards)


@register(
    "m_grpo",
    room="advantage",
    needs="state",
    inputs=("rewards", "groups", "trajectories", "subagent"),
    certainty="paper",
    source=f"{_MGRPO} eq. 6 to 13 and section 5.1; ddof 0 as printed, eps is ours",
    formula="main: (r - mean) / (std + eps) over the prompt's main rows; "
    "sub: the same over its sub-agents' rows, each trajectory counting as d of them",
    papers=("m-grpo",),
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
            raise BadOption(f"m_grpo: quantile = {quantile} must lie in (0, 1], target = {target} be at least 1")
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


@register(
    "grao",
    room="advantage",
    needs="group",
    inputs=("rewards", "groups", "references", "lengths|mask"),
    certainty="paper",
    source="GRAO (arXiv 2508.07750) eq. 2 to 4; ddof 0 as printed, eps is ours",
    formula="rollout: (1 + lam) * A_i / G; reference: beta * A_y - lam * mean(A_i); per token over the length",
    papers=("grao",),
)
def grao(
    batch: SignalBatch,
    *,
    beta: float = 0.5,
    lam: float = 0.6,
    statistics: Literal["all", "rollouts"] = "all",
    eps: float = 1e-6,
) -> Signal:
    """GRAO: learns from its rollouts, imitates a reference answer and moves the one against the other.

    The objective is a weighted log-likelihood, ``sum_i a_i * mean_t logp_it``, averaged over prompts by the trainer;
    ``advantages`` are the ``a_i``, ``token_advantages`` those over each row's length. No ratio and no clip.
    References are rows of their own with a reward; ``statistics`` says whether they enter the mean and deviation.
    The pairs are reference over worst rollout, where no rollout beats the reference.
    """
    valid, groups = batch.taken()
    rewards, references = batch.rewards[valid], batch["references"][valid]
    counted = np.ones(rewards.size) if statistics == "all" else (~references).astype(np.float64)
    relative = weighted_normalise(rewards, groups, counted, eps=eps)
    weights = batch.scatter(reference_weights(relative, references, groups, beta=beta, lam=lam))
    lengths = np.maximum(batch.lengths, 1)
    return batch.signal(
        advantages=weights,
        token_advantages=np.where(batch.mask, (weights / lengths)[:, None], 0.0),
        pairs=_imitation_pairs(batch),
    )


def _imitation_pairs(batch: SignalBatch) -> list[Pair]:
    """Each prompt's best reference over its worst rollout, where no rollout beats that reference."""
    references, rewards, groups = batch.valid & batch["references"], batch.rewards, batch.groups
    rollouts = batch.valid & ~references
    best = extreme_row(groups, rewards, references)
    top, worst = (extreme_row(groups, rewards, rollouts, lowest=low) for low in (False, True))
    asked = np.flatnonzero((best >= 0) & (worst >= 0))
    chosen = asked[(rewards[best[asked]] >= rewards[top[asked]]) & (rewards[best[asked]] > rewards[worst[asked]])]
    margins = rewards[best[chosen]] - rewards[worst[chosen]]
    rows = zip(best[chosen].tolist(), worst[chosen].tolist(), margins.tolist(), strict=True)
    return [Pair(better, worse, margin=margin) for better, worse, margin in rows]
