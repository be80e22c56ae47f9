"""Scaf-GRPO: Scaffolded Group Relative Policy Optimization for Enhancing LLM Reasoning.

Scaf-GRPO (arXiv 2510.19807); JIA-Lab-research/Scaf-GRPO hint_mix_grpo/trainer/ray_trainer.py @ac9f99ef.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np

from trainer_client.signals.authoring import (
    BoolArray,
    Case,
    FloatArray,
    Groups,
    Input,
    InputError,
    IntArray,
    Laws,
    Paper,
    Request,
    Signal,
    SignalBatch,
    golden,
    register,
)
from trainer_client.signals.parts.group_normalise import group_normalise
from trainer_client.signals.parts.prompts import extreme_row, first_row, unsolved_groups

PAPER = Paper("scaf-grpo", __doc__, provenance="code")

_HINT_LEVELS = Input("hint_levels", "N", "int", "hint that a row was generated with; 0 for none")
_HINTS = Input(
    "hints",
    "N",
    "rows",
    "hints for a row's prompt: a list of tiers, each a list of texts",
    examples=([["a lemma"], ["a plan", "a step"]],),
)


def _hinted_rows(inputs: dict[str, Any]) -> None:
    inputs["hint_levels"] = np.maximum(inputs["hint_levels"] - 6, 0)


@register(
    "scaf_grpo_hints",
    paper=PAPER,
    needs="group",
    inputs=("rewards", "groups", _HINTS),
    formula="step > warmup_steps and all rewards 0: one generation for each hint level, hints cumulative in a tier",
    laws=Laws(rewards="binary"),
)
def scaf_grpo_hints(batch: SignalBatch, *, warmup_steps: int = 0) -> Signal:
    """Scaf-GRPO, first half: an unsolved prompt is tried again with more and more of its hints.

    Requests are of kind ``hint``, with ``level``, ``tier`` and ``hints``: the texts to put behind the question. The
    paper has three tiers (knowledge, planning, solution) of four hints; the release leaves out planning.
    """
    if warmup_steps and batch.step is None:
        raise InputError("scaf_grpo_hints: warmup_steps needs the step; pass step= to SignalBatch")
    requests = []
    if (batch.step or 0) > warmup_steps or not warmup_steps:
        unsolved = unsolved_groups(batch.rewards, batch.groups, batch.valid, threshold=0.0)
        rows = first_row(batch.groups, batch.valid)
        for row in rows[unsolved].tolist():
            for hint in hint_ladder(batch.objects("hints")[row]):
                details = {"level": hint.level, "tier": hint.tier, "hints": hint.texts}
                requests.append(Request(row, "hint", details))
    return batch.signal(requests=requests)


@register(
    "scaf_grpo",
    paper=PAPER,
    needs="group",
    inputs=("rewards", "groups", _HINT_LEVELS),
    formula="unsolved group: the first row of the lowest solving level takes the place of its first row; then GRPO",
    laws=Laws(constant=True, permutation=False, rewards="binary", prepare=_hinted_rows),
)
def scaf_grpo(
    batch: SignalBatch,
    *,
    prompt: Literal["plain", "hinted"] = "plain",
    replacements: Literal[1, 2] = 1,
    ddof: int = 1,
    eps: float = 1e-6,
) -> Signal:
    """Scaf-GRPO, second half: the answer of the least help that solved a prompt replaces a failed one.

    Rows with a hint are in the batch beside the plain ones, in the same group. Requests of kind ``replace`` name the
    row replaced (``replaces``) and whether the answer is trained under the ``plain`` prompt (off-policy) or with its
    hints. With two replacements the answer stands for the first two rows, once in each way: ``copies`` is 2, and so is
    its weight; use one of them. Hinted rows that are not chosen take no part; where no level solves, the group stays
    as it is.
    """
    levels = batch["hint_levels"]
    plain = batch.valid & (levels <= 0)
    unsolved = unsolved_groups(batch.rewards, batch.groups, plain, threshold=0.0)
    chosen = lowest_solving_hint(batch.rewards, levels, batch.groups, batch.valid)
    failed = np.flatnonzero(plain)[batch.groups.take(plain).position < replacements]
    failed = failed[(unsolved & (chosen >= 0))[batch.groups.index[failed]]]
    stands_in = chosen[batch.groups.index[failed]]
    copies = plain.astype(np.int64)
    copies[failed] = 0
    np.add.at(copies, stands_in, 1)
    requests: list[Request] = []
    served: set[int] = set()
    for row, replaced in zip(stands_in.tolist(), failed.tolist(), strict=True):
        trained = "hinted" if row in served else prompt
        served.add(row)
        requests.append(Request(row, "replace", {"replaces": replaced, "level": int(levels[row]), "prompt": trained}))
    rows = np.repeat(np.arange(batch.rows), copies)
    normalised = group_normalise(batch.rewards[rows], Groups.of(batch.groups.index[rows]), ddof=ddof, eps=eps)
    advantages = np.zeros(batch.rows)
    advantages[rows] = normalised
    used = [request.details["level"] for request in requests]
    return batch.signal(
        keep=(copies > 0) | ~batch.valid,
        advantages=advantages,
        weights=copies.astype(np.float64),
        copies=copies,
        requests=requests,
        report={"scaf_grpo/rescued": len(served), "scaf_grpo/level": float(np.mean(used or [0]))},
    )


def lowest_solving_hint(
    rewards: FloatArray, levels: IntArray, groups: Groups, valid: BoolArray, *, threshold: float = 0.0
) -> IntArray:
    """``[Q]`` the first row with the lowest hint level among those whose reward exceeds ``threshold``; -1 if none.

    Args:
        rewards: ``[N]``.
        levels: ``[N]`` hint level of a row; 0 for a row without a hint, which is not chosen.
        groups: partition of the rows.
        valid: ``[N]`` rows that take part.
        threshold: reward that does not count as solved yet.

    Source: Scaf-GRPO (arXiv 2510.19807); JIA-Lab-research/Scaf-GRPO hint_mix_grpo/trainer/ray_trainer.py @ac9f99ef.
    """
    return extreme_row(groups, levels, valid & (levels > 0) & (rewards > threshold), lowest=True)


class Hint(NamedTuple):
    """One step of a ladder of hints.

    Attributes:
        level: from 1, over all tiers.
        tier: number of the tier, from 0.
        texts: hints of the tier up to this one.
    """

    level: int
    tier: int
    texts: list[str]


def hint_ladder(tiers: Sequence[Sequence[str]]) -> Iterator[Hint]:
    """Each tier's hints, one more at a time; the next tier starts afresh.

    Raises:
        InputError: the tiers are no lists of texts.
    """
    level = 0
    for tier, texts in enumerate(tiers):
        if isinstance(texts, str) or not all(isinstance(text, str) for text in texts):
            raise InputError(f"hints: tier {tier} is no list of texts; hints are a list of tiers, each a list of texts")
        for number in range(1, len(texts) + 1):
            level += 1
            yield Hint(level, tier, list(texts[:number]))


@golden("hint_level_selection")
def _(case: Case) -> Any:
    batch = SignalBatch(case.array("rewards"), case.inputs["uid"], hint_levels=case.inputs["hint_level"])
    rows = lowest_solving_hint(batch.rewards, batch["hint_levels"], batch.groups, np.ones(batch.rows, np.bool_))
    row_of_group = dict(zip(batch.groups.labels.tolist(), rows.tolist(), strict=True))
    return {
        "chosen_row": {str(uid): row for uid, row in row_of_group.items() if row >= 0},
        "unsolved": [uid for uid, row in row_of_group.items() if row < 0],
    }
