"""DAPO: An Open-Source LLM Reinforcement Learning System at Scale.

DAPO (arXiv 2503.14476) sections 3.2 to 3.4; verl-project/verl-recipe dapo @48ea0a79.
"""

from __future__ import annotations

from trainer_client.signals.authoring import Laws, Paper, Signal, SignalBatch, register
from trainer_client.signals.parts.filters import varied_groups
from trainer_client.signals.parts.group_normalise import group_normalise
from trainer_client.signals.parts.overlong import overlong_penalty
from trainer_client.signals.parts.report import share

PAPER = Paper("dapo", __doc__, provenance="code")


@register(
    "dapo",
    paper=PAPER,
    needs="group",
    inputs=("rewards", "groups", "lengths|mask"),
    formula=(
        "overlong punishment, then groups with equal rewards dropped, then GRPO; p = -clip((len - "
        "(max_length - cache)) / cache, 0, 1) * factor"
    ),
    laws=Laws(options={"max_length": 4, "cache": 2}),
)
def dapo(
    batch: SignalBatch,
    *,
    max_length: int,
    cache: int,
    factor: float = 1.0,
    eps: float = 1e-6,
) -> Signal:
    """DAPO: soft overlong punishment, dynamic sampling by the unpunished reward, GRPO.

    The filter looks at the reward before punishment (the accuracy), so that a group of equally wrong answers of
    different lengths is still dropped. ``max_length`` and ``cache`` are those of the run's generation (20480 and 4096
    in the paper): with other limits no answer would be punished, so they have no default.
    """
    keep = varied_groups(batch.rewards, batch.groups, batch.valid)
    rewards = batch.rewards + overlong_penalty(batch.lengths, max_length=max_length, cache=cache, factor=factor)
    advantages = group_normalise(rewards, batch.groups, batch.valid & keep, eps=eps)
    return batch.signal(
        keep=keep,
        advantages=advantages,
        rewards=rewards,
        report={"dynamic_sampling/kept": share(keep, batch)},
    )
