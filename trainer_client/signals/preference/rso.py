"""Statistical Rejection Sampling Improves Preference Optimization (RSO).

RSO (arXiv 2309.06657) section 3, appendix A.1.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal

import numpy as np

from trainer_client.signals.authoring import (
    BoolArray,
    Case,
    FloatArray,
    Groups,
    IntArray,
    Laws,
    OptionError,
    Pair,
    Paper,
    Signal,
    SignalBatch,
    golden,
    register,
    uniforms,
)

PAPER = Paper("rso", __doc__, provenance="paper")


Draw = Callable[[int, BoolArray], FloatArray]
"""``draw(number of the pass, rows still there)`` gives ``[N]`` uniform numbers in [0, 1)."""


@register(
    "rso",
    paper=PAPER,
    needs="group",
    inputs=("rewards", "groups"),
    formula="accept r with probability exp((r - max r) / beta), pass by pass; pairs of accepted rows by their reward",
    laws=Laws(permutation=False, removal=False),
)
def rso(
    batch: SignalBatch,
    *,
    number: int = 8,
    beta: float = 0.5,
    ranking: Literal["first_round", "tournament"] = "first_round",
    seed: int = 0,
) -> Signal:
    """RSO: samples are thinned until they look drawn from the optimal policy, and paired at random.

    The published numbers are 64 candidates (temperature 0.7, top-k 40), 8 accepted. ``weights`` and ``keep`` are those
    of accepted rows. Drawn by the seed, the step and the prompt. Remove repeated texts first.
    """
    valid, groups = batch.taken()
    rewards = batch.rewards[valid]
    turn = rejection_sample(
        rewards,
        groups,
        lambda round_, _: uniforms(batch.groups, seed=seed, step=batch.step, stream=f"rso/{round_}")[valid],
        number=number,
        beta=beta,
    )
    rows = np.flatnonzero(valid)
    order = uniforms(batch.groups, seed=seed, step=batch.step, stream="rso/pairs")[valid]
    pairs = []
    for members in groups.members():
        members = members[turn[members] >= 0]
        entrants = rows[members[np.argsort(order[members], kind="stable")]]
        pairs += tournament_pairs(batch.rewards, entrants.tolist(), rounds=1 if ranking == "first_round" else None)
    keep = np.ones(batch.rows, np.bool_)
    keep[valid] = turn >= 0
    return batch.signal(keep=keep, pairs=pairs, report={"rso/accepted": int((turn >= 0).sum())})


def rejection_sample(rewards: FloatArray, groups: Groups, draw: Draw, *, number: int, beta: float = 0.5) -> IntArray:
    """``[N]`` turn in which each row was accepted, counted within its group from 0; -1 for one that was not.

    In each pass over the rows that are left a row is accepted when its number is below ``exp((r - max r) / beta)``, the
    largest reward taken again at the start of the pass. Groups stop at ``number`` rows, or at all of theirs. A large
    ``beta`` accepts everyone, a small one the best.

    Args:
        rewards: ``[N]``.
        groups: partition by prompt; equal texts ought to have been removed.
        draw: source of the numbers; see `Draw`.
        number: rows to accept of each group.
        beta: temperature.

    Raises:
        OptionError: ``number`` is below 1, or ``beta`` not positive.

    Source: RSO (arXiv 2309.06657) appendix A.1, algorithm 1.
    """
    if number < 1 or not beta > 0:
        raise OptionError(f"number: {number} must be at least 1, and beta: {beta} positive")
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


def _earlier(flags: BoolArray, groups: Groups) -> IntArray:
    """``[N]`` flagged rows of the same group that stand before the row."""
    ordered = flags[groups.order].astype(np.int64)
    running = np.cumsum(ordered) - ordered
    result = np.empty(flags.size, np.int64)
    result[groups.order] = running - np.repeat(running[groups.starts], groups.sizes) if flags.size else running
    return result


@golden("RSO sampler")
def _(case: Case) -> Any:
    rewards, uniforms = case.array("rewards"), iter(case.array("uniforms").tolist())

    def draw(_round: int, left: Any) -> Any:
        numbers = np.zeros(rewards.size)
        numbers[left] = [next(uniforms, 1.0) for _ in range(int(left.sum()))]
        return numbers

    group = Groups.of(np.zeros(rewards.size, int))
    params = case.params
    turn = rejection_sample(rewards, group, draw, number=params["num_samples"], beta=params["beta"])
    return [int(row) for row in np.argsort(turn, kind="stable") if turn[row] >= 0]
