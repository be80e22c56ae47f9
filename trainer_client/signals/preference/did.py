"""An Information-Theoretic Perspective on Preference Optimization: Differential Information (DID).

An Information-Theoretic Perspective on Preference Optimization, abstract; the estimate is ours.
"""

from __future__ import annotations

import numpy as np

from trainer_client.signals.authoring import (
    FloatArray,
    Groups,
    IntArray,
    OptionError,
    Pair,
    Paper,
    Signal,
    SignalBatch,
    register,
    uniforms,
)

PAPER = Paper("did", __doc__, provenance="abstract")


@register(
    "did",
    paper=PAPER,
    needs="group",
    inputs=("rewards", "groups"),
    formula="chosen: best row; rejected: drawn by softmax(-power * r / scale) among worse ones",
)
def did(batch: SignalBatch, *, scale: float = 1.0, power: float = 1.0, seed: int = 0) -> Signal:
    """Pairs whose rejected side is drawn by the distribution under which DPO's reward is the optimal one.

    The report holds the normalised entropy of the differential information, ``softmax(r / scale)``: high for open
    instructions, low for knowledge; None without a group of two.
    """
    valid, groups = batch.taken()
    rewards, rows = batch.rewards[valid], np.flatnonzero(valid)
    worse = groups.apply(np.less, rewards, groups.max(rewards))
    drawn = _drawn(np.where(worse, rejected_weights(rewards, groups, scale=scale, power=power), 0.0), batch, seed)
    best = np.flatnonzero(groups.rank(rewards, descending=True) == 0)
    partner = np.empty(len(groups), np.int64)
    partner[groups.index[drawn]] = drawn
    pairs = [
        Pair(int(rows[b]), int(rows[w]), margin=float(rewards[b] - rewards[w]))
        for b, w in zip(best.tolist(), partner[groups.index[best]].tolist(), strict=True)
        if rewards[b] > rewards[w]
    ]
    entropy = normalised_entropy(rejected_weights(rewards, groups, scale=scale, power=-1.0), groups)
    known = entropy[np.isfinite(entropy)]
    return batch.signal(pairs=pairs, report={"did/entropy": float(known.mean()) if known.size else None})


def _drawn(weights: FloatArray, batch: SignalBatch, seed: int) -> IntArray:
    """One row of each group of the valid rows, drawn by the weights."""
    valid, groups = batch.taken()
    number = uniforms(batch.groups, seed=seed, step=batch.step, stream="did")[valid]
    # The row with the smallest exponential clock is drawn with its weight (exponential race).
    clock = -np.log1p(-number) / np.maximum(weights, 1e-300)
    rows: IntArray = np.flatnonzero(groups.rank(clock) == 0)
    return rows


def rejected_weights(rewards: FloatArray, groups: Groups, *, scale: float = 1.0, power: float = 1.0) -> FloatArray:
    """``[N]`` probability with which a row is drawn as the rejected answer: ``softmax(-power * r / scale)``.

    ``power = -1`` gives the distribution of the differential information, ``softmax(r / scale)``, for the chosen side.

    Raises:
        OptionError: ``scale`` is not positive.

    Source: An Information-Theoretic Perspective on Preference Optimization, reconstructed from the abstract.
    """
    if not scale > 0:
        raise OptionError(f"scale: {scale} must be positive")
    logits = -power * rewards / scale
    raised = np.exp(groups.apply(np.subtract, logits, groups.max(logits)))
    return groups.apply(np.divide, raised, groups.sum(raised))


def normalised_entropy(weights: FloatArray, groups: Groups) -> FloatArray:
    """``[Q]`` entropy of each group's weights over that of equal ones, 0 to 1; NaN for a group of one."""
    terms = np.where(weights > 0, -weights * np.log(np.where(weights > 0, weights, 1.0)), 0.0)
    several = groups.sizes > 1
    return np.where(several, groups.sum(terms) / np.log(np.where(several, groups.sizes, 2)), np.nan)
