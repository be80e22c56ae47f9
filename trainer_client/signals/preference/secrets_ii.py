"""Secrets of RLHF in Large Language Models Part II: Reward Modeling.

Secrets of RLHF II (arXiv 2401.06080) sections 2.2 to 2.5; OpenLMLab/MOSS-RLHF rm @4865d826.
"""

from __future__ import annotations

from typing import Literal, NamedTuple, get_args

import numpy as np

from trainer_client.signals.authoring import (
    FloatArray,
    Input,
    Laws,
    OptionError,
    Pair,
    Paper,
    Signal,
    SignalBatch,
    labelled,
    register,
)
from trainer_client.signals.parts.pairs import labelled_pairs

PAPER = Paper("secrets-ii", __doc__, provenance="code")

_MODEL_SCORES = Input("model_scores", "NM", "float", "score of a row by each of several reward models")

Denoise = Literal["soft", "flip", "drop", "keep"]


@register(
    "secrets_ii",
    paper=PAPER,
    needs="group",
    inputs=(_MODEL_SCORES, "preferred", "groups"),
    formula="strength = mean over models of r(chosen) - r(rejected); below 0: soften, flip or drop; margin = strength",
    laws=Laws(prepare=labelled),
)
def secrets_ii(batch: SignalBatch, *, action: Denoise = "soft", smoothing: float = 0.1, margin: bool = True) -> Signal:
    """Labelled pairs, denoised by the opinion of several reward models.

    Groups are pairs of rows, of which the ``preferred`` one is labelled better. Pairs that the models on average see
    the other way round are softened (the paper's recommendation, with the margin), flipped, dropped or kept. Their
    share estimates how many labels are wrong; rDPO's ``flip_rate`` takes it.
    """
    chosen, rejected = labelled_pairs(batch["preferred"], batch.groups, batch.valid)
    scores = batch["model_scores"]
    strength = preference_strength(scores[chosen], scores[rejected])
    treated = denoise_pairs(strength.mean, action, smoothing=smoothing)
    pairs = [
        Pair(int(r if turned else c), int(c if turned else r), float(m) if margin else 0.0, float(w), float(p))
        for c, r, turned, p, w, m in zip(chosen, rejected, *treated, strict=True)
        if w > 0
    ]
    report = {
        "secrets_ii/flip_rate": float((strength.mean < 0).mean()) if strength.mean.size else None,
        "secrets_ii/models": scores.shape[1],
        "secrets_ii/disagreement": float(strength.deviation.mean()) if strength.mean.size else None,
    }
    return batch.signal(pairs=pairs, report=report)


class Strength(NamedTuple):
    """Opinion of several reward models on labelled pairs.

    Attributes:
        mean: ``[P]`` mean over models of the score of the chosen answer less that of the rejected one.
        deviation: ``[P]`` population deviation over models; 0 for one model.
    """

    mean: FloatArray
    deviation: FloatArray


class DenoisedPairs(NamedTuple):
    """What is left of labelled pairs.

    Attributes:
        flipped: ``[P]`` 1 where chosen and rejected change places.
        label: ``[P]`` probability that the preference, as it now stands, holds.
        weight: ``[P]`` 0 for a pair that is dropped.
        margin: ``[P]`` mean strength, in the direction in which the pair now stands.
    """

    flipped: FloatArray
    label: FloatArray
    weight: FloatArray
    margin: FloatArray


def preference_strength(chosen: FloatArray, rejected: FloatArray) -> Strength:
    """Strength of pairs from ``[P, M]`` scores by M models trained on the same pairs in different orders.

    Source: Secrets of RLHF II (arXiv 2401.06080) section 2.2.
    """
    gap = chosen - rejected
    return Strength(gap.mean(1), gap.std(1))


def denoise_pairs(strength: FloatArray, action: Denoise = "soft", *, smoothing: float = 0.1) -> DenoisedPairs:
    """Treat pairs whose mean strength speaks against their label.

    ``soft`` smooths their label, ``flip`` turns them round, ``drop`` takes them out.

    Args:
        strength: ``[P]``.
        action: for pairs below 0.
        smoothing: the alpha of ``soft``, not given in the paper.

    Raises:
        OptionError: an unknown action, or ``smoothing`` outside [0, 1].

    Source: Secrets of RLHF II sections 2.3, 2.4.
    """
    if action not in get_args(Denoise) or not 0.0 <= smoothing <= 1.0:
        raise OptionError(f"action: {action!r} has to be known, and smoothing: {smoothing} in [0, 1]")
    doubted = strength < 0
    flipped = np.where(doubted, 1.0 if action == "flip" else 0.0, 0.0)
    label = np.where(doubted, 1.0 - smoothing if action == "soft" else 1.0, 1.0)
    weight = np.where(doubted, 0.0 if action == "drop" else 1.0, 1.0)
    return DenoisedPairs(flipped, label, weight, np.where(flipped > 0, -strength, strength))
