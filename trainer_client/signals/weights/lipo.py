"""LiPO: Listwise Preference Optimization through Learning-to-Rank.

LiPO (arXiv 2402.01878) section 3.3; google/rax rax/_src/lambdaweights.py @af92de1f, without its factor K.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from trainer_client.signals.authoring import Case, Laws, OptionError, Pair, Paper, Signal, SignalBatch, golden, register
from trainer_client.signals.parts.lists import LambdaScheme, lambda_weights
from trainer_client.signals.parts.tokens import log_ratios

PAPER = Paper("lipo", __doc__, provenance="code")


@register(
    "lipo",
    paper=PAPER,
    needs="group",
    inputs=("rewards", "groups", "logprobs", "ref_logprobs", "lengths|mask"),
    formula="psi_i > psi_j: W = |2^psi_i - 2^psi_j| * |1/log2(1+rank_i) - 1/log2(1+rank_j)|, ranks by beta * log-ratio",
    laws=Laws(rewards="binary"),
)
def lipo(batch: SignalBatch, *, beta: float = 0.05, scheme: LambdaScheme = "dcg") -> Signal:
    """LiPO-lambda: every pair of a list, weighted by what its exchange does to the ranking.

    Rewards are the labels psi, such as `win_shares` with ``include_self``. The weights depend on the present policy:
    compute them at each step. The loss of a pair is ``weight * log(1 + exp(-beta * (log-ratio_i - log-ratio_j)))``.
    """
    if not beta > 0:
        raise OptionError(f"lipo: beta = {beta} must be positive")
    valid, groups = batch.taken()
    rows, scores = np.flatnonzero(valid), beta * log_ratios(batch)
    pairs = []
    for members in (rows[part] for part in groups.members()):
        labels = batch.rewards[members]
        weights = lambda_weights(scores[members], labels, scheme=scheme)
        pairs += [
            Pair(int(members[i]), int(members[j]), float(labels[i] - labels[j]), float(weights[i, j]))
            for i, j in np.argwhere(labels[:, None] > labels[None, :]).tolist()
        ]
    return batch.signal(pairs=pairs)


@golden("LiPO-lambda weights", rtol=1e-4, atol=1e-5)
def _(case: Case) -> Any:
    scores = case.array("scores")
    return (lambda_weights(scores, case.array("labels")) * scores.size).ravel()


@golden("LambdaLoss v2 weights", rtol=1e-4, atol=1e-5)
def _(case: Case) -> Any:
    scores = case.array("scores")
    return (lambda_weights(scores, case.array("labels"), scheme="dcg2") * scores.size).ravel()
