"""Length rewards relative to what a prompt has needed before, and a penalty for repetition."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Literal

import numpy as np

from trainer_client.signals._arrays import BoolArray, FloatArray
from trainer_client.signals._errors import BadOption

HistoryShape = Literal["cosine", "linear"]


def history_length_reward(
    correct: BoolArray,
    lengths: FloatArray,
    history: FloatArray,
    *,
    shape: HistoryShape = "cosine",
    tolerance: float = 0.1,
) -> FloatArray:
    """``[N]`` in [-1, 1]: above 0 for a right answer shorter than the prompt's history, below for a longer one.

    A right answer loses at most 0.7 and a wrong one gains nothing, so that with a weight of at most 1 every right
    answer stays above every wrong one.

    Args:
        correct: ``[N]``.
        lengths: ``[N]``.
        history: ``[N]`` length to compare with; NaN or at most 0 for none, which gives 0.
        shape: ``cosine``, ``cos(pi / 2 * length / history)`` and -1 from twice the history on; or ``linear`` with a
            band above the history that costs nothing.
        tolerance: width of that band, as a share of the history.

    Raises:
        BadOption: an unknown shape.

    Source: HAPO, HCY123902/HAPO utils.py @c91ae3b6.
    """
    known = np.isfinite(history) & (np.nan_to_num(history) > 0)
    past = np.where(known, history, 1.0)
    if shape == "cosine":
        value = np.where(lengths < 2 * past, np.cos(lengths / past * (np.pi / 2)), -1.0)
        reward = np.where(correct, np.maximum(value, -0.7), np.minimum(value, 0.0))
    elif shape == "linear":
        excess = (lengths - (1 + tolerance) * past) / past
        over = np.where(lengths < (1 + tolerance) * past, 0.0, -excess)
        short = np.where(lengths < past, 1.0 - lengths / past, np.maximum(over, -0.7))
        reward = np.where(correct, short, np.maximum(over, -1.0))
    else:
        raise BadOption(f"shape: {shape!r} is neither 'cosine' nor 'linear'")
    return np.where(known, reward, 0.0)


def repetition_penalty(
    tokens: Sequence[Hashable], *, ngram: int = 3, penalty: float = -1.0, first_only: bool = False
) -> float:
    """Mean over tokens of a penalty on each token within an n-gram that occurred before.

    Args:
        tokens: of one answer.
        ngram: length of the n-grams.
        penalty: of a token, at most 0.
        first_only: of repeats that overlap only the first is punished.

    Raises:
        BadOption: ``penalty`` is positive or ``ngram`` below 1.

    Source: HAPO, HCY123902/HAPO utils.py @c91ae3b6, after E. Yeo et al., "Demystifying Long Chain-of-Thought".
    """
    if penalty > 0 or ngram < 1:
        raise BadOption(f"penalty: {penalty} must be at most 0, and ngram: {ngram} at least 1")
    seen: set[tuple[Hashable, ...]] = set()
    hit = np.zeros(len(tokens), np.bool_)
    covered = -1
    for start in range(len(tokens) - ngram + 1):
        gram = tuple(tokens[start : start + ngram])
        if gram in seen:
            if not first_only or start > covered:
                hit[start : start + ngram] = True
            covered = start + ngram - 1
        seen.add(gram)
    return penalty * float(hit.mean()) if len(tokens) else 0.0
