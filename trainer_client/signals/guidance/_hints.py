"""Which hint to give: one that makes the answer neither certain nor hopeless, and that is not leant on."""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np

from trainer_client.signals._arrays import BoolArray, FloatArray, IntArray
from trainer_client.signals._errors import BadOption

HintTerm = Literal["non_degenerate", "variance"]


class HintRewards(NamedTuple):
    """How good hints are, one entry a hint.

    Attributes:
        rewards: ``term * transfer``, 0 where the term does not beat the unhinted group's.
        term: what the hint does to the spread of outcomes.
        degenerate: outcomes do not differ, or a gate refused the hint.
    """

    rewards: FloatArray
    term: FloatArray
    degenerate: BoolArray


def balance_term(rate: FloatArray, rollouts: IntArray, kind: HintTerm = "non_degenerate") -> FloatArray:
    """What a success rate offers to a group: ``1 - p^n - (1-p)^n``, the chance that outcomes differ, or ``p * (1-p)``.

    Raises:
        BadOption: the kind is unknown.
    """
    if kind == "variance":
        return rate * (1.0 - rate)
    if kind != "non_degenerate":
        raise BadOption(f"term: {kind!r} is neither non_degenerate nor variance")
    inside = (rate > 0) & (rate < 1)
    return np.where(inside, 1.0 - rate**rollouts - (1.0 - rate) ** rollouts, 0.0)


def transfer_weight(reliance: FloatArray, temperature: float = 0.3) -> FloatArray:
    """``exp(min(reliance, 0) / temperature)``: 1 for an answer as likely without the hint, less the more it needs it.

    Raises:
        BadOption: the temperature is not positive.
    """
    if not temperature > 0:
        raise BadOption(f"temperature: {temperature} must be positive")
    return np.exp(np.minimum(reliance, 0.0) / temperature)


def hint_rewards(
    rate: FloatArray,
    rollouts: IntArray,
    reliance: FloatArray,
    *,
    refused: BoolArray | None = None,
    unhinted: FloatArray | float | None = None,
    kind: HintTerm = "non_degenerate",
    temperature: float | None = 0.3,
    refusal: float = -0.2,
) -> HintRewards:
    """Rewards of hints from the rollouts that were given them.

    Args:
        rate: ``[H]`` share of right rollouts under each hint.
        rollouts: ``[H]`` how many there were.
        reliance: ``[H]`` mean over the right ones of ``mean log-probability without the hint - with it``; NaN where
            that is not known.
        refused: ``[H]`` hints that could not be read, leak the answer or are too long.
        unhinted: ``[H]`` balance term of the prompt without a hint: a hint must beat it. None asks nothing.
        kind: see `balance_term`.
        temperature: of `transfer_weight`; None leaves the weight out.
        refusal: reward of a refused hint.

    Source: HiLL, Andree-9/HiLL verl/trainer/ppo/hinter_utils.py @195d94eb.
    """
    term = balance_term(rate, rollouts, kind)
    degenerate = (rate <= 0) | (rate >= 1)
    rewards = np.where(degenerate, 0.0, term)
    if temperature is not None:
        rewards = rewards * transfer_weight(np.where(np.isnan(reliance), 0.0, reliance), temperature)
    if unhinted is not None:
        rewards = np.where((term <= unhinted) & (rewards > 0), 0.0, rewards)
    if refused is not None:
        rewards, term = np.where(refused, refusal, rewards), np.where(refused, 0.0, term)
        degenerate = degenerate | refused
    return HintRewards(rewards, term, degenerate)


def best_hints(rewards: FloatArray, prompts: IntArray, number: int) -> IntArray:
    """``[Q]`` position of each prompt's hint with the highest reward, the first of equals; -1 where it has none.

    Args:
        rewards: ``[H]``.
        prompts: ``[H]`` number of the prompt that a hint is for.
        number: how many prompts there are.
    """
    best = np.full(number, -1)
    # Assigned from the worst to the best, and from the last to the first among equals: the last assignment stands.
    order = np.lexsort((-np.arange(rewards.size), rewards))
    best[prompts[order]] = order
    return best
