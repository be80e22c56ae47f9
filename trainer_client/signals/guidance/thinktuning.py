"""ThinkTuning: Instilling Cognitive Reflections without Distillation.

ThinkTuning (arXiv 2508.07616), abstract and reading notes; the code is not released; the choice of rows and gamma are
ours.
"""

from __future__ import annotations

import numpy as np

from trainer_client.signals.authoring import (
    Input,
    Laws,
    OptionError,
    Paper,
    Request,
    Signal,
    SignalBatch,
    register,
    uniforms,
)
from trainer_client.signals.parts.group_normalise import group_normalise

PAPER = Paper("thinktuning", __doc__, provenance="abstract")

_GUIDED = Input("guided", "NT", "bool", "tokens that a teacher wrote")


@register(
    "thinktuning_feedback",
    paper=PAPER,
    needs="group",
    inputs=("rewards", "groups"),
    formula="ceil(gamma * n) rows of a group, wrong ones first, at random among equals",
    laws=Laws(rewards="binary"),
)
def thinktuning_feedback(batch: SignalBatch, *, gamma: float = 0.25, correct: float = 1.0, seed: int = 0) -> Signal:
    """ThinkTuning, first half: a share of the rollouts is continued with a teacher's feedback.

    Requests are of kind ``feedback``, for a judge of the policy's own size; its text goes to the end of the rollout.
    The draw depends on seed, step, prompt and place alone, so that a retry asks for the same rows.
    """
    if not 0.0 <= gamma <= 1.0:
        raise OptionError(f"thinktuning_feedback: gamma = {gamma} must lie in [0, 1]")
    draws = uniforms(batch.groups, seed=seed, step=batch.step, stream="thinktuning")
    valid, groups = batch.taken()
    order = groups.rank((batch.rewards[valid] >= correct) + draws[valid])
    quotas = np.ceil(gamma * groups.sizes - 1e-9)
    rows = np.flatnonzero(valid)[order < groups.spread(quotas)]
    return batch.signal(requests=[Request(row, "feedback") for row in rows.tolist()])


@register(
    "thinktuning",
    paper=PAPER,
    needs="group",
    inputs=("rewards", "groups", _GUIDED, "lengths|mask"),
    optional=("old_logprobs",),
    source=(
        "ThinkTuning (arXiv 2508.07616), abstract and reading notes; the code is not released; the "
        "shaping of guided tokens is not published: 1, or the factor of policy shaping"
    ),
    formula="GRPO over the mixed group; token weight 1, on guided tokens p / (p + shaping) if asked",
    laws=Laws(shift=True, scale="invariant", constant=True, zero_sum=True),
)
def thinktuning(batch: SignalBatch, *, shaping: float | None = None, ddof: int = 1, eps: float = 1e-6) -> Signal:
    """ThinkTuning, second half: GRPO over rollouts with and without feedback, guided tokens weighed apart.

    ``shaping`` weighs a token that the teacher wrote by ``p / (p + shaping)``, ``p`` its probability under the policy
    (``old_logprobs``), which favours what the policy would hardly have said less than a ratio would.
    """
    advantages = group_normalise(batch.rewards, batch.groups, batch.valid, ddof=ddof, eps=eps)
    weights = batch.mask.astype(np.float64)
    guided = batch.mask & batch["guided"]
    if shaping is not None:
        if not shaping > 0:
            raise OptionError(f"thinktuning: shaping = {shaping} must be positive")
        p = np.exp(np.minimum(batch["old_logprobs"], 0.0))
        weights = np.where(guided, p / (p + shaping), weights)
    share = float(guided.sum() / max(int(batch.mask.sum()), 1))
    return batch.signal(advantages=advantages, token_weights=weights, report={"thinktuning/guided": share})
