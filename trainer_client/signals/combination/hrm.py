"""ChatShopBuddy: Towards Reliable Conversational Shopping Agents via RL (HRM, DCPO).

ChatShopBuddy (HRM), abstract; levels, thresholds and weights are ours.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from trainer_client.signals.authoring import FloatArray, IntArray, OptionError, Paper, Signal, SignalBatch, register
from trainer_client.signals.parts.columns import one_each

PAPER = Paper("hrm-dcpo", __doc__, provenance="abstract")


@register(
    "hrm",
    paper=PAPER,
    needs="row",
    inputs=("components",),
    formula="R = sum_l w_l * s_l * prod_{m<l} [s_m >= theta_m]",
    columns=one_each("thresholds", "weights"),
)
def hrm(batch: SignalBatch, *, thresholds: Sequence[float] = (), weights: Sequence[float] = ()) -> Signal:
    """HRM: a level counts only where every level before it has passed (format, correctness, depth, economy).

    Columns of ``components`` are the levels, the basic one first. Thresholds are 0.5 and weights 1 unless given. A row
    with a level missing that it reached is left out.
    """
    table = batch["components"]
    levels = table.shape[1]
    rewards, failed = levelled_reward(table, tuple(thresholds) or (0.5,) * levels, tuple(weights) or (1.0,) * levels)
    # Levels behind one that failed are not needed, and a cascade may have skipped them.
    complete = (batch.components_given | (np.arange(levels) > failed[:, None])).all(1)
    stopped = np.bincount(failed[complete & batch.valid], minlength=levels + 1).tolist()
    return batch.signal(rewards=rewards, keep=complete | ~batch.valid, report={"hrm/failed_at": stopped})


def levelled_reward(
    scores: FloatArray, thresholds: Sequence[float], weights: Sequence[float]
) -> tuple[FloatArray, IntArray]:
    """``[N]`` weighted sum of the levels up to and with the first that fails, and which that is (``L`` for none).

    ``R = sum_l w_l * s_l * prod_{m<l} [s_m >= theta_m]``.

    Args:
        scores: ``[N, L]``, the basic level first.
        thresholds: of each level.
        weights: of each level.

    Raises:
        OptionError: not one threshold and weight a level.

    Source: HRM (ChatShopBuddy), reconstructed from the abstract.
    """
    levels = scores.shape[1]
    if len(thresholds) != levels or len(weights) != levels:
        raise OptionError(
            f"levels: {levels} scores, {len(thresholds)} thresholds, {len(weights)} weights; give one each"
        )
    passed = scores >= np.asarray(thresholds, dtype=np.float64)
    open_before = np.cumprod(np.concatenate((np.ones((len(scores), 1)), passed[:, :-1]), axis=1), axis=1)
    failed = np.where(passed.all(1), levels, np.argmin(passed, axis=1))
    return (scores * np.asarray(weights, dtype=np.float64) * open_before).sum(1), failed
