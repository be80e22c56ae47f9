"""Improving Consistency in RAG Systems with Group Similarity Rewards (Con-RAG, PS-GRPO).

Con-RAG, PS-GRPO (arXiv 2510.04392); ddof, eps and the weights of the sum are ours.
"""

from __future__ import annotations

from collections.abc import Collection, Hashable, Sequence
from itertools import combinations
from typing import Any

import numpy as np
from numpy.random import Generator

from trainer_client.signals.authoring import (
    BoolArray,
    Case,
    FloatArray,
    Groups,
    Input,
    InputError,
    IntArray,
    OptionError,
    Paper,
    Signal,
    SignalBatch,
    golden,
    method,
    one_group,
    register,
)
from trainer_client.signals.parts.group_normalise import group_normalise

PAPER = Paper("ps-grpo", __doc__, provenance="secondary")

_SIMILARITY = Input("similarity", "NN", "float", "similarity of a row (candidate) with another (reference)")
_LIKENESS = Input("likeness", "N", "float", "mean similarity of a row with rows of other wordings of its question")


@register(
    "ps_grpo",
    paper=PAPER,
    needs="group",
    inputs=((_SIMILARITY, _LIKENESS), "groups", "variants"),
    optional=("accuracy",),
    formula="r_ij = mean similarity with rollouts of other wordings; A_ij = (r_ij - mean_i) / (std_i + eps)",
)
def ps_grpo(
    batch: SignalBatch,
    *,
    consistency: float = 1.0,
    accuracy_weight: float = 0.0,
    wordings: int = 0,
    rollouts: int = 0,
    seed: int = 0,
    ddof: int = 1,
    eps: float = 1e-6,
) -> Signal:
    """PS-GRPO: an answer is rewarded for agreeing with the answers to other wordings of its question.

    ``groups`` are the questions with all wordings together, ``variants`` the wordings; advantages are taken within a
    wording. ``wordings`` and ``rollouts`` limit what a row is compared with, drawn by ``seed`` and ``batch.step``
    (3 and 1 in the paper; 0 for all). ``likeness`` is that mean where it is known, as the verifier `wordings` finds it.
    ``accuracy_weight`` times the input ``accuracy`` is added. A question in one wording has nothing to agree with: its
    rows are left out.

    Raises:
        OptionError: ``wordings`` or ``rollouts`` is given with ``likeness``, which is a mean already.
    """
    valid, groups = batch.taken()
    variants = batch.ids("variants").take(valid)
    if "likeness" in batch:
        if wordings or rollouts:
            raise OptionError("wordings, rollouts: likeness is a mean over all rows; give similarity, or neither")
        agreed, compared = batch["likeness"][valid], _several(groups, variants)
    else:
        agreed, compared = group_similarity(
            batch["similarity"][np.ix_(valid, valid)],
            groups,
            variants,
            wordings=wordings or None,
            rollouts=rollouts or None,
            rng=np.random.default_rng((seed, batch.step or 0)),
        )
    rewards = consistency * agreed
    if accuracy_weight:
        rewards = rewards + accuracy_weight * batch["accuracy"][valid]
    keep = np.ones(batch.rows, np.bool_)
    keep[valid] = compared
    relative = group_normalise(rewards, groups.cross(variants), compared, ddof=ddof, eps=eps)
    return batch.signal(keep=keep, rewards=batch.scatter(rewards), advantages=batch.scatter(relative))


def group_similarity(
    similarity: FloatArray,
    questions: Groups,
    variants: Groups,
    *,
    wordings: int | None = None,
    rollouts: int | None = None,
    rng: Generator | None = None,
) -> tuple[FloatArray, BoolArray]:
    """Mean similarity of each row with rows of other wordings of its question.

    Args:
        similarity: ``[N, N]`` of a candidate (row) with a reference (column).
        questions: partition by question, all wordings together.
        variants: partition by wording.
        wordings: how many other wordings to compare with, drawn at random; None for all.
        rollouts: how many rollouts of each; None for all.
        rng: source of the draws; a generator of seed 0 when None.

    Returns:
        ``[N]`` means and ``[N]`` whether there was anything to compare with: a question in one wording has nothing.

    Source: PS-GRPO (arXiv 2510.04392).
    """
    generator = np.random.default_rng(0) if rng is None else rng
    wording = questions.cross(variants)
    result = np.zeros(questions.rows)
    for members in questions.members():
        own = wording.index[members]
        differs = own[:, None] != own[None, :]
        if wordings is not None or rollouts is not None:
            differs &= _drawn(own, wordings, rollouts, generator)
        block = similarity[np.ix_(members, members)]
        result[members] = np.where(differs, block, 0.0).sum(1) / np.maximum(differs.sum(1), 1)
    is_plural = _several(questions, variants)
    return np.where(is_plural, result, 0.0), is_plural


def set_overlap(sets: Sequence[Collection[Hashable]]) -> float:
    """Mean share of what two sets have in common (Jaccard), over all pairs; 1 for a pair of empty sets.

    Of retrieved documents by wording of a question it says how consistent a retriever is.

    Raises:
        InputError: there are fewer than two sets.

    Source: Con-RAG (arXiv 2510.04392).
    """
    if len(sets) < 2:
        raise InputError(f"sets: {len(sets)} given; overlap needs two")
    overlaps = []
    for first, second in combinations([set(members) for members in sets], 2):
        union = first | second
        overlaps.append(len(first & second) / len(union) if union else 1.0)
    return sum(overlaps) / len(overlaps)


def _several(questions: Groups, variants: Groups) -> BoolArray:
    """``[N]`` rows of questions in two wordings or more."""
    wording = questions.cross(variants)
    number = np.bincount(questions.index[wording.first(np.arange(wording.rows))], minlength=len(questions))
    result: BoolArray = questions.spread(number.astype(float)) > 1
    return result


def _drawn(own: IntArray, wordings: int | None, rollouts: int | None, rng: Generator) -> BoolArray:
    """``[G, G]`` columns that each row is compared with: some rollouts of some other wordings."""
    names, inverse = np.unique(own, return_inverse=True)
    chosen = np.zeros((own.size, own.size), np.bool_)
    for row in range(own.size):
        others = np.flatnonzero(names != own[row])
        for name in rng.permutation(others)[: others.size if wordings is None else wordings]:
            columns = np.flatnonzero(inverse == name)
            chosen[row, rng.permutation(columns)[: columns.size if rollouts is None else rollouts]] = True
    return chosen


@golden("paraphrase_group_similarity")
def _(case: Case) -> Any:
    similarity = case.array("similarity")
    shape = (case.params["paraphrases"], case.params["rollouts"])
    questions = one_group(len(similarity))
    batch = SignalBatch(None, questions, similarity=similarity, variants=case.blocks("rollouts", len(similarity)))
    agreed, _ = group_similarity(similarity, batch.groups, batch.ids("variants"))
    signal = method("ps_grpo", ddof=0, eps=0.0)(batch)
    assert np.array_equal(np.asarray(signal.rewards), agreed)
    return {"reward": agreed.reshape(shape), "advantage_ddof0": np.asarray(signal.advantages).reshape(shape)}
