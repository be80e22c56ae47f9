"""Returns of agents that act at their own times."""

from __future__ import annotations

import numpy as np

from trainer_client.signals._arrays import FloatArray, IntArray
from trainer_client.signals._groups import Groups


def agent_returns(
    rewards: FloatArray, agents: Groups, times: IntArray, gaps: FloatArray, gamma: float = 1.0
) -> FloatArray:
    """``[N]`` ``G = r + gamma^gap * G of the same agent's next row``, rows of an agent ordered by time.

    Args:
        rewards: ``[N]`` of each decision.
        agents: whose decision it was.
        times: ``[N]`` when; equal times keep batch order.
        gaps: ``[N]`` how long the decision took.
        gamma: discount of one unit of time.
    """
    place = agents.rank(times)
    returns = rewards.astype(np.float64)
    discount = gamma**gaps
    walk = np.lexsort((place, agents.index))
    after = np.full(rewards.size, -1)
    same = agents.index[walk[:-1]] == agents.index[walk[1:]]
    after[walk[:-1][same]] = walk[1:][same]
    # From the last decision of each agent backwards, all agents at once.
    left = agents.spread(agents.sizes) - 1 - place
    for step in range(1, int(left.max(initial=0)) + 1):
        rows = np.flatnonzero(left == step)
        returns[rows] += discount[rows] * returns[after[rows]]
    return returns
