"""Learning More with Less: A Dynamic Dual-Level Down-Sampling Framework for Efficient Policy Optimization (D3S).

D3S (arXiv 2509.22115) sections 3.1 to 3.3, as quoted in two digests; shares and their schedule are ours.
"""

from __future__ import annotations

from typing import Literal

import numpy as np

from trainer_client.signals.authoring import (
    BoolArray,
    FloatArray,
    Groups,
    Input,
    Laws,
    OptionError,
    Paper,
    Signal,
    SignalBatch,
    register,
)
from trainer_client.signals.parts.group_normalise import group_normalise
from trainer_client.signals.parts.variance import max_variance_subset

PAPER = Paper("d3s", __doc__, provenance="secondary")

_ENTROPIES = Input("entropies", "NT", "float", "entropy of the policy's next-token distribution")


@register(
    "d3s",
    paper=PAPER,
    needs=lambda options: (
        "group" if options["scope"] == "prompt" and options["top_first"] == options["top_last"] == 1.0 else "batch"
    ),
    inputs=("rewards", "groups"),
    optional=(_ENTROPIES, "lengths|mask"),
    formula="rows: the subset with the largest Var(A); tokens: the largest |A| * entropy; both from first to last",
    laws=Laws(shift=True, constant=True, permutation=False, options={"total_steps": 20}),
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
        raise OptionError(f"d3s: a share of {share} of the rows; choose more than 0 and at most 1")
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


def top_tokens(keys: FloatArray, mask: BoolArray, share: float) -> BoolArray:
    """``[N, T]`` the ``share`` of all tokens in the mask with the largest keys, at least one; ties in batch order.

    Args:
        keys: ``[N, T]``.
        mask: ``[N, T]`` tokens to choose from.
        share: above 0, at most 1.

    Raises:
        OptionError: ``share`` is outside its range.

    Source: D3S (arXiv 2509.22115) section 3.2; rounding up is ours.
    """
    if not 0.0 < share <= 1.0:
        raise OptionError(f"share: {share} of the tokens; choose more than 0 and at most 1")
    chosen = np.zeros(mask.shape, np.bool_)
    places = np.flatnonzero(mask)
    number = int(np.ceil(share * places.size - 1e-9))
    chosen.flat[places[np.argsort(-keys.ravel()[places], kind="stable")[:number]]] = True
    return chosen


def between(start: float, end: float, step: int | None, steps: int) -> float:
    """The value at ``step`` of a straight line from ``start`` to ``end`` over ``steps``; ``end`` from then on.

    Raises:
        OptionError: ``steps`` is below 1.
    """
    if steps < 1:
        raise OptionError(f"steps: {steps} must be at least 1")
    progress = min(max((step or 0) / steps, 0.0), 1.0)
    return (1.0 - progress) * start + progress * end
