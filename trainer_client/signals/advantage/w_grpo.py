"""W-GRPO: successes and failures weigh differently.

Beyond Variance (arXiv 2602.03452); weights after the normalisation are ours: before it they cancel.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np

from trainer_client.signals.authoring import (
    Case,
    Input,
    Laws,
    Needs,
    OptionError,
    Signal,
    SignalBatch,
    golden,
    method,
    one_group,
    register,
)
from trainer_client.signals.parts.group_normalise import group_normalise

_PAIRINGS = Input("pairings", "N", "ids", "pair of prompts that a row's prompt belongs to")


def _needs_by_scope(options: Mapping[str, Any]) -> Needs:
    return "batch" if options["scope"] == "pair" else "group"


@register(
    "w_grpo",
    paper="w-grpo",
    needs=_needs_by_scope,
    inputs=("rewards", "groups"),
    optional=(_PAIRINGS,),
    provenance="secondary",
    formula="A_i = GRPO; times positive where A_i > 0, times negative where A_i < 0",
    laws=Laws(shift=True, scale="invariant", constant=True, options={"negative": 0.5}),
)
def w_grpo(
    batch: SignalBatch,
    *,
    positive: float = 1.0,
    negative: float,
    easy_positive: float | None = None,
    easy_negative: float | None = None,
    apply: Literal["after", "before"] = "after",
    scope: Literal["prompt", "pair"] = "prompt",
    divide_by_std: bool = True,
    threshold: float = 0.5,
    eps: float = 1e-6,
) -> Signal:
    """W-GRPO: successes and failures weigh differently.

    An affine map of a binary reward is undone by mean and deviation, so that weights on the outcomes (``before``:
    ``positive`` for a success, ``-negative`` for a failure) have an effect only without ``divide_by_std``. With scope
    ``pair`` the prompts that share an id in ``pairings`` are normalised together; weights before it then have an effect
    where they differ between the prompts: ``easy_positive`` and ``easy_negative`` are those of a prompt that is solved
    more often than not.
    """
    right = batch.rewards > threshold
    rate = batch.groups.sum(right & batch.valid) / np.maximum(batch.groups.sum(batch.valid), 1)
    easy = batch.groups.spread(rate) > 0.5
    up = np.where(easy, positive if easy_positive is None else easy_positive, positive)
    down = np.where(easy, negative if easy_negative is None else easy_negative, negative)
    if bool((up < 0).any() or (down < 0).any()):
        raise OptionError("weights of outcomes must not be negative; they are the sizes of successes and failures")
    groups = batch.ids("pairings") if scope == "pair" else batch.groups
    rewards = np.where(right, up, -down) if apply == "before" else batch.rewards
    scale: Literal["std", "none"] = "std" if divide_by_std else "none"
    advantages = group_normalise(rewards, groups, batch.valid, scale=scale, eps=eps)
    if apply == "after":
        advantages = advantages * np.where(advantages > 0, up, down)
    return batch.signal(advantages=advantages)


@golden("weighted_grpo", "weighted_grpo_pair")
def _(case: Case) -> Any:
    paired = case.method == "weighted_grpo_pair"
    outcomes = case.array("outcomes_hard_then_easy" if paired else "outcomes")
    groups = np.arange(outcomes.size) // (outcomes.size // 2) if paired else one_group(outcomes.size)
    estimator = method(
        "w_grpo",
        negative=case.params["lambda_neg"],
        apply="before",
        scope="pair" if paired else "prompt",
        eps=case.params["eps"],
    )
    return estimator(SignalBatch(outcomes, groups, pairings=one_group(outcomes.size))).advantages
