"""Graph-GRPO: Stabilizing Multi-Agent Topology Learning via Group Relative Policy Optimization.

Graph-GRPO (arXiv 2603.02701), abstract; the mean over rows and the contrast are ours.
"""

from __future__ import annotations

import numpy as np

from trainer_client.signals.authoring import (
    BoolArray,
    FloatArray,
    Groups,
    Input,
    Laws,
    Paper,
    Signal,
    SignalBatch,
    register,
)
from trainer_client.signals.parts.group_normalise import group_normalise

PAPER = Paper("graph-grpo", __doc__, provenance="abstract")

_FEATURES = Input("features", "NE", "bool", "structural features that a rollout has (edges of a graph, tools used)")


@register(
    "graph_grpo",
    paper=PAPER,
    needs="group",
    inputs=("rewards", "groups", _FEATURES),
    formula="credit of e = mean A over rows with e - mean A over rows without; A from GRPO",
    laws=Laws(shift=True, scale="invariant", constant=True, zero_sum=True),
)
def graph_grpo(batch: SignalBatch, *, against_absent: bool = True, ddof: int = 1, eps: float = 1e-6) -> Signal:
    """Graph-GRPO: credit for the edges of a sampled graph, or any other feature a rollout has or lacks.

    ``feature_advantages`` has the credit of each row's own features, for the policy that chose them; ``advantages``
    are GRPO's for the rows as wholes.
    """
    valid, groups = batch.taken()
    advantages = group_normalise(batch.rewards[valid], groups, ddof=ddof, eps=eps)
    features = batch["features"][valid]
    credit = groups.spread(feature_credit(advantages, features, groups, against_absent=against_absent))
    return batch.signal(
        advantages=batch.scatter(advantages), feature_advantages=batch.scatter(np.where(features, credit, 0.0))
    )


def feature_credit(
    advantages: FloatArray, features: BoolArray, groups: Groups, *, against_absent: bool = True
) -> FloatArray:
    """``[Q, E]`` mean advantage of the rows of a group that have a feature.

    Args:
        advantages: ``[N]``.
        features: ``[N, E]`` which features each row has.
        groups: partition of the rows.
        against_absent: subtract the mean advantage of the rows without the feature.

    Returns:
        0 for a feature that all rows of a group have, or none: nothing tells it apart.
    """
    have = features.astype(np.float64)
    number = groups.sum(have)
    sizes = groups.sizes[:, None]
    total = groups.sum(have * advantages[:, None])
    credit = total / np.maximum(number, 1.0)
    if against_absent:
        absent = groups.sum((1.0 - have) * advantages[:, None])
        credit = credit - absent / np.maximum(sizes - number, 1.0)
    return np.where((number > 0) & (number < sizes), credit, 0.0)
