"""Rank-GRPO: Training LLM-based Conversational Recommender Systems with RL.

Rank-GRPO, yaochenzhu/Rank-GRPO libs/trl/rank_grpo_trainer.py @0808d82c.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import numpy as np

from trainer_client.signals.authoring import (
    BoolArray,
    Case,
    FloatArray,
    Groups,
    Input,
    IntArray,
    Laws,
    OptionError,
    Paper,
    Signal,
    SignalBatch,
    golden,
    register,
)
from trainer_client.signals.parts.group_normalise import group_normalise
from trainer_client.signals.parts.lists import dcg_discounts

PAPER = Paper("rank-grpo", __doc__, provenance="code")

_ITEM_REWARDS = Input("item_rewards", "NI", "float", "reward of each item of a row's list")
_ITEM_OF_TOKEN = Input("item_of_token", "NT", "int", "items of the list that ended before a token; negative for none")
_EOS = Input("eos", "NT", "bool", "token that ends the list")


Gain = Literal["to_go", "own"]


@register(
    "rank_grpo",
    paper=PAPER,
    needs="group",
    inputs=(_ITEM_REWARDS, _ITEM_OF_TOKEN, "groups", "lengths|mask"),
    optional=(_EOS,),
    formula="g_j = sum_{k >= j} hit_k / log2(k + 2); A_j = (g_j - mean) / (std + 1e-4) at place j, for its tokens",
    laws=Laws(options={"endings": (-0.1, 0.1, -0.1)}),
)
def rank_grpo(
    batch: SignalBatch,
    *,
    gain: Gain = "to_go",
    divide_by_std: bool = True,
    endings: tuple[float, ...] = (),
    eps: float = 1e-4,
) -> Signal:
    """Rank-GRPO: each item of a recommended list is compared with those at the same place in its siblings' lists.

    ``item_rewards`` are hits, 0 where the list is too short. With ``to_go`` an item is credited with the discounted
    hits from its place on, with ``own`` with its own. ``endings`` are added to tokens past the last item, and to the
    ``eos`` token of a list that is complete, or ends early: published -0.1, 0.1 and -0.1, or none.
    """
    return _rank_grpo(batch, items_over_tokens, gain, divide_by_std, endings, eps)


@register(
    "release/rank_grpo",
    like="rank_grpo",
    inputs=(_ITEM_REWARDS, _ITEM_OF_TOKEN, _EOS, "groups", "lengths|mask"),
    optional=(),
    formula="as rank_grpo; the token that ends the list counts as one of its items",
    laws=Laws(options={"endings": (-0.1, 0.1, -0.1)}),
)
def release_rank_grpo(
    batch: SignalBatch,
    *,
    gain: Gain = "to_go",
    divide_by_std: bool = True,
    endings: tuple[float, ...] = (),
    eps: float = 1e-4,
) -> Signal:
    """Rank-GRPO of its release, where a list closed by a newline counts one item too many.

    One item short it earns the reward of a complete list, and complete it is punished for overflowing.
    """
    return _rank_grpo(batch, released_item_tokens, gain, divide_by_std, endings, eps)


def _rank_grpo(
    batch: SignalBatch,
    over_tokens: Callable[..., FloatArray],
    gain: Gain,
    divide_by_std: bool,
    endings: tuple[float, ...],
    eps: float,
) -> Signal:
    valid, groups = batch.taken()
    hits: FloatArray = batch["item_rewards"][valid]
    per_item = item_advantages(
        gain_to_go(hits) if gain == "to_go" else hits, groups, divide_by_std=divide_by_std, eps=eps
    )
    mask = batch.mask[valid]
    if endings and len(endings) != 3:
        raise OptionError(f"endings: {len(endings)} numbers; give overflow, complete and early, or none")
    overflow, complete, early = endings or (0.0, 0.0, 0.0)
    eos = batch["eos"][valid] if "eos" in batch else np.zeros(mask.shape, np.bool_)
    tokens = over_tokens(
        per_item, batch["item_of_token"][valid], mask, eos, overflow=overflow, complete=complete, early=early
    )
    return batch.signal(token_advantages=batch.scatter(tokens), token_weights=batch.scatter(mask.astype(np.float64)))


def released_item_tokens(
    advantages: FloatArray,
    item_of_token: IntArray,
    mask: BoolArray,
    eos: BoolArray,
    *,
    overflow: float,
    complete: float,
    early: float,
) -> FloatArray:
    """`items_over_tokens` as released: the token that ends the list counts as one of its items.

    A list whose last line is closed by a newline so counts one item too many: one item short it is complete, and
    complete it overflows.
    """
    item_count = advantages.shape[1]
    tokens = items_over_tokens(advantages, item_of_token, mask, overflow=overflow)
    items_held = np.where(mask, item_of_token, -1).max(1, initial=-1) + 1
    ends = eos & mask & (item_of_token < item_count)
    at_end = np.where(items_held > item_count, 0.0, np.where(items_held >= item_count, complete, early))
    return np.where(ends, at_end[:, None], tokens)


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
    item_count = advantages.shape[1]
    if not item_count:
        return np.zeros(mask.shape)
    ends = np.zeros(mask.shape, np.bool_) if eos is None else eos & mask
    is_text = mask & ~ends
    inside = is_text & (item_of_token >= 0) & (item_of_token < item_count)
    past = is_text & (item_of_token >= item_count)
    result = np.where(inside, np.take_along_axis(advantages, np.clip(item_of_token, 0, item_count - 1), 1), 0.0)
    result = np.where(past, overflow, result)
    items_held = np.where(is_text, item_of_token, -1).max(1, initial=-1) + 1
    at_end = np.where(past.any(1), overflow, np.where(items_held >= item_count, complete, early))
    return np.where(ends, at_end[:, None], result)


def gain_to_go(hits: FloatArray) -> FloatArray:
    """``[N, I]`` discounted gain of an item and all after it, so that no item is credited with earlier hits.

    Source: Rank-GRPO, yaochenzhu/Rank-GRPO libs/reward_funcs.py @0808d82c.
    """
    gains = hits * dcg_discounts(hits.shape[1])
    result: FloatArray = gains[:, ::-1].cumsum(1)[:, ::-1]
    return result


@golden("rank_grpo_discounts")
def _(case: Case) -> Any:
    return dcg_discounts(case.params["rec_num"])


@golden("rank_grpo_item_advantages", atol=1e-6)
def _(case: Case) -> Any:
    items = case.array("rewards_items")
    batch = SignalBatch(None, case.blocks("group_size", len(items)), item_rewards=items)
    scaled = case.params["scale_rewards"]
    return item_advantages(items, batch.groups, divide_by_std=scaled, eps=case.params["eps"])


@golden("rank_grpo_token_advantages", atol=1e-6)
def _(case: Case) -> Any:
    shaped = case.params["apply_extra_length_shaping"]
    mask = np.asarray(case.inputs["completion_mask"], np.bool_)
    tokens = released_item_tokens(
        case.array("item_advantages"),
        np.asarray(case.inputs["item_of_token"]),
        mask,
        np.asarray(case.inputs["eos_mask"], np.bool_),
        overflow=case.params["extra_token_penalty"] if shaped else 0.0,
        complete=case.params["end_of_list_reward"] if shaped else 0.0,
        early=case.params["early_stop_penalty"] if shaped else 0.0,
    )
    return {"token_advantages": tokens, "loss_mask": mask.astype(int)}
