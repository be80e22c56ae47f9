"""DAPO's soft overlong punishment, as in the paper and TRL: full at max_length and beyond.

DAPO (arXiv 2503.14476) eq. 13; huggingface/trl trl/rewards/other_rewards.py @f2cd5771; OpenRLHF/OpenRLHF
openrlhf/trainer/ppo_utils/length_penalty.py @3c3be623, where max_length counts new tokens.
"""

from __future__ import annotations

from typing import Any

from trainer_client.signals.authoring import Case, Laws, Signal, SignalBatch, golden, method, register
from trainer_client.signals.parts.overlong import overlong_penalty


@register(
    "overlong",
    paper="dapo",
    needs="row",
    inputs=("rewards", "lengths|mask"),
    provenance="code",
    formula="r + p; p = -clip((len - (max_length - cache)) / cache, 0, 1) * factor",
    laws=Laws(options={"max_length": 4, "cache": 2}),
)
def overlong(batch: SignalBatch, *, max_length: int, cache: int, factor: float = 1.0) -> Signal:
    """DAPO's soft overlong punishment, as in the paper, TRL and OpenRLHF: full at max_length and beyond."""
    penalty = overlong_penalty(batch.lengths, max_length=max_length, cache=cache, factor=factor)
    return batch.signal(rewards=batch.rewards + penalty)


@register(
    "overlong_verl",
    like="overlong",
    source="DAPO (arXiv 2503.14476) eq. 13; volcengine/verl verl/workers/reward_manager/dapo.py @b178a3cd",
    formula="r + p; p = min(-(len - (max_length - cache)) / cache * factor, 0)",
    laws=Laws(options={"max_length": 4, "cache": 2}),
)
def overlong_verl(batch: SignalBatch, *, max_length: int, cache: int, factor: float = 1.0) -> Signal:
    """DAPO's soft overlong punishment as in verl: it keeps falling beyond max_length."""
    penalty = overlong_penalty(batch.lengths, max_length=max_length, cache=cache, factor=factor, beyond="falling")
    return batch.signal(rewards=batch.rewards + penalty)


@golden("overlong_soft_punishment_trl")
def _(case: Case) -> Any:
    limit, cache = case.params["max_completion_len"], case.params["soft_punish_cache"]
    return overlong_penalty([case.inputs["length"]], max_length=limit, cache=cache)[0]


@golden("overlong_soft_punishment_verl")
def _(case: Case) -> Any:
    return overlong_penalty(
        [case.inputs["length"]],
        max_length=case.params["max_resp_len"],
        cache=case.params["overlong_buffer_len"],
        factor=case.params["penalty_factor"],
        beyond="falling",
    )[0]


@golden("overlong_soft_punishment_openrlhf")
def _(case: Case) -> Any:
    estimator = method(
        "overlong",
        max_length=case.params["max_new_tokens"],
        cache=case.params["overlong_buffer_len"],
        factor=case.params["overlong_penalty_factor"],
    )
    rewards = estimator(SignalBatch([case.inputs["reward"]], lengths=[case.inputs["length"]])).rewards
    return None if rewards is None else rewards[0]
