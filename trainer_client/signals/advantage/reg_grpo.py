"""DeepVideo-R1: Video Reinforcement Fine-Tuning via Difficulty-aware Regressive GRPO.

DeepVideo-R1 (arXiv 2506.07464) eq. 5 to 8; ddof and eps, which it does not print, as in GRPO.
"""

from __future__ import annotations

from trainer_client.signals.authoring import Laws, Paper, Signal, SignalBatch, register
from trainer_client.signals.parts.group_normalise import group_normalise

PAPER = Paper("deepvideo-r1", __doc__, provenance="paper")


@register(
    "reg_grpo",
    paper=PAPER,
    needs="group",
    inputs=("rewards", "groups"),
    formula="target of the loss (A_i - (rho_i - mean) / std)^2: A_i = (r_i - mean) / (std + eps)",
    laws=Laws(shift=True, scale="invariant", constant=True, zero_sum=True),
)
def reg_grpo(batch: SignalBatch, *, ddof: int = 1, eps: float = 1e-6) -> Signal:
    """Reg-GRPO's targets: group advantages that the log-ratios of a group are regressed on.

    The loss is `trainer_client.losses.group_regression`; there is no ratio clip.
    """
    advantages = group_normalise(batch.rewards, batch.groups, batch.valid, ddof=ddof, eps=eps)
    return batch.signal(advantages=advantages)
