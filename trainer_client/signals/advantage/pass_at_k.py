"""Pass@k Training for Adaptively Balancing Exploration and Exploitation of Large Reasoning Models.

Pass@k training (arXiv 2508.10751); RUCAIBox/Passk_Training code/passk_adv.py @c3ba575e.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np

from trainer_client.signals.authoring import (
    Case,
    FloatArray,
    Groups,
    InputError,
    Laws,
    OptionError,
    Paper,
    Signal,
    SignalBatch,
    golden,
    method,
    register,
)

PAPER = Paper("pass-at-k", __doc__, provenance="code", names=("Pass@k", "Pass@k Training"))


@register(
    "pass_at_k",
    paper=PAPER,
    needs="group",
    inputs=("rewards", "groups"),
    formula=(
        "rho = 1 - C(n-c,k)/C(n,k); right: (1-rho)/(sigma+eps); wrong: "
        "(1-rho-C(n-c-1,k-1)/C(n-1,k-1))/(sigma+eps); sigma = sqrt(rho*(1-rho))"
    ),
    laws=Laws(constant=True, rewards="binary", options={"k": 2}),
    within=(0.0, 1.0),
)
def pass_at_k_training(batch: SignalBatch, *, k: int = 4, eps: float = 1e-6) -> Signal:
    """Pass@k training, analytic form: raises the chance of one success among k; rewards are 0 or 1."""
    valid, groups = batch.taken()
    return batch.signal(advantages=batch.scatter(pass_at_k(batch.rewards[valid], groups, k, eps)))


@register(
    "pass_at_k_best",
    like="pass_at_k",
    source=(
        "arXiv 2503.19595; volcengine/verl verl/trainer/ppo/core_algos.py @b178a3cd "
        "compute_grpo_passk_outcome_advantage"
    ),
    formula="best row: (r_max - r_second) / (std + eps); others 0",
    laws=Laws(shift=True, scale="invariant", constant=True, permutation=False),
)
def pass_at_k_best(batch: SignalBatch, *, scale: Literal["group", "none"] = "group", eps: float = 1e-6) -> Signal:
    """Pass@k by best minus second: only the best rollout of a group is rewarded, by its lead."""
    valid, groups = batch.taken()
    rewards = batch.rewards[valid]
    lead = best_minus_second(rewards, groups)
    if scale == "group":
        spread = groups.deviation(rewards, 1) + eps
        lead = groups.apply(np.divide, lead, np.where(spread > 0, spread, 1.0))
    return batch.signal(advantages=batch.scatter(lead))


def best_minus_second(rewards: FloatArray, groups: Groups) -> FloatArray:
    """``[N]``: the best row gets its lead over the second best, all others 0.

    A tie for the best, and a group of one, give 0. Source: arXiv 2503.19595.
    """
    rank = groups.rank(rewards, descending=True)
    second = groups.sum(np.where(rank == 1, rewards, 0.0))
    lead = groups.apply(np.subtract, rewards, second)
    result: FloatArray = np.where((rank == 0) & (groups.spread(groups.sizes) > 1), lead, 0.0)
    return result


def pass_at_k(rewards: FloatArray, groups: Groups, k: int, eps: float = 1e-6) -> FloatArray:
    """``[N]`` advantages that raise the chance of at least one success among ``k`` draws.

    With ``c`` successes among ``n``: ``rho = 1 - C(n-c, k) / C(n, k)``, ``sigma = sqrt(rho * (1 - rho))``; a
    success gets ``(1 - rho) / (sigma + eps)``, a failure
    ``(1 - rho - C(n-c-1, k-1) / C(n-1, k-1)) / (sigma + eps)``. A group with fewer than ``k`` rows gets 0, since
    missing rewards may make a group that small.

    Source: RUCAIBox/Passk_Training code/passk_adv.py @c3ba575e.

    Raises:
        InputError: a reward is neither 0 nor 1.
        OptionError: ``k`` is below 1.
    """
    if k < 1:
        raise OptionError(f"k: {k} draws are none; choose at least 1")
    odd = np.flatnonzero((rewards != 0) & (rewards != 1))
    if odd.size:
        raise InputError(
            f"rewards: {rewards[odd[0]]} (the {odd[0]}th valid row) is neither 0 nor 1; pass@k counts successes, "
            "so threshold the rewards first"
        )
    n = groups.sizes.astype(np.float64)
    failures = n - groups.sum(rewards)
    fail_ratio = _choose_ratio(failures, n, k)
    rho = 1.0 - fail_ratio
    scale = np.sqrt(rho * fail_ratio) + eps
    success = fail_ratio / scale
    failure = (fail_ratio - _choose_ratio(failures - 1, n - 1, k - 1)) / scale
    enough = (n >= k) & (scale > 0)
    result: FloatArray = np.where(
        rewards == 1, groups.spread(np.where(enough, success, 0.0)), groups.spread(np.where(enough, failure, 0.0))
    )
    return result


def _choose_ratio(a: FloatArray, b: FloatArray, k: int) -> FloatArray:
    """``C(a, k) / C(b, k)`` for ``a <= b``; 0 where ``a < k``."""
    ratio = np.ones_like(b)
    for j in range(k):
        ratio = ratio * np.maximum(a - j, 0.0) / np.maximum(b - j, 1.0)
    return ratio


@golden("grpo_passk_best_minus_second")
def _(case: Case) -> Any:
    scale = case.scale("norm_adv_by_std_in_grpo")
    return method("pass_at_k_best", scale=scale, eps=case.params["epsilon"])(case.batch()).advantages


@golden("passk_training_analytic")
def _(case: Case) -> Any:
    rewards = case.array("rewards")
    return method("pass_at_k", k=case.params["k"])(SignalBatch(rewards, np.zeros(rewards.size, int))).advantages
