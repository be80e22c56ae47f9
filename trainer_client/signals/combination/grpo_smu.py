"""GRPO with State Mutations: Improving LLM-Based Hardware Test Plan Generation (GRPO-SMu).

GRPO-SMu (arXiv 2601.07593), reconstructed from its abstract.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from trainer_client.signals.authoring import (
    BoolArray,
    FloatArray,
    Input,
    InputError,
    IntArray,
    Laws,
    Paper,
    Signal,
    SignalBatch,
    register,
)
from trainer_client.signals.parts.columns import grpo_over

PAPER = Paper("grpo-smu", __doc__, provenance="abstract")

_GOLDEN_PASSED = Input("golden_passed", "N", "bool", "right implementation passes the row's tests")
_MUTANTS = Input("mutants", "N", "int", "wrong variants that the row's tests were run on")
_KILLED = Input("killed", "N", "int", "wrong variants that fail the row's tests")
_EQUIVALENTS = Input("equivalents", "N", "int", "variants of the same behaviour that the row's tests were run on")
_EQUIVALENTS_REJECTED = Input(
    "equivalents_rejected", "N", "int", "variants of the same behaviour that fail the row's tests"
)


def _variants_tried(inputs: dict[str, Any]) -> None:
    inputs["killed"] = np.minimum(inputs["killed"], inputs["mutants"])
    if "equivalents" in inputs:
        inputs["equivalents_rejected"] = np.minimum(inputs["equivalents_rejected"], inputs["equivalents"])


@register(
    "grpo_smu",
    paper=PAPER,
    needs="group",
    inputs=("groups", _GOLDEN_PASSED, _MUTANTS, _KILLED),
    optional=(_EQUIVALENTS, _EQUIVALENTS_REJECTED),
    formula="R = [right one passes] * (w + (1 - w) * killed / mutants) * (1 - rejected / equivalents); then GRPO",
    laws=Laws(prepare=_variants_tried),
)
def grpo_smu(batch: SignalBatch, *, golden_weight: float = 0.5, eps: float = 1e-6) -> Signal:
    """GRPO-SMu: written tests are rewarded by the mutants they kill and the equal variants they let pass.

    The group is a specification with all variants of its input. ``equivalents`` and ``equivalents_rejected`` are
    read if given.
    """
    names = ("mutants", "killed", "equivalents", "equivalents_rejected")
    tried = [batch[name] if name in batch else np.zeros(batch.rows, np.int64) for name in names]
    for (total, part), name in zip((tried[:2], tried[2:]), ("killed", "equivalents_rejected"), strict=True):
        wrong = np.flatnonzero(batch.valid & ((part < 0) | (part > total)))
        if wrong.size:
            raise InputError(f"{name}: row {wrong[0]} holds {part[wrong[0]]} of {total[wrong[0]]} variants")
    return grpo_over(batch, mutation_reward(batch["golden_passed"], *tried, golden_weight=golden_weight), eps)


def mutation_reward(
    golden: BoolArray,
    mutants: IntArray,
    killed: IntArray,
    equivalents: IntArray,
    rejected: IntArray,
    *,
    golden_weight: float = 0.5,
) -> FloatArray:
    """``[N]`` reward of tests by the faults they find.

    ``(w + (1 - w) * killed / mutants) * (1 - rejected / equivalents)``; 0 for tests that the right implementation
    fails. Without mutants the first factor is 1, without equivalents the second is.

    Args:
        golden: ``[N]`` whether the right implementation passes.
        mutants: ``[N]`` wrong variants tried.
        killed: ``[N]`` how many of them fail.
        equivalents: ``[N]`` variants of the same behaviour tried.
        rejected: ``[N]`` how many of them fail, though they should pass.
        golden_weight: ``w``, what passing the right implementation is worth alone.

    Source: GRPO-SMu (arXiv 2601.07593), reconstructed from its abstract.
    """
    share = np.where(mutants > 0, killed / np.maximum(mutants, 1), 1.0)
    wrongly = np.where(equivalents > 0, rejected / np.maximum(equivalents, 1), 0.0)
    return np.where(golden, (golden_weight + (1.0 - golden_weight) * share) * (1.0 - wrongly), 0.0)
