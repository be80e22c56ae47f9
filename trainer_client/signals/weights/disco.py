"""DisCO: Reinforcing Large Reasoning Models with Discriminative Constrained Optimization.

DisCO (arXiv 2505.12366); Optimization-AI/DisCO verl/verl/trainer/ppo/core_algos.py @bd2b0781.
"""

from __future__ import annotations

from trainer_client.signals.authoring import Laws, Paper, Signal, SignalBatch, register
from trainer_client.signals.parts.discriminative import Score, weighed

PAPER = Paper("disco", __doc__, provenance="code")


@register(
    "disco",
    paper=PAPER,
    needs="group",
    inputs=("rewards", "groups", "logprobs|old_logprobs", "lengths|mask"),
    formula="right: +1 / P; wrong: -softmax(s / tau); s the mean log-probability or mean ratio",
    laws=Laws(constant=True, zero_sum=True, rewards="binary"),
)
def disco(batch: SignalBatch, *, score: Score = "likelihood", tau: float | None = None) -> Signal:
    """DisCO: right answers alike against wrong ones, the likeliest of these hardest; no bias by difficulty.

    ``tau`` is 10 for ``likelihood`` and 1 for ``ratio`` unless given. `trainer_client.losses.discriminative` is the
    loss with its bound on the divergence (1e-4, weight 1e3).
    """
    return weighed(batch, score, tau if tau is not None else (10.0 if score == "likelihood" else 1.0), None, "disco")


@register(
    "disco_b",
    like="disco",
    formula="right: +1 / P; wrong: -1 / M",
    laws=Laws(constant=True, zero_sum=True, rewards="binary", options={"score": "ratio"}),
)
def disco_b(batch: SignalBatch, *, score: Score = "likelihood") -> Signal:
    """DisCO-b: the mean score of right answers against the mean score of wrong ones."""
    return weighed(batch, score, None, None, "disco_b")
