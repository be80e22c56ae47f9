"""Labels of the parts that many methods share."""

from __future__ import annotations

from typing import Any

import numpy as np

from trainer_client.signals.authoring import Case, SignalBatch, golden
from trainer_client.signals.parts import decoupled_normalise, kl_estimate, standardise, token_weights


@golden("loss_aggregation")
def _(case: Case) -> Any:
    losses = case.array("loss_matrix")
    mask = np.arange(losses.shape[1]) < np.asarray(case.inputs["lengths"])[:, None]
    return float((token_weights(mask, case.params["loss_agg_mode"]) * losses).sum())


@golden("kl_estimator")
def _(case: Case) -> Any:
    return kl_estimate(case.array("logprob"), case.array("ref_logprob"), case.params["kl_penalty"])


@golden("decoupled_weighted_advantages")
def _(case: Case) -> Any:
    params = case.params
    names = list(case.inputs["rewards"])
    table = np.array([case.inputs["rewards"][name] for name in names], dtype=np.float64).T
    batch = SignalBatch(None, case.blocks("group_size", len(table)), components=table)
    everything = np.ones(table.shape, np.bool_)
    result = decoupled_normalise(
        table,
        batch.groups,
        everything,
        weights=[params["weights"][name] for name in names],
        scale="group" if params["use_group"] else "batch",
        ddof=params["std_ddof"],
        eps=params["eps"],
    )
    if params["batch_norm_after_sum"]:
        result = standardise(result, everything[:, 0], ddof=params["std_ddof"], eps=params["eps"])
    return result
