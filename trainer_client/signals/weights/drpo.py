"""DRPO: Efficient Reasoning via Decoupled Reward Policy Optimization.

DRPO (arXiv 2510.04474); Optimization-AI/DRPO verl/verl/trainer/ppo/core_algos.py @405f7026.
"""

from __future__ import annotations

from trainer_client.signals.authoring import Laws, OptionError, Paper, Signal, SignalBatch, register
from trainer_client.signals.parts.discriminative import weighed

PAPER = Paper("drpo", __doc__, provenance="code")


@register(
    "drpo",
    paper=PAPER,
    needs="group",
    inputs=("rewards", "groups", "logprobs|old_logprobs", "lengths|mask"),
    formula="right: softmax((1 - len / max_length) / sharpness); wrong: -softmax(s / tau)",
    laws=Laws(constant=True, zero_sum=True, rewards="binary", options={"max_length": 5}),
)
def drpo(batch: SignalBatch, *, max_length: int = 8192, sharpness: float = 0.1, tau: float = 10.0) -> Signal:
    """DRPO: DisCO in which short right answers weigh more, and long ones are never pushed below wrong ones.

    ``sharpness`` is the paper's Lambda; a large one gives DisCO. Only rewards of 1 and 0 carry a meaning; what lies
    between takes no part.
    """
    if max_length < 1 or not sharpness > 0:
        raise OptionError(f"drpo: max_length = {max_length} and sharpness = {sharpness} must be positive")
    quality = (1.0 - batch.lengths / max_length) / sharpness
    return weighed(batch, "likelihood", tau, quality, "drpo")
