"""Batches to try the laws of methods with: every input that a method reads, drawn by its declaration.

What a method obeys is in its file (`trainer_client.signals.authoring.Laws`); `LAWS` is read from there.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from trainer_client.signals import INPUTS, Estimator, Input, Signal, SignalBatch, method, method_of, methods
from trainer_client.signals.authoring import Laws

WIDTHS = {"T": 5, "K": 2, "P": 4, "E": 3, "D": 2, "I": 3, "S": 2, "H": 2, "M": 3, "J": 2, "C": 2, "O": 2}
"""Length of each axis besides N; a new letter in `INPUTS` gets one here."""

LAWS: dict[str, Laws] = {each.name: each.laws for each in methods()}


def make(name: str, laws: Laws) -> Estimator:
    """A fresh estimator; an exact scale law leaves no room for ``eps``."""
    exact = {"eps": 0.0} if laws.scale == "invariant" and "eps" in method_of(name).defaults else {}
    return method(name, **{**exact, **laws.options})


def batch_of(inputs: Mapping[str, Any]) -> SignalBatch:
    """The batch of some inputs, at a step that schedules have something to say of."""
    return SignalBatch(step=7, **inputs)


def draw_inputs(name: str, laws: Laws, seed: int) -> dict[str, Any]:
    """Keyword arguments of a random batch: 1 to 14 rows in up to 4 groups, interleaved, some rows masked.

    Inputs that the method reads only where they are given come with every other seed.
    """
    rng = np.random.default_rng(seed)
    rows = int(rng.integers(1, 15))
    known = method_of(name)
    drawn: dict[str, Any] = {"valid": rng.random(rows) < 0.8}
    for wish in dict.fromkeys((*known.inputs, *laws.inputs, *(known.optional if seed % 2 else ()))):
        # A mask with holes asks more of a method than lengths do.
        choice = wish.split("|")
        chosen = "mask" if "mask" in choice else choice[0]
        for each in (chosen, INPUTS[chosen].beside):
            if each and each not in drawn:
                drawn[each] = _draw(rng, INPUTS[each], rows, laws)
    if laws.prepare is not None:
        laws.prepare(drawn)
    return drawn


def _draw(rng: Generator, declared: Input, rows: int, laws: Laws) -> Any:
    shape = tuple(rows if letter == "N" else WIDTHS[letter] for letter in declared.axes)
    if declared.name == "rewards":
        return _rewards(rng, rows, laws)
    if declared.name == "lengths":
        return rng.integers(1, WIDTHS["T"] + 1, shape)
    if declared.examples:
        return [declared.examples[k] for k in rng.integers(0, len(declared.examples), rows)]
    if declared.kind == "ids":
        return rng.integers(0, 4, shape)
    if declared.kind == "bool":
        return rng.random(shape) < 0.7
    if declared.kind == "int":
        return rng.integers(0, 10, shape)
    if declared.name.endswith("logprobs"):
        return -rng.exponential(1.0, shape)
    if declared.within is not None:
        return rng.uniform(*declared.within, shape)
    return rng.normal(size=shape)


def _rewards(rng: Generator, rows: int, laws: Laws) -> NDArray[np.float64]:
    if laws.rewards == "binary" or rng.random() < 0.4:
        return rng.integers(0, 2, rows).astype(float)
    if rng.random() < 0.5:
        return rng.integers(-2, 5, rows) / 4
    drawn = rng.normal(size=rows)
    scale: float = 10.0 ** float(rng.integers(-2, 4))
    return drawn * scale


def outputs(signal: Signal) -> dict[str, NDArray[Any]]:
    """The arrays of a signal that have a row per rollout."""
    names = (
        "advantages",
        "rewards",
        "token_advantages",
        "token_weights",
        "weights",
        "keep",
        "budget",
        "copies",
        "returns",
    )
    return {n: np.asarray(getattr(signal, n)) for n in names if getattr(signal, n) is not None}


def rows_of(inputs: Mapping[str, Any], index: NDArray[Any]) -> dict[str, Any]:
    """The same inputs with some rows, or with rows in another order."""
    return {
        name: [value[i] for i in np.arange(len(value))[index]]
        if isinstance(value, list)
        else value[index][:, index]
        if name != "valid" and INPUTS[name].axes == "NN"
        else value[index]
        if name == "valid" or INPUTS[name].axes
        else value
        for name, value in inputs.items()
    }


def assert_close(left: Mapping[str, NDArray[Any]], right: Mapping[str, NDArray[Any]], scale: float = 1.0) -> None:
    """Both hold the same arrays up to rounding at the size of the rewards."""
    assert left.keys() == right.keys()
    for name, array in left.items():
        np.testing.assert_allclose(array, right[name], rtol=1e-7, atol=1e-8 * max(scale, 1.0), err_msg=name)


def resume(name: str, laws: Laws, seed: int) -> None:
    """A state saved through JSON and loaded elsewhere continues exactly."""
    first = make(name, laws)
    for step in range(3):
        first(SignalBatch(step=step, **draw_inputs(name, laws, seed + step)))
    second = make(name, laws)
    second.load_state_dict(json.loads(json.dumps(first.state_dict())))
    following = draw_inputs(name, laws, seed + 3)
    left, right = (estimator(SignalBatch(step=3, **following)) for estimator in (first, second))
    assert (left.requests, left.pairs) == (right.requests, right.pairs)
    for key, array in outputs(left).items():
        np.testing.assert_array_equal(array, outputs(right)[key], err_msg=key)
    assert first.state_dict() == second.state_dict()
