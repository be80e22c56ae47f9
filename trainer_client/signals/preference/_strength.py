"""How strongly a preference holds, and what to do with one that may be wrong."""

from __future__ import annotations

from typing import Literal, NamedTuple, get_args

import numpy as np

from trainer_client.signals._arrays import FloatArray
from trainer_client.signals._errors import BadOption
from trainer_client.signals._groups import Groups

Denoise = Literal["soft", "flip", "drop", "keep"]


class Strength(NamedTuple):
    """Opinion of several reward models on labelled pairs.

    Attributes:
        mean: ``[P]`` mean over models of the score of the chosen answer less that of the rejected one.
        deviation: ``[P]`` population deviation over models; 0 for one model.
    """

    mean: FloatArray
    deviation: FloatArray


class Denoised(NamedTuple):
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


def denoise_pairs(strength: FloatArray, action: Denoise = "soft", *, smoothing: float = 0.1) -> Denoised:
    """Treat pairs whose mean strength speaks against their label.

    ``soft`` smooths their label, ``flip`` turns them round, ``drop`` takes them out.

    Args:
        strength: ``[P]``.
        action: for pairs below 0.
        smoothing: the alpha of ``soft``, not given in the paper.

    Raises:
        BadOption: an unknown action, or ``smoothing`` outside [0, 1].

    Source: Secrets of RLHF II sections 2.3, 2.4.
    """
    if action not in get_args(Denoise) or not 0.0 <= smoothing <= 1.0:
        raise BadOption(f"action: {action!r} has to be known, and smoothing: {smoothing} in [0, 1]")
    doubted = strength < 0
    flipped = np.where(doubted, 1.0 if action == "flip" else 0.0, 0.0)
    label = np.where(doubted, 1.0 - smoothing if action == "soft" else 1.0, 1.0)
    weight = np.where(doubted, 0.0 if action == "drop" else 1.0, 1.0)
    return Denoised(flipped, label, weight, np.where(flipped > 0, -strength, strength))


def rejected_weights(rewards: FloatArray, groups: Groups, *, scale: float = 1.0, power: float = 1.0) -> FloatArray:
    """``[N]`` probability with which a row is drawn as the rejected answer: ``softmax(-power * r / scale)``.

    ``power = -1`` gives the distribution of the differential information, ``softmax(r / scale)``, for the chosen side.

    Raises:
        BadOption: ``scale`` is not positive.

    Source: An Information-Theoretic Perspective on Preference Optimization, reconstructed from the abstract.
    """
    if not scale > 0:
        raise BadOption(f"scale: {scale} must be positive")
    logits = -power * rewards / scale
    raised = np.exp(groups.apply(np.subtract, logits, groups.max(logits)))
    return groups.apply(np.divide, raised, groups.sum(raised))


def normalised_entropy(weights: FloatArray, groups: Groups) -> FloatArray:
    """``[Q]`` entropy of each group's weights over that of equal ones, 0 to 1; NaN for a group of one."""
    terms = np.where(weights > 0, -weights * np.log(np.where(weights > 0, weights, 1.0)), 0.0)
    several = groups.sizes > 1
    return np.where(several, groups.sum(terms) / np.log(np.where(several, groups.sizes, 2)), np.nan)
