"""Which tokens of the kept rows to train on, and how strictly to choose as training goes on."""

from __future__ import annotations

import numpy as np

from trainer_client.signals._arrays import BoolArray, FloatArray
from trainer_client.signals._errors import BadOption


def top_tokens(keys: FloatArray, mask: BoolArray, share: float) -> BoolArray:
    """``[N, T]`` the ``share`` of all tokens in the mask with the largest keys, at least one; ties in batch order.

    Args:
        keys: ``[N, T]``.
        mask: ``[N, T]`` tokens to choose from.
        share: above 0, at most 1.

    Raises:
        BadOption: ``share`` is outside its range.

    Source: D3S (arXiv 2509.22115) section 3.2; rounding up is ours.
    """
    if not 0.0 < share <= 1.0:
        raise BadOption(f"share: {share} of the tokens; choose more than 0 and at most 1")
    chosen = np.zeros(mask.shape, np.bool_)
    places = np.flatnonzero(mask)
    number = int(np.ceil(share * places.size - 1e-9))
    chosen.flat[places[np.argsort(-keys.ravel()[places], kind="stable")[:number]]] = True
    return chosen


def between(start: float, end: float, step: int | None, steps: int) -> float:
    """The value at ``step`` of a straight line from ``start`` to ``end`` over ``steps``; ``end`` from then on.

    Raises:
        BadOption: ``steps`` is below 1.
    """
    if steps < 1:
        raise BadOption(f"steps: {steps} must be at least 1")
    progress = min(max((step or 0) / steps, 0.0), 1.0)
    return (1.0 - progress) * start + progress * end
