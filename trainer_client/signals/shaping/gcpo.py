"""GeometryZero: Group Contrastive Policy Optimization (GCPO).

GeometryZero, GCPO (arXiv 2506.07160) eq. 3, 4 as quoted in reviews; weights, margin and the length term's shape are
ours.
"""

from __future__ import annotations

import numpy as np

from trainer_client.signals.authoring import (
    BoolArray,
    FloatArray,
    Groups,
    Input,
    Laws,
    OptionError,
    Paper,
    Signal,
    SignalBatch,
    register,
)

PAPER = Paper("gcpo", __doc__, provenance="secondary")

_BEHAVIOUR = Input("behaviour", "N", "bool", "rollout shows the behaviour in question (a construction, a tool call)")


@register(
    "gcpo",
    paper=PAPER,
    needs="group",
    inputs=("accuracy", _BEHAVIOUR, "groups"),
    optional=("format_scores", "lengths|mask"),
    formula=(
        "R = acc + w_f * format + w_a * M * behaviour + w_l * min(len / max_length, 1), M = sign(acc with "
        "- acc without) beyond the margin"
    ),
    laws=Laws(options={"length": 0.1}, inputs=("lengths",)),
)
def gcpo(
    batch: SignalBatch,
    *,
    behaviour_weight: float = 0.2,
    format_weight: float = 0.1,
    length: float = 0.0,
    max_length: int = 4096,
    margin: float = 0.05,
) -> Signal:
    """GCPO: a behaviour (an auxiliary construction) is rewarded where it helps a prompt and punished where it harms.

    The paper samples half of a group with the behaviour and half without; a natural split works with weaker statistics.
    ``format_scores`` are added where the batch carries them. ``length`` weighs the reward for longer answers.
    """
    if max_length < 1:
        raise OptionError(f"gcpo: max_length = {max_length} must be at least 1")
    valid, groups = batch.taken()
    accuracy, shows = batch["accuracy"][valid], batch["behaviour"][valid]
    sign = conditional_sign(accuracy, shows, groups, margin=margin)
    rewards = accuracy + behaviour_weight * groups.spread(sign) * shows
    if "format_scores" in batch:
        rewards = rewards + format_weight * batch["format_scores"][valid]
    if length:
        rewards = rewards + length * np.minimum(batch.lengths[valid] / max_length, 1.0)
    counts = {f"gcpo/{name}": int((sign == value).sum()) for name, value in (("helps", 1), ("harms", -1))}
    return batch.signal(rewards=batch.scatter(rewards), report=counts)


def conditional_sign(accuracy: FloatArray, behaviour: BoolArray, groups: Groups, *, margin: float = 0.05) -> FloatArray:
    """``[Q]`` 1 where rows with the behaviour are more accurate by more than ``margin``, -1 where less, else 0.

    A group in which all rows have it, or none, gets 0: there is nothing to compare.

    Source: GeometryZero, GCPO (arXiv 2506.07160) eq. 3, as quoted in a review.
    """
    have, lack = groups.sum(behaviour), groups.sum(~behaviour)
    with_it = groups.sum(np.where(behaviour, accuracy, 0.0)) / np.maximum(have, 1)
    without = groups.sum(np.where(behaviour, 0.0, accuracy)) / np.maximum(lack, 1)
    gap = np.where((have > 0) & (lack > 0), with_it - without, 0.0)
    return np.where(np.abs(gap) > margin, np.sign(gap), 0.0)
