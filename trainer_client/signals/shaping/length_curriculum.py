"""Train Long, Think Short: Curriculum Learning for Efficient Reasoning.

Train Long, Think Short (arXiv 2508.08940) sections 3.1 to 4.6; format_weight is ours.
"""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np
from numpy.typing import ArrayLike

from trainer_client.signals.authoring import (
    FloatArray,
    Input,
    InputError,
    OptionError,
    Paper,
    Signal,
    SignalBatch,
    as_floats,
    register,
)

PAPER = Paper("length-curriculum", __doc__, provenance="paper")

_TRACE_LENGTHS = Input("trace_lengths", "N", "int", "tokens of the reasoning trace alone")

Decay = Literal["exponential", "linear"]

LengthShape = Literal["triangle", "band"]


@register(
    "length_curriculum",
    paper=PAPER,
    needs="row",
    inputs=("rewards", "format_scores", (_TRACE_LENGTHS, "lengths", "mask")),
    formula=(
        "w_c * c + w_l * L(len, B) + w_f * format; B = max(1, start * (final / start) ** (k / decays)), k "
        "= min(floor(step * (decays + 1) / steps), decays)"
    ),
)
def length_curriculum(
    batch: SignalBatch,
    *,
    start: float = 256.0,
    final: float = 87.0,
    steps: int = 600,
    decays: int = 3,
    decay: Decay = "exponential",
    shape: LengthShape = "triangle",
    correct_weight: float = 0.3,
    length_weight: float = 0.6,
    format_weight: float = 0.1,
) -> Signal:
    """Curriculum of token budgets: correctness, keeping to a budget that shrinks over training, and format.

    The budget is in the prompt as well: `token_budget` gives it to the trainer before generation, and the
    report holds it. ``trace_lengths`` counts the reasoning alone; without it the whole response is counted. The
    triangle is the more accurate, the band the shorter; the correctness-heavy weights are 0.6 and 0.3.
    """
    if batch.step is None:
        raise InputError("length_curriculum: the budget depends on the step; pass step= to SignalBatch")
    budget = token_budget(batch.step, start=start, final=final, steps=steps, decays=decays, decay=decay)
    traced = "trace_lengths" in batch
    lengths = batch["trace_lengths"] if traced else batch.lengths
    if min(correct_weight, length_weight, format_weight) < 0:
        raise OptionError("length_curriculum: weights must not be negative")
    rewards = (
        correct_weight * batch.rewards
        + length_weight * length_reward(lengths, budget, shape=shape)
        + format_weight * batch["format_scores"]
    )
    return batch.signal(rewards=rewards, report={"length_curriculum/budget": budget})


def token_budget(
    step: int,
    *,
    start: float = 256.0,
    final: float = 87.0,
    steps: int = 600,
    decays: int = 3,
    decay: Decay = "exponential",
) -> float:
    """Tokens allowed at a step: ``decays`` drops at equal distances, from ``start`` to ``final``, at least 1.

    ``exponential`` multiplies by the same factor each time, ``linear`` subtracts the same amount.

    Args:
        step: of the optimiser, from 0; past ``steps`` the budget stays at ``final``.
        start: budget before the first drop.
        final: budget after the last.
        steps: length of training; drop ``k`` happens at ``k * steps / (decays + 1)``.
        decays: number of drops.
        decay: how the drops are made.

    Raises:
        OptionError: a budget or count is below 1, or ``decay`` is unknown.

    Source: Train Long, Think Short (arXiv 2508.08940) section 3.2.
    """
    if decay not in get_args(Decay):
        raise OptionError(f"decay: {decay!r} is not one of {', '.join(get_args(Decay))}")
    if start < 1 or final < 1 or steps < 1 or decays < 1:
        raise OptionError(f"start {start}, final {final}, steps {steps} and decays {decays} must be at least 1")
    done = min(max(step, 0) * (decays + 1) // steps, decays)
    if decay == "linear":
        return start + (final - start) * done / decays
    return float(start * (final / start) ** (done / decays))


def length_reward(
    lengths: ArrayLike, budget: float, *, peak: float = 1.0, shape: LengthShape = "triangle"
) -> FloatArray:
    """``[N]`` reward for using a budget: full at it, falling to 0 at twice of it.

    Args:
        lengths: ``[N]`` tokens.
        budget: where the reward is ``peak``.
        peak: the highest reward.
        shape: below the budget it rises from 0 (``triangle``) or is ``peak`` throughout (``band``).

    Raises:
        OptionError: the budget is not positive, or the shape is unknown.
    """
    if shape not in get_args(LengthShape):
        raise OptionError(f"shape: {shape!r} is not one of {', '.join(get_args(LengthShape))}")
    if not budget > 0:
        raise OptionError(f"budget: {budget} must be positive")
    used = as_floats("lengths", lengths) / budget
    rising = used if shape == "triangle" else np.ones_like(used)
    return peak * np.where(used <= 1.0, rising, np.maximum(2.0 - used, 0.0))
