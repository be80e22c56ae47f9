"""Rewards changed or made row by row, and methods that are GRPO over such rewards."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np

from trainer_client.signals._arrays import FloatArray, as_floats
from trainer_client.signals._batch import SignalBatch
from trainer_client.signals._errors import BadInput
from trainer_client.signals._registry import register
from trainer_client.signals._signal import Signal
from trainer_client.signals.normalise import group_normalise
from trainer_client.signals.shaping import (
    ExitDecay,
    asymmetric_shaping,
    consistency_bonus,
    decaying_exits,
    improvement_reward,
    length_surrogate,
    ordinal_class_reward,
    ranking_scores,
)

_SURROGATE = "insightLLM/rl-without-gt rl/verl/lib/src/rewards/math_reward.py @c1e2077c"


@register(
    "asymmetric_shaping",
    room="shaping",
    needs="row",
    inputs=("rewards",),
    certainty="secondary",
    source="TempSamp-R1 (arXiv 2509.18056); ZhangZikun6666/TempSamp-R1 scripts/timelens @55a92280 (by others)",
    formula="r >= t: t + a * ln(r - t + 1); r < t: t - (exp(b*(t-r)) - 1) / (exp(b) - 1)",
    papers=("tempsamp-r1",),
)
def asymmetric(batch: SignalBatch, *, threshold: float = 0.8, high: float = 0.01, low: float = 1.0) -> Signal:
    """TempSamp-R1's shaping on its own: high rewards are flattened, low ones kept apart; for rewards in [0, 1]."""
    return batch.signal(rewards=asymmetric_shaping(batch.rewards, threshold=threshold, high=high, low=low))


@register(
    "cobalt",
    room="shaping",
    needs="row",
    inputs=("rewards", "previous_best"),
    optional=("answered", "format_terms"),
    certainty="code",
    source="Cobalt, OSU-NLP-Group/cobalt verl/code_reward_func_think.py @18ce6aed",
    formula="all tests 1, half 0.2, some 0, none -0.1; +-0.1 by the change against earlier turns; + format; in [-1, 1]",
    papers=("cobalt",),
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


@register(
    "length_surrogate",
    room="shaping",
    needs="row",
    inputs=("lengths|mask",),
    certainty="code",
    source=_SURROGATE,
    formula="x = len / max_length; x <= p: 1 - (1 - x/p)^2; x > p: 1 - 2 * ((x-p) / (1-p))^2",
    papers=("format-length",),
)
def surrogate(batch: SignalBatch, *, max_length: int = 3072, peak: float = 0.5) -> Signal:
    """A reward from length alone, highest at ``peak * max_length``."""
    return batch.signal(rewards=length_surrogate(batch.lengths, max_length=max_length, peak=peak))


@register(
    "format_length",
    room="shaping",
    needs="row",
    inputs=("components", "lengths|mask"),
    certainty="code",
    source=_SURROGATE,
    formula="answer well formed: 0.5 * (f + a) + length term; else min(0, length term)",
    papers=("format-length",),
)
def format_length(
    batch: SignalBatch,
    *,
    mode: Literal["format_length", "format"] = "format_length",
    max_length: int = 3072,
    peak: float = 0.5,
) -> Signal:
    """Training without labels: format, and a length that is neither short nor long.

    Components in order: the response has a reasoning block (f), its final answer is a well-formed expression (a). In
    ``format`` mode the reward is ``0.5 * (f + a)``. A missing component takes the row out.
    """
    components = batch["components"]
    if components.shape[1] != 2:
        raise BadInput(f"components: {components.shape[1]} columns where the method reads 2")
    live = batch.components_given.all(1)
    form = 0.5 * components.sum(1)
    if mode == "format":
        return batch.signal(keep=live | ~batch.valid, rewards=form)
    term = length_surrogate(batch.lengths, max_length=max_length, peak=peak)
    rewards = np.where(components[:, 1] > 0, form + term, np.minimum(0.0, term))
    return batch.signal(keep=live | ~batch.valid, rewards=rewards)


@register(
    "grouprank",
    room="shaping",
    needs="row",
    inputs=("predicted_scores", "gold_scores"),
    optional=("answered",),
    certainty="paper",
    source="GroupRank (arXiv 2511.11653) eq. 4 to 6; base, gain, ties and normalisation are ours",
    formula="NDCG@k + gamma * Recall@k + alignment * (1 - JS); unreadable: -0.1; without the tags: -0.5",
    papers=("grouprank",),
)
def grouprank(
    batch: SignalBatch,
    *,
    k: int = 10,
    gamma: float = 0.2,
    alignment: float = 0.1,
    unreadable: float = -0.1,
    untagged: float = -0.5,
) -> Signal:
    """GroupRank: scores given to a query's documents, against their relevance.

    ``predicted_scores`` holds one score a document, 0 for one left out, and None where the answer cannot be read. A
    row not ``answered`` lacks the tags asked for.
    """
    answered = batch["answered"] if "answered" in batch else np.ones(batch.rows, np.bool_)
    predicted, gold = batch.objects("predicted_scores"), batch.objects("gold_scores")
    rewards = np.where(answered, unreadable, untagged)
    by_size: dict[int, list[int]] = {}
    for row in np.flatnonzero(batch.valid & answered).tolist():
        if predicted[row] is not None:
            if len(predicted[row]) != len(gold[row]):
                raise BadInput(
                    f"predicted_scores: row {row} has {len(predicted[row])} for {len(gold[row])} documents; "
                    "give one for each"
                )
            by_size.setdefault(len(gold[row]), []).append(row)
    for rows in by_size.values():
        ours, true = (
            _scores_of(name, listed, rows) for name, listed in (("predicted_scores", predicted), ("gold_scores", gold))
        )
        rewards[rows] = ranking_scores(ours, true, k=k, gamma=gamma, alignment=alignment)[-1]
    return batch.signal(rewards=np.where(batch.valid, rewards, 0.0))


def _scores_of(name: str, listed: Sequence[Sequence[float]], rows: list[int]) -> FloatArray:
    """``[M, D]`` of some rows that hold equally many scores."""
    table = as_floats(name, [listed[row] for row in rows], 2)
    bad = np.argwhere(~(np.isfinite(table) & (table >= 0)))
    if bad.size:
        row, document = rows[bad[0][0]], bad[0][1]
        raise BadInput(
            f"{name}: row {row}, document {document} holds {table[tuple(bad[0])]}; scores are finite, from 0"
        )
    return table


@register(
    "ordinal_class",
    room="shaping",
    needs="row",
    inputs=("predicted_values", "target_values"),
    certainty="code",
    source="FAKER-Air, kaist-cvml/FAKER-Air aurora/rl/reward.py @2c208b85",
    formula="mean over cells of coarse * [same side] + exact * [same class] - false_alarm * [alarm]",
    papers=("faker-air",),
)
def ordinal_class(
    batch: SignalBatch,
    *,
    bounds: tuple[float, ...] = (15.0, 35.0, 75.0),
    high_class: int = 2,
    exact: float = 0.5,
    coarse: float = 0.5,
    false_alarm: float = 0.0,
) -> Signal:
    """FAKER-Air's class reward: predicted numbers are right if they fall into the class of the true ones.

    A row without a cell to score is left out.
    """
    predicted, target = batch.objects("predicted_values"), batch.objects("target_values")
    rewards, keep = np.zeros(batch.rows), np.ones(batch.rows, np.bool_)
    for row in np.flatnonzero(batch.valid).tolist():
        keep[row] = bool((np.asarray(target[row], dtype=np.float64) > 0).any())
        try:
            rewards[row] = ordinal_class_reward(
                predicted[row],
                target[row],
                bounds=bounds,
                high_class=high_class,
                exact=exact,
                coarse=coarse,
                false_alarm=false_alarm,
            )
        except BadInput as error:
            raise BadInput(f"row {row}: {error}") from None
    return batch.signal(keep=keep, rewards=rewards)


@register(
    "grpo_care",
    room="shaping",
    needs="group",
    inputs=("rewards", "groups", "accuracy", "answer_likelihood"),
    optional=("answer_found",),
    certainty="code",
    source="GRPO-CARE, TencentARC/GRPO-CARE src/r1-v/src/open_r1/trainer/grpo_trainer_ref_ema.py @b0628fcc",
    formula="R = r + c * accuracy for peers with min(p, ceiling) >= their mean - margin; A = (R - mean) / (std + 1e-4)",
    papers=("grpo-care",),
)
def grpo_care(
    batch: SignalBatch,
    *,
    coefficient: float = 0.5,
    margin: float = 0.01,
    ceiling: float | None = 0.95,
    floor: float = 0.1,
    eps: float = 1e-4,
) -> Signal:
    """GRPO-CARE: accurate rollouts whose answer follows from their reasoning earn a bonus.

    ``rewards`` is the sum of all base rewards, ``accuracy`` one of them. ``answer_likelihood`` comes from a slow copy
    of the policy. A row without an answer to score (``answer_found``) earns none and joins no mean.
    """
    valid, groups = batch.taken()
    known = batch["answer_found"][valid] if "answer_found" in batch else np.ones(int(valid.sum()), np.bool_)
    bonus = consistency_bonus(
        batch["accuracy"][valid],
        batch["answer_likelihood"][valid],
        known,
        groups,
        coefficient=coefficient,
        margin=margin,
        ceiling=ceiling,
        floor=floor,
    )
    rewards = batch.rewards + batch.scatter(bonus)
    return batch.signal(rewards=rewards, advantages=group_normalise(rewards, batch.groups, valid, eps=eps))


@register(
    "s_grpo",
    room="shaping",
    needs="group",
    inputs=("rewards", "groups", "exit_order"),
    certainty="secondary",
    source="S-GRPO (arXiv 2505.07686); whether its advantage divides by the deviation is not known",
    formula="right: base^-(right exits before it); wrong: 0; A_i = r_i - mean of the path",
    papers=("s-grpo",),
)
def s_grpo(
    batch: SignalBatch,
    *,
    base: float = 2.0,
    decay: ExitDecay = "count",
    divide_by_std: bool = False,
    threshold: float = 0.5,
    eps: float = 1e-6,
) -> Signal:
    """S-GRPO: of the early exits of one path, the first right one earns most.

    ``groups`` are the paths, the full path being the last exit of its own. A missing exit is as if not taken.
    """
    valid, groups = batch.taken()
    right = batch.rewards[valid] > threshold
    rewards = batch.scatter(decaying_exits(right, batch["exit_order"][valid], groups, base=base, decay=decay))
    scale: Literal["std", "none"] = "std" if divide_by_std else "none"
    return batch.signal(rewards=rewards, advantages=group_normalise(rewards, batch.groups, valid, scale=scale, eps=eps))
