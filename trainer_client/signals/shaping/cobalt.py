"""Bridging Online and Offline RL: Contextual Bandit Learning for Multi-Turn Code Generation (Cobalt).

Cobalt, OSU-NLP-Group/cobalt verl/code_reward_func_think.py @18ce6aed.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from trainer_client.signals.authoring import (
    FloatArray,
    Input,
    InputError,
    Laws,
    Paper,
    Signal,
    SignalBatch,
    as_floats,
    register,
    require_finite,
    within_unit,
)

PAPER = Paper("cobalt", __doc__, provenance="code")

_PREVIOUS_BEST = Input(
    "previous_best", "N", "float", "best pass rate of the earlier turns of a row's conversation; 0 at the first"
)
_FORMAT_TERMS = Input(
    "format_terms", "NS", "float", "format's share of the reward: where the rest is at least 0, and below"
)


@register(
    "cobalt",
    paper=PAPER,
    needs="row",
    inputs=("rewards", _PREVIOUS_BEST),
    optional=("answered", _FORMAT_TERMS),
    formula="all tests 1, half 0.2, some 0, none -0.1; +-0.1 by the change against earlier turns; + format; in [-1, 1]",
    laws=Laws(prepare=within_unit),
    within=(0.0, 1.0),
)
def cobalt(batch: SignalBatch, *, weight: float = 0.1, unanswered: float = -1.0) -> Signal:
    """Cobalt: a turn is rewarded for the tests it passes and for doing better than the turns before it.

    ``rewards`` are shares of tests passed. ``format_terms``, if given, are added: one for a reward of at least 0, one
    for a negative reward. A row not ``answered`` (it holds no code) gets ``unanswered``.
    """
    rewards = improvement_reward(batch.rewards, batch["previous_best"], weight=weight)
    if "format_terms" in batch:
        rewards = rewards + np.where(rewards >= 0, batch["format_terms"][:, 0], batch["format_terms"][:, 1])
    rewards = np.clip(rewards, -1.0, 1.0)
    if "answered" in batch:
        rewards = np.where(batch["answered"], rewards, unanswered)
    return batch.signal(rewards=rewards)


def improvement_reward(pass_rates: ArrayLike, previous_best: ArrayLike, *, weight: float = 0.1) -> FloatArray:
    """``[N]`` Cobalt's reward of one turn from the share of tests that pass.

    All tests: 1; half or more: 0.2; some: 0; none: -0.1. Where an earlier turn passed some tests and this one does
    not pass all: ``weight * (p - b) / (1 - b)`` is added if ``p > b``, else the reward is
    ``-0.1 + weight * (p - b) / b``.

    Args:
        pass_rates: ``[N]`` in [0, 1].
        previous_best: ``[N]`` best rate of the earlier turns; 0 for the first.
        weight: size of the term.

    Raises:
        InputError: a rate lies outside [0, 1].

    Source: OSU-NLP-Group/cobalt verl/code_reward_func_think.py @18ce6aed.
    """
    rate, best = as_floats("pass_rates", pass_rates), as_floats("previous_best", previous_best)
    for name, array in (("pass_rates", rate), ("previous_best", best)):
        require_finite(name, array)
        outside = np.flatnonzero((array < 0) | (array > 1))
        if outside.size:
            raise InputError(f"{name}: row {outside[0]} holds {array[outside[0]]}; a share of tests lies in [0, 1]")
    base = np.select([rate >= 1, rate >= 0.5, rate > 0], [1.0, 0.2, 0.0], -0.1)
    gap = rate - best
    better = base + weight * gap / np.where(best < 1, 1.0 - best, 1.0)
    worse = -0.1 + weight * gap / np.where(best > 0, best, 1.0)
    return np.where((rate < 1) & (best > 0), np.where(gap > 0, better, worse), base)
