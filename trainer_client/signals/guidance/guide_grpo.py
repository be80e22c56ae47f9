"""Adaptive Guidance Accelerates RL of Reasoning Models (Guide-GRPO).

Adaptive Guidance Accelerates RL of Reasoning Models (arXiv 2506.13923), reconstructed from its abstract.
"""

from __future__ import annotations

from typing import Literal

import numpy as np

from trainer_client.signals.authoring import (
    BoolArray,
    FloatArray,
    Input,
    Laws,
    OptionError,
    Paper,
    Request,
    Signal,
    SignalBatch,
    register,
)
from trainer_client.signals.parts.group_normalise import group_normalise
from trainer_client.signals.parts.prompts import first_rows, unsolved_groups

PAPER = Paper("guide-grpo", __doc__, provenance="abstract")

_HELPED_LOGPROBS = Input("helped_logprobs", "NT", "float", "log-probability of each token with the help in the context")


@register(
    "guide_grpo",
    paper=PAPER,
    needs="group",
    inputs=("rewards", "groups"),
    optional=("helped", _HELPED_LOGPROBS, "old_logprobs", "lengths|mask"),
    formula="all wrong: ask for rollouts with a hint; GRPO over both; c_t = exp(clip(logp(o_t|q) - logp(o_t|q,hint)))",
    laws=Laws(constant=True),
)
def guide_grpo(
    batch: SignalBatch,
    *,
    mode: Literal["append", "replace"] = "append",
    threshold: float = 0.5,
    bound: float = 5.0,
    eps: float = 1e-6,
) -> Signal:
    """Guide-GRPO: where all rollouts are wrong, further ones are sampled with a hint and trained without it.

    Called first with the plain rollouts, it asks for hinted ones (requests of kind ``hint``). Called with ``helped``
    rows it compares both (``append``) or the hinted alone (``replace``). With ``old_logprobs`` and ``helped_logprobs``
    the token weights correct for the hint in the sampling context.
    """
    helped = batch["helped"] if "helped" in batch else np.zeros(batch.rows, np.bool_)
    plain = batch.valid & ~helped
    hinted = batch.groups.any(batch.valid & helped)
    keep = np.ones(batch.rows, np.bool_)
    if mode == "replace":
        keep = helped | ~batch.groups.spread(hinted)
    advantages = group_normalise(batch.rewards, batch.groups, batch.valid & keep, eps=eps)
    token_weights = None
    if "helped_logprobs" in batch and "old_logprobs" in batch:
        token_weights = guidance_weights(
            batch["old_logprobs"], batch["helped_logprobs"], batch.mask, helped, bound=bound
        )
    unsolved = unsolved_groups(batch.rewards, batch.groups, plain, threshold=threshold) & ~hinted
    return batch.signal(
        keep=keep,
        advantages=advantages,
        token_weights=token_weights,
        requests=[Request(row, "hint") for row in first_rows(batch.groups, plain, unsolved)],
        report={"guide_grpo/unsolved": int(unsolved.sum())},
    )


def guidance_weights(
    plain: FloatArray, helped: FloatArray, mask: BoolArray, rows: BoolArray, *, bound: float = 5.0
) -> FloatArray:
    """``[N, T]`` ``exp(clip(logp without help - logp with it))`` on helped rows, 1 on others, 0 outside the mask.

    A trainer that knows only ``logp_old(o_t | q)`` multiplies its ratio by this, and so has the behaviour policy in
    the denominator.

    Args:
        plain: ``[N, T]`` log-probabilities under the sampling policy without the help in the context.
        helped: ``[N, T]`` with it.
        mask: ``[N, T]`` generated tokens.
        rows: ``[N]`` rows that were generated with help.
        bound: largest absolute log-ratio.

    Raises:
        OptionError: the bound is not positive.

    Source: Guide-GRPO (arXiv 2506.13923), reconstructed from its abstract; the bound is ours.
    """
    if not bound > 0:
        raise OptionError(f"bound: {bound} must be positive")
    ratio = np.exp(np.clip(np.where(mask, plain - helped, 0.0), -bound, bound))
    return np.where(mask, np.where(rows[:, None], ratio, 1.0), 0.0)
