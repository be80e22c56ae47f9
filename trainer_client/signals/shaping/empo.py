"""Right Question is Already Half the Answer: Fully Unsupervised LLM Reasoning Incentivization (EMPO).

EMPO (arXiv 2504.05812); QingyangZhang/EMPO @c5eccd40 trl/src/open_r1/rewards.py semantic_entropy_math_reward.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal, NamedTuple, TypeVar

import numpy as np

from trainer_client.signals.authoring import (
    BoolArray,
    Case,
    FloatArray,
    Groups,
    Input,
    IntArray,
    Paper,
    Signal,
    SignalBatch,
    golden,
    method,
    register,
)

PAPER = Paper("empo", __doc__, provenance="code")

_ANSWERS = Input("answers", "N", "ids", "class of equivalent answers that a row's answer belongs to")
_COPIED = Input("copied", "N", "bool", "answer mostly repeats the question")

T = TypeVar("T")


@register(
    "empo",
    paper=PAPER,
    needs="group",
    inputs=("groups", _ANSWERS),
    optional=("answered",),
    formula="r_i = share of the group with an equivalent answer, if H < ln G and there is an answer; else 0",
)
def empo(batch: SignalBatch) -> Signal:
    """EMPO: an answer is worth the share of its siblings that agree with it; no label is needed.

    ``answers`` are classes of equivalent answers (`greedy_clusters` makes them with a verifier), and
    ``answered`` marks rows that have one. Where all answers differ the group gets 0, and so does a group of one.
    """
    result, answered, groups = _agreement(batch)
    # The bound is the entropy of G classes; rounding must not let a group of all different answers pass.
    settled = groups.spread((result.classes < groups.sizes) & (groups.sizes > 1))
    return _rewarded(batch, result, groups, np.where(settled & answered, result.share, 0.0), None)


@register(
    "empo_free_form",
    like="empo",
    optional=("answered", _COPIED),
    source="EMPO (arXiv 2504.05812); QingyangZhang/EMPO @c5eccd40 trl/src/open_r1/rewards.py, free-form recipe",
    formula="no answer: -0.5; copied: 0; all shares < 0.2 and several classes: 0; else the share",
)
def empo_free_form(batch: SignalBatch, *, min_share: float = 0.2, unanswered: float = -0.5) -> Signal:
    """EMPO for free text, where answers that repeat the question (``copied``) earn nothing.

    The release calls an answer copied when the question contains it, or when more than 0.8 of its longest common
    subsequence with the question is its own.
    """
    result, answered, groups = _agreement(batch)
    scattered = groups.spread((groups.max(result.share) < min_share) & (result.classes > 1))
    rewards = np.where(scattered, 0.0, result.share)
    if "copied" in batch:
        rewards = np.where(batch["copied"][batch.valid], 0.0, rewards)
    return _rewarded(batch, result, groups, np.where(answered, rewards, unanswered), None)


@register(
    "empo_verl",
    like="empo",
    source=(
        "EMPO (arXiv 2504.05812); QingyangZhang/EMPO @c5eccd40 "
        "verl-empo/verl/utils/reward_score/empo/compute_metrics.py, recipe/empo"
    ),
    formula="share of the group, or 1 for a member of a largest class; groups kept if low <= max r <= high",
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
    result, _, groups = _agreement(batch, alone=True)
    largest = groups.max(result.share)
    rewards = result.majority.astype(np.float64) if reward == "majority" else result.share
    rewards = np.where(groups.spread(largest < min_confidence), 0.0, rewards)
    best = groups.max(rewards)
    return _rewarded(batch, result, groups, rewards, groups.spread((best >= low) & (best <= high)))


def _agreement(batch: SignalBatch, *, alone: bool = False) -> tuple[Agreement, BoolArray, Groups]:
    valid, groups = batch.taken()
    answered = batch["answered"][valid] if "answered" in batch else np.ones(int(valid.sum()), np.bool_)
    return agreement(groups, batch.ids("answers").take(valid), answered, alone=alone), answered, groups


def _rewarded(batch: SignalBatch, result: Agreement, groups: Groups, rewards: object, kept: BoolArray | None) -> Signal:
    keep = np.ones(batch.rows, np.bool_)
    if kept is not None:
        keep[batch.valid] = kept
    entropy = float(result.entropy.mean()) if len(groups) else 0.0
    return batch.signal(rewards=batch.scatter(np.asarray(rewards)), keep=keep, report={"empo/entropy": entropy})


class Agreement(NamedTuple):
    """How a group's answers fall into classes.

    Attributes:
        share: ``[N]`` share of the group that gave an equivalent answer.
        entropy: ``[Q]`` entropy of the shares of a group's classes, in nats.
        classes: ``[Q]`` number of classes.
        majority: ``[N]`` rows of a largest class; where several are equally large, of all of them.
    """

    share: FloatArray
    entropy: FloatArray
    classes: IntArray
    majority: BoolArray


def greedy_clusters(items: Sequence[T], equivalent: Callable[[T, T], bool]) -> IntArray:
    """``[N]`` class of each item: the first class whose first member is equivalent to it, else a new one.

    An equivalence that is not transitive makes the result depend on the order of the items.

    Args:
        items: answers of one group.
        equivalent: ``equivalent(first member of a class, item)``.

    Source: EMPO, QingyangZhang/EMPO trl/src/open_r1/rewards.py @c5eccd40.
    """
    heads: list[T] = []
    clusters = np.empty(len(items), np.int64)
    for place, item in enumerate(items):
        number = next((k for k, head in enumerate(heads) if equivalent(head, item)), len(heads))
        if number == len(heads):
            heads.append(item)
        clusters[place] = number
    return clusters


def agreement(groups: Groups, answers: Groups, answered: BoolArray, *, alone: bool = False) -> Agreement:
    """Shares of the classes of equivalent answers within each group.

    Args:
        groups: partition by prompt.
        answers: partition by class of equivalent answers; classes of different prompts are never joined.
        answered: ``[N]`` rows that hold an answer.
        alone: rows without an answer are each a class of their own, instead of one class by their id.
    """
    classes = groups.cross(answers)
    if alone:
        missing = np.cumsum(~answered) * ~answered
        classes = classes.cross(Groups.of(missing))
    group_of = groups.index[classes.first(np.arange(classes.rows))] if classes.rows else np.zeros(0, np.int64)
    share = classes.sizes / groups.sizes[group_of]
    entropy: FloatArray = -np.bincount(group_of, share * np.log(share), len(groups)).astype(np.float64) + 0.0
    number = np.bincount(group_of, minlength=len(groups))
    largest = np.zeros(len(groups))
    np.maximum.at(largest, group_of, share)
    spread = classes.spread(share)
    return Agreement(spread, entropy, number, spread >= groups.spread(largest) - 1e-12)


@golden("EMPO")
def _(case: Case) -> Any:
    answers = case.inputs["answers"]
    groups = case.blocks("num_generations", len(answers))
    classes = Groups.of(groups).cross(Groups.of(greedy_clusters(answers, str.__eq__)))
    batch = SignalBatch(None, groups, answers=classes.index, answered=[bool(a) for a in answers])
    return method("empo")(batch).rewards


@golden("EMPO cluster")
def _(case: Case) -> Any:
    answers = case.inputs["answers"]
    group = np.zeros(len(answers), int)
    answered = np.array([bool(a) for a in answers])
    batch = SignalBatch(None, group, answers=answers, answered=answered)
    result = agreement(Groups.of(group), Groups.of(answers), answered, alone=True)
    confident = method("empo_verl", min_confidence=case.params["min_confidence"])(batch)
    majority = method("empo_verl", reward="majority")(batch)
    assert confident.rewards is not None
    assert majority.rewards is not None
    first = Groups.of(group).cross(Groups.of(answers)).cross(Groups.of(np.cumsum(~answered) * ~answered))
    return [
        {
            "frequencies": result.share,
            "cluster_frequencies": first.first(result.share),
            "thresholded": confident.rewards,
            "filtered": int(not confident.rewards.any()),
            "majority": majority.rewards.astype(int),
        }
    ]
