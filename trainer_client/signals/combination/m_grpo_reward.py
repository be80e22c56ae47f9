"""M-GRPO's reward: correctness and expert scores count only where the format is valid.

M-GRPO (arXiv 2511.13288) eq. 4, 5 and section 5.1.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from trainer_client.signals.authoring import (
    AnyArray,
    BoolArray,
    FloatArray,
    Groups,
    Signal,
    SignalBatch,
    register,
)
from trainer_client.signals.parts.columns import one_each
from trainer_client.signals.parts.combine import combine
from trainer_client.signals.parts.decoupled import resolve_weights
from trainer_client.signals.parts.terms import Gate, Term

_PUBLISHED = {2: (0.1, 0.9), 3: (0.1, 0.4, 0.5)}


def _weighted(options: Mapping[str, Any], number: int) -> str:
    if not options["weights"] and number not in _PUBLISHED:
        return f"no published weights for {number} columns, only for 2 and 3; give weights, one for each"
    return one_each("weights")(options, number)


@register(
    "m_grpo_reward",
    paper="m-grpo",
    needs="row",
    inputs=("components",),
    provenance="paper",
    formula="r = sum_k w_k * c_k if the format c_0 is valid (1), else 0",
    columns=_weighted,
)
def m_grpo_reward(batch: SignalBatch, *, weights: tuple[float, ...] | None = None) -> Signal:
    """M-GRPO's reward: correctness and expert scores count only where the format is valid.

    Columns: format (0 or 1), correctness; for a sub-agent also the expert's score, correctness being that of the
    main agent's answer, which `joined` fetches. Weights are 0.1 and 0.9 for two columns, 0.1, 0.4 and 0.5
    for three. The format checker and the expert are verifiers of their own. A row that lacks a score is masked.
    """
    components = batch["components"]
    factors = resolve_weights(weights or _PUBLISHED[components.shape[1]], components.shape[1])
    terms = [Term("format", float(factors[0]), gate=Gate(1.0))]
    terms += [Term(f"component {k}", float(w)) for k, w in enumerate(factors[1:], 1)]
    present = batch.components_given
    combined = combine(components, present, terms, groups=np.arange(batch.rows), max_missing=1.0)
    # A closed gate's own share is no part of the published reward: an invalid format earns nothing at all.
    passed = components[:, 0] >= 1.0
    rewards = np.where(combined.valid & passed, combined.rewards, 0.0)
    return batch.signal(keep=combined.valid | ~batch.valid, rewards=rewards)


def joined(
    values: FloatArray, source: BoolArray, trajectories: Groups, known: BoolArray | None = None
) -> tuple[FloatArray, BoolArray]:
    """``[N]`` value of the first source row of each row's trajectory, and where there is one.

    A sub-agent's reward counts whether the main agent was right: with the main agent's rows as the source, this hands
    their correctness to the rows of the sub-agents.

    Args:
        values: ``[N]``; entries of other rows are not read.
        source: ``[N]`` rows to take the value from.
        trajectories: partition of the rows by rollout.
        known: ``[N]`` rows whose value exists; None for all.
    """
    usable = source if known is None else source & known
    rows: AnyArray = np.where(usable, np.arange(values.size), values.size)
    first = trajectories.min(rows) if rows.size else rows
    there: BoolArray = trajectories.spread(first < values.size)
    taken = values[trajectories.spread(np.minimum(first, values.size - 1))] if rows.size else values
    return np.where(there, taken, 0.0), there
