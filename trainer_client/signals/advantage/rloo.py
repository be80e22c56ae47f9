"""Back to Basics: Revisiting REINFORCE-Style Optimization for Learning from Human Feedback in LLMs (RLOO).

RLOO (arXiv 2402.14740) section 3.2; huggingface/trl trl/trainer/rloo_trainer.py @f2cd5771.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from trainer_client.signals.authoring import (
    Case,
    Laws,
    MissingInputError,
    Needs,
    Paper,
    Signal,
    SignalBatch,
    golden,
    method,
    register,
    resolve,
)
from trainer_client.signals.parts.group_normalise import Singleton, group_normalise
from trainer_client.signals.parts.standardise import standardise

PAPER = Paper("rloo", __doc__, provenance="code")


def _needs_by_normalise(options: Mapping[str, Any]) -> Needs:
    return "batch" if options["normalise"] else "group"


@register(
    "rloo",
    paper=PAPER,
    needs=_needs_by_normalise,
    inputs=("rewards", "groups"),
    optional=("old_logprobs", "ref_logprobs"),
    formula="A_i = r_i - mean of the other members = n / (n - 1) * (r_i - mean)",
    reducible=True,
    laws=Laws(shift=True, scale="equivariant", constant=True, zero_sum=True),
)
def rloo(
    batch: SignalBatch,
    *,
    clip: tuple[float, ...] = (),
    kl_coefficient: float = 0.0,
    normalise: bool = False,
    eps: float = 1e-4,
    singleton: Singleton = "zero",
) -> Signal:
    """RLOO: each reward against the mean of the other members of its group.

    TRL's options, in its order: rewards are held within ``clip`` (low, high), the sequence KL
    ``kl_coefficient * sum_t(logp_old - logp_ref)`` is subtracted, and with ``normalise`` the advantages are
    standardised over the batch.
    """
    rewards = batch.rewards
    if clip:
        rewards = np.clip(rewards, clip[0], clip[-1])
    if kl_coefficient:
        if "old_logprobs" not in batch or "ref_logprobs" not in batch:
            raise MissingInputError(
                "rloo: kl_coefficient needs old_logprobs and ref_logprobs; pass both to SignalBatch"
            )
        gap = np.where(batch.mask, batch["old_logprobs"] - batch["ref_logprobs"], 0.0)
        rewards = rewards - kl_coefficient * gap.sum(1)
    advantages = group_normalise(
        rewards, batch.groups, batch.valid, centre="leave_one_out", scale="none", singleton=singleton
    )
    if normalise:
        advantages = standardise(advantages, batch.valid, eps=eps, reduce=batch.reduce)
    return batch.signal(advantages=advantages)


@golden("rloo")
def _(case: Case) -> Any:
    return method("rloo", singleton="raw")(case.batch()).advantages


@golden("rloo_vectorized", "openrlhf_rloo")
def _(case: Case) -> Any:
    return method("rloo")(case.batch()).advantages


@golden("trl_rloo")
def _(case: Case) -> Any:
    summed = {"name": "weighted_sum", "weights": case.params["weights"], "missing": "omit"}
    relative = {"name": "rloo", "normalise": case.params["normalize_advantages"]}
    return resolve([summed, relative])(case.components()).advantages
