"""Stratified GRPO: Handling Structural Heterogeneity in Reinforcement Learning of LLM Search Agents.

Stratified GRPO (arXiv 2510.06214), public reviews; alpha from appendix D.1 as quoted there.
"""

from __future__ import annotations

from trainer_client.signals.authoring import Input, Laws, OptionError, Paper, Signal, SignalBatch, register
from trainer_client.signals.parts.group_normalise import group_normalise

PAPER = Paper("stratified-grpo", __doc__, provenance="secondary")

_STRATA = Input("strata", "N", "ids", "structure of a rollout, such as its number of searches")


@register(
    "stratified_grpo",
    paper=PAPER,
    needs="group",
    inputs=("rewards", "groups", _STRATA),
    formula="A = alpha * GRPO within the stratum + (1 - alpha) * GRPO within the group",
    laws=Laws(shift=True, scale="invariant", constant=True),
)
def stratified_grpo(batch: SignalBatch, *, alpha: float = 0.6, ddof: int = 1, eps: float = 1e-6) -> Signal:
    """Stratified GRPO: rollouts are compared with those of the same structure, and with all.

    A row alone in its stratum keeps ``(1 - alpha)`` of its GRPO advantage; a single stratum is GRPO.
    """
    if not 0.0 <= alpha <= 1.0:
        raise OptionError(f"stratified_grpo: alpha = {alpha} must lie in [0, 1]")
    valid, groups = batch.taken()
    rewards = batch.rewards[valid]
    strata = groups.cross(batch.ids("strata").take(valid))
    within = group_normalise(rewards, strata, ddof=ddof, eps=eps)
    among = group_normalise(rewards, groups, ddof=ddof, eps=eps)
    return batch.signal(advantages=batch.scatter(alpha * within + (1.0 - alpha) * among))
