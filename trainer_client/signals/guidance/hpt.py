"""Towards a Unified View of Large Language Model Post-Training (HPT).

HPT (arXiv 2509.04419); TsinghuaC3I/Unify-Post-Training hpt/verl/verl/mix_src/mix_trainer.py, exp_scripts @ae332f5f.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np

from trainer_client.signals.authoring import (
    Case,
    FloatArray,
    Input,
    Laws,
    OptionError,
    Paper,
    Request,
    Signal,
    SignalBatch,
    golden,
    method,
    register,
)
from trainer_client.signals.parts.group_normalise import group_normalise

PAPER = Paper("hpt", __doc__, provenance="code")

_DEMONSTRATED = Input("demonstrated", "N", "bool", "a demonstration exists for the row's prompt")

Mode = Literal["rl", "sft", "off_policy"]


@register(
    "hpt",
    paper=PAPER,
    needs="group",
    inputs=("rewards", "groups"),
    optional=(_DEMONSTRATED,),
    formula="share right <= gate: imitate a demonstration; <= gate_off: reinforce it; else r - mean of the rollouts",
    laws=Laws(constant=True, rewards="binary"),
)
def hpt(
    batch: SignalBatch,
    *,
    correct: float = 1.0,
    gate: float = 0.0,
    gate_off: float | None = None,
    keep_rollouts: bool = False,
) -> Signal:
    """HPT: prompts the policy fails learn from a demonstration, the others from their rollouts.

    ``gate`` is a share of the rollouts that have a verdict: 0 in the scripts for Qwen, 0.25 for Llama. A request of
    kind ``demonstration`` names the loss, ``sft`` (weight 1; 0.3 for a model of 1.5B) or ``off_policy``; the prompt's
    rollouts are dropped. ``keep_rollouts`` adds a demonstration to every prompt and drops nothing. A prompt that
    ``demonstrated`` says has none keeps its rollouts.
    """
    valid, groups = batch.taken()
    rows = np.flatnonzero(valid)
    success = groups.mean(batch.rewards[valid] >= correct)
    modes = demonstration_modes(success, gate=gate, gate_off=gate_off)
    if keep_rollouts:
        modes = ["sft"] * len(groups)
    has = np.ones(len(groups), np.bool_)
    if "demonstrated" in batch:
        has = groups.any(batch["demonstrated"][valid])
    demonstrated = np.array([mode != "rl" for mode in modes], np.bool_) & has
    keep = np.ones(batch.rows, np.bool_)
    if not keep_rollouts:
        keep[valid] = groups.spread(~demonstrated)
    firsts = rows[groups.first(np.arange(groups.rows))] if len(groups) else rows
    requests = [
        Request(int(firsts[q]), "demonstration", {"loss": modes[q]}) for q in np.flatnonzero(demonstrated).tolist()
    ]
    wanting = sum(mode != "rl" for mode in modes) - int(demonstrated.sum())
    return batch.signal(
        advantages=group_normalise(batch.rewards, batch.groups, batch.valid, scale="none"),
        keep=keep,
        requests=sorted(requests, key=lambda request: request.row),
        report={"hpt/demonstrations": int(demonstrated.sum()), "hpt/without_demonstration": wanting},
    )


def demonstration_modes(success: FloatArray, *, gate: float = 0.0, gate_off: float | None = None) -> list[Mode]:
    """How each prompt is trained, by the share of its rollouts that are right.

    Up to ``gate`` by imitating a demonstration, up to ``gate_off`` by reinforcing one off-policy, else by its rollouts.

    Args:
        success: ``[Q]`` share of right rollouts among those with a verdict.
        gate: largest share that calls for imitation; 0 is "none right".
        gate_off: None for ``gate``, so that nothing is off-policy.

    Raises:
        OptionError: a gate is outside [0, 1], or ``gate_off`` is below ``gate``.

    Source: HPT (arXiv 2509.04419); TsinghuaC3I/Unify-Post-Training hpt/verl/verl/mix_src/mix_trainer.py @ae332f5f.
    """
    upper = gate if gate_off is None else gate_off
    if not 0.0 <= gate <= upper <= 1.0:
        raise OptionError(f"gates: {gate} and {gate_off} must be in order and within [0, 1]")
    names: tuple[Mode, ...] = ("sft", "off_policy", "rl")
    return [names[k] for k in ((success > gate).astype(np.int64) + (success > upper)).tolist()]


@golden("HPT")
def _(case: Case) -> Any:
    """Rows taken out, demonstrations for the policy gradient, and for the demonstration's own loss."""
    params, size = case.params, int(case.inputs["group_size"])
    rewards = (np.arange(size) < case.inputs["num_correct"]).astype(float)
    signal = method(
        "hpt",
        gate=params["switch_gate"] / size,
        gate_off=max(params["switch_gate"], params["switch_gate_off"]) / size,
        keep_rollouts=params["strategy"] == "soft",
    )(SignalBatch(rewards, np.zeros(size, int)))
    losses = {"sft": 1, "off_policy": -1}
    added = sum(losses[request.details["loss"]] for request in signal.requests or ())
    return [int((~signal.keep).sum()), 0, added]
