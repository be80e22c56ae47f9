"""OSPO's GRPO variant: standardised rewards, discounted along each agent's own decisions.

OSPO, RS2002/OSPO @02ed2da2 GRPO/Worker.py.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np

from trainer_client.signals.authoring import (
    Case,
    FloatArray,
    Groups,
    Input,
    IntArray,
    Laws,
    Signal,
    SignalBatch,
    golden,
    method,
    register,
)
from trainer_client.signals.parts.group_normalise import group_normalise
from trainer_client.signals.parts.standardise import standardise

_AGENTS = Input("agents", "N", "ids", "agent whose decision a row is")
_TIMES = Input("times", "N", "int", "time of a row's decision")
_GAPS = Input("gaps", "N", "float", "how long a row's decision takes")
_PENALTIES = Input("penalties", "N", "float", "what is subtracted for unfairness at a row's decision")


@register(
    "ospo_to_go",
    paper="ospo",
    needs="batch",
    inputs=("rewards", _AGENTS, _TIMES, _GAPS),
    optional=(_PENALTIES,),
    provenance="code",
    formula="G = standardised r + gamma^gap * G of the agent's next decision; A = G - penalty",
    laws=Laws(permutation=False),
)
def ospo_to_go(
    batch: SignalBatch,
    *,
    gamma: float = 0.99,
    reward: Literal["own", "to_go"] = "to_go",
    scale: Literal["step", "batch"] = "batch",
    penalty: Literal["none", "given", "spread"] = "given",
    eps: float = 1e-8,
) -> Signal:
    """OSPO's GRPO variant: standardised rewards, discounted along each agent's own decisions.

    Rewards are standardised over the decisions of the same time (``step``) or over all. What is subtracted for
    inequality: the ``penalties`` of the decisions, if there are any (``given``), or how far the agents' unscaled
    returns from that time on lie apart (``spread``).
    """
    valid = batch.valid
    rewards, times = batch.rewards[valid], batch["times"][valid]
    agents, gaps = batch.ids("agents").take(valid), batch["gaps"][valid]
    if scale == "step":
        scaled = group_normalise(rewards, times, ddof=0, eps=eps)
    else:
        scaled = standardise(rewards, np.ones(rewards.size, np.bool_), ddof=0, eps=eps)
    if reward == "to_go":
        scaled = agent_returns(scaled, agents, times, gaps, gamma)
    if penalty == "given" and "penalties" in batch:
        scaled = scaled - batch["penalties"][valid]
    elif penalty == "spread":
        together = Groups.of(times)
        scaled = scaled - together.spread(together.deviation(agent_returns(rewards, agents, times, gaps, gamma)))
    return batch.signal(advantages=batch.scatter(scaled))


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
    same_agent = agents.index[walk[:-1]] == agents.index[walk[1:]]
    after[walk[:-1][same_agent]] = walk[1:][same_agent]
    # From the last decision of each agent backwards, all agents at once.
    left = agents.spread(agents.sizes) - 1 - place
    for step in range(1, int(left.max(initial=0)) + 1):
        rows = np.flatnonzero(left == step)
        returns[rows] += discount[rows] * returns[after[rows]]
    return returns


@golden("ospo_grpo_reward_to_go")
def _(case: Case) -> Any:
    params, rewards = case.params, case.array("reward")
    batch = SignalBatch(
        rewards,
        agents=case.inputs["worker_id"],
        times=case.inputs["time_step"],
        gaps=case.array("delta_t"),
        penalties=case.array("punishment"),
    )
    estimator = method(
        "ospo_to_go",
        gamma=params["gamma"],
        reward={1: "own", 2: "to_go"}[params["reward_type"]],
        scale={1: "step", 2: "batch"}[params["norm_type"]],
        penalty={0: "none", 1: "given", 2: "spread"}[params["punishment_type"]],
        eps=params["eps"],
    )
    return estimator(batch).advantages
