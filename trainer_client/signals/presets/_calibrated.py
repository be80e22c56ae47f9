"""GRPO with one thing changed: virtual rows, one-sided signals, rewards by likelihood or by length."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np

from trainer_client.signals._batch import SignalBatch
from trainer_client.signals._errors import BadInput, BadOption
from trainer_client.signals._registry import Needs, register
from trainer_client.signals._signal import Signal
from trainer_client.signals.normalise import Singleton, virtual_normalise
from trainer_client.signals.selection import Uniform, mixed_groups
from trainer_client.signals.shaping import (
    Decay,
    LengthShape,
    leading_groups,
    length_reward,
    mean_logprobs,
    relative_length_reward,
    token_budget,
    unlikeliness,
)

_NAMED = ("rewards", "groups")
_NGRPO = "nangongrui-ngr/NGRPO verl/trainer/ppo/core_algos.py @e7a38041"


@register(
    "ngrpo",
    room="advantage",
    needs="group",
    inputs=_NAMED,
    certainty="code",
    source=f"NGRPO (arXiv 2509.18851); {_NGRPO}",
    formula="A_i = (r_i - mean') / (std' + eps) with count rows of max_reward added to the group's statistics",
    papers=("ngrpo",),
)
def ngrpo(
    batch: SignalBatch,
    *,
    max_reward: float = 1.0,
    count: int = 1,
    ddof: int = 1,
    eps: float = 1e-6,
    singleton: Singleton = "zero",
) -> Signal:
    """NGRPO: a virtual best answer joins every group, so that a group of equal failures is pushed away from them.

    An all-right group still gets 0. Rewards above ``max_reward`` are allowed, but the virtual row is then no bound;
    their share is reported. The clip of the loss is asymmetric: 0.16 below, 0.24 above.
    """
    valid, groups = batch.taken()
    rewards = batch.rewards[valid]
    advantages = virtual_normalise(
        rewards, groups, virtual=max_reward, count=count, ddof=ddof, eps=eps, singleton=singleton
    )
    above = float((rewards > max_reward).mean()) if rewards.size else 0.0
    return batch.signal(advantages=batch.scatter(advantages), report={"ngrpo/above_max_reward": above})


@register(
    "psr_nsr",
    room="advantage",
    needs="row",
    inputs=("rewards",),
    certainty="code",
    source=f"PSR, NSR and W-REINFORCE (arXiv 2506.01347); {_NGRPO}",
    formula="positive: r; negative: r - 1; weighted: weight * r for r = 1, -1 for r = 0, else r",
    papers=("base",),
)
def psr_nsr(
    batch: SignalBatch, *, mode: Literal["positive", "negative", "weighted"] = "weighted", weight: float = 0.1
) -> Signal:
    """Reinforcement of right answers only (PSR), of wrong ones only (NSR), or of both unevenly (W-REINFORCE).

    A wrong answer counts -1 in ``weighted``, whether its reward is 0 or -1.
    """
    rewards = batch.rewards
    if mode == "weighted":
        advantages = np.where(rewards == 1.0, weight, np.where(rewards == 0.0, -1.0, rewards))
    else:
        advantages = rewards.copy() if mode == "positive" else rewards - 1.0
    return batch.signal(advantages=advantages)


@register(
    "accuracy_filter",
    room="selection",
    needs="group",
    inputs=_NAMED,
    certainty="code",
    source="NGRPO (arXiv 2509.18851); nangongrui-ngr/NGRPO verl/trainer/ppo/ray_trainer.py @e7a38041",
    formula="drop a group whose rows are all right, all wrong, or either",
    papers=("ngrpo",),
)
def accuracy_filter(batch: SignalBatch, *, drop: Uniform = "all_correct", correct: float = 1.0) -> Signal:
    """Drops groups that solved their prompt throughout, or not at all; NGRPO keeps the latter."""
    keep = mixed_groups(batch.rewards, batch.groups, batch.valid, drop, correct=correct)
    share = float((keep & batch.valid).sum() / max(int(batch.valid.sum()), 1))
    return batch.signal(keep=keep, report={"accuracy_filter/kept": share})


@register(
    "unlikeliness",
    room="shaping",
    needs="group",
    inputs=("rewards", "groups", "old_logprobs", "lengths|mask"),
    certainty="code",
    source="Rewarding the Unlikely (arXiv 2506.02355) section 4; AndreHe02/rewarding-unlikely-release "
    "verl/trainer/ppo/ray_lean_trainer.py @ca1cff05",
    formula="r_i * (1 - penalty * k_i / n), k_i the rank by mean log-probability, 0 for the least likely",
    papers=("unlikeliness",),
)
def unlikeliness_reward(batch: SignalBatch, *, penalty: float = 0.25) -> Signal:
    """Unlikeliness reward: of right answers, those the policy found likely earn less; GRPO follows as its own stage.

    An all-right group gets a signal again. Negative rewards are refused: the factor would raise them. The recipe
    adds two optimiser epochs a batch and a KL weight of 0.1.
    """
    bad = np.flatnonzero(batch.valid & (batch.rewards < 0))
    if bad.size:
        raise BadInput(
            f"rewards: row {bad[0]} holds {batch.rewards[bad[0]]}, and the penalty would raise it; shift rewards to "
            "start at 0"
        )
    return _unlikely(batch, penalty)


@register(
    "release/unlikeliness",
    room="shaping",
    needs="group",
    inputs=("rewards", "groups", "old_logprobs", "lengths|mask"),
    certainty="code",
    source="AndreHe02/rewarding-unlikely-release verl/trainer/ppo/ray_lean_trainer.py @ca1cff05",
    formula="as unlikeliness, negative rewards included",
    papers=("unlikeliness",),
)
def release_unlikeliness(batch: SignalBatch, *, penalty: float = 0.25) -> Signal:
    """Unlikeliness reward of the release, which shrinks negative rewards of likely answers towards 0."""
    return _unlikely(batch, penalty)


def _unlikely(batch: SignalBatch, penalty: float) -> Signal:
    valid, groups = batch.taken()
    scores = mean_logprobs(batch["old_logprobs"], batch.mask)[valid]
    return batch.signal(rewards=batch.scatter(unlikeliness(batch.rewards[valid], scores, groups, penalty=penalty)))


def _gate_needs(options: Mapping[str, Any]) -> Needs:
    return "batch" if options["gate"] == "share" else "group"


@register(
    "grpo_lambda",
    room="shaping",
    needs=_gate_needs,
    inputs=("rewards", "groups", "lengths|mask"),
    certainty="abstract",
    source="GRPO-lambda (arXiv 2505.18086), abstract and a public summary; penalty and constants are ours",
    formula="leading groups: right rows 1 - alpha * sigmoid((len - mean) / std over right rows); other groups: 0 or 1",
    papers=("grpo-lambda",),
)
def grpo_lambda(
    batch: SignalBatch,
    *,
    share: float = 0.2,
    alpha: float = 0.2,
    gate: Literal["share", "threshold"] = "share",
    threshold: float = 0.8,
    correct: float = 1.0,
) -> Signal:
    """GRPO-lambda: only the groups that solve their prompt best are asked to be short.

    ``share``: the top share of the batch's groups by accuracy; ``threshold``: every group that reaches it, which
    needs no other group. A group that solved nothing is never asked.
    """
    valid, groups = batch.taken()
    right = batch.rewards[valid] >= correct
    accuracy = groups.sum(right) / np.maximum(groups.sizes, 1)
    gated = leading_groups(accuracy, share) if gate == "share" else (accuracy >= threshold) & (accuracy > 0)
    short = relative_length_reward(right, batch.lengths[valid].astype(np.float64), groups, alpha=alpha)
    rewards = np.where(groups.spread(gated), short, right.astype(np.float64))
    reached = float(gated.mean()) if gated.size else 0.0
    return batch.signal(rewards=batch.scatter(rewards), report={"grpo_lambda/gated": reached})


@register(
    "length_curriculum",
    room="shaping",
    needs="row",
    inputs=("rewards", "format_scores", "trace_lengths|lengths|mask"),
    certainty="paper",
    source="Train Long, Think Short (arXiv 2508.08940) sections 3.1 to 4.6; format_weight is ours",
    formula="w_c * c + w_l * L(len, B) + w_f * format; B = max(1, start * (final / start) ** (k / decays)), "
    "k = min(floor(step * (decays + 1) / steps), decays)",
    papers=("length-curriculum",),
)
def length_curriculum(
    batch: SignalBatch,
    *,
    start: float = 256.0,
    final: float = 87.0,
    steps: int = 600,
    decays: int = 3,
    decay: Decay = "exponential",
    shape: LengthShape = "triangle",
    correct_weight: float = 0.3,
    length_weight: float = 0.6,
    format_weight: float = 0.1,
) -> Signal:
    """Curriculum of token budgets: correctness, keeping to a budget that shrinks over training, and format.

    The budget stands in the prompt as well: `shaping.token_budget` gives it to the trainer before generation, and the
    report holds it. ``trace_lengths`` counts the reasoning alone; without it the whole response is counted. The
    triangle is the more accurate, the band the shorter; the correctness-heavy weights are 0.6 and 0.3.
    """
    if batch.step is None:
        raise BadInput("length_curriculum: the budget depends on the step; pass step= to SignalBatch")
    budget = token_budget(batch.step, start=start, final=final, steps=steps, decays=decays, decay=decay)
    traced = "trace_lengths" in batch
    lengths = batch["trace_lengths"] if traced else batch.lengths
    if min(correct_weight, length_weight, format_weight) < 0:
        raise BadOption("length_curriculum: weights must not be negative")
    rewards = (
        correct_weight * batch.rewards
        + length_weight * length_reward(lengths, budget, shape=shape)
        + format_weight * batch["format_scores"]
    )
    return batch.signal(rewards=rewards, report={"length_curriculum/budget": budget})
