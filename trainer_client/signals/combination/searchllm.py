"""Aligning Large Language Models with Searcher Preferences (SearchLLM).

SearchLLM section 3.3 eq. 1 to 3, section 4.1.4.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from trainer_client.signals.authoring import (
    BoolArray,
    FloatArray,
    InputError,
    Laws,
    Paper,
    Signal,
    SignalBatch,
    register,
)

PAPER = Paper("searchllm", __doc__, provenance="paper")


def _unit_components(inputs: dict[str, Any]) -> None:
    inputs["components"] = 1.0 / (1.0 + np.exp(-inputs["components"]))


def _bottom_and_others(options: Mapping[str, Any], number: int) -> str:
    bottom, weights = options["bottom"], options["weights"]
    if not 0 <= bottom < number:
        return f"bottom = {bottom} leaves none of {number} columns; name more of them, or set bottom"
    fits = not weights or len(weights) in (number, number - bottom)
    return "" if fits else f"{len(weights)} weights for {number} columns, {number - bottom} behind the bottom line"


@register(
    "searchllm",
    paper=PAPER,
    needs="row",
    inputs=("components",),
    formula="R = exp(mean log((s + d) / (1 + d))) * sum w_j s'_j / sum w_j, d = 0.01",
    columns=_bottom_and_others,
    laws=Laws(options={"bottom": 1}, prepare=_unit_components),
    within=(0.0, 1.0),
)
def searchllm(batch: SignalBatch, *, bottom: int = 3, weights: Sequence[float] = (), floor: float = 0.01) -> Signal:
    """SearchLLM: usefulness counts as far as the bottom line holds (grounding, basic quality, format).

    The first ``bottom`` columns of ``components`` are the bottom line; all scores lie in [0, 1]. A row with a bottom
    score missing is left out; of the others those given count. ``weights`` are of the others, or of all, of which
    those of the bottom line have no effect.
    """
    table, present = batch["components"], batch.components_given
    complete = present[:, :bottom].all(1) & present[:, bottom:].any(1) & batch.valid
    used = present & complete[:, None]
    factors = tuple(weights)[-(table.shape[1] - bottom) :]
    rewards = softly_gated(
        np.where(used, table, 1.0)[:, :bottom], table[:, bottom:], factors or None, used[:, bottom:], floor=floor
    )
    return batch.signal(rewards=rewards, keep=complete | ~batch.valid)


def softly_gated(
    bottom: FloatArray,
    others: FloatArray,
    weights: Sequence[float] | None = None,
    given: BoolArray | None = None,
    *,
    floor: float = 0.01,
) -> FloatArray:
    """``[N]`` ``exp(mean log((s + floor) / (1 + floor)))`` of the bottom line times the weighted mean of the others.

    One bottom-line score of 0 among three leaves 0.21 of the reward: the gate is soft.

    Args:
        bottom: ``[N, B]`` in [0, 1]; without any the gate is open.
        others: ``[N, K]`` in [0, 1].
        weights: of the others; 1 each when None.
        given: ``[N, K]`` others that count; a row without any gets 0. None for all.
        floor: the delta of the paper.

    Raises:
        InputError: a score that counts is outside [0, 1], or the weights do not fit, are negative or sum to 0.

    Source: SearchLLM section 3.3, eq. 1 to 3.
    """
    counted = np.ones(others.shape, np.bool_) if given is None else given
    for name, table, live in (("bottom line", bottom, None), ("others", others, counted)):
        bad = np.argwhere(((table < 0) | (table > 1)) & (True if live is None else live))
        if bad.size:
            raise InputError(
                f"{name}: row {bad[0][0]}, column {bad[0][1]} holds {table[tuple(bad[0])]}, outside [0, 1]"
            )
    factors = np.ones(others.shape[1]) if weights is None else np.asarray(weights, dtype=np.float64)
    if factors.size != others.shape[1] or bool((factors < 0).any()) or not factors.sum() > 0:
        raise InputError(f"weights: {factors.tolist()} for {others.shape[1]} scores must fit and sum to more than 0")
    gate = np.exp(np.log((bottom + floor) / (1.0 + floor)).sum(1) / max(bottom.shape[1], 1))
    total = (counted * factors).sum(1)
    useful: FloatArray = gate * (np.where(counted, others, 0.0) @ factors) / np.where(total > 0, total, 1.0)
    return useful
