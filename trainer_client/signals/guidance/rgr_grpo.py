"""RGR-GRPO's guidance: the best imperfect answer of each prompt is revised along the criteria it misses.

RGR-GRPO (arXiv 2511.12344), abstract and a reading note; ties are ours.
"""

from __future__ import annotations

import numpy as np

from trainer_client.signals.authoring import (
    BoolArray,
    FloatArray,
    IntArray,
    Laws,
    Request,
    Signal,
    SignalBatch,
    register,
)
from trainer_client.signals.parts.group_normalise import group_normalise
from trainer_client.signals.parts.prompts import extreme_row


@register(
    "rgr_grpo_revision",
    paper="rgr-grpo",
    needs="group",
    inputs=("rewards", "groups", "components"),
    optional=("criterion_weights",),
    provenance="abstract",
    formula="best row with r < 1: revise it along the criteria it does not meet",
)
def rgr_grpo_revision(batch: SignalBatch, *, met: float = 1.0, perfect: float = 1.0) -> Signal:
    """RGR-GRPO's guidance: the best imperfect answer of each prompt is revised along the criteria it misses.

    Requests are of kind ``revise``: the row of the answer, and ``unmet``, columns of its rubric whose verdict is below
    ``met``. ``rewards`` come from ``rubric_reward``; a criterion of weight 0 (``criterion_weights``) is none.
    """
    has_verdict = batch.components_given
    weights = batch["criterion_weights"] if "criterion_weights" in batch else np.ones(batch["components"].shape)
    failed = has_verdict & (((weights > 0) & (batch["components"] < met)) | ((weights < 0) & (batch["components"] > 0)))
    requests = []
    for row in extreme_row(batch.groups, batch.rewards, batch.valid).tolist():
        if row >= 0 and batch.rewards[row] < perfect:
            requests.append(Request(row, "revise", {"unmet": np.flatnonzero(failed[row]).tolist()}))
    return batch.signal(requests=requests)


@register(
    "rgr_grpo",
    paper="rgr-grpo",
    needs="group",
    inputs=("rewards", "groups", "helped"),
    provenance="abstract",
    source="RGR-GRPO (arXiv 2511.12344), abstract and a reading note; acceptance and replacement are ours",
    formula="a revision better than every rollout takes the place of the worst; then GRPO",
    laws=Laws(shift=True, scale="invariant", constant=True, zero_sum=True, permutation=False),
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
    counts_row: BoolArray = own.copy()
    counts_row[worst[accepted]], counts_row[revision[accepted]] = False, True
    advantages = group_normalise(batch.rewards, batch.groups, counts_row, ddof=ddof, eps=eps)
    pairs = zip(revision[accepted].tolist(), worst[accepted].tolist(), strict=True)
    return batch.signal(
        keep=counts_row | ~batch.valid,
        advantages=advantages,
        requests=[Request(row, "replace", {"replaces": replaced}) for row, replaced in pairs],
        report={"rgr_grpo/accepted": float(accepted.mean()) if accepted.size else 0.0},
    )


def _better(rewards: FloatArray, rows: IntArray, than: IntArray) -> BoolArray:
    """``[Q]`` where both rows exist and the first has the higher reward."""
    has_both = (rows >= 0) & (than >= 0)
    better: BoolArray = has_both.copy()
    better[has_both] = rewards[rows[has_both]] > rewards[than[has_both]]
    return better
