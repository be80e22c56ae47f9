"""Labels of the base family that start from several rewards."""

from __future__ import annotations

from typing import Any

import numpy as np

from trainer_client.signals import SignalBatch, preset
from trainer_client.signals.combination import decoupled_normalise
from trainer_client.signals.normalise import standardise

from ._harness import Case, label


def components_of(case: Case, **more: Any) -> SignalBatch:
    """The batch of a vector with rewards per function; NaN is a missing one."""
    table = case.array("rewards_per_func")
    present = np.isfinite(table)
    groups = case.blocks("num_generations", len(table)) if "num_generations" in case.inputs else None
    return SignalBatch(None, groups, components=np.where(present, table, 0.0), components_valid=present, **more)


def summed(case: Case) -> SignalBatch:
    """The same batch with the weighted sum of what is present as its rewards, as TRL forms it."""
    batch = components_of(case)
    signal = preset("weighted_sum", weights=tuple(case.params["weights"]), missing="omit")(batch)
    return batch.after(signal)


@label("weighted_sum_nan")
def _(case: Case) -> Any:
    return preset("release/weighted_sum_trl", weights=tuple(case.params["weights"]))(components_of(case)).rewards


@label("trl_group_advantage")
def _(case: Case) -> Any:
    eps = case.params["epsilon"]
    if case.params["multi_objective_aggregation"] == "normalize_then_sum":
        return preset("gdpo", weights=tuple(case.params["weights"]), eps=eps)(components_of(case)).advantages
    return preset("grpo_trl", scale=case.params["scale_rewards"], eps=eps)(summed(case)).advantages


@label("trl_rloo")
def _(case: Case) -> Any:
    return preset("rloo", normalise=case.params["normalize_advantages"])(summed(case)).advantages


@label("gdpo_batch_normalised")
def _(case: Case) -> Any:
    options = {"weights": tuple(case.params["weights"]), "eps": case.params["epsilon"]}
    return preset("release/gdpo_trl", **options)(components_of(case)).advantages


@label("gdpo_token_whitened")
def _(case: Case) -> Any:
    batch = SignalBatch(None, case.inputs["group"], components=case.array("rewards").T, lengths=case.inputs["lengths"])
    return preset("gdpo_verl", eps=case.params["epsilon"])(batch).advantages


@label("decoupled_weighted_advantages")
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
