"""Rollouts written with help: given answers, hints, skills, self-explanations."""

from __future__ import annotations

from itertools import pairwise
from typing import Literal

import numpy as np

from trainer_client.signals._arrays import BoolArray, FloatArray
from trainer_client.signals._batch import SignalBatch
from trainer_client.signals._errors import BadOption
from trainer_client.signals._groups import Groups
from trainer_client.signals._registry import register
from trainer_client.signals._signal import Pair, Request, Signal
from trainer_client.signals.guidance import guidance_weights, skill_level, unsolved_groups
from trainer_client.signals.normalise import group_normalise
from trainer_client.signals.shaping import asymmetric_shaping

_GRPO = ("rewards", "groups")


@register(
    "tempsamp_r1",
    room="guidance",
    needs="group",
    inputs=(*_GRPO, "helped"),
    certainty="secondary",
    source="TempSamp-R1 (arXiv 2509.18056); ZhangZikun6666/TempSamp-R1 scripts/timelens @55a92280 (by others)",
    formula="r >= t: t + a * ln(r - t + 1); r < t: t - (exp(b*(t-r)) - 1) / (exp(b) - 1); then GRPO",
    papers=("tempsamp-r1",),
)
def tempsamp_r1(
    batch: SignalBatch,
    *,
    handling: Literal["shape", "joint", "downscale", "anchor"] = "shape",
    threshold: float = 0.8,
    high: float = 0.01,
    low: float = 1.0,
    downscale: float = 0.8,
    anchor: float = 1.2,
    ddof: int = 1,
    eps: float = 1e-6,
) -> Signal:
    """TempSamp-R1: a group with the annotated answer in it, kept from pushing all rollouts below zero.

    ``helped`` marks the given answer; for it the trainer has no log-probabilities of the sampling policy.
    ``shape`` bends all rewards (the paper's best), ``downscale`` multiplies that of the given answer, ``anchor`` takes
    statistics from the policy's own rollouts and gives the answer a multiple of their best advantage, at least 0;
    ``joint`` does nothing about it. A group of given answers alone has no signal.
    """
    rewards, given = batch.rewards, batch["helped"]
    own = batch.valid & ~given
    if handling == "shape":
        rewards = asymmetric_shaping(rewards, threshold=threshold, high=high, low=low)
    elif handling == "downscale":
        rewards = np.where(given, downscale * rewards, rewards)
    if handling == "anchor":
        relative = group_normalise(rewards, batch.groups, own, ddof=ddof, eps=eps)
        best = np.maximum(batch.groups.max(np.where(own, relative, 0.0)), 0.0)
        advantages = np.where(given, anchor * batch.groups.spread(best), relative)
    else:
        advantages = group_normalise(rewards, batch.groups, batch.valid, ddof=ddof, eps=eps)
    advantages = np.where(batch.groups.spread(batch.groups.any(own)), advantages, 0.0)
    return batch.signal(rewards=rewards, advantages=advantages)


@register(
    "guide_grpo",
    room="guidance",
    needs="group",
    inputs=_GRPO,
    optional=("helped", "helped_logprobs", "old_logprobs"),
    certainty="abstract",
    source="Adaptive Guidance Accelerates RL of Reasoning Models (arXiv 2506.13923), reconstructed from its abstract",
    formula="all wrong: ask for rollouts with a hint; GRPO over both; c_t = exp(clip(logp(o_t|q) - logp(o_t|q,hint)))",
    papers=("guide-grpo",),
)
def guide_grpo(
    batch: SignalBatch,
    *,
    mode: Literal["append", "replace"] = "append",
    threshold: float = 0.5,
    bound: float = 5.0,
    eps: float = 1e-6,
) -> Signal:
    """Guide-GRPO: where all rollouts are wrong, further ones are sampled with a hint and trained without it.

    Called first with the plain rollouts, it asks for hinted ones (requests of kind ``hint``). Called with ``helped``
    rows it compares both (``append``) or the hinted alone (``replace``). With ``old_logprobs`` and ``helped_logprobs``
    the token weights correct for the hint in the sampling context.
    """
    helped = batch["helped"] if "helped" in batch else np.zeros(batch.rows, np.bool_)
    plain = batch.valid & ~helped
    hinted = batch.groups.any(batch.valid & helped)
    keep = np.ones(batch.rows, np.bool_)
    if mode == "replace":
        keep = helped | ~batch.groups.spread(hinted)
    advantages = group_normalise(batch.rewards, batch.groups, batch.valid & keep, eps=eps)
    token_weights = None
    if "helped_logprobs" in batch and "old_logprobs" in batch:
        token_weights = guidance_weights(
            batch["old_logprobs"], batch["helped_logprobs"], batch.mask, helped, bound=bound
        )
    unsolved = unsolved_groups(batch.rewards, batch.groups, plain, threshold=threshold) & ~hinted
    return batch.signal(
        keep=keep,
        advantages=advantages,
        token_weights=token_weights,
        requests=[Request(row, "hint") for row in _first_rows(batch.groups, plain, unsolved)],
        report={"guide_grpo/unsolved": int(unsolved.sum())},
    )


@register(
    "arise",
    room="combination",
    needs="group",
    inputs=(*_GRPO, "skill_used"),
    certainty="code",
    source="ARISE, Skylanding/ARISE verl/workers/arise/reward.py @2d6f65dd",
    formula="R_i = r_i + bonus * [a skill was used and r_i is right]; then GRPO",
    papers=("arise",),
)
def arise(
    batch: SignalBatch, *, bonus: float = 1.0, warmup: int = 500, threshold: float = 0.5, eps: float = 1e-6
) -> Signal:
    """ARISE: a right answer found with a skill of the library is worth more; not before the warm-up is over.

    The warm-up counts ``batch.step``; a batch without one is past it.
    """
    earned = batch["skill_used"] & (batch.rewards > threshold)
    cold = batch.step is not None and batch.step <= warmup
    rewards = batch.rewards + (0.0 if cold else bonus) * earned
    return batch.signal(rewards=rewards, advantages=group_normalise(rewards, batch.groups, batch.valid, eps=eps))


@register(
    "arise_new_skill",
    room="guidance",
    needs="group",
    inputs=(*_GRPO, "helped"),
    certainty="code",
    source="ARISE, Skylanding/ARISE verl/workers/arise/reward.py @2d6f65dd",
    formula="right without, wrong with it: -1; wrong both: 0; right both: 0.5; wrong without, right with it: 1",
    papers=("arise",),
)
def arise_new_skill(
    batch: SignalBatch, *, values: tuple[float, ...] = (-1.0, 0.0, 0.5, 1.0), threshold: float = 0.5
) -> Signal:
    """ARISE: what a newly written skill is worth, by a rollout that used it against those that did not.

    ``helped`` rows used the skill and get the reward, which is also the skill's first utility in a `SkillLibrary`.
    A prompt without rollouts on both sides says nothing of a skill.
    """
    if len(values) != 4 or any(b <= a for a, b in pairwise(values)):
        raise BadOption(f"values: {values} must be four, rising from harmful to critical")
    helped, right = batch["helped"], batch.rewards > threshold
    plain = batch.valid & ~helped
    level = skill_level(batch.groups.spread(batch.groups.any(plain & right)), right)
    judged = helped & batch.groups.spread(batch.groups.any(plain))
    return batch.signal(keep=judged, rewards=np.where(judged, np.asarray(values)[level.astype(np.int64)], 0.0))


@register(
    "expo",
    room="guidance",
    needs="group",
    inputs=(*_GRPO, "helped"),
    optional=("lift", "likelihood", "refused"),
    certainty="secondary",
    source="ExPO (arXiv 2507.02834); the acceptance rule is ours",
    formula="GRPO over own rollouts + beta_t * log pi(c, a | q) of an accepted explanation; pairs (c, a) > wrong",
    papers=("expo",),
)
def expo(
    batch: SignalBatch,
    *,
    beta: float = 1.0,
    anneal_steps: int = 0,
    percentile: float = 0.0,
    min_lift: float = 0.0,
    threshold: float = 0.5,
    eps: float = 1e-6,
) -> Signal:
    """ExPO: where all rollouts are wrong, the policy explains the known answer, and learns from that explanation.

    ``helped`` rows are such explanations. One is accepted if it reaches the answer, was not ``refused`` (it leaks the
    task), is at least as likely (``likelihood``) as the given percentile of the prompt's own rollouts, and raises the
    answer's likelihood (``lift`` above ``min_lift``); what is not given is not asked. The best by lift, then
    likelihood, is kept with advantage 1 and weight ``beta``, which falls to 0 over ``anneal_steps`` if these are
    positive, and makes a pair with each wrong rollout. An unsolved prompt without one is asked for (requests of
    kind ``explain``).
    """
    helped = batch["helped"]
    own, explained = batch.valid & ~helped, batch.valid & helped
    unsolved = unsolved_groups(batch.rewards, batch.groups, own, threshold=threshold)
    right = batch.rewards > threshold
    accepted = explained & right & batch.groups.spread(unsolved)
    if "refused" in batch:
        accepted &= ~batch["refused"]
    if "likelihood" in batch:
        accepted &= batch["likelihood"] >= _own_percentile(batch["likelihood"], batch.groups, own, percentile)
    if "lift" in batch:
        accepted &= batch["lift"] > min_lift
    best = _first_best([batch[n] for n in ("lift", "likelihood") if n in batch], batch.groups, accepted)
    factor = beta
    if anneal_steps > 0 and batch.step is not None:
        factor *= max(0.0, 1.0 - batch.step / anneal_steps)
    relative = group_normalise(batch.rewards, batch.groups, own, eps=eps)
    asked = unsolved & ~batch.groups.any(best)
    return batch.signal(
        keep=own | best,
        advantages=np.where(best, 1.0, relative),
        weights=np.where(best, factor, 1.0),
        pairs=_explanation_pairs(batch.groups, best, own & ~right),
        requests=[Request(row, "explain") for row in _first_rows(batch.groups, own, asked)],
        report={"expo/beta": factor},
    )


def _first_rows(groups: Groups, rows: BoolArray, chosen: BoolArray) -> list[int]:
    """First of ``rows`` in each chosen group."""
    number = np.where(rows, np.arange(groups.rows), groups.rows)
    first = groups.min(number)
    return [int(row) for row in first[chosen & (first < groups.rows)]] if len(groups) else []


def _own_percentile(values: FloatArray, groups: Groups, own: BoolArray, percentile: float) -> FloatArray:
    """``[N]`` percentile of the own rows' values in each row's group; lowest of all where it has none."""
    bound = np.full(groups.rows, -np.inf)
    part = groups.take(own)
    if own.any():
        at = dict(zip(part.labels.tolist(), part.quantile(values[own], percentile).tolist(), strict=True))
        bound = groups.spread(np.array([at.get(label, -np.inf) for label in groups.labels.tolist()]))
    return bound


def _first_best(keys: list[FloatArray], groups: Groups, rows: BoolArray) -> BoolArray:
    """One of ``rows`` a group: the best by the first key, then by the next, then the first in batch order."""
    left = rows
    for key in keys:
        top = groups.max(np.where(left, key, -np.inf))
        left = left & (key >= groups.spread(top))
    first = groups.min(np.where(left, np.arange(groups.rows), groups.rows))
    result: BoolArray = left & (np.arange(groups.rows) == groups.spread(first))
    return result


def _explanation_pairs(groups: Groups, best: BoolArray, wrong: BoolArray) -> list[Pair]:
    chosen = dict(zip(groups.index[best].tolist(), np.flatnonzero(best).tolist(), strict=True))
    rows = np.flatnonzero(wrong)
    return [
        Pair(chosen[group], row)
        for group, row in zip(groups.index[rows].tolist(), rows.tolist(), strict=True)
        if group in chosen
    ]
