"""Training Reasoning Models with Dynamic Advantage Estimation (ADORA).

ShadeCloak/ADORA @c5184853 ADORA/verl/trainer/ppo/core_algos.py.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np

from trainer_client.signals.authoring import (
    BoolArray,
    Case,
    FloatArray,
    Groups,
    Laws,
    Paper,
    Signal,
    SignalBatch,
    golden,
    method,
    register,
)
from trainer_client.signals.parts.group_normalise import Singleton, group_normalise

PAPER = Paper("adora", __doc__, provenance="code")


@register(
    "adora",
    paper=PAPER,
    needs="group",
    inputs=("rewards", "groups", "lengths|mask"),
    formula="A = (r - mean) / (std + eps), times factor unless max len of right > mean len of wrong below cap",
    laws=Laws(constant=True, rewards="binary"),
)
def adora(
    batch: SignalBatch,
    *,
    correct: float = 1.0,
    cap: float = 4054,
    factor: float = 0.1,
    ddof: int = 1,
    eps: float = 1e-6,
    singleton: Singleton = "zero",
) -> Signal:
    """ADORA: prompts on which longer thinking does not lead to right answers count for a tenth.

    A row is right from ``correct`` on. A group without wrong answers counts in full, one without right ones does not.
    """
    plain = group_normalise(batch.rewards, batch.groups, batch.valid, ddof=ddof, eps=eps, singleton=singleton)
    return _attenuated(batch, plain, correct, cap, factor, all_right=True, all_wrong=False)


@register(
    "adora_vl",
    like="adora",
    source="ShadeCloak/ADORA @c5184853 ADORA_VL/openrlhf/trainer/ppo_utils/experience_maker_vl.py weight_func",
    formula="A = r - mean of the others, times factor unless no row is right or max len of right > mean len of wrong",
    laws=Laws(constant=True, zero_sum=True, rewards="binary"),
)
def adora_vl(
    batch: SignalBatch,
    *,
    correct: float = 0.5,
    cap: float = 4094,
    factor: float = 0.1,
    base: Literal["rloo", "mean", "std"] = "rloo",
) -> Signal:
    """ADORA as its vision recipe has it: an all-wrong group counts in full, an all-right one does not.

    A row is right above ``correct``. The weights multiply one of the recipe's three advantages.
    """
    plain = group_normalise(
        batch.rewards,
        batch.groups,
        batch.valid,
        centre="leave_one_out" if base == "rloo" else "mean",
        scale="std" if base == "std" else "none",
        eps=1e-9,
    )
    above = float(np.nextafter(correct, np.inf))
    return _attenuated(batch, plain, above, cap, factor, all_right=False, all_wrong=True)


def _attenuated(
    batch: SignalBatch,
    plain: FloatArray,
    correct: float,
    cap: float,
    factor: float,
    *,
    all_right: bool,
    all_wrong: bool,
) -> Signal:
    valid, groups = batch.taken()
    lengths = batch.lengths[valid].astype(np.float64)
    full = long_right_answers(
        batch.rewards[valid] >= correct, lengths, groups, cap=cap, all_right=all_right, all_wrong=all_wrong
    )
    weights = batch.scatter(groups.spread(np.where(full, 1.0, factor)))
    share = float(full.mean()) if full.size else 0.0
    return batch.signal(advantages=plain * weights, report={"adora/full": share})


def long_right_answers(
    correct: BoolArray,
    lengths: FloatArray,
    groups: Groups,
    *,
    cap: float,
    all_right: bool = True,
    all_wrong: bool = False,
) -> BoolArray:
    """``[Q]`` whether the longest right answer of a group is longer than the mean of its wrong ones.

    Args:
        correct: ``[N]``.
        lengths: ``[N]``.
        groups: partition by prompt.
        cap: wrong answers of this length or more were cut off and do not count.
        all_right: the answer for a group without wrong answers below the cap.
        all_wrong: for one without right answers, which goes first.

    Source: ADORA, ShadeCloak/ADORA ADORA/verl/trainer/ppo/core_algos.py @c5184853.
    """
    wrong = ~correct & (lengths < cap)
    number = groups.sum(wrong)
    longest = groups.max(np.where(correct, lengths, -np.inf))
    mean = groups.sum(np.where(wrong, lengths, 0.0)) / np.maximum(number, 1)
    compared = np.where(number > 0, longest > mean, all_right)
    return np.where(groups.any(correct), compared, all_wrong).astype(np.bool_)


@golden("ADORA", rtol=1e-4, atol=1e-5)
def _(case: Case) -> Any:
    params, mask = case.params, case.array("response_mask") > 0
    batch = SignalBatch((case.array("token_level_rewards") * mask).sum(1), case.inputs["group"], mask=mask)
    estimator = method(
        "adora",
        correct=np.nextafter(params["correct_score"], np.inf),
        cap=params["max_length_threshold"],
        factor=params["lamda"],
        eps=params["epsilon"],
        singleton="raw",
    )
    return estimator(batch).over_tokens(mask)


@golden("ADORA-VL", rtol=1e-4, atol=1e-6)
def _(case: Case) -> Any:
    rewards, lengths = case.array("rewards"), case.array("response_length")
    groups = Groups.of(np.repeat(np.arange(len(rewards)), rewards.shape[1]))
    full = long_right_answers(rewards.ravel() > 0.5, lengths.ravel(), groups, cap=4094, all_right=False, all_wrong=True)
    return groups.spread(np.where(full, 1.0, case.params["lamda"])).reshape(rewards.shape)
