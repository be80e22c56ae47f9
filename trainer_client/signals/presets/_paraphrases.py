"""Groups over several wordings of a question: information consistency, PS-GRPO."""

from __future__ import annotations

import numpy as np

from trainer_client.signals._batch import SignalBatch
from trainer_client.signals._registry import register
from trainer_client.signals._signal import Signal
from trainer_client.signals.crossprompt import group_similarity, group_stability, helpfulness, token_entropies
from trainer_client.signals.normalise import group_normalise


@register(
    "information_consistency",
    room="crossprompt",
    needs="group",
    inputs=("token_lists", "groups", "variants"),
    certainty="secondary",
    source="Information-Consistent Language Model Recommendations through GRPO; ranges, gap and weights are ours",
    formula="R = alpha * (H - H_min) / (H_max - H_min) + beta * (1 - mean |H_i - H_j| / max |H_i - H_j|); GRPO",
    papers=("information-consistency",),
)
def information_consistency(batch: SignalBatch, *, alpha: float = 0.5, beta: float = 0.5, eps: float = 1e-4) -> Signal:
    """Answers to equivalent questions ought to say much (entropy of their words), and equally much.

    ``groups`` are the questions with all wordings together, ``variants`` the wordings. Entropy grows with length and
    noise: combine it with a reward of correctness. One wording alone is stable.
    """
    valid, groups = batch.taken()
    lists = batch.objects("token_lists")
    entropies = token_entropies([lists[row] for row in np.flatnonzero(valid).tolist()])
    steady = group_stability(entropies, groups, batch.ids("variants").take(valid))
    rewards = batch.scatter(alpha * helpfulness(entropies, groups) + beta * groups.spread(steady))
    return batch.signal(
        rewards=rewards,
        advantages=group_normalise(rewards, batch.groups, valid, eps=eps),
        report={"information_consistency/stability": float(steady.mean()) if len(groups) else 1.0},
    )


@register(
    "ps_grpo",
    room="crossprompt",
    needs="group",
    inputs=("similarity", "groups", "variants"),
    optional=("accuracy",),
    certainty="secondary",
    source="Con-RAG, PS-GRPO (arXiv 2510.04392); ddof, eps and the weights of the sum are ours",
    formula="r_ij = mean similarity with rollouts of other wordings; A_ij = (r_ij - mean_i) / (std_i + eps)",
    papers=("ps-grpo",),
)
def ps_grpo(
    batch: SignalBatch,
    *,
    consistency: float = 1.0,
    accuracy: float = 0.0,
    wordings: int = 0,
    rollouts: int = 0,
    seed: int = 0,
    ddof: int = 1,
    eps: float = 1e-6,
) -> Signal:
    """PS-GRPO: an answer is rewarded for agreeing with the answers to other wordings of its question.

    ``groups`` are the questions with all wordings together, ``variants`` the wordings; advantages are taken within a
    wording. ``wordings`` and ``rollouts`` limit what a row is compared with, drawn by ``seed`` and ``batch.step``
    (3 and 1 in the paper; 0 for all). With a weight on ``accuracy`` that input is added. A question in one wording
    has nothing to agree with: its rows are left out.
    """
    valid, groups = batch.taken()
    variants = batch.ids("variants").take(valid)
    agreed, compared = group_similarity(
        batch["similarity"][np.ix_(valid, valid)],
        groups,
        variants,
        wordings=wordings or None,
        rollouts=rollouts or None,
        rng=np.random.default_rng((seed, batch.step or 0)),
    )
    rewards = consistency * agreed
    if accuracy:
        rewards = rewards + accuracy * batch["accuracy"][valid]
    keep = np.ones(batch.rows, np.bool_)
    keep[valid] = compared
    relative = group_normalise(rewards, groups.cross(variants), compared, ddof=ddof, eps=eps)
    return batch.signal(keep=keep, rewards=batch.scatter(rewards), advantages=batch.scatter(relative))
