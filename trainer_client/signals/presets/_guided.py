"""Guidance by hints, drafts and revisions: Scaf-GRPO, iGRPO, RGR-GRPO.

Each has two presets: one says what to generate (``requests``), the other trains on the batch that came of it.
"""

from __future__ import annotations

from typing import Literal

import numpy as np

from trainer_client.signals._arrays import BoolArray, FloatArray, IntArray
from trainer_client.signals._batch import SignalBatch
from trainer_client.signals._errors import BadInput
from trainer_client.signals._groups import Groups
from trainer_client.signals._registry import register
from trainer_client.signals._signal import Request, Signal
from trainer_client.signals.guidance import (
    extreme_row,
    first_row,
    hint_ladder,
    lowest_solving_hint,
    unsolved_groups,
)
from trainer_client.signals.normalise import group_normalise

_SCAF = "Scaf-GRPO (arXiv 2510.19807); JIA-Lab-research/Scaf-GRPO hint_mix_grpo/trainer/ray_trainer.py @ac9f99ef"
_IGRPO = "iGRPO (arXiv 2602.09000) sections 3.2 and 4.1"
_RGR = "RGR-GRPO (arXiv 2511.12344), abstract and a reading note"


@register(
    "scaf_grpo_hints",
    room="guidance",
    needs="group",
    inputs=("rewards", "groups", "hints"),
    certainty="code",
    source=_SCAF,
    formula="step > warmup_steps and all rewards 0: one generation for each hint level, hints cumulative in a tier",
    papers=("scaf-grpo",),
)
def scaf_grpo_hints(batch: SignalBatch, *, warmup_steps: int = 0) -> Signal:
    """Scaf-GRPO, first half: a prompt that nobody solved is tried again with more and more of its hints.

    Requests are of kind ``hint``, with ``level``, ``tier`` and ``hints``: the texts to put behind the question. The
    paper has three tiers (knowledge, planning, solution) of four hints; the release leaves out planning.
    """
    if warmup_steps and batch.step is None:
        raise BadInput("scaf_grpo_hints: warmup_steps needs the step; pass step= to SignalBatch")
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
    room="guidance",
    needs="group",
    inputs=("rewards", "groups", "hint_levels"),
    certainty="code",
    source=_SCAF,
    formula="unsolved group: the first row of the lowest solving level takes the place of its first row; then GRPO",
    papers=("scaf-grpo",),
)
def scaf_grpo(
    batch: SignalBatch,
    *,
    prompt: Literal["plain", "hinted"] = "plain",
    replacements: Literal[1, 2] = 1,
    ddof: int = 1,
    eps: float = 1e-6,
) -> Signal:
    """Scaf-GRPO, second half: the answer of the least help that solved a prompt stands in for a failed one.

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


@register(
    "igrpo_drafts",
    room="guidance",
    needs="group",
    inputs=("rewards", "groups"),
    optional=("lengths",),
    certainty="paper",
    source=f"{_IGRPO}; the rule for ties is ours",
    formula="d* = argmax reward; prompt q' = q followed by d*",
    papers=("igrpo",),
)
def igrpo_drafts(
    batch: SignalBatch, *, ties: Literal["first", "shortest"] = "first", skip_if_all_zero: bool = False
) -> Signal:
    """iGRPO, stage 1: the best draft of each prompt goes into the prompt of the refinements.

    Requests are of kind ``refine``; their row is the draft. Drafts get no gradient. A prompt without a valid draft has
    no request and is generated plainly. ``shortest`` reads the lengths. Drafts and refinements together are as many
    as a GRPO group has rows.
    """
    best = batch.groups.max(np.where(batch.valid, batch.rewards, -np.inf))
    top = batch.valid & (batch.rewards == batch.groups.spread(best))
    rows = first_row(batch.groups, top)
    if ties == "shortest":
        rows = extreme_row(batch.groups, batch.lengths, top, lowest=True)
    wanted = (rows >= 0) & (~(best == 0) | (not skip_if_all_zero))
    requests = [Request(row, "refine", {"reward": float(batch.rewards[row])}) for row in rows[wanted].tolist()]
    return batch.signal(keep=~batch.valid, requests=requests)


@register(
    "igrpo",
    room="guidance",
    needs="group",
    inputs=("rewards", "groups", "drafts"),
    certainty="paper",
    source=f"{_IGRPO}; ddof, which it does not state, as in GRPO",
    formula="A_i = (r_i - mean) / (std + eps) over the refinements of a prompt",
    papers=("igrpo",),
)
def igrpo(batch: SignalBatch, *, ddof: int = 1, eps: float = 1e-6) -> Signal:
    """iGRPO, stage 2: GRPO over the refinements; ratios and KL are taken under the prompt with the draft.

    Drafts may stand in the batch; they take no part. Reported is the share of refinements better than the best of them.
    """
    refined = batch.valid & ~batch["drafts"]
    advantages = group_normalise(batch.rewards, batch.groups, refined, ddof=ddof, eps=eps)
    drafted = batch.groups.max(np.where(batch.valid & batch["drafts"], batch.rewards, -np.inf))
    compared = refined & batch.groups.spread(np.isfinite(drafted))
    better = batch.rewards[compared] > batch.groups.spread(drafted)[compared]
    share = float(better.mean()) if better.size else 0.0
    return batch.signal(keep=refined | ~batch.valid, advantages=advantages, report={"igrpo/better_than_draft": share})


@register(
    "rgr_grpo_revision",
    room="guidance",
    needs="group",
    inputs=("rewards", "groups", "components"),
    optional=("criterion_weights",),
    certainty="abstract",
    source=f"{_RGR}; ties are ours",
    formula="best row with r < 1: revise it along the criteria it does not meet",
    papers=("rgr-grpo",),
)
def rgr_grpo_revision(batch: SignalBatch, *, met: float = 1.0, perfect: float = 1.0) -> Signal:
    """RGR-GRPO's guidance: the best imperfect answer of each prompt is revised along the criteria it misses.

    Requests are of kind ``revise``: the row of the answer, and ``unmet``, columns of its rubric whose verdict is below
    ``met``. ``rewards`` come from ``rubric_reward``; a criterion of weight 0 (``criterion_weights``) is none.
    """
    shown = batch.components_given
    weights = batch["criterion_weights"] if "criterion_weights" in batch else np.ones(batch["components"].shape)
    failed = shown & (((weights > 0) & (batch["components"] < met)) | ((weights < 0) & (batch["components"] > 0)))
    requests = []
    for row in extreme_row(batch.groups, batch.rewards, batch.valid).tolist():
        if row >= 0 and batch.rewards[row] < perfect:
            requests.append(Request(row, "revise", {"unmet": np.flatnonzero(failed[row]).tolist()}))
    return batch.signal(requests=requests)


@register(
    "rgr_grpo",
    room="guidance",
    needs="group",
    inputs=("rewards", "groups", "helped"),
    certainty="abstract",
    source=f"{_RGR}; acceptance and replacement are ours",
    formula="a revision better than every rollout takes the place of the worst; then GRPO",
    papers=("rgr-grpo",),
)
def rgr_grpo(batch: SignalBatch, *, ddof: int = 1, eps: float = 1e-6) -> Signal:
    """RGR-GRPO: a revision that beats all rollouts of its prompt takes the place of the worst of them.

    Revisions are rows marked ``helped`` in the group of their prompt. The accepted one is off-policy: requests of kind
    ``replace`` name it and the row replaced, for a trainer that treats its ratio apart. The group keeps its size.
    """
    own = batch.valid & ~batch["helped"]
    best, worst = (extreme_row(batch.groups, batch.rewards, own, lowest=low) for low in (False, True))
    revision = extreme_row(batch.groups, batch.rewards, batch.valid & batch["helped"])
    accepted = _better(batch.rewards, revision, best)
    taken: BoolArray = own.copy()
    taken[worst[accepted]], taken[revision[accepted]] = False, True
    advantages = group_normalise(batch.rewards, batch.groups, taken, ddof=ddof, eps=eps)
    pairs = zip(revision[accepted].tolist(), worst[accepted].tolist(), strict=True)
    return batch.signal(
        keep=taken | ~batch.valid,
        advantages=advantages,
        requests=[Request(row, "replace", {"replaces": replaced}) for row, replaced in pairs],
        report={"rgr_grpo/accepted": float(accepted.mean()) if accepted.size else 0.0},
    )


def _better(rewards: FloatArray, rows: IntArray, than: IntArray) -> BoolArray:
    """``[Q]`` where both rows exist and the first has the higher reward."""
    there = (rows >= 0) & (than >= 0)
    better: BoolArray = there.copy()
    better[there] = rewards[rows[there]] > rewards[than[there]]
    return better
