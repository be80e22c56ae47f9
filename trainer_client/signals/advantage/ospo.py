"""Multi-Agent RL based on One-Step Policy Optimization for Order Dispatch (OSPO).

OSPO, RS2002/OSPO @02ed2da2 OSPO/Platform.py.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from trainer_client.signals.authoring import (
    Case,
    Input,
    Paper,
    Signal,
    SignalBatch,
    golden,
    method,
    one_group,
    register,
)
from trainer_client.signals.parts.group_normalise import group_normalise

PAPER = Paper("ospo", __doc__, provenance="code")

_ASSIGNED = Input("assigned", "N", "bool", "agent that got something to do at this step")
_CUMULATIVE = Input("cumulative", "N", "float", "return of a row's agent before this step")


@register(
    "ospo",
    paper=PAPER,
    needs="group",
    inputs=("rewards", "groups", _ASSIGNED, _CUMULATIVE),
    formula="A_i = (r_i - mean) / (std + 1e-8) + std(C before) - std(C after), over assigned agents",
)
def ospo(batch: SignalBatch, *, fairness: float = 1.0, eps: float = 1e-8) -> Signal:
    """OSPO: agents that act at the same step are each other's baseline; all share a term for equality.

    ``groups`` are steps, rows the agents present. Only ``assigned`` agents are kept. The term is how much the step
    narrowed the spread of all agents' ``cumulative`` returns.
    """
    valid, groups = batch.taken()
    acting = batch["assigned"][valid]
    rewards = np.where(acting, batch.rewards[valid], 0.0)
    before = batch["cumulative"][valid]
    narrowed = groups.deviation(before) - groups.deviation(before + rewards)
    relative = group_normalise(rewards, groups, acting, ddof=0, eps=eps)
    return batch.signal(
        keep=batch["assigned"] | ~batch.valid,
        advantages=batch.scatter(relative + fairness * groups.spread(narrowed)),
    )


@golden("ospo_one_step_advantage")
def _(case: Case) -> Any:
    rewards, acting = case.array("rewards"), np.asarray(case.inputs["assigned"])
    batch = SignalBatch(
        np.where(acting, rewards, 0.0),
        one_group(rewards.size),
        assigned=acting,
        cumulative=case.array("cumulative_reward"),
    )
    alone = np.asarray(method("ospo", fairness=0.0, eps=case.params["eps"])(batch).advantages)
    whole = np.asarray(method("ospo", eps=case.params["eps"])(batch).advantages)
    shared = (whole - alone)[acting]
    return {
        "advantage": [float(a) if acts else None for a, acts in zip(whole, acting, strict=True)],
        "fairness_term": float(shared.mean()) if shared.size else case.output["fairness_term"],
    }
