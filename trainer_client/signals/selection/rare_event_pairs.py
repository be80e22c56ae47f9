"""Beyond Variance: Prompt-Efficient RLVR via Rare-Event Amplification and Bidirectional Pairing (W-GRPO).

Beyond Variance (arXiv 2602.03452); the band of hard prompts is the mirror of that of easy ones.
"""

from __future__ import annotations

import numpy as np

from trainer_client.signals.authoring import (
    BoolArray,
    FloatArray,
    IntArray,
    Laws,
    OptionError,
    Paper,
    Signal,
    SignalBatch,
    register,
)

PAPER = Paper("w-grpo", __doc__, provenance="secondary")


@register(
    "rare_event_pairs",
    paper=PAPER,
    needs="batch",
    inputs=("rewards", "groups"),
    formula="hard: p in [1/G, c/G]; easy: p in [1 - c/G, 1 - 1/G]; one of each makes a minibatch",
    laws=Laws(permutation=False, rewards="binary"),
)
def rare_event_pairs(batch: SignalBatch, *, band: float = 2.0, threshold: float = 0.5) -> Signal:
    """Prompts that are nearly never solved, paired with ones that nearly always are; the others are dropped.

    The report holds the pairs of prompt ids, hard first; what has no partner is dropped, too.
    """
    valid, groups = batch.taken()
    rates = groups.mean((batch.rewards[valid] > threshold).astype(np.float64))
    pairs = pair_prompts(rates, groups.sizes, band=band)
    chosen = np.zeros(len(groups), np.bool_)
    chosen[[prompt for pair in pairs for prompt in pair]] = True
    keep = np.ones(batch.rows, np.bool_)
    keep[valid] = groups.spread(chosen)
    labels = groups.labels.tolist()
    return batch.signal(keep=keep, report={"rare_event_pairs": [(labels[hard], labels[easy]) for hard, easy in pairs]})


def rare_event_bands(rates: FloatArray, sizes: IntArray, *, band: float = 2.0) -> tuple[IntArray, IntArray]:
    """Positions of hard prompts, hardest first, and of easy prompts, easiest first.

    Hard: a success rate in ``[1 / G, band / G]``. Easy: in ``[1 - band / G, 1 - 1 / G]``. A prompt in both bands
    (small groups) goes to the nearer end, at one half to the hard ones. One never or always solved is in neither.

    Args:
        rates: ``[Q]`` success rates over the probe rollouts.
        sizes: ``[Q]`` probe rollouts ``G``.
        band: width of the bands in rollouts, at least 1.

    Raises:
        OptionError: ``band`` is below 1.

    Source: arXiv 2602.03452; the band of hard prompts is taken as the mirror of that of easy ones.
    """
    if band < 1:
        raise OptionError(f"band: {band} rollouts hold no rare event; choose at least 1")
    hard = _rare(rates, sizes, band) & (rates <= 0.5)
    easy = _rare(1.0 - rates, sizes, band) & (rates > 0.5)
    first, second = np.flatnonzero(hard), np.flatnonzero(easy)
    return first[np.argsort(rates[first], kind="stable")], second[np.argsort(-rates[second], kind="stable")]


def pair_prompts(rates: FloatArray, sizes: IntArray, *, band: float = 2.0) -> list[tuple[int, int]]:
    """``(hard, easy)`` positions, the rarest of each kind together; what is over of one kind stays alone."""
    hard, easy = rare_event_bands(rates, sizes, band=band)
    return list(zip(hard.tolist(), easy.tolist(), strict=False))


def _rare(share: FloatArray, sizes: IntArray, band: float) -> BoolArray:
    """Whether an event occurred at least once and at most ``band`` times, in spite of rounded shares."""
    times = share * sizes
    result: BoolArray = (times >= 1.0 - 1e-9) & (times <= band + 1e-9)
    return result
