"""Credit for what rollouts are made of: edges of a graph, tools used, sources cited."""

from __future__ import annotations

import numpy as np

from trainer_client.signals._arrays import BoolArray, FloatArray
from trainer_client.signals._groups import Groups


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
