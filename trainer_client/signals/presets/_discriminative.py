"""Sequence weights of DisCO, DRPO and the targets of Reg-GRPO, for losses over whole answers."""

from __future__ import annotations

from typing import Literal

import numpy as np

from trainer_client.signals._arrays import FloatArray
from trainer_client.signals._batch import SignalBatch
from trainer_client.signals._errors import BadOption
from trainer_client.signals._registry import register
from trainer_client.signals._signal import Signal
from trainer_client.signals.normalise import group_normalise
from trainer_client.signals.shaping import mean_logprobs
from trainer_client.signals.weights import discriminative_weights

_READ = ("rewards", "groups", "logprobs|old_logprobs", "lengths|mask")
_DISCO = "DisCO (arXiv 2505.12366); Optimization-AI/DisCO verl/verl/trainer/ppo/core_algos.py @bd2b0781"

Score = Literal["likelihood", "ratio"]


@register(
    "disco",
    room="weights",
    needs="group",
    inputs=_READ,
    certainty="code",
    source=_DISCO,
    formula="right: +1 / P; wrong: -softmax(s / tau); s the mean log-probability or mean ratio",
    papers=("disco",),
)
def disco(batch: SignalBatch, *, score: Score = "likelihood", tau: float | None = None) -> Signal:
    """DisCO: right answers alike against wrong ones, the likeliest of these hardest; no bias by difficulty.

    ``tau`` is 10 for ``likelihood`` and 1 for ``ratio`` unless given. `trainer_client.losses.discriminative` is the
    loss with its bound on the divergence (1e-4, weight 1e3).
    """
    return _weighed(batch, score, tau if tau is not None else (10.0 if score == "likelihood" else 1.0), None, "disco")


@register(
    "disco_b",
    room="weights",
    needs="group",
    inputs=_READ,
    certainty="code",
    source=_DISCO,
    formula="right: +1 / P; wrong: -1 / M",
    papers=("disco",),
)
def disco_b(batch: SignalBatch, *, score: Score = "likelihood") -> Signal:
    """DisCO-b: the mean score of right answers against the mean score of wrong ones."""
    return _weighed(batch, score, None, None, "disco_b")


@register(
    "drpo",
    room="weights",
    needs="group",
    inputs=_READ,
    certainty="code",
    source="DRPO (arXiv 2510.04474); Optimization-AI/DRPO verl/verl/trainer/ppo/core_algos.py @405f7026",
    formula="right: softmax((1 - len / max_length) / sharpness); wrong: -softmax(s / tau)",
    papers=("drpo",),
)
def drpo(batch: SignalBatch, *, max_length: int = 8192, sharpness: float = 0.1, tau: float = 10.0) -> Signal:
    """DRPO: DisCO in which short right answers weigh more, and long ones are never pushed below wrong ones.

    ``sharpness`` is the paper's Lambda; a large one gives DisCO. Only rewards of 1 and 0 carry a meaning; what lies
    between takes no part.
    """
    if max_length < 1 or not sharpness > 0:
        raise BadOption(f"drpo: max_length = {max_length} and sharpness = {sharpness} must be positive")
    quality = (1.0 - batch.lengths / max_length) / sharpness
    return _weighed(batch, "likelihood", tau, quality, "drpo")


@register(
    "reg_grpo",
    room="advantage",
    needs="group",
    inputs=("rewards", "groups"),
    certainty="paper",
    source="DeepVideo-R1 (arXiv 2506.07464) eq. 5 to 8; ddof and eps, which it does not print, as in GRPO",
    formula="target of the loss (A_i - (rho_i - mean) / std)^2: A_i = (r_i - mean) / (std + eps)",
    papers=("deepvideo-r1",),
)
def reg_grpo(batch: SignalBatch, *, ddof: int = 1, eps: float = 1e-6) -> Signal:
    """Reg-GRPO's targets: group advantages that the log-ratios of a group are regressed on.

    The loss is `trainer_client.losses.group_regression`; there is no ratio clip.
    """
    advantages = group_normalise(batch.rewards, batch.groups, batch.valid, ddof=ddof, eps=eps)
    return batch.signal(advantages=advantages)


def _weighed(batch: SignalBatch, score: Score, tau: float | None, quality: FloatArray | None, name: str) -> Signal:
    """Signed weights whose trainer averages ``sum_i w_i * s_i`` over prompts, and their form by token."""
    valid, groups = batch.taken()
    mask = batch.mask
    ratio = _ratio(batch)
    if score == "ratio":
        scores = mean_logprobs(ratio, mask)
    else:
        scores = mean_logprobs(batch["logprobs" if "logprobs" in batch else "old_logprobs"], mask)
    chosen = None if quality is None else quality[valid]
    weights = discriminative_weights(batch.rewards[valid], scores[valid], groups, tau=tau, quality=chosen)
    full = batch.scatter(weights)
    by_token = np.where(mask, (full / np.maximum(batch.lengths, 1))[:, None], 0.0)
    return batch.signal(
        advantages=full,
        token_advantages=by_token * ratio if score == "ratio" else by_token,
        report={f"{name}/prompts": len(groups)},
    )


def _ratio(batch: SignalBatch) -> FloatArray:
    """``[N, T]`` ratio of the policy to the sampling policy; 1 where the batch carries only one of them."""
    if "logprobs" in batch and "old_logprobs" in batch:
        ratio: FloatArray = np.exp(np.where(batch.mask, batch["logprobs"] - batch["old_logprobs"], 0.0))
        return ratio
    return np.ones(batch.mask.shape)
