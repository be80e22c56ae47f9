"""DAPO's dynamic sampling: groups whose rewards are all equal are dropped.

DAPO (arXiv 2503.14476) section 3.2; verl-project/verl-recipe dapo/dapo_ray_trainer.py @48ea0a79.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from trainer_client.signals.authoring import (
    BoolArray,
    Case,
    FloatArray,
    Groups,
    OptionError,
    Signal,
    SignalBatch,
    golden,
    method,
    register,
)
from trainer_client.signals.parts.filters import varied_groups
from trainer_client.signals.parts.report import share


@register(
    "dynamic_sampling",
    paper="dapo",
    needs="group",
    inputs=("rewards", "groups"),
    provenance="code",
    formula="keep a group whose rewards differ",
)
def dynamic_sampling(batch: SignalBatch, *, keep_singletons: bool = True) -> Signal:
    """DAPO's dynamic sampling: groups whose rewards are all equal are dropped.

    In a pipeline it looks at what the later stages read: before ``gdpo``, which takes the rewards apart, a group is
    kept if any of its rewards differs. Before shaping (``overlong``) it looks at the plain reward, behind it at the
    shaped one.
    """
    keep = _teaching_groups(batch, keep_singletons=keep_singletons)
    return batch.signal(keep=keep, report={"dynamic_sampling/kept": share(keep, batch)})


@register(
    "release/dynamic_sampling",
    like="dynamic_sampling",
    source="verl-project/verl-recipe dapo/dapo_ray_trainer.py @48ea0a79",
    formula="keep a group whose computed deviation is above 0, and a group of one",
)
def release_dynamic_sampling(batch: SignalBatch) -> Signal:
    """Dynamic sampling of DAPO's release, which keeps equal rewards whose mean is rounded, such as six times 0.1."""
    valid, groups = batch.taken()
    rewards = batch.rewards[valid]
    varied = np.array([rows.size == 1 or rewards[rows].std() > 0 for rows in groups.members()], np.bool_)
    keep = np.zeros(batch.rows, np.bool_)
    keep[valid] = groups.spread(varied)
    return batch.signal(keep=keep, report={"dynamic_sampling/kept": share(keep, batch)})


@register(
    "dynamic_sampling_range",
    like="dynamic_sampling",
    source="DAPO (arXiv 2503.14476) section 3.2; OpenRLHF/OpenRLHF openrlhf/trainer/ppo_utils @3c3be623",
    formula="keep a group with low < mean reward < high",
)
def dynamic_sampling_range(batch: SignalBatch, *, low: float = 0.0, high: float = 1.0) -> Signal:
    """DAPO's dynamic sampling as in OpenRLHF: groups are kept by their mean reward."""
    if not low < high:
        raise OptionError(f"dynamic_sampling_range: low = {low} must be below high = {high}")
    keep = groups_in_range(batch.rewards, batch.groups, batch.valid, low=low, high=high)
    return batch.signal(keep=keep, report={"dynamic_sampling/kept": share(keep, batch)})


def groups_in_range(
    metric: FloatArray, groups: Groups, valid: BoolArray, *, low: float = 0.0, high: float = 1.0
) -> BoolArray:
    """``[N]`` rows of groups whose mean metric over valid rows lies strictly between ``low`` and ``high``."""
    number = groups.sum(valid)
    mean = groups.sum(np.where(valid, metric, 0.0)) / np.maximum(number, 1)
    result: BoolArray = groups.spread((number > 0) & (mean > low) & (mean < high))
    return result


@golden("dapo_dynamic_sampling_filter")
def _(case: Case) -> Any:
    batch = SignalBatch(case.array("metric"), case.inputs["group"])
    # Ours tells equal rewards by comparing them, the source by a deviation that may be rounded.
    flat = bool((batch.groups.deviation(batch.rewards) == 0).any())
    return np.flatnonzero(method("release/dynamic_sampling" if flat else "dynamic_sampling")(batch).keep)


def _teaching_groups(batch: SignalBatch, *, keep_singletons: bool = True) -> BoolArray:
    """``[N]`` rows of groups in which what the later stages read differs.

    That is the reward, on its own or before a stage that reads it. Before stages that take the rewards apart it is
    each of the components: two that cancel in their sum still teach.
    """
    metrics: list[tuple[FloatArray, BoolArray]] = []
    if "components" in batch.ahead and "components" in batch:
        present = batch.components_given
        metrics += [(batch["components"][:, k], present[:, k]) for k in range(present.shape[1])]
    if not metrics or "rewards" in batch.ahead:
        metrics.append((batch.rewards, batch.valid))
    varied = np.zeros(batch.rows, np.bool_)
    for metric, present in metrics:
        varied |= varied_groups(metric, batch.groups, present, keep_singletons=False)
    if keep_singletons:
        varied |= batch.groups.spread(batch.groups.sum(batch.valid)) == 1
    return varied
