"""PAPO: Perception-Aware Policy Optimization for Multimodal Reasoning.

PAPO (arXiv 2507.06448); MikeWangWZHL/PAPO verl/workers/actor/dp_actor.py @fb63bf45, examples/config.yaml.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from trainer_client.signals.authoring import (
    BoolArray,
    Case,
    FloatArray,
    Input,
    OptionError,
    Paper,
    Signal,
    SignalBatch,
    golden,
    register,
)
from trainer_client.signals.parts.aggregation import Aggregation, token_weights
from trainer_client.signals.parts.kl import KlKind, kl_estimate

PAPER = Paper("papo", __doc__, provenance="code")

_MASKED_LOGPROBS = Input(
    "masked_logprobs", "NT", "float", "log-probability of each token with the image (or evidence) spoiled"
)


@register(
    "papo",
    paper=PAPER,
    needs="batch",
    inputs=("logprobs|old_logprobs", _MASKED_LOGPROBS, "lengths|mask"),
    formula="loss -= gamma * mean KL(pi(. | image) || pi(. | spoiled image)), k3",
)
def papo(
    batch: SignalBatch,
    *,
    gamma: float = 0.01,
    kind: KlKind = "k3",
    top: float = 1.0,
    average: Aggregation = "token-mean",
) -> Signal:
    """PAPO: the answer is to depend on the image, measured against the same answer given a spoiled image.

    ``token_weights`` are the factors of each token's divergence in the term that is subtracted from the loss
    (`trainer_client.losses.perception_loss`); ``gamma`` is 0.02 in the GRPO scripts. ``top`` keeps a row's most
    dependent tokens. The report holds the term's present value.
    """
    mask = batch.mask & batch.valid[:, None]
    present = batch["logprobs" if "logprobs" in batch else "old_logprobs"]
    divergence = np.where(mask, kl_estimate(present, batch["masked_logprobs"], kind), 0.0)
    weights = perception_weights(
        divergence, mask, np.ones(batch.rows), top=None if top == 1.0 else top, average=average
    )
    return batch.signal(token_weights=gamma * weights, report={"papo/divergence": float((weights * divergence).sum())})


def perception_weights(
    divergence: FloatArray,
    mask: BoolArray,
    rows: FloatArray,
    *,
    top: float | None = None,
    average: Aggregation = "token-mean",
) -> FloatArray:
    """``[N, T]`` weight of each token's divergence in the mean that a loss maximises.

    Args:
        divergence: ``[N, T]`` KL estimate between the answer given the image and given the spoiled one.
        mask: ``[N, T]`` tokens that count.
        rows: ``[N]`` factor of each row.
        top: keep the tokens of a row at or above its ``1 - top`` quantile (linear); None for all.
        average: over which tokens the mean is taken; tokens that are not kept count in its divisor.

    Raises:
        OptionError: ``top`` is outside (0, 1].

    Source: PAPO, MikeWangWZHL/PAPO verl/workers/actor/dp_actor.py @fb63bf45.
    """
    kept = mask
    if top is not None:
        if not 0.0 < top <= 1.0:
            raise OptionError(f"top: {top} of a row's tokens; choose more than 0 and at most 1")
        kept = mask & (divergence >= _row_quantile(divergence, mask, 1.0 - top)[:, None])
    return np.where(kept, token_weights(mask, average), 0.0) * rows[:, None]


def _row_quantile(values: FloatArray, mask: BoolArray, q: float) -> FloatArray:
    """``[N]`` quantile over the masked-in entries of each row; minus infinity for a row without any."""
    number = mask.sum(1)
    if not mask.shape[1]:
        return np.full(len(values), -np.inf)
    ordered = np.sort(np.where(mask, values, np.inf), axis=1)
    place = q * np.maximum(number - 1, 0)
    low, high = np.floor(place).astype(np.int64), np.ceil(place).astype(np.int64)
    rows = np.arange(len(values))
    at_low, at_high = ordered[rows, low], ordered[rows, high]
    some = number > 0
    gap = np.where(some, at_high, 0.0) - np.where(some, at_low, 0.0)
    return np.where(some, np.where(some, at_low, 0.0) + gap * (place - low), -np.inf)


_KL: dict[str, KlKind] = {"kl": "k1", "abs": "abs", "mse": "k2", "low_var_kl": "k3"}


@golden("PAPO", rtol=1e-4, atol=1e-6)
def _(case: Case) -> Any:
    kind = _KL[case.params["kl_penalty"]]
    return kl_estimate(case.array("log_probs"), case.array("masked_image_log_probs"), kind)


@golden("PAPO perception loss", rtol=1e-4, atol=1e-6)
def _(case: Case) -> Any:
    params, mask = case.params, case.array("response_mask") > 0
    kind = _KL[params["kl"]]
    divergence = kl_estimate(case.array("log_probs"), case.array("masked_image_log_probs"), kind)
    average: Aggregation = "token-mean" if params["avg"] == "token" else "seq-mean-token-mean"
    # The source bounds what a row's weight has already scaled.
    divergence = divergence * case.array("weighting").reshape(-1, 1)
    weights = perception_weights(divergence, mask, np.ones(len(mask)), top=params["top_p"], average=average)
    capped = divergence if params["clip"] is None else np.clip(divergence, 0.0, params["clip"])
    return [float((weights * capped).sum())]
