"""ExPO: Self-Explanation-Guided RL.

ExPO (arXiv 2507.02834); the acceptance rule is ours.
"""

from __future__ import annotations

import numpy as np

from trainer_client.signals.authoring import (
    BoolArray,
    FloatArray,
    Groups,
    Input,
    Laws,
    Pair,
    Paper,
    Request,
    Signal,
    SignalBatch,
    register,
)
from trainer_client.signals.parts.group_normalise import group_normalise
from trainer_client.signals.parts.prompts import first_rows, unsolved_groups

PAPER = Paper("expo", __doc__, provenance="secondary")

_LIKELIHOOD = Input("likelihood", "N", "float", "mean log-probability of a row's tokens given the question alone")
_LIFT = Input("lift", "N", "float", "log-probability of the answer after a row's reasoning less that after wrong ones")


@register(
    "expo",
    paper=PAPER,
    needs="group",
    inputs=("rewards", "groups", "helped"),
    optional=(_LIFT, _LIKELIHOOD, "refused"),
    formula="GRPO over own rollouts + beta_t * log pi(c, a | q) of an accepted explanation; pairs (c, a) > wrong",
    laws=Laws(permutation=False),
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
    needs_explanation = unsolved & ~batch.groups.any(best)
    return batch.signal(
        keep=own | best,
        advantages=np.where(best, 1.0, relative),
        weights=np.where(best, factor, 1.0),
        pairs=_explanation_pairs(batch.groups, best, own & ~right),
        requests=[Request(row, "explain") for row in first_rows(batch.groups, own, needs_explanation)],
        report={"expo/beta": factor},
    )


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
