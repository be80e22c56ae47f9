"""High-Dimensional Continuous Control Using Generalized Advantage Estimation (GAE).

GAE (arXiv 1506.02438); volcengine/verl verl/trainer/ppo/core_algos.py @b178a3cd.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from trainer_client.signals.authoring import Case, Paper, Signal, SignalBatch, golden, method, register
from trainer_client.signals.parts.standardise import standardise
from trainer_client.signals.parts.tokens import generalised_advantages

PAPER = Paper("gae", __doc__, provenance="code", names=("PPO",))


@register(
    "gae",
    paper=PAPER,
    needs="batch",
    inputs=("rewards|token_rewards", "lengths|mask", "values"),
    formula="delta_t = r_t + gamma * V_{t+1} - V_t; A_t = delta_t + gamma * lam * A_{t+1}; whitened over tokens",
    reducible=True,
)
def gae(batch: SignalBatch, *, gamma: float = 1.0, lam: float = 1.0, eps: float = 1e-8) -> Signal:
    """GAE of PPO: exponentially weighted critic errors, whitened over all tokens of the batch."""
    mask = batch.mask & batch.valid[:, None]
    raw = generalised_advantages(batch.token_rewards, batch["values"], mask, gamma=gamma, lam=lam)
    whitened = standardise(raw, mask, eps=eps, stabiliser="variance", reduce=batch.reduce)
    return batch.signal(token_advantages=whitened, returns=np.where(mask, raw + batch["values"], 0.0))


@golden("gae")
def _(case: Case) -> Any:
    values = case.array("values")
    if "rewards" in case.inputs:
        batch = case.batch(values=values)
    else:
        rewards, mask = case.array("token_level_rewards"), case.inputs["response_mask"]
        batch = SignalBatch(token_rewards=rewards, mask=mask, values=values)
    signal = method("gae", gamma=case.params["gamma"], lam=case.params["lam"])(batch)
    assert signal.token_advantages is not None
    assert signal.returns is not None
    # What the source leaves on padding has no meaning: there the vector's own entry is put back.
    return {
        name: np.where(batch.mask, values, np.asarray(case.output[name]))
        for name, values in (("advantages", signal.token_advantages), ("returns", signal.returns))
    }
