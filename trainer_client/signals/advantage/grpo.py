"""DeepSeekMath: Pushing the Limits of Mathematical Reasoning in Open Language Models (GRPO).

DeepSeekMath (arXiv 2402.03300) section 4.1; ddof and eps, which it does not name, as in verl.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np

from trainer_client.signals.authoring import Case, Laws, Needs, Paper, Signal, SignalBatch, golden, method, register
from trainer_client.signals.parts.group_normalise import Singleton, group_normalise
from trainer_client.signals.parts.scaled import GroupScale, scaled

PAPER = Paper("grpo", __doc__, provenance="code")


def _needs_by_scale(options: Mapping[str, Any]) -> Needs:
    return "batch" if options["scale"] == "batch" else "group"


@register(
    "grpo",
    paper=PAPER,
    needs=_needs_by_scale,
    inputs=("rewards", "groups"),
    formula="A_i = (r_i - mean) / (std + eps)",
    reducible=True,
    laws=Laws(shift=True, scale="invariant", constant=True, zero_sum=True),
)
def grpo(
    batch: SignalBatch,
    *,
    scale: GroupScale = "group",
    ddof: int = 1,
    eps: float = 1e-6,
    singleton: Singleton = "zero",
) -> Signal:
    """GRPO: rewards relative to the group's mean, over its standard deviation."""
    return scaled(batch, scale, ddof, eps, singleton)


@register(
    "grpo_trl",
    like="grpo",
    source="huggingface/trl trl/trainer/grpo_trainer.py @f2cd5771",
    formula="A_i = (r_i - mean) / (std + eps); scale: std of the group, of the batch, or none",
    laws=Laws(shift=True, scale="invariant", constant=True, zero_sum=True),
)
def grpo_trl(batch: SignalBatch, *, scale: GroupScale = "group", eps: float = 1e-4) -> Signal:
    """GRPO as TRL computes it: eps 1e-4; a group with one scored rollout gives 0."""
    return scaled(batch, scale, 1, eps, "zero")


@register(
    "grpo_verl",
    paper=PAPER,
    needs="group",
    inputs=("rewards", "groups"),
    source="volcengine/verl verl/trainer/ppo/core_algos.py @b178a3cd compute_grpo_outcome_advantage",
    formula="A_i = (r_i - mean) / (std + eps); a group of one: r / (1 + eps)",
)
def grpo_verl(batch: SignalBatch, *, scale: Literal["group", "none"] = "group", eps: float = 1e-6) -> Signal:
    """GRPO as verl computes it: eps 1e-6; a group of one keeps its reward."""
    return scaled(batch, scale, 1, eps, "raw")


@register(
    "release/grpo_verl_vectorized",
    like="grpo_verl",
    source=(
        "volcengine/verl verl/trainer/ppo/core_algos.py @b178a3cd compute_grpo_vectorized_outcome_advantage, "
        "corrected by @1dda039b"
    ),
    formula="A_i = (r_i - mean) / (sqrt(max(var, 1e-6)) + eps)",
)
def release_grpo_verl_vectorized(
    batch: SignalBatch, *, scale: Literal["group", "none"] = "group", eps: float = 1e-6
) -> Signal:
    """GRPO of verl's vectorised path, which floors the variance and so damps groups that hardly differ."""
    valid, groups = batch.taken()
    rewards = batch.rewards[valid]
    single = groups.spread(groups.sizes) == 1
    centred = group_normalise(rewards, groups, scale="none", singleton="raw")
    if scale == "none":
        return batch.signal(advantages=batch.scatter(centred))
    deviation = np.sqrt(np.maximum(groups.deviation(rewards, 1) ** 2, 1e-6))
    return batch.signal(advantages=batch.scatter(centred / (np.where(single, 1.0, groups.spread(deviation)) + eps)))


@register(
    "grpo_openrlhf",
    like="grpo_verl",
    source="OpenRLHF/OpenRLHF openrlhf/trainer/ppo_utils/experience_maker.py @3c3be623",
    formula="A_i = (r_i - mean) / (std + eps)",
    laws=Laws(shift=True, scale="invariant", constant=True, zero_sum=True),
)
def grpo_openrlhf(batch: SignalBatch, *, eps: float = 1e-9) -> Signal:
    """GRPO as OpenRLHF's group_norm computes it: eps 1e-9; a group of one gives 0."""
    return scaled(batch, "group", 1, eps, "zero")


@register(
    "release/grpo_openrlhf",
    like="grpo_openrlhf",
    formula="A_i = (r_i - mean) / (std + eps); a group of one: NaN",
    laws=Laws(finite=False),
)
def release_grpo_openrlhf(batch: SignalBatch, *, eps: float = 1e-9) -> Signal:
    """GRPO of OpenRLHF's release, where a group of one divides by a deviation of NaN."""
    advantages = group_normalise(batch.rewards, batch.groups, batch.valid, eps=eps)
    single = batch.groups.spread(batch.groups.sum(batch.valid)) == 1
    return batch.signal(advantages=np.where(single, np.nan, advantages))


@register(
    "grpo_slime",
    like="grpo_verl",
    source="THUDM/CaRR slime/slime/ray/rollout.py @c97e7e89",
    formula="A_i = (r_i - mean) / (std + eps); std of the centred rewards; not divided in a group of one",
    laws=Laws(shift=True, scale="invariant", constant=True, zero_sum=True),
)
def grpo_slime(batch: SignalBatch, *, scale: Literal["group", "none"] = "group", eps: float = 1e-6) -> Signal:
    """GRPO as slime computes it: centre first, then divide by the deviation of what is centred."""
    return scaled(batch, scale, 1, eps, "zero")


@register(
    "grpo_dance",
    like="grpo_verl",
    source="CodeGoat24/Pref-GRPO fastvideo/rewards/dispatcher.py @3e787f6d (the DanceGRPO code family)",
    formula="A_i = (r_i - mean) / (std + eps)",
    laws=Laws(shift=True, scale="invariant", constant=True, zero_sum=True),
)
def grpo_dance(batch: SignalBatch, *, eps: float = 1e-8) -> Signal:
    """GRPO as DanceGRPO computes it: eps 1e-8; a group of one gives 0 (NaN in the release)."""
    return scaled(batch, "group", 1, eps, "zero")


@golden("grpo", "dr_grpo")
def _(case: Case) -> Any:
    return method("grpo_verl", scale=case.scale("norm_adv_by_std_in_grpo"), eps=case.params["epsilon"])(
        case.batch()
    ).advantages


@golden("grpo_vectorized", atol=1e-5)
def _(case: Case) -> Any:
    return method(
        "release/grpo_verl_vectorized", scale=case.scale("norm_adv_by_std_in_grpo"), eps=case.params["epsilon"]
    )(case.batch()).advantages


@golden("grpo_verl")
def _(case: Case) -> Any:
    batch = SignalBatch(case.array("rewards"), case.inputs["group_index"])
    return method("grpo_verl", scale=case.scale("norm_by_std"), eps=case.params["eps"])(batch).advantages


@golden("grpo_trl_group", "grpo_trl_none", "grpo_trl_batch")
def _(case: Case) -> Any:
    rewards = case.array("rewards")
    batch = SignalBatch(rewards, case.blocks("group_size", rewards.size))
    scale: Any = case.method.removeprefix("grpo_trl_")
    return method("grpo_trl", scale=scale, eps=case.params["eps"])(batch).advantages


@golden("grpo_slime", atol=1e-6)
def _(case: Case) -> Any:
    rewards = case.array("rewards")
    batch = SignalBatch(rewards, case.blocks("group_size", rewards.size))
    return method("grpo_slime", scale=case.scale("std_normalization"), eps=case.params["eps"])(batch).advantages


@golden("openrlhf_group_norm", atol=1e-6)
def _(case: Case) -> Any:
    # What rounding leaves of equal rewards, over an eps of 1e-9, is no advantage: hence the tolerance.
    return method("release/grpo_openrlhf")(case.batch()).advantages
