"""Rewards and choices without labels: EMPO, GRACE, D3S."""

from __future__ import annotations

from typing import Literal

import numpy as np

from trainer_client.signals._arrays import BoolArray
from trainer_client.signals._batch import SignalBatch
from trainer_client.signals._errors import BadOption
from trainer_client.signals._groups import Groups
from trainer_client.signals._registry import register
from trainer_client.signals._signal import Signal
from trainer_client.signals.normalise import group_normalise
from trainer_client.signals.selection import between, max_variance_subset, top_tokens
from trainer_client.signals.shaping import Agreement, agreement, contrastive_embedding_reward

_EMPO = "EMPO (arXiv 2504.05812); QingyangZhang/EMPO @c5eccd40"
_ANSWERS = ("groups", "answers")


@register(
    "empo",
    room="shaping",
    needs="group",
    inputs=_ANSWERS,
    optional=("answered",),
    certainty="code",
    source=f"{_EMPO} trl/src/open_r1/rewards.py semantic_entropy_math_reward",
    formula="r_i = share of the group with an equivalent answer, if H < ln G and there is an answer; else 0",
    papers=("empo",),
)
def empo(batch: SignalBatch) -> Signal:
    """EMPO: an answer is worth the share of its siblings that agree with it; no label is needed.

    ``answers`` are classes of equivalent answers (`shaping.greedy_clusters` makes them with a verifier), and
    ``answered`` marks rows that have one. Where all answers differ the group gets 0, and so does a group of one.
    """
    found, answered, groups = _agreement(batch)
    # The bound is the entropy of G classes; rounding must not let a group of all different answers pass.
    settled = groups.spread((found.classes < groups.sizes) & (groups.sizes > 1))
    return _rewarded(batch, found, groups, np.where(settled & answered, found.share, 0.0), None)


@register(
    "empo_free_form",
    room="shaping",
    needs="group",
    inputs=_ANSWERS,
    optional=("answered", "copied"),
    certainty="code",
    source=f"{_EMPO} trl/src/open_r1/rewards.py, free-form recipe",
    formula="no answer: -0.5; copied: 0; all shares < 0.2 and several classes: 0; else the share",
    papers=("empo",),
)
def empo_free_form(batch: SignalBatch, *, least: float = 0.2, unanswered: float = -0.5) -> Signal:
    """EMPO for free text, where answers that repeat the question (``copied``) earn nothing.

    The release calls an answer copied when the question contains it, or when more than 0.8 of its longest common
    subsequence with the question is its own.
    """
    found, answered, groups = _agreement(batch)
    scattered = groups.spread((groups.max(found.share) < least) & (found.classes > 1))
    rewards = np.where(scattered, 0.0, found.share)
    if "copied" in batch:
        rewards = np.where(batch["copied"][batch.valid], 0.0, rewards)
    return _rewarded(batch, found, groups, np.where(answered, rewards, unanswered), None)


@register(
    "empo_verl",
    room="shaping",
    needs="group",
    inputs=_ANSWERS,
    optional=("answered",),
    certainty="code",
    source=f"{_EMPO} verl-empo/verl/utils/reward_score/empo/compute_metrics.py, recipe/empo",
    formula="share of the group, or 1 for a member of a largest class; groups kept if low <= max r <= high",
    papers=("empo",),
)
def empo_verl(
    batch: SignalBatch,
    *,
    reward: Literal["share", "majority"] = "share",
    low: float = 0.3,
    high: float = 1.0,
    min_confidence: float = 0.0,
) -> Signal:
    """EMPO as its verl recipe has it: rows without an answer are classes of their own, and groups are filtered.

    ``min_confidence`` sets rewards to 0 in groups whose largest share is below it (the recipe names 0.25, but leaves
    it switched off).
    """
    found, _, groups = _agreement(batch, alone=True)
    largest = groups.max(found.share)
    rewards = found.majority.astype(np.float64) if reward == "majority" else found.share
    rewards = np.where(groups.spread(largest < min_confidence), 0.0, rewards)
    best = groups.max(rewards)
    return _rewarded(batch, found, groups, rewards, groups.spread((best >= low) & (best <= high)))


@register(
    "grace",
    room="shaping",
    needs="batch",
    inputs=("groups", "query_embeddings", "rationale_embeddings"),
    optional=("negative_embeddings", "truncated"),
    certainty="code",
    source="GRACE, GasolSun36/GRACE verl/workers/reward_manager/grace.py, train.sh @f636fdc7",
    formula="cos(q, m) - cos(q, n) + w_c * mean cos(m, siblings) - w_x * mean over other groups of max cos(q, m)",
    papers=("grace",),
)
def grace(
    batch: SignalBatch, *, temperature: float = 0.1, clustering: float = 0.2, crossing: float = 0.2, cut: float = -1.0
) -> Signal:
    """GRACE: a rationale is rewarded for lying close to its query and its siblings, and far from other prompts'.

    With ``negative_embeddings`` the supervised form, else the unsupervised one. A row marked ``truncated`` gets ``cut``
    in place of everything. The first valid row of a group stands for it where one value is wanted. Continue with
    ``dr_grpo``, as the release does. The embeddings come from an encoder, served elsewhere.
    """
    valid, groups = batch.taken()
    negative = batch["negative_embeddings"][valid] if "negative_embeddings" in batch else None
    found = contrastive_embedding_reward(
        batch["query_embeddings"][valid],
        batch["rationale_embeddings"][valid],
        negative,
        groups,
        temperature=temperature,
        clustering=clustering,
        crossing=crossing,
    )
    rewards = batch.scatter(found.rewards)
    if "truncated" in batch:
        rewards = np.where(batch["truncated"], cut, rewards)
    parts = {name: getattr(found, name) for name in ("positive", "negative", "clustering", "crossing")}
    report = {f"grace/{name}": float(part.mean()) if part.size else 0.0 for name, part in parts.items()}
    return batch.signal(rewards=rewards, report=report)


@register(
    "d3s",
    room="selection",
    needs=lambda options: (
        "group" if options["scope"] == "prompt" and options["top_first"] == options["top_last"] == 1.0 else "batch"
    ),
    inputs=("rewards", "groups"),
    optional=("entropies",),
    certainty="secondary",
    source="D3S (arXiv 2509.22115) sections 3.1 to 3.3, as quoted in two digests; shares and their schedule are ours",
    formula="rows: the subset with the largest Var(A); tokens: the largest |A| * entropy; both from first to last",
    papers=("d3s",),
)
def d3s(
    batch: SignalBatch,
    *,
    scope: Literal["batch", "prompt"] = "batch",
    rows_first: float = 0.25,
    rows_last: float = 0.5,
    top_first: float = 0.2,
    top_last: float = 1.0,
    total_steps: int = 1,
    ddof: int = 1,
    eps: float = 1e-6,
) -> Signal:
    """D3S: train on the rows whose advantages differ most, and on their uncertain tokens; less strictly with time.

    The shares go from ``first`` to ``last`` over ``total_steps`` of ``batch.step``. Rows are chosen from the whole
    batch (``cross`` in the paper) or from each prompt, tokens where the batch carries ``entropies``. The advantages
    are those of the whole group. Where all are equal the first rows stay.
    """
    valid, groups = batch.taken()
    plain = group_normalise(batch.rewards, batch.groups, batch.valid, ddof=ddof, eps=eps)
    share = between(rows_first, rows_last, batch.step, total_steps)
    if not 0.0 < share <= 1.0:
        raise BadOption(f"d3s: a share of {share} of the rows; choose more than 0 and at most 1")
    taken = plain[valid]
    if scope == "batch":
        parts = Groups.of(np.zeros(taken.size, np.int64))
        chosen = max_variance_subset(taken, parts, max(1, round(share * taken.size)))
    else:
        # Of prompts with unequal groups each keeps its own share.
        number = np.maximum(1, np.round(share * groups.sizes)).astype(np.int64)
        chosen = np.zeros(taken.size, np.bool_)
        for n in np.unique(number).tolist():
            rows = groups.spread(number == n)
            chosen[rows] = max_variance_subset(taken[rows], groups.take(rows), n)
    keep = np.zeros(batch.rows, np.bool_)
    keep[valid] = chosen
    weights = None
    if "entropies" in batch:
        mask = batch.mask & keep[:, None]
        top = between(top_first, top_last, batch.step, total_steps)
        weights = top_tokens(np.abs(plain)[:, None] * batch["entropies"], mask, top).astype(np.float64)
    return batch.signal(
        keep=keep | ~valid, advantages=plain, token_weights=weights, report={"d3s/kept": int(keep.sum())}
    )


def _agreement(batch: SignalBatch, *, alone: bool = False) -> tuple[Agreement, BoolArray, Groups]:
    valid, groups = batch.taken()
    answered = batch["answered"][valid] if "answered" in batch else np.ones(int(valid.sum()), np.bool_)
    return agreement(groups, batch.ids("answers").take(valid), answered, alone=alone), answered, groups


def _rewarded(batch: SignalBatch, found: Agreement, groups: Groups, rewards: object, kept: BoolArray | None) -> Signal:
    keep = np.ones(batch.rows, np.bool_)
    if kept is not None:
        keep[batch.valid] = kept
    entropy = float(found.entropy.mean()) if len(groups) else 0.0
    return batch.signal(rewards=batch.scatter(np.asarray(rewards)), keep=keep, report={"empo/entropy": entropy})
