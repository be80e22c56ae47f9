"""Answers drawn as the optimal policy would draw them, and pairs made of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from trainer_client.signals._arrays import BoolArray, FloatArray, IntArray
from trainer_client.signals._errors import BadOption
from trainer_client.signals._groups import Groups
from trainer_client.signals._signal import Pair

Draw = Callable[[int, BoolArray], FloatArray]
"""``draw(number of the pass, rows still there)`` gives ``[N]`` uniform numbers in [0, 1)."""


def rejection_sample(rewards: FloatArray, groups: Groups, draw: Draw, *, number: int, beta: float = 0.5) -> IntArray:
    """``[N]`` turn in which each row was accepted, counted within its group from 0; -1 for one that was not.

    In each pass over the rows that are left a row is accepted when its number is below ``exp((r - max r) / beta)``, the
    largest reward taken anew at the start of the pass. Groups stop at ``number`` rows, or at all of theirs. A large
    ``beta`` accepts everyone, a small one the best.

    Args:
        rewards: ``[N]``.
        groups: partition by prompt; equal texts ought to have been removed.
        draw: source of the numbers; see `Draw`.
        number: rows to accept of each group.
        beta: temperature.

    Raises:
        BadOption: ``number`` is below 1, or ``beta`` not positive.

    Source: RSO (arXiv 2309.06657) appendix A.1, algorithm 1.
    """
    if number < 1 or not beta > 0:
        raise BadOption(f"number: {number} must be at least 1, and beta: {beta} positive")
    turn = np.full(rewards.size, -1, np.int64)
    wanted = np.minimum(groups.sizes, number)
    have = np.zeros(len(groups), np.int64)
    rounds = 0
    while bool((have < wanted).any()):
        left = (turn < 0) & groups.spread(have < wanted)
        best = groups.spread(groups.max(np.where(left, rewards, -np.inf)))
        chance = np.exp(np.where(left, np.minimum(rewards - np.where(left, best, 0.0), 0.0), 0.0) / beta)
        accepted = left & (draw(rounds, left) < chance)
        # Within a pass rows are taken in batch order until the group is full.
        place = groups.spread(have) + _earlier(accepted, groups)
        accepted &= place < groups.spread(wanted)
        turn[accepted] = place[accepted]
        have = have + groups.sum(accepted).astype(np.int64)
        rounds += 1
    return turn


def tournament_pairs(rewards: FloatArray, entrants: Sequence[int], *, rounds: int | None = None) -> list[Pair]:
    """Pairs of a knock-out: neighbours meet, the better one goes on; equal rewards make no pair, the first goes on.

    Args:
        rewards: ``[N]``.
        entrants: rows in the order of the draw; the last of an odd number goes on without a match.
        rounds: 1 is the paper's first-round ranking; None plays until one is left.

    Source: RSO (arXiv 2309.06657) section 3.
    """
    pairs, field, played = [], list(entrants), 0
    while len(field) > 1 and (rounds is None or played < rounds):
        through = field[len(field) - len(field) % 2 :]
        for a, b in zip(field[::2], field[1::2], strict=False):
            winner, loser = (b, a) if rewards[b] > rewards[a] else (a, b)
            if rewards[winner] > rewards[loser]:
                pairs.append(Pair(winner, loser, margin=float(rewards[winner] - rewards[loser])))
            through.append(winner)
        field, played = through, played + 1
    return pairs


def replay_quotas(pairs: Sequence[int], *, share: float = 0.3, decay: float = 0.5) -> list[int]:
    """How many pairs of each earlier iteration to mix in: at most ``share`` of the last one's, and half as many before.

    Args:
        pairs: number of pairs that each earlier iteration made, the last one first.
        share: of the last iteration's pairs.
        decay: from one iteration to the one before it.

    Raises:
        BadOption: ``share`` or ``decay`` is outside [0, 1].

    Source: DNO (arXiv 2404.03715) section 5.1.
    """
    if not (0.0 <= share <= 1.0 and 0.0 <= decay <= 1.0):
        raise BadOption(f"share: {share} and decay: {decay} must lie in [0, 1]")
    return [int(number * share * decay**age + 1e-9) for age, number in enumerate(pairs)]


def _earlier(flags: BoolArray, groups: Groups) -> IntArray:
    """``[N]`` flagged rows of the same group that stand before the row."""
    ordered = flags[groups.order].astype(np.int64)
    running = np.cumsum(ordered) - ordered
    result = np.empty(flags.size, np.int64)
    result[groups.order] = running - np.repeat(running[groups.starts], groups.sizes) if flags.size else running
    return result
