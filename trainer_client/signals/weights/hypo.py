"""The Importance of Online Data: Understanding Preference Fine-tuning via Coverage (HyPO).

HyPO (arXiv 2406.01462), abstract and a table that names k for RLOO.
"""

from __future__ import annotations

import numpy as np

from trainer_client.signals.authoring import FloatArray, Paper, Signal, SignalBatch, register
from trainer_client.signals.parts.group_normalise import group_normalise
from trainer_client.signals.parts.tokens import log_ratios

PAPER = Paper("hypo", __doc__, provenance="abstract")


@register(
    "hypo",
    paper=PAPER,
    needs="group",
    inputs=("groups", "logprobs", "ref_logprobs", "lengths|mask"),
    formula="A_i = -(kl_i - mean of the other kl), kl = sum_t log(pi / pi_ref); loss = DPO(offline) + lam * online",
)
def hypo(batch: SignalBatch, *, lam: float = 1.0) -> Signal:
    """HyPO's online half: fresh samples pull the policy back to its reference, beside DPO on offline pairs.

    A single sample of a prompt has no baseline and counts with its own divergence. The report holds the largest
    log-ratio of the fresh samples; `coverage_report` compares it with the offline data.
    """
    ratios = log_ratios(batch)
    centred = group_normalise(ratios, batch.groups, batch.valid, centre="leave_one_out", scale="none", singleton="raw")
    report = coverage_report(ratios[batch.valid], np.zeros(0))
    return batch.signal(advantages=-lam * centred, report={"hypo/largest_log_ratio": report["largest_log_ratio"]})


def coverage_report(online: FloatArray, offline: FloatArray) -> dict[str, float | None]:
    """How far fresh samples leave what the preference data covers.

    Args:
        online: ``[N]`` log-ratio of policy to reference of fresh samples, summed over tokens.
        offline: ``[M]`` of the answers in the preference data.

    Returns:
        ``outside``, the share of fresh samples above the largest offline log-ratio (None without either), and
        ``largest_log_ratio`` of the fresh ones. The ratio itself overflows; its logarithm is what is compared.

    Source: HyPO (arXiv 2406.01462); the report is ours.
    """
    outside = float((online > offline.max()).mean()) if online.size and offline.size else None
    return {"outside": outside, "largest_log_ratio": float(online.max()) if online.size else None}
