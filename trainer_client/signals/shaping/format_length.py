"""Surrogate Signals from Format and Length.

insightLLM/rl-without-gt rl/verl/lib/src/rewards/math_reward.py @c1e2077c.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike

from trainer_client.signals.authoring import (
    Case,
    FloatArray,
    OptionError,
    Paper,
    Signal,
    SignalBatch,
    as_floats,
    golden,
    method,
    register,
)
from trainer_client.signals.parts.columns import exactly

PAPER = Paper("format-length", __doc__, provenance="code")


@register(
    "length_surrogate",
    paper=PAPER,
    needs="row",
    inputs=("lengths|mask",),
    formula="x = len / max_length; x <= p: 1 - (1 - x/p)^2; x > p: 1 - 2 * ((x-p) / (1-p))^2",
)
def surrogate(batch: SignalBatch, *, max_length: int = 3072, peak: float = 0.5) -> Signal:
    """A reward from length alone, highest at ``peak * max_length``."""
    return batch.signal(rewards=length_surrogate(batch.lengths, max_length=max_length, peak=peak))


@register(
    "format_length",
    paper=PAPER,
    needs="row",
    inputs=("components", "lengths|mask"),
    formula="answer well formed: 0.5 * (f + a) + length term; else min(0, length term)",
    columns=exactly("a reasoning block", "a well-formed answer"),
)
def format_length(
    batch: SignalBatch,
    *,
    mode: Literal["format_length", "format"] = "format_length",
    max_length: int = 3072,
    peak: float = 0.5,
) -> Signal:
    """Training without labels: format, and a length that is neither short nor long.

    Components in order: the response has a reasoning block (f), its final answer is a well-formed expression (a). In
    ``format`` mode the reward is ``0.5 * (f + a)``. A missing component takes the row out.
    """
    components = batch["components"]
    live = batch.components_given.all(1)
    form = 0.5 * components.sum(1)
    if mode == "format":
        return batch.signal(keep=live | ~batch.valid, rewards=form)
    term = length_surrogate(batch.lengths, max_length=max_length, peak=peak)
    rewards = np.where(components[:, 1] > 0, form + term, np.minimum(0.0, term))
    return batch.signal(keep=live | ~batch.valid, rewards=rewards)


def length_surrogate(lengths: ArrayLike, *, max_length: int = 3072, peak: float = 0.5) -> FloatArray:
    """``[N]`` reward that rises to 1 at ``peak * max_length`` and falls to -1 at ``max_length``.

    With ``x = length / max_length``: ``1 - (1 - x / peak)^2`` up to the peak, ``1 - 2 * ((x - peak) / (1 - peak))^2``
    after it. It keeps falling beyond ``max_length``.

    Raises:
        OptionError: ``peak`` is not strictly between 0 and 1, or ``max_length`` is not positive.

    Source: insightLLM/rl-without-gt rl/verl/lib/src/rewards/math_reward.py @c1e2077c.
    """
    if not 0 < peak < 1:
        raise OptionError(f"peak: {peak} must lie strictly between 0 and 1")
    if max_length <= 0:
        raise OptionError(f"max_length: {max_length} tokens; it must be positive")
    share = as_floats("lengths", lengths) / max_length
    rising = 1.0 - (1.0 - share / peak) ** 2
    falling = 1.0 - 2.0 * ((share - peak) / (1.0 - peak)) ** 2
    return np.where(share <= peak, rising, falling)


@golden("length_surrogate_v3")
def _(case: Case) -> Any:
    limit, peak = case.params["max_length"], case.params["decay_threshold"]
    return length_surrogate([case.inputs["response_token_len"]], max_length=limit, peak=peak)[0]


@golden("format_length_reward")
def _(case: Case) -> Any:
    table = [[case.inputs["soft_format_reward"], case.inputs["answer_format_reward"]]]
    batch = SignalBatch(components=table, lengths=[case.inputs["response_token_len"]])
    estimator = method("format_length", max_length=case.params["max_length"], peak=case.params["decay_threshold"])
    return np.asarray(estimator(batch).rewards)[0]
