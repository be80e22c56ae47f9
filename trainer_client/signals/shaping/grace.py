"""GRACE: Generative Representation Learning via Contrastive Policy Optimization.

GRACE, GasolSun36/GRACE verl/workers/reward_manager/grace.py, train.sh @f636fdc7.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from trainer_client.signals.authoring import (
    BoolArray,
    Case,
    FloatArray,
    Groups,
    Input,
    InputError,
    Laws,
    OptionError,
    Paper,
    Signal,
    SignalBatch,
    golden,
    register,
)

PAPER = Paper("grace", __doc__, provenance="code")

_QUERY_EMBEDDINGS = Input("query_embeddings", "NH", "float", "embedding of a row's query")
_RATIONALE_EMBEDDINGS = Input(
    "rationale_embeddings", "NH", "float", "embedding of what the row wrote for the right document"
)
_NEGATIVE_EMBEDDINGS = Input("negative_embeddings", "NH", "float", "embedding of what was written for a wrong document")

_FLOOR = 1e-8


@register(
    "grace",
    paper=PAPER,
    needs="batch",
    inputs=("groups", _QUERY_EMBEDDINGS, _RATIONALE_EMBEDDINGS),
    optional=(_NEGATIVE_EMBEDDINGS, "truncated"),
    formula="cos(q, m) - cos(q, n) + w_c * mean cos(m, siblings) - w_x * mean over other groups of max cos(q, m)",
    laws=Laws(permutation=False),
)
def grace(
    batch: SignalBatch, *, temperature: float = 0.1, clustering: float = 0.2, crossing: float = 0.2, cut: float = -1.0
) -> Signal:
    """GRACE: a rationale is rewarded for lying close to its query and its siblings, and far from other prompts'.

    With ``negative_embeddings`` the supervised form, else the unsupervised one. A row marked ``truncated`` gets ``cut``
    in place of everything. The first valid row of a group stands for it where one value is wanted. Continue with
    ``dr_grpo``, as the release does. The embeddings come from an encoder, served elsewhere.
    """
    valid, groups = batch.taken()
    negative = batch["negative_embeddings"][valid] if "negative_embeddings" in batch else None
    result = contrastive_embedding_reward(
        batch["query_embeddings"][valid],
        batch["rationale_embeddings"][valid],
        negative,
        groups,
        temperature=temperature,
        clustering=clustering,
        crossing=crossing,
    )
    rewards = batch.scatter(result.rewards)
    if "truncated" in batch:
        rewards = np.where(batch["truncated"], cut, rewards)
    parts = {name: getattr(result, name) for name in ("positive", "negative", "clustering", "crossing")}
    report = {f"grace/{name}": float(part.mean()) if part.size else 0.0 for name, part in parts.items()}
    return batch.signal(rewards=rewards, report=report)


class EmbeddingReward(NamedTuple):
    """A contrastive reward and its parts, each ``[N]``; the reward is the weighted sum.

    Attributes:
        rewards: what to train on.
        positive: similarity with the right document.
        negative: minus the similarity with a wrong one.
        clustering: similarity with the other rows of the group.
        crossing: minus the similarity with other groups.
    """

    rewards: FloatArray
    positive: FloatArray
    negative: FloatArray
    clustering: FloatArray
    crossing: FloatArray


def mean_pool(hidden: FloatArray, mask: BoolArray, *, skip: int = 0) -> FloatArray:
    """``[N, H]`` unit vectors: the mean of the hidden states within the mask.

    A row without any state gives the zero vector, which is similar to nothing.

    Args:
        hidden: ``[N, T, H]``.
        mask: ``[N, T]``.
        skip: leading states to leave out, such as those of a system prompt.

    Raises:
        InputError: the shapes do not fit.
    """
    if hidden.ndim != 3 or mask.shape != hidden.shape[:2]:
        raise InputError(
            f"hidden: shape {hidden.shape} does not fit a mask of {mask.shape}; expected [N, T, H], [N, T]"
        )
    inside = mask & (np.arange(mask.shape[1]) >= skip)
    total = np.where(inside[:, :, None], hidden, 0.0).sum(1)
    return _unit(total / np.maximum(inside.sum(1), 1)[:, None])


def contrastive_embedding_reward(
    query: FloatArray,
    rationale: FloatArray,
    negative: FloatArray | None,
    groups: Groups,
    *,
    temperature: float = 0.1,
    clustering: float = 0.2,
    crossing: float = 0.2,
) -> EmbeddingReward:
    """GRACE: a rationale is to lie close to its query, its siblings, and far from everything else.

    With negatives, ``pos - cos(query, negative) + w_c * clust - w_x * mean over other groups of max cos(query, m)``.
    Without, the last part is the mean over other groups of ``cos(m, the group's query)``. All cosines are divided by
    the temperature. A group's first row in batch order stands for it where one value is wanted. With a temperature of
    0.1 rewards are of the order of 10: normalise before mixing them with others.

    Args:
        query: ``[N, H]``.
        rationale: ``[N, H]`` embedding of what the row wrote for the right document.
        negative: ``[N, H]``, or None.
        groups: partition by prompt.
        temperature: divisor of all cosines.
        clustering: weight of the siblings; a row without any has 0.
        crossing: weight of other groups; 0 where there is one group only.

    Raises:
        OptionError: ``temperature`` is not positive.

    Source: GRACE, GasolSun36/GRACE verl/workers/reward_manager/grace.py @f636fdc7.
    """
    if not temperature > 0:
        raise OptionError(f"temperature: {temperature} must be positive")
    q, m = _unit(query), _unit(rationale)
    positive = (q * m).sum(1) / temperature
    nearness = np.zeros(len(q))
    if negative is not None:
        own = groups.first((q * _unit(negative)).sum(1))
        nearness = -groups.spread(own) / temperature
    siblings = groups.spread(groups.sum(m)) - m
    clust = (siblings * m).sum(1) / np.maximum(groups.spread(groups.sizes) - 1, 1) / temperature
    cross = np.zeros(len(q))
    if len(groups) > 1:
        if negative is not None:
            best = np.maximum.reduceat((q @ m.T)[:, groups.order], groups.starts, axis=1)
        else:
            best = m @ groups.first(q).T
        own = best[np.arange(len(q)), groups.index]
        cross = -(best.sum(1) - own) / (len(groups) - 1) / temperature
    total = positive + nearness + clustering * clust + crossing * cross
    return EmbeddingReward(total, positive, nearness, clust, cross)


def _unit(vectors: FloatArray) -> FloatArray:
    """Vectors of length 1; one shorter than 1e-8 keeps its direction and stays short."""
    unit: FloatArray = vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), _FLOOR)
    return unit


@golden("GRACE", rtol=1e-4, atol=1e-5)
def _(case: Case) -> Any:
    """A pooling, or total and parts of the reward."""
    if "hidden_states" in case.inputs:
        skip = int(case.params["exclude_system_prompt"] or 0)
        return mean_pool(case.array("hidden_states"), case.array("attention_mask") > 0, skip=skip)
    rows = {row: name for name, members in case.inputs["groups"].items() for row in members}
    groups = Groups.of([rows[row] for row in range(len(rows))])
    return contrastive_embedding_reward(
        case.array("query"),
        case.array("positive"),
        case.array("negative") if case.inputs.get("negative") is not None else None,
        groups,
        temperature=case.params["temperature"] if case.params["use_temperature"] else 1.0,
        clustering=case.params["clustering_weight"],
        crossing=case.params["cross_group_weight"],
    )
