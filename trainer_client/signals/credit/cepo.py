"""RLVR Self-Distillation using Contrastive Evidence Policy Optimization (CEPO).

ahmedheakl/CEPO verl/trainer/core_algos.py @7a9655d2, experiments/geo/cepo.sh; the table of the README has bound 0.5.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np

from trainer_client.signals.authoring import (
    BoolArray,
    Case,
    FloatArray,
    Input,
    Laws,
    MissingInputError,
    OptionError,
    Paper,
    Signal,
    SignalBatch,
    golden,
    register,
)
from trainer_client.signals.parts.group_normalise import group_normalise

PAPER = Paper("cepo", __doc__, provenance="code")

_EVIDENCE_LOGPROBS = Input(
    "evidence_logprobs", "NT", "float", "log-probability of each token with the right answer in the context"
)
_COUNTER_LOGPROBS = Input(
    "counter_logprobs", "NT", "float", "log-probability of each token with a wrong answer in the context"
)

SignOf = Literal["row", "token"]


@register(
    "cepo",
    paper=PAPER,
    needs="group",
    inputs=("rewards", "groups", _EVIDENCE_LOGPROBS, _COUNTER_LOGPROBS, "lengths|mask"),
    optional=("old_logprobs",),
    formula="A_t = A * (1 - mix + mix * clip(exp(sign(A) * (lp_right - lp_wrong)), 1 - bound, 1 + bound))",
    laws=Laws(scale="invariant", constant=True, zero_sum=True, options={"wrong_below": 1000000000.0}),
)
def cepo(
    batch: SignalBatch,
    *,
    mix: float = 0.5,
    decay_steps: int = 25,
    bound: float = 0.2,
    wrong_below: float = 0.5,
    without_wrong: Literal["plain", "rlsd"] = "plain",
    ddof: int = 1,
    eps: float = 1e-6,
) -> Signal:
    """CEPO: tokens that the right answer speaks for, and a wrong one against, get more of the advantage.

    The logarithms come from a teacher (the policy itself) that reads the answer before the rollout; `cepo_references`
    says which wrong answer. ``mix`` falls to 0 over ``decay_steps`` by ``batch.step`` (0 keeps it). A group without a
    row below ``wrong_below`` has nothing to contrast with: ``plain`` leaves its advantages alone, as the release does;
    ``rlsd`` compares with the policy instead (needs ``old_logprobs``), as its README says.
    """
    valid, groups = batch.taken()
    contrast = batch["evidence_logprobs"] - batch["counter_logprobs"]
    has_wrong = np.zeros(batch.rows, np.bool_)
    has_wrong[valid] = groups.spread(groups.any(batch.rewards[valid] < wrong_below))
    fallback: FloatArray = np.zeros_like(contrast)
    if without_wrong == "rlsd":
        if "old_logprobs" not in batch:
            raise MissingInputError("old_logprobs: needed by cepo with without_wrong='rlsd'; pass them to SignalBatch")
        fallback = batch["evidence_logprobs"] - batch["old_logprobs"]
    return _credited(batch, np.where(has_wrong[:, None], contrast, fallback), mix, decay_steps, bound, ddof, eps)


@register(
    "rlsd",
    paper=PAPER,
    needs="group",
    inputs=("rewards", "groups", _EVIDENCE_LOGPROBS, "old_logprobs", "lengths|mask"),
    source="ahmedheakl/CEPO verl/trainer/core_algos.py @7a9655d2 apply_rlsd_reweighting",
    formula="A_t = A * (1 - mix + mix * clip(exp(sign(A) * (lp_right - lp_policy)), 1 - bound, 1 + bound))",
    laws=Laws(shift=True, scale="invariant", constant=True, zero_sum=True),
)
def rlsd(
    batch: SignalBatch,
    *,
    mix: float = 0.5,
    decay_steps: int = 25,
    bound: float = 0.2,
    ddof: int = 1,
    eps: float = 1e-6,
) -> Signal:
    """RLSD, before CEPO: tokens that the right answer makes likelier get more of the advantage."""
    contrast = batch["evidence_logprobs"] - batch["old_logprobs"]
    return _credited(batch, contrast, mix, decay_steps, bound, ddof, eps)


def _credited(
    batch: SignalBatch, contrast: FloatArray, mix: float, decay_steps: int, bound: float, ddof: int, eps: float
) -> Signal:
    plain = group_normalise(batch.rewards, batch.groups, batch.valid, ddof=ddof, eps=eps)
    mask = batch.mask
    by_token = contrast_credit(
        np.where(mask, plain[:, None], 0.0), contrast, mask, mix=decayed_mix(mix, batch.step, decay_steps), bound=bound
    )
    return batch.signal(advantages=plain, token_advantages=by_token)


def contrast_credit(
    advantages: FloatArray,
    contrast: FloatArray,
    mask: BoolArray,
    *,
    mix: float,
    bound: float,
    sign_of: SignOf = "row",
) -> FloatArray:
    """``[N, T]``: ``A * ((1 - mix) + mix * clip(exp(sign(A) * contrast), 1 - bound, 1 + bound))`` within the mask.

    Tokens that the contrast speaks for gain when the row is good and lose when it is bad; the sign of an advantage
    never changes while ``bound`` is at most 1. The clip is applied to the exponent, so that nothing overflows.

    Args:
        advantages: ``[N, T]``, usually one value per row.
        contrast: ``[N, T]`` log-probability under the teacher less that under what it is compared with.
        mask: ``[N, T]`` generated tokens.
        mix: share of the weight, 0 to 1; 0 leaves the advantages as they are.
        bound: how far a weight may lie from 1.
        sign_of: the sign of the row's total (CEPO) or of the token's own advantage (RLSD).

    Raises:
        OptionError: ``mix`` is outside [0, 1] or ``bound`` is negative.

    Source: CEPO, ahmedheakl/CEPO verl/trainer/core_algos.py @7a9655d2.
    """
    if not 0.0 <= mix <= 1.0 or not bound >= 0.0:
        raise OptionError(f"mix: {mix} must lie in [0, 1], and bound: {bound} must not be negative")
    inside = np.where(mask, advantages, 0.0)
    sign = np.sign(inside.sum(1, keepdims=True)) if sign_of == "row" else np.sign(inside)
    low = np.log1p(-bound) if bound < 1.0 else -np.inf
    weight = np.exp(np.clip(sign * np.where(mask, contrast, 0.0), low, np.log1p(bound)))
    weighed: FloatArray = inside * ((1.0 - mix) + mix * weight)
    return weighed


def decayed_mix(start: float, step: int | None, decay_steps: int) -> float:
    """``start`` falling linearly to 0 over ``decay_steps``; constant when that is 0.

    Raises:
        OptionError: ``decay_steps`` is negative.
    """
    if decay_steps < 0:
        raise OptionError(f"decay_steps: {decay_steps} is negative; 0 keeps the mix as it is")
    return start * max(0.0, 1.0 - (step or 0) / decay_steps) if decay_steps else start


@golden("CEPO", rtol=1e-4, atol=1e-6)
def _(case: Case) -> Any:
    return contrast_credit(
        case.array("advantages"),
        case.array("pos_teacher_log_probs") - case.array("neg_teacher_log_probs"),
        case.array("response_mask") > 0,
        mix=case.params["lam"],
        bound=case.params["eps_w"],
    )


@golden("RLSD (CEPO without rejected rollouts)", rtol=1e-4, atol=1e-6)
def _(case: Case) -> Any:
    return contrast_credit(
        case.array("advantages"),
        case.array("teacher_log_probs") - case.array("old_log_probs"),
        case.array("response_mask") > 0,
        mix=case.params["lambda_coef"],
        bound=case.params["epsilon_w"],
        sign_of="token",
    )
