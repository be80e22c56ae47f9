"""Whether a prompt is trained on its own rollouts or on a demonstration."""

from __future__ import annotations

from typing import Literal

import numpy as np

from trainer_client.signals._arrays import FloatArray
from trainer_client.signals._errors import BadOption

Mode = Literal["rl", "sft", "off_policy"]


def demonstration_modes(success: FloatArray, *, gate: float = 0.0, gate_off: float | None = None) -> list[Mode]:
    """How each prompt is trained, by the share of its rollouts that are right.

    Up to ``gate`` by imitating a demonstration, up to ``gate_off`` by reinforcing one off-policy, else by its rollouts.

    Args:
        success: ``[Q]`` share of right rollouts among those with a verdict.
        gate: largest share that calls for imitation; 0 is "none right".
        gate_off: None for ``gate``, so that nothing is off-policy.

    Raises:
        BadOption: a gate is outside [0, 1], or ``gate_off`` is below ``gate``.

    Source: HPT (arXiv 2509.04419); TsinghuaC3I/Unify-Post-Training hpt/verl/verl/mix_src/mix_trainer.py @ae332f5f.
    """
    upper = gate if gate_off is None else gate_off
    if not 0.0 <= gate <= upper <= 1.0:
        raise BadOption(f"gates: {gate} and {gate_off} must be in order and within [0, 1]")
    names: tuple[Mode, ...] = ("sft", "off_policy", "rl")
    return [names[k] for k in ((success > gate).astype(np.int64) + (success > upper)).tolist()]
