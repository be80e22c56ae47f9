"""Credit by item of a generated list."""

from __future__ import annotations

import numpy as np

from trainer_client.signals._arrays import BoolArray, FloatArray, IntArray
from trainer_client.signals._groups import Groups
from trainer_client.signals.normalise import group_normalise


def item_advantages(
    items: FloatArray, groups: Groups, *, divide_by_std: bool = True, ddof: int = 1, eps: float = 1e-4
) -> FloatArray:
    """``[N, I]`` each item's reward relative to those at the same place in its siblings' lists."""
    result = np.zeros(items.shape)
    for place in range(items.shape[1]):
        result[:, place] = group_normalise(
            items[:, place], groups, scale="std" if divide_by_std else "none", ddof=ddof, eps=eps
        )
    return result


def items_over_tokens(
    advantages: FloatArray,
    item_of_token: IntArray,
    mask: BoolArray,
    eos: BoolArray | None = None,
    *,
    overflow: float = 0.0,
    complete: float = 0.0,
    early: float = 0.0,
) -> FloatArray:
    """``[N, T]`` each token gets the advantage of the item it is part of.

    Args:
        advantages: ``[N, I]``.
        item_of_token: ``[N, T]`` number of the item from 0: how many items ended before the token. ``I`` and more
            are past the list asked for.
        mask: ``[N, T]`` generated tokens.
        eos: ``[N, T]`` the token that ended the list, which belongs to no item.
        overflow: for a token past the last item, and for the end of a list with such tokens.
        complete: for the end of a list that holds ``I`` items and nothing past them.
        early: for the end of a list that holds fewer.

    Source: Rank-GRPO, yaochenzhu/Rank-GRPO libs/trl/rank_grpo_trainer.py @0808d82c.
    """
    wanted = advantages.shape[1]
    if not wanted:
        return np.zeros(mask.shape)
    ends = np.zeros(mask.shape, np.bool_) if eos is None else eos & mask
    written = mask & ~ends
    inside = written & (item_of_token >= 0) & (item_of_token < wanted)
    past = written & (item_of_token >= wanted)
    result = np.where(inside, np.take_along_axis(advantages, np.clip(item_of_token, 0, wanted - 1), 1), 0.0)
    result = np.where(past, overflow, result)
    held = np.where(written, item_of_token, -1).max(1, initial=-1) + 1
    at_end = np.where(past.any(1), overflow, np.where(held >= wanted, complete, early))
    return np.where(ends, at_end[:, None], result)
