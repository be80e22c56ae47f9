"""FAKER-Air's class reward: predicted numbers are right if they fall into the class of the true ones.

FAKER-Air, kaist-cvml/FAKER-Air aurora/rl/reward.py @2c208b85.
"""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import ArrayLike

from trainer_client.signals.authoring import (
    Case,
    FloatArray,
    Input,
    InputError,
    OptionError,
    Signal,
    SignalBatch,
    as_floats,
    golden,
    register,
    require_finite,
)

_PREDICTED_VALUES = Input(
    "predicted_values", "N", "rows", "numbers that a row predicts", examples=([12.5, 40.0, 3.0], [80.0, 0.0, 51.0])
)
_TARGET_VALUES = Input(
    "target_values", "N", "rows", "numbers that would have been right", examples=([0.0, 50.0, 50.0], [50.0, 0.0, 0.0])
)

ErrorShape = Literal["negative", "inverse", "clipped", "exponential", "logarithm"]


@register(
    "ordinal_class",
    paper="faker-air",
    needs="row",
    inputs=(_PREDICTED_VALUES, _TARGET_VALUES),
    provenance="code",
    formula="mean over cells of coarse * [same side] + exact * [same class] - false_alarm * [alarm]",
)
def ordinal_class(
    batch: SignalBatch,
    *,
    bounds: tuple[float, ...] = (15.0, 35.0, 75.0),
    high_class: int = 2,
    exact: float = 0.5,
    coarse: float = 0.5,
    false_alarm: float = 0.0,
) -> Signal:
    """FAKER-Air's class reward: predicted numbers are right if they fall into the class of the true ones.

    A row without a cell to score is left out.
    """
    predicted, target = batch.objects("predicted_values"), batch.objects("target_values")
    rewards, keep = np.zeros(batch.rows), np.ones(batch.rows, np.bool_)
    for row in np.flatnonzero(batch.valid).tolist():
        keep[row] = bool((np.asarray(target[row], dtype=np.float64) > 0).any())
        try:
            rewards[row] = ordinal_class_reward(
                predicted[row],
                target[row],
                bounds=bounds,
                high_class=high_class,
                exact=exact,
                coarse=coarse,
                false_alarm=false_alarm,
            )
        except InputError as error:
            raise InputError(f"row {row}: {error}") from None
    return batch.signal(keep=keep, rewards=rewards)


def error_reward(errors: ArrayLike, shape: ErrorShape = "inverse", *, temperature: float = 1.0) -> FloatArray:
    """``[N]`` reward that falls with a squared error.

    ``negative``: ``-m``; ``inverse``: ``1 / (1 + m)``; ``clipped``: ``1 - min(m, 1)``; ``exponential``:
    ``exp(-m / temperature)``; ``logarithm``: ``-ln m``, errors held above 1e-8.

    Raises:
        InputError: an error is negative or not finite.
        OptionError: the shape is unknown, or the temperature not positive.

    Source: FAKER-Air, kaist-cvml/FAKER-Air aurora/rl/reward.py @2c208b85.
    """
    if shape not in get_args(ErrorShape) or not temperature > 0:
        raise OptionError(f"shape: {shape!r} of {', '.join(get_args(ErrorShape))}, at a temperature above 0")
    error = as_floats("errors", errors)
    require_finite("errors", error)
    if bool((error < 0).any()):
        raise InputError(f"errors: {error.min()} is negative; give squared errors")
    if shape == "negative":
        return -error
    if shape == "inverse":
        return 1.0 / (1.0 + error)
    if shape == "clipped":
        return 1.0 - np.minimum(error, 1.0)
    if shape == "exponential":
        return np.exp(-error / temperature)
    return -np.log(np.maximum(error, 1e-8))


def ordinal_class_reward(
    prediction: ArrayLike,
    target: ArrayLike,
    *,
    bounds: Sequence[float] = (15.0, 35.0, 75.0),
    high_class: int = 2,
    exact: float = 0.5,
    coarse: float = 0.5,
    false_alarm: float = 0.0,
    class_weights: Sequence[float] | None = None,
) -> float:
    """Mean over the cells with ``target > 0`` of ``coarse * same side + exact * same class - false_alarm * alarm``.

    Args:
        prediction: any shape.
        target: same shape; cells at 0 or below are not scored.
        bounds: increasing inner bounds; a value at a bound belongs to the class above it.
        high_class: classes from this one on are the high side.
        exact: for the right class.
        coarse: for the right side of ``high_class``.
        false_alarm: subtracted where the prediction is high and the target is not.
        class_weights: factor of a cell by the class of its target; 1 each when None.

    Returns:
        The mean; 0 where no cell is scored.

    Raises:
        InputError: shapes differ, or a value is not finite.
        OptionError: bounds do not increase, or another number of weights than classes.

    Source: FAKER-Air, kaist-cvml/FAKER-Air aurora/rl/reward.py @2c208b85 (``exact=1, coarse=0`` is the paper's form).
    """
    predicted, true = as_floats("prediction", prediction), as_floats("target", target)
    if predicted.shape != true.shape:
        raise InputError(f"prediction: shape {predicted.shape} differs from the target's {true.shape}")
    require_finite("prediction", predicted.ravel())
    require_finite("target", true.ravel())
    edges = np.asarray(bounds, dtype=np.float64)
    if bool((np.diff(edges) <= 0).any()):
        raise OptionError(f"bounds: {list(bounds)} do not increase")
    if class_weights is not None and len(class_weights) != edges.size + 1:
        raise OptionError(f"class_weights: {len(class_weights)} given for {edges.size + 1} classes; give one for each")
    scored = true > 0
    if not bool(scored.any()):
        return 0.0
    guess = np.searchsorted(edges, predicted[scored], side="right")
    real = np.searchsorted(edges, true[scored], side="right")
    same_side = (guess >= high_class) == (real >= high_class)
    alarm = (guess >= high_class) & (real < high_class)
    cell = coarse * same_side + exact * (guess == real) - false_alarm * alarm
    if class_weights is not None:
        cell = cell * np.asarray(class_weights, dtype=np.float64)[real]
    return float(cell.mean())


@golden("ordinal_class_reward", atol=1e-6)
def _(case: Case) -> Any:
    params = SimpleNamespace(**case.params)
    return ordinal_class_reward(
        case.array("prediction"),
        case.array("target"),
        bounds=params.bounds[1:-1],
        high_class=params.high_class_from,
        exact=params.exact_weight,
        coarse=params.coarse_weight,
        false_alarm=params.false_alarm_penalty,
    )
