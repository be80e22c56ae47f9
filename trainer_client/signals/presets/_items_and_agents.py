"""Credit for parts of a rollout, and for agents that act in turn: Rank-GRPO, OSPO."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import numpy as np

from trainer_client.signals._arrays import BoolArray, FloatArray, IntArray
from trainer_client.signals._batch import SignalBatch
from trainer_client.signals._groups import Groups
from trainer_client.signals._registry import register
from trainer_client.signals._signal import Signal
from trainer_client.signals.credit import agent_returns, item_advantages, items_over_tokens
from trainer_client.signals.normalise import group_normalise, standardise
from trainer_client.signals.shaping import gain_to_go

_OSPO = "OSPO, RS2002/OSPO @02ed2da2"


@register(
    "rank_grpo",
    room="credit",
    needs="group",
    inputs=("item_rewards", "item_of_token", "groups", "lengths|mask"),
    optional=("eos",),
    certainty="code",
    source="Rank-GRPO, yaochenzhu/Rank-GRPO libs/trl/rank_grpo_trainer.py @0808d82c",
    formula="g_j = sum_{k >= j} hit_k / log2(k + 2); A_j = (g_j - mean) / (std + 1e-4) at place j, for its tokens",
    papers=("rank-grpo",),
)
def rank_grpo(
    batch: SignalBatch,
    *,
    gain: Literal["to_go", "own"] = "to_go",
    divide_by_std: bool = True,
    length_shaping: bool = False,
    overflow: float = -0.1,
    complete: float = 0.1,
    early: float = -0.1,
    eps: float = 1e-4,
) -> Signal:
    """Rank-GRPO: each item of a recommended list is compared with those at the same place in its siblings' lists.

    ``item_rewards`` are hits, 0 where the list is too short. With ``to_go`` an item is credited with the discounted
    hits from its place on, with ``own`` with its own. ``length_shaping`` adds a penalty to tokens past the last item,
    and a reward or penalty to the ``eos`` token of a list that is complete or ends early.
    """
    endings = (overflow, complete, early) if length_shaping else (0.0, 0.0, 0.0)
    return _rank_grpo(batch, items_over_tokens, gain == "to_go", divide_by_std, endings, eps)


@register(
    "release/rank_grpo",
    room="credit",
    needs="group",
    inputs=("item_rewards", "item_of_token", "eos", "groups", "lengths|mask"),
    certainty="code",
    source="Rank-GRPO, yaochenzhu/Rank-GRPO libs/trl/rank_grpo_trainer.py @0808d82c",
    formula="as rank_grpo; the token that ends the list counts as one of its items",
    papers=("rank-grpo",),
)
def release_rank_grpo(
    batch: SignalBatch,
    *,
    gain: Literal["to_go", "own"] = "to_go",
    divide_by_std: bool = True,
    length_shaping: bool = False,
    overflow: float = -0.1,
    complete: float = 0.1,
    early: float = -0.1,
    eps: float = 1e-4,
) -> Signal:
    """Rank-GRPO of its release, where a list closed by a newline counts one item too many.

    One item short it earns the reward of a complete list, and complete it is punished for overflowing.
    """
    endings = (overflow, complete, early) if length_shaping else (0.0, 0.0, 0.0)
    return _rank_grpo(batch, released_item_tokens, gain == "to_go", divide_by_std, endings, eps)


def _rank_grpo(
    batch: SignalBatch,
    over_tokens: Callable[..., FloatArray],
    to_go: bool,
    divide_by_std: bool,
    endings: tuple[float, float, float],
    eps: float,
) -> Signal:
    valid, groups = batch.taken()
    hits: FloatArray = batch["item_rewards"][valid]
    per_item = item_advantages(gain_to_go(hits) if to_go else hits, groups, divide_by_std=divide_by_std, eps=eps)
    mask = batch.mask[valid]
    overflow, complete, early = endings
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
    wanted = advantages.shape[1]
    tokens = items_over_tokens(advantages, item_of_token, mask, overflow=overflow)
    held = np.where(mask, item_of_token, -1).max(1, initial=-1) + 1
    ends = eos & mask & (item_of_token < wanted)
    at_end = np.where(held > wanted, 0.0, np.where(held >= wanted, complete, early))
    return np.where(ends, at_end[:, None], tokens)


@register(
    "ospo",
    room="advantage",
    needs="group",
    inputs=("rewards", "groups", "assigned", "cumulative"),
    certainty="code",
    source=f"{_OSPO} OSPO/Platform.py",
    formula="A_i = (r_i - mean) / (std + 1e-8) + std(C before) - std(C after), over assigned agents",
    papers=("ospo",),
)
def ospo(batch: SignalBatch, *, fairness: float = 1.0, eps: float = 1e-8) -> Signal:
    """OSPO: agents that act at the same step are each other's baseline; all share a term for equality.

    ``groups`` are steps, rows the agents present. Only ``assigned`` agents are kept. The term is how much the step
    narrowed the spread of all agents' ``cumulative`` returns.
    """
    valid, groups = batch.taken()
    acting = batch["assigned"][valid]
    rewards = np.where(acting, batch.rewards[valid], 0.0)
    before = batch["cumulative"][valid]
    narrowed = groups.deviation(before) - groups.deviation(before + rewards)
    relative = group_normalise(rewards, groups, acting, ddof=0, eps=eps)
    return batch.signal(
        keep=batch["assigned"] | ~batch.valid,
        advantages=batch.scatter(relative + fairness * groups.spread(narrowed)),
    )


@register(
    "ospo_to_go",
    room="credit",
    needs="batch",
    inputs=("rewards", "agents", "times", "gaps"),
    optional=("penalties",),
    certainty="code",
    source=f"{_OSPO} GRPO/Worker.py",
    formula="G = standardised r + gamma^gap * G of the agent's next decision; A = G - penalty",
    papers=("ospo",),
)
def ospo_to_go(
    batch: SignalBatch,
    *,
    gamma: float = 0.99,
    reward: Literal["own", "to_go"] = "to_go",
    scale: Literal["step", "batch"] = "batch",
    penalty: Literal["none", "given", "spread"] = "given",
    eps: float = 1e-8,
) -> Signal:
    """OSPO's GRPO variant: standardised rewards, discounted along each agent's own decisions.

    Rewards are standardised over the decisions of the same time (``step``) or over all. What is subtracted for
    inequality: the ``penalties`` of the decisions, if there are any (``given``), or how far the agents' unscaled
    returns from that time on lie apart (``spread``).
    """
    valid = batch.valid
    rewards, times = batch.rewards[valid], batch["times"][valid]
    agents, gaps = batch.ids("agents").take(valid), batch["gaps"][valid]
    if scale == "step":
        scaled = group_normalise(rewards, times, ddof=0, eps=eps)
    else:
        scaled = standardise(rewards, np.ones(rewards.size, np.bool_), ddof=0, eps=eps)
    if reward == "to_go":
        scaled = agent_returns(scaled, agents, times, gaps, gamma)
    if penalty == "given" and "penalties" in batch:
        scaled = scaled - batch["penalties"][valid]
    elif penalty == "spread":
        together = Groups.of(times)
        scaled = scaled - together.spread(together.deviation(agent_returns(rewards, agents, times, gaps, gamma)))
    return batch.signal(advantages=batch.scatter(scaled))
