"""Rows, groups and prompts that are worth training on: ends of the range, valuable tasks, rare events."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np

from trainer_client.signals._batch import SignalBatch
from trainer_client.signals._errors import BadInput, BadOption
from trainer_client.signals._registry import Needs, register
from trainer_client.signals._signal import Pair, Request, Signal
from trainer_client.signals.normalise import group_normalise
from trainer_client.signals.preference import version_pairs
from trainer_client.signals.selection import (
    copy_smoothing,
    max_variance_subset,
    pair_prompts,
    resample_groups,
    task_values,
)

_NAMED = ("rewards", "groups")
_COBALT = "Cobalt, OSU-NLP-Group/cobalt preproc/process_multi_turn_taco.py @18ce6aed"
_PAIRED = "Beyond Variance (arXiv 2602.03452)"


@register(
    "max_variance_subset",
    room="selection",
    needs="group",
    inputs=_NAMED,
    certainty="code",
    source=_COBALT,
    formula="keep the m rows of the group with the largest variance: ends of the sorted rewards",
    papers=("cobalt",),
)
def max_variance(batch: SignalBatch, *, keep: int = 4) -> Signal:
    """Of each group the rows whose rewards differ most; the others are dropped before the advantages."""
    valid, groups = batch.taken()
    kept = np.ones(batch.rows, np.bool_)
    kept[valid] = max_variance_subset(batch.rewards[valid], groups, keep)
    return batch.signal(keep=kept)


@register(
    "cobalt_trajectories",
    room="selection",
    needs="group",
    inputs=("turn_scores", "groups"),
    certainty="code",
    source=_COBALT,
    formula="score = max - min pass rate over turns; keep scores > 0 that reach 1; of up to n the m that differ most",
    papers=("cobalt",),
)
def cobalt_trajectories(batch: SignalBatch, *, keep: int = 4, pool: int = 16) -> Signal:
    """Cobalt's offline data: trajectories that improve, those of a task that differ most, and where to resume them.

    A task that every first turn solves is left out. Requests of kind ``continue`` name the turns (from 0) that a new
    completion may take over, with the best pass rate before it; a trajectory ends when two turns in a row are right.
    """
    turns = batch.objects("turn_scores")
    for row in np.flatnonzero(batch.valid).tolist():
        if any(not 0 <= rate <= 1 for rate in turns[row]):
            raise BadInput(f"turn_scores: row {row} holds {list(turns[row])}; pass rates lie in [0, 1]")
    rates: list[Sequence[float]] = [turns[i] if v and len(turns[i]) else [0.0] for i, v in enumerate(batch.valid)]
    gain = np.array([max(r) - min(r) for r in rates])
    useful = batch.valid & (gain > 0) & np.array([max(r) >= 1 for r in rates], np.bool_)
    unsolved = batch.valid & np.array([r[0] < 1 for r in rates], np.bool_)
    useful &= batch.groups.spread(batch.groups.any(unsolved))
    part = batch.groups.take(useful)
    useful[np.flatnonzero(useful)[part.position >= pool]] = False
    kept = useful.copy()
    kept[useful] = max_variance_subset(gain[useful], batch.groups.take(useful), keep)
    requests = [
        Request(row, "continue", {"turn": turn, "previous_best": best})
        for row in np.flatnonzero(kept).tolist()
        for turn, best in _resumable(rates[row])
    ]
    return batch.signal(keep=kept, requests=requests)


@register(
    "zero_advantage_filter",
    room="selection",
    needs="batch",
    inputs=(*_NAMED, "lengths|mask"),
    certainty="code",
    source="HiLL, Andree-9/HiLL verl/trainer/ppo/hill_ray_trainer.py @195d94eb",
    formula="drop a group with sum |A| * tokens <= 1e-6; keep all if all would go",
    papers=("hill",),
)
def zero_advantage_filter(batch: SignalBatch, *, tolerance: float = 1e-6, eps: float = 1e-6) -> Signal:
    """Groups without advantages are dropped, unless no group has any."""
    relative = group_normalise(batch.rewards, batch.groups, batch.valid, eps=eps, singleton="raw")
    strength = batch.groups.sum(np.abs(relative) * batch.lengths)
    alive = strength > tolerance
    keep = batch.groups.spread(alive) if bool(alive.any()) else np.ones(batch.rows, np.bool_)
    return batch.signal(keep=keep)


@register(
    "vspo",
    room="selection",
    needs="batch",
    inputs=_NAMED,
    certainty="secondary",
    source="VSPO (arXiv 2512.07478); the smoothing rule is ours",
    formula="V = (r_max - mean) * std; groups without spread are replaced by draws by V / sum V; A * s(copies)",
    papers=("vspo",),
)
def vspo(
    batch: SignalBatch,
    *,
    max_reward: float = 1.0,
    smoothing: Literal["inverse", "sqrt", "none"] = "inverse",
    clip: float = 5.0,
    seed: int = 0,
    eps: float = 1e-6,
) -> Signal:
    """VSPO: groups without spread give their places to unsolved and uncertain ones, each copy counting less.

    ``copies`` says how often a group stands in the step and 0 drops it. The advantages of a copy are smoothed and held
    within ``clip``; the weights multiply them by the number of copies, for a trainer that keeps one row instead of
    repeating it. The draw depends on the ids, ``seed`` and ``batch.step``.
    """
    valid, groups = batch.taken()
    rewards = batch.rewards[valid]
    values = task_values(rewards, groups, max_reward=max_reward)
    # Drawn in the order of the ids, so that the order of the rows says nothing.
    order = np.argsort([repr(label) for label in groups.labels.tolist()], kind="stable")
    varied = groups.deviation(rewards) > 0
    copies = np.ones(len(groups), np.int64)
    rng = np.random.default_rng((seed, batch.step or 0))
    copies[order] = resample_groups(values[order], varied[order], rng)
    relative = group_normalise(rewards, groups, eps=eps)
    smoothed = np.clip(groups.apply(np.multiply, relative, copy_smoothing(copies, smoothing)), -clip, clip)
    times = batch.scatter(groups.spread(copies)).astype(np.int64)
    return batch.signal(
        keep=(times > 0) | ~batch.valid,
        advantages=batch.scatter(smoothed),
        weights=times.astype(np.float64),
        copies=times,
    )


@register(
    "rare_event_pairs",
    room="selection",
    needs="batch",
    inputs=_NAMED,
    certainty="secondary",
    source=f"{_PAIRED}; the band of hard prompts is the mirror of that of easy ones",
    formula="hard: p in [1/G, c/G]; easy: p in [1 - c/G, 1 - 1/G]; one of each makes a minibatch",
    papers=("w-grpo",),
)
def rare_event_pairs(batch: SignalBatch, *, band: float = 2.0, threshold: float = 0.5) -> Signal:
    """Prompts that are nearly never solved, paired with ones that nearly always are; the others are dropped.

    The report holds the pairs of prompt ids, hard first; what has no partner is dropped, too.
    """
    valid, groups = batch.taken()
    rates = groups.mean((batch.rewards[valid] > threshold).astype(np.float64))
    pairs = pair_prompts(rates, groups.sizes, band=band)
    chosen = np.zeros(len(groups), np.bool_)
    chosen[[prompt for pair in pairs for prompt in pair]] = True
    keep = np.ones(batch.rows, np.bool_)
    keep[valid] = groups.spread(chosen)
    labels = groups.labels.tolist()
    return batch.signal(keep=keep, report={"rare_event_pairs": [(labels[hard], labels[easy]) for hard, easy in pairs]})


def _needs_by_scope(options: Mapping[str, Any]) -> Needs:
    return "batch" if options["scope"] == "pair" else "group"


@register(
    "w_grpo",
    room="advantage",
    needs=_needs_by_scope,
    inputs=_NAMED,
    optional=("pairings",),
    certainty="secondary",
    source=f"{_PAIRED}; weights after the normalisation are ours: before it they cancel",
    formula="A_i = GRPO; times positive where A_i > 0, times negative where A_i < 0",
    papers=("w-grpo",),
)
def w_grpo(
    batch: SignalBatch,
    *,
    positive: float = 1.0,
    negative: float,
    easy_positive: float | None = None,
    easy_negative: float | None = None,
    apply: Literal["after", "before"] = "after",
    scope: Literal["prompt", "pair"] = "prompt",
    divide_by_std: bool = True,
    threshold: float = 0.5,
    eps: float = 1e-6,
) -> Signal:
    """W-GRPO: successes and failures weigh differently.

    An affine map of a binary reward is undone by mean and deviation, so that weights on the outcomes (``before``:
    ``positive`` for a success, ``-negative`` for a failure) have an effect only without ``divide_by_std``. With scope
    ``pair`` the prompts that share an id in ``pairings`` are normalised together; weights before it then have an effect
    where they differ between the prompts: ``easy_positive`` and ``easy_negative`` are those of a prompt that is solved
    more often than not.
    """
    right = batch.rewards > threshold
    rate = batch.groups.sum(right & batch.valid) / np.maximum(batch.groups.sum(batch.valid), 1)
    easy = batch.groups.spread(rate) > 0.5
    up = np.where(easy, positive if easy_positive is None else easy_positive, positive)
    down = np.where(easy, negative if easy_negative is None else easy_negative, negative)
    if bool((up < 0).any() or (down < 0).any()):
        raise BadOption("weights of outcomes must not be negative; they are the sizes of successes and failures")
    groups = batch.ids("pairings") if scope == "pair" else batch.groups
    rewards = np.where(right, up, -down) if apply == "before" else batch.rewards
    scale: Literal["std", "none"] = "std" if divide_by_std else "none"
    advantages = group_normalise(rewards, groups, batch.valid, scale=scale, eps=eps)
    if apply == "after":
        advantages = advantages * np.where(advantages > 0, up, down)
    return batch.signal(advantages=advantages)


@register(
    "optimized_degraded_pairs",
    room="preference",
    needs="group",
    inputs=("versions", "dimensions", "groups"),
    certainty="secondary",
    source="Posterior-GRPO (arXiv 2508.05170); which pairs are made is ours",
    formula="optimised > base, base > degraded, optimised > degraded, within a dimension",
    papers=("posterior-grpo",),
)
def optimized_degraded_pairs(batch: SignalBatch, *, base: int = 0) -> Signal:
    """Pairs for a reward model of reasoning: versions of a text made better or worse in one respect.

    ``groups`` are the base texts, ``versions`` the quality by construction (``base`` the text itself, higher is
    better), ``dimensions`` the respect that was changed. A pair is of one dimension; the base belongs to all.
    """
    pairs: list[Pair] = version_pairs(batch["versions"], batch.ids("dimensions"), batch.groups, batch.valid, base=base)
    return batch.signal(pairs=pairs)


def _resumable(rates: Sequence[float]) -> list[tuple[int, float]]:
    """Turns that a completion may take over, with the best rate before them."""
    found: list[tuple[int, float]] = []
    for turn in range(len(rates)):
        if turn >= 2 and rates[turn - 1] >= 1 and rates[turn - 2] >= 1:
            break
        found.append((turn, float(max(rates[:turn], default=0.0))))
    return found
