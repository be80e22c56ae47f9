"""SPO's sampling of prompts: rows are candidates, those drawn are kept.

SPO (arXiv 2509.13232); verl-project/verl-recipe spo/spo_ray_trainer.py @48ea0a79.
"""

from __future__ import annotations

import numpy as np
from numpy.random import Generator

from trainer_client.signals.authoring import FloatArray, IntArray, Laws, OptionError, Signal, SignalBatch, register


@register(
    "spo_sampling",
    paper="spo",
    needs="batch",
    inputs=("success_rates",),
    provenance="code",
    formula="draw by sqrt(v * (1 - v)) + exploration",
    laws=Laws(permutation=False, removal=False, options={"size": 4}),
)
def spo_sampling(batch: SignalBatch, *, size: int = 768, exploration: float = 0.05, seed: int = 0) -> Signal:
    """SPO's sampling of prompts: rows are candidates, those drawn are kept.

    Without replacement, so that all are kept where there are no more than ``size``. The draw depends on ``seed`` and
    on ``batch.step``.
    """
    valid = batch.valid
    rate = batch["success_rates"][valid]
    weights = np.sqrt(np.maximum(rate * (1.0 - rate), 0.0)) + exploration
    keep = np.zeros(batch.rows, np.bool_)
    rows = np.flatnonzero(valid)
    rng = np.random.default_rng((seed, batch.step or 0))
    keep[rows[draw_prompts(weights, min(size, rows.size), rng)]] = True
    return batch.signal(keep=keep)


def draw_prompts(weights: FloatArray, size: int, rng: Generator) -> IntArray:
    """``size`` positions drawn by weight without replacement; with it only where there are fewer of positive weight.

    Raises:
        OptionError: ``size`` is negative, or no weight is positive.
    """
    total = float(weights.sum())
    if size < 0 or bool((weights < 0).any()) or (size and not total > 0):
        raise OptionError(f"size: cannot draw {size} of {weights.size} prompts whose weights sum to {total}")
    if not size:
        return np.zeros(0, np.int64)
    enough = int((weights > 0).sum()) >= size
    return np.asarray(rng.choice(weights.size, size, replace=not enough, p=weights / total), np.int64)
