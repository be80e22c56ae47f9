"""Laws that presets obey, and batches to hold them against.

A preset's row in `LAWS` (in `law_table`) says which laws it has; `draw_batch` makes a random batch with every input
that the preset reads. Inputs are drawn by their declaration; one that needs more than that has a row in `DRAWN`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from trainer_client.signals import INPUTS, Estimator, Signal, SignalBatch, preset, spec_of

WIDTHS = {"T": 5, "K": 2, "P": 4, "E": 3, "D": 2, "I": 3, "S": 2, "H": 2, "M": 3, "J": 2, "C": 2, "O": 2}
"""Length of each axis besides N; a new letter in `INPUTS` gets one here."""

_WORDS = ["angle", "median", "circle", "delta"]


def _prediction(rng: Generator) -> dict[str, Any] | None:
    """An ordinary rollout, or what a row predicts, parts of it missing or of the wrong type."""
    choices: list[dict[str, Any] | None] = [
        None,
        None,
        {},
        {"math_notion": "angles, circles", "solution_length": int(rng.integers(1, 6)), "pass_rate": 4},
        {"math_notion": ["median"], "solution_length": "3", "pass_rate": int(rng.integers(0, 9))},
    ]
    return choices[int(rng.integers(len(choices)))]


DRAWN: dict[str, Callable[[Generator, tuple[int, ...]], Any]] = {
    "lengths": lambda rng, shape: rng.integers(1, WIDTHS["T"] + 1, shape),
    "old_logprobs": lambda rng, shape: -rng.exponential(1.0, shape),
    "logprobs": lambda rng, shape: -rng.exponential(1.0, shape),
    "ref_logprobs": lambda rng, shape: -rng.exponential(1.0, shape),
    "evidence_logprobs": lambda rng, shape: -rng.exponential(1.0, shape),
    "counter_logprobs": lambda rng, shape: -rng.exponential(1.0, shape),
    "masked_logprobs": lambda rng, shape: -rng.exponential(1.0, shape),
    "entropies": lambda rng, shape: rng.random(shape),
    "wins": lambda rng, shape: rng.random(shape),
    "state_likelihoods": lambda rng, shape: rng.random(shape),
    "selected": lambda rng, shape: [list(rng.integers(0, 4, 2)) for _ in range(shape[0])],
    "gold_evidence": lambda rng, shape: [None if rng.random() < 0.2 else [1, 2] for _ in range(shape[0])],
    "facts": lambda rng, shape: [list(rng.integers(0, 4, 2)) for _ in range(shape[0])],
    "hits": lambda rng, shape: [[[1], [2, 3], []][: rng.integers(0, 4)] for _ in range(shape[0])],
    "reference_texts": lambda rng, shape: [None, "add(a=1)]"] * (shape[0] // 2) + [None] * (shape[0] % 2),
    "expected_winners": lambda rng, shape: list(rng.choice(["A", "B"], shape[0])),
    "predicted_winners": lambda rng, shape: list(rng.choice(["A", "B", "tie"], shape[0])),
    "success_rates": lambda rng, shape: rng.choice([0.0, 0.125, 0.5, 0.75, 1.0], shape),
    "predictions": lambda rng, shape: [_prediction(rng) for _ in range(shape[0])],
    "texts": lambda rng, shape: [" ".join(rng.choice(_WORDS, 4)) for _ in range(shape[0])],
    "token_ids": lambda rng, shape: rng.integers(0, 3, shape),
    "hints": lambda rng, shape: [[["a lemma"], ["a plan", "a step"]]] * shape[0],
    "questions": lambda rng, shape: ["find the delta"] * shape[0],
    "sum_pi_squared": lambda rng, shape: rng.random(shape),
    "similarity": lambda rng, shape: rng.random(shape),
    "answer_likelihood": lambda rng, shape: rng.random(shape),
    "gaps": lambda rng, shape: rng.random(shape),
    "token_lists": lambda rng, shape: [list(rng.integers(0, 3, rng.integers(0, 6))) for _ in range(shape[0])],
    "turn_scores": lambda rng, shape: [list(rng.integers(0, 3, 3) / 2) for _ in range(shape[0])],
    "comparisons": lambda rng, shape: [list(rng.integers(0, 3, rng.integers(0, 4)) / 2) for _ in range(shape[0])],
    "dimension_comparisons": lambda rng, shape: [
        {name: list(rng.integers(0, 3, rng.integers(0, 3)) / 2) for name in _WORDS[: rng.integers(0, 3)]}
        for _ in range(shape[0])
    ],
    "predicted_scores": lambda rng, shape: [
        None if rng.random() < 0.2 else list(rng.integers(0, 11, 3)) for _ in range(shape[0])
    ],
    "gold_scores": lambda rng, shape: [list(rng.integers(0, 3, 3)) for _ in range(shape[0])],
    "predicted_values": lambda rng, shape: [list(rng.exponential(40, 3)) for _ in range(shape[0])],
    "target_values": lambda rng, shape: [list(rng.integers(0, 2, 3) * 50.0) for _ in range(shape[0])],
}


@dataclass(frozen=True)
class Laws:
    """What a preset obeys besides masking, removal and input checks, which all do.

    Attributes:
        options: options that the laws are tried with (``eps=0`` where an exact scale law needs it).
        rewards: values that rewards may take.
        shift: adding a constant to all rewards changes no advantage.
        scale: multiplying all rewards by a positive number leaves advantages (``invariant``), or multiplies them
            (``equivariant``).
        constant: a group of equal rewards gets exactly 0.
        zero_sum: advantages of a group sum to 0.
        permutation: reordering rows reorders the result.
        removal: a masked row might as well not be there.
        finite: results are numbers, whatever the rewards.
        inputs: inputs to add to the required ones.
        prepare: makes random inputs consistent where a method asks for that.
    """

    options: Mapping[str, Any] = field(default_factory=dict)
    rewards: Literal["real", "binary"] = "real"
    shift: bool = False
    scale: Literal["invariant", "equivariant"] | None = None
    constant: bool = False
    zero_sum: bool = False
    permutation: bool = True
    removal: bool = True
    finite: bool = True
    inputs: tuple[str, ...] = ()
    prepare: Callable[[dict[str, Any]], None] | None = None


def make(name: str, laws: Laws) -> Estimator:
    """A fresh estimator."""
    return preset(name, **laws.options)


def batch_of(inputs: Mapping[str, Any]) -> SignalBatch:
    """The batch of some inputs, at a step that schedules have something to say of."""
    return SignalBatch(step=7, **inputs)


def draw_inputs(name: str, laws: Laws, seed: int) -> dict[str, Any]:
    """Keyword arguments of a random batch: 1 to 14 rows in up to 4 groups, interleaved, some rows masked."""
    rng = np.random.default_rng(seed)
    rows = int(rng.integers(1, 15))
    choices = [wish.split("|") for wish in spec_of(name).inputs]
    # A mask with holes asks more of a method than lengths do.
    wanted = ["mask" if "mask" in choice else choice[0] for choice in choices]
    drawn: dict[str, Any] = {"valid": rng.random(rows) < 0.8}
    for wish in dict.fromkeys((*wanted, *laws.inputs)):
        declared = INPUTS[wish]
        shape = tuple(rows if letter == "N" else WIDTHS[letter] for letter in declared.axes)
        if wish == "rewards":
            drawn[wish] = _rewards(rng, rows, laws)
        elif wish in DRAWN:
            drawn[wish] = DRAWN[wish](rng, shape)
        elif declared.kind == "ids":
            drawn[wish] = rng.integers(0, 4, shape)
        elif declared.kind == "bool":
            drawn[wish] = rng.random(shape) < 0.7
        elif declared.kind == "int":
            drawn[wish] = rng.integers(0, 10, shape)
        else:
            drawn[wish] = rng.normal(size=shape)
    if laws.prepare is not None:
        laws.prepare(drawn)
    return drawn


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
