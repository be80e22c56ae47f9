"""DAPO's parts: overlong punishment in its three forms, overlong filtering, dynamic sampling, and all together."""

from __future__ import annotations

import numpy as np

from trainer_client.signals._batch import SignalBatch
from trainer_client.signals._errors import BadOption
from trainer_client.signals._registry import register
from trainer_client.signals._signal import Signal
from trainer_client.signals.normalise import group_normalise
from trainer_client.signals.selection import groups_in_range, varied_groups
from trainer_client.signals.shaping import overlong_penalty, stop_properly

_BASE = ("base",)
_LONG = ("rewards", "lengths|mask")
_DAPO = "DAPO (arXiv 2503.14476)"
_SOFT = "p = -clip((len - (max_length - cache)) / cache, 0, 1) * factor"


@register(
    "overlong",
    room="shaping",
    needs="row",
    inputs=_LONG,
    certainty="code",
    source=f"{_DAPO} eq. 13; huggingface/trl trl/rewards/other_rewards.py @f2cd5771",
    formula=f"r + p; {_SOFT}",
    papers=_BASE,
)
def overlong(batch: SignalBatch, *, max_length: int, cache: int, factor: float = 1.0) -> Signal:
    """DAPO's soft overlong punishment, as in the paper and TRL: full at max_length and beyond."""
    penalty = overlong_penalty(batch.lengths, max_length=max_length, cache=cache, factor=factor)
    return batch.signal(rewards=batch.rewards + penalty)


@register(
    "overlong_verl",
    room="shaping",
    needs="row",
    inputs=_LONG,
    certainty="code",
    source=f"{_DAPO} eq. 13; volcengine/verl verl/workers/reward_manager/dapo.py @b178a3cd",
    formula="r + p; p = min(-(len - (max_length - cache)) / cache * factor, 0)",
    papers=_BASE,
)
def overlong_verl(batch: SignalBatch, *, max_length: int, cache: int, factor: float = 1.0) -> Signal:
    """DAPO's soft overlong punishment as in verl: it keeps falling beyond max_length."""
    penalty = overlong_penalty(batch.lengths, max_length=max_length, cache=cache, factor=factor, beyond="falling")
    return batch.signal(rewards=batch.rewards + penalty)


@register(
    "overlong_openrlhf",
    room="shaping",
    needs="row",
    inputs=_LONG,
    certainty="code",
    source="OpenRLHF/OpenRLHF openrlhf/trainer/ppo_utils/length_penalty.py @3c3be623",
    formula=f"r + p; {_SOFT}",
    papers=_BASE,
)
def overlong_openrlhf(batch: SignalBatch, *, max_length: int, cache: int, factor: float = 1.0) -> Signal:
    """DAPO's soft overlong punishment as in OpenRLHF: max_length counts new tokens, the end is at -factor."""
    penalty = overlong_penalty(batch.lengths, max_length=max_length, cache=cache, factor=factor)
    return batch.signal(rewards=batch.rewards + penalty)


@register(
    "stop_properly",
    room="shaping",
    needs="row",
    inputs=("rewards", "truncated"),
    certainty="code",
    source="ProRL (arXiv 2505.24864); OpenRLHF/OpenRLHF openrlhf/trainer/ppo_utils/length_penalty.py @3c3be623",
    formula="truncated: r * c for c >= 0, c for c < 0",
    papers=_BASE,
)
def stop_properly_penalty(batch: SignalBatch, *, coefficient: float = 0.0) -> Signal:
    """ProRL's penalty for answers that were cut off: their reward is scaled or replaced."""
    return batch.signal(rewards=stop_properly(batch.rewards, batch["truncated"], coefficient=coefficient))


@register(
    "overlong_filter",
    room="selection",
    needs="row",
    inputs=("truncated",),
    certainty="code",
    source=f"{_DAPO} section 3.4; huggingface/trl mask_truncated_completions @f2cd5771",
    formula="weight 0 where truncated",
    papers=_BASE,
)
def overlong_filter(batch: SignalBatch) -> Signal:
    """DAPO's overlong filtering: truncated rollouts stay in the statistics and out of the loss.

    Place it last in a pipeline; placed before an advantage, it takes the rows out of the statistics as well.
    """
    return batch.signal(keep=~batch["truncated"])


@register(
    "dynamic_sampling",
    room="selection",
    needs="group",
    inputs=("rewards", "groups"),
    certainty="code",
    source=f"{_DAPO} section 3.2; verl-project/verl-recipe dapo/dapo_ray_trainer.py @48ea0a79",
    formula="keep a group whose rewards differ",
    papers=_BASE,
)
def dynamic_sampling(batch: SignalBatch, *, keep_singletons: bool = True) -> Signal:
    """DAPO's dynamic sampling: groups whose rewards are all equal are dropped."""
    keep = varied_groups(batch.rewards, batch.groups, batch.valid, keep_singletons=keep_singletons)
    return batch.signal(keep=keep, report={"dynamic_sampling/kept": _share(keep, batch)})


@register(
    "release/dynamic_sampling",
    room="selection",
    needs="group",
    inputs=("rewards", "groups"),
    certainty="code",
    source="verl-project/verl-recipe dapo/dapo_ray_trainer.py @48ea0a79",
    formula="keep a group whose computed deviation is above 0, and a group of one",
    papers=_BASE,
)
def release_dynamic_sampling(batch: SignalBatch) -> Signal:
    """Dynamic sampling of DAPO's release, which keeps equal rewards whose mean is rounded, such as six times 0.1."""
    valid, groups = batch.taken()
    rewards = batch.rewards[valid]
    varied = np.array([rows.size == 1 or rewards[rows].std() > 0 for rows in groups.members()], np.bool_)
    keep = np.zeros(batch.rows, np.bool_)
    keep[valid] = groups.spread(varied)
    return batch.signal(keep=keep, report={"dynamic_sampling/kept": _share(keep, batch)})


@register(
    "dynamic_sampling_range",
    room="selection",
    needs="group",
    inputs=("rewards", "groups"),
    certainty="code",
    source=f"{_DAPO} section 3.2; OpenRLHF/OpenRLHF openrlhf/trainer/ppo_utils @3c3be623",
    formula="keep a group with low < mean reward < high",
    papers=_BASE,
)
def dynamic_sampling_range(batch: SignalBatch, *, low: float = 0.0, high: float = 1.0) -> Signal:
    """DAPO's dynamic sampling as in OpenRLHF: groups are kept by their mean reward."""
    if not low < high:
        raise BadOption(f"dynamic_sampling_range: low = {low} must be below high = {high}")
    keep = groups_in_range(batch.rewards, batch.groups, batch.valid, low=low, high=high)
    return batch.signal(keep=keep, report={"dynamic_sampling/kept": _share(keep, batch)})


@register(
    "dapo",
    room="advantage",
    needs="group",
    inputs=("rewards", "groups", "lengths|mask"),
    certainty="code",
    source=f"{_DAPO} sections 3.2 to 3.4; verl-project/verl-recipe dapo @48ea0a79",
    formula=f"overlong punishment, then groups with equal rewards dropped, then GRPO; {_SOFT}",
    papers=_BASE,
)
def dapo(
    batch: SignalBatch,
    *,
    max_length: int = 20480,
    cache: int = 4096,
    factor: float = 1.0,
    eps: float = 1e-6,
) -> Signal:
    """DAPO: soft overlong punishment, dynamic sampling by the unpunished reward, GRPO.

    The filter looks at the reward before punishment (the accuracy), so that a group of equally wrong answers of
    different lengths is still dropped.
    """
    keep = varied_groups(batch.rewards, batch.groups, batch.valid)
    rewards = batch.rewards + overlong_penalty(batch.lengths, max_length=max_length, cache=cache, factor=factor)
    advantages = group_normalise(rewards, batch.groups, batch.valid & keep, eps=eps)
    return batch.signal(
        keep=keep,
        advantages=advantages,
        rewards=rewards,
        report={"dynamic_sampling/kept": _share(keep, batch)},
    )


def _share(keep: np.ndarray, batch: SignalBatch) -> float:
    """Share of the valid rows that are kept."""
    return float((keep & batch.valid).sum() / max(int(batch.valid.sum()), 1))
