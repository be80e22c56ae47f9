"""Exploiting Tree Structure for Credit Assignment in RL Training of LLMs (TEMPO).

TEMPO (arXiv 2509.18314), abstract, and a public review for the division of the TD term; ddof and eps as in GRPO.
"""

from __future__ import annotations

import numpy as np

from trainer_client.signals.authoring import FloatArray, Groups, IntArray, Laws, Paper, Signal, SignalBatch, register
from trainer_client.signals.parts.group_normalise import group_normalise
from trainer_client.signals.parts.tokens import token_ends

PAPER = Paper("tempo", __doc__, provenance="secondary")


@register(
    "tempo",
    paper=PAPER,
    needs="group",
    inputs=("rewards", "groups", "token_ids", "lengths|mask"),
    formula=(
        "A_t = (r - mean + td * (V(prefix with t) - V(prefix before t))) / (std + eps); V the mean reward "
        "of the rows through a prefix"
    ),
    laws=Laws(shift=True, scale="invariant"),
)
def tempo(batch: SignalBatch, *, td: float = 1.0, ddof: int = 1, eps: float = 1e-6) -> Signal:
    """TEMPO: GRPO, and at each token where siblings part what the choice did to the reward to be expected.

    Works as long as prefixes are shared: the share of generated tokens with such a term is reported. Tokens of a tool
    are part of the prefix and get no credit.
    """
    valid, groups = batch.taken()
    mask, rewards = batch.mask[valid], batch.rewards[valid]
    changes = np.where(mask, prefix_differences(batch["token_ids"][valid], token_ends(mask), rewards, groups), 0.0)
    centred = group_normalise(rewards, groups, scale="none")
    spread = groups.deviation(rewards, ddof)
    # As in `group_normalise`: what rounding leaves of equal rewards is no spread.
    flat = groups.constant(rewards)
    factor = groups.spread(np.where(flat, 0.0, 1.0 / np.where(flat, 1.0, spread + eps)))
    credit = factor[:, None] * (centred[:, None] + td * changes)
    shared = float((changes != 0).sum() / max(int(mask.sum()), 1))
    return batch.signal(
        token_advantages=batch.scatter(np.where(mask, credit, 0.0)), report={"tempo/branching_tokens": shared}
    )


def prefix_differences(token_ids: IntArray, ends: IntArray, values: FloatArray, groups: Groups) -> FloatArray:
    """``[N, T]`` change ``V(prefix with token t) - V(prefix before it)`` along each row of its group's prefix tree.

    ``V`` of a prefix is the mean value of the group's rows that pass through it. Where all rows of a prefix take the
    same token nothing changes. Summed over a row the changes are its last value less the group's mean; the last value
    is the row's own unless another row is equal or continues it.

    The walk follows only rows that still share their prefix, so that its cost is that of the shared part.

    Args:
        token_ids: ``[N, T]``.
        ends: ``[N]`` tokens of each row; what lies beyond is padding.
        values: ``[N]`` rewards.
        groups: partition of the rows.
    """
    changes = np.zeros(token_ids.shape)
    if not token_ids.size:
        return changes
    tokens = token_ids - token_ids.min()
    kinds = int(tokens.max()) + 1
    if kinds * len(tokens) >= 2**62:
        tokens = np.unique(token_ids, return_inverse=True)[1].reshape(token_ids.shape)
        kinds = int(tokens.max()) + 1
    # Relative to the group's first: the value of equal rewards is then exactly zero, whatever the rounding of means.
    shifted = groups.apply(np.subtract, values, groups.first(values))
    before = groups.spread(groups.mean(shifted)).copy()
    node, sharing = groups.index.copy(), groups.spread(groups.sizes) > 1
    for t in range(token_ids.shape[1]):
        rows = np.flatnonzero(sharing & (ends > t))
        if not rows.size:
            break
        labels, place, often = np.unique(node[rows] * kinds + tokens[rows, t], return_inverse=True, return_counts=True)
        total = np.bincount(place, shifted[rows], labels.size)
        alone = often[place] == 1
        value = np.where(alone, shifted[rows], total[place] / often[place])
        changes[rows, t] = value - before[rows]
        before[rows], node[rows] = value, place
        sharing[rows] = ~alone
        sharing[ends <= t + 1] = False
    return changes
