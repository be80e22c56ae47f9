"""Information-Consistent Language Model Recommendations through GRPO.

Information-Consistent Language Model Recommendations through GRPO; ranges, gap and weights are ours.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np

from trainer_client.signals.authoring import Case, FloatArray, Groups, Paper, Signal, SignalBatch, golden, register
from trainer_client.signals.parts.group_normalise import group_normalise

PAPER = Paper("information-consistency", __doc__, provenance="secondary")


@register(
    "information_consistency",
    paper=PAPER,
    needs="group",
    inputs=("token_lists", "groups", "variants"),
    formula="R = alpha * (H - H_min) / (H_max - H_min) + beta * (1 - mean |H_i - H_j| / max |H_i - H_j|); GRPO",
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


def token_entropies(rows: Sequence[Sequence[Hashable]]) -> FloatArray:
    """``[N]`` entropy, in nats, of the token frequencies within each row; 0 for an empty row.

    It grows with length and with noise: pair it with a reward of correctness.
    """
    return np.array([_entropy(row) for row in rows], dtype=np.float64)


def helpfulness(entropies: FloatArray, groups: Groups) -> FloatArray:
    """``[N]`` place of the entropy between the group's lowest (0) and highest (1); 0.5 where they are equal."""
    low = groups.min(entropies)
    width = groups.max(entropies) - low
    placed = groups.apply(np.divide, groups.apply(np.subtract, entropies, low), np.where(width > 0, width, 1.0))
    return np.where(groups.spread(width) > 0, placed, 0.5)


def stability(gaps: FloatArray) -> float:
    """``1 - mean gap / largest gap`` of the entropies of paired answers; 1 where no two differ.

    Source: Information-Consistent Recommendations; the largest gap is taken over the pairs given.
    """
    largest = float(gaps.max(initial=0.0))
    return 1.0 - float(gaps.mean()) / largest if largest > 0 else 1.0


def group_stability(entropies: FloatArray, groups: Groups, variants: Groups) -> FloatArray:
    """``[Q]`` `stability` over all pairs of a group's rows that answer different wordings."""
    result = np.ones(len(groups))
    for number, members in enumerate(groups.members()):
        first, second = np.triu_indices(members.size, 1)
        apart = variants.index[members][first] != variants.index[members][second]
        level = entropies[members]
        result[number] = stability(np.abs(level[first] - level[second])[apart])
    return result


def _entropy(row: Sequence[Hashable]) -> float:
    if not len(row):
        return 0.0
    share = np.array(list(Counter(row).values()), dtype=np.float64) / len(row)
    return float(-(share * np.log(share)).sum()) + 0.0


@golden("entropy_stability")
def _(case: Case) -> Any:
    pairs = case.inputs["response_pairs"]
    entropies = np.array([token_entropies([text.split() for text in pair]) for pair in pairs])
    gaps = np.abs(entropies[:, 0] - entropies[:, 1])
    return {"entropies": entropies, "gaps": gaps, "stability": stability(gaps)}
