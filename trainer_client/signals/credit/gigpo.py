"""Group-in-Group Policy Optimization for LLM Agent Training (GiGPO).

GiGPO (arXiv 2505.10978) section 3; langfengQ/DrMAS verl/trainer/ppo/core_algos.py @19c632bc.
"""

from __future__ import annotations

from difflib import SequenceMatcher
from typing import Any, Literal

import numpy as np

from trainer_client.signals.authoring import (
    Case,
    Groups,
    Input,
    InputError,
    IntArray,
    Laws,
    Paper,
    Signal,
    SignalBatch,
    golden,
    method,
    register,
)
from trainer_client.signals.parts.group_normalise import Singleton, group_normalise

PAPER = Paper("gigpo", __doc__, provenance="code")

_ANCHORS = Input("anchors", "N", "ids", "state in which a row's step was taken")
_STEP_RETURNS = Input("step_returns", "N", "float", "discounted return from a row's step on")


def _one_reward_a_trajectory(inputs: dict[str, Any]) -> None:
    episodes = inputs["groups"] * 10 + inputs["trajectories"]
    inputs["rewards"] = np.array([inputs["rewards"][episodes == episode][0] for episode in episodes])


@register(
    "gigpo",
    paper=PAPER,
    needs="group",
    inputs=("rewards", "groups", "trajectories", _ANCHORS, _STEP_RETURNS),
    formula="A = (R - mean over trajectories of the prompt) + w * (G - mean over steps from the same state)",
    laws=Laws(shift=True, prepare=_one_reward_a_trajectory),
)
def gigpo(
    batch: SignalBatch,
    *,
    weight: float = 1.0,
    scale: Literal["group", "none"] = "none",
    eps: float = 1e-6,
    similarity: float = 1.0,
    singleton: Singleton = "zero",
) -> Signal:
    """GiGPO: an episode's advantage among its prompt's, plus a step's among steps taken in the same state.

    Rows are steps; ``rewards`` repeats the episode's reward on each. Below ``similarity`` 1, text states that
    are alike count as the same.
    """
    valid, groups = batch.taken()
    rewards = batch.rewards[valid]
    spread: Literal["std", "none"] = "std" if scale == "group" else "none"
    episodes = groups.cross(batch.ids("trajectories").take(valid))
    uneven = episodes.max(rewards) > episodes.min(rewards)
    if uneven.any():
        row = int(np.flatnonzero(valid)[episodes.first(np.arange(rewards.size))[np.argmax(uneven)]])
        raise InputError(
            f"rewards: steps of one trajectory (that of row {row}) hold different rewards; give each the episode's"
        )
    episode_groups = groups.index[episodes.order[episodes.starts]]
    episode = group_normalise(episodes.first(rewards), episode_groups, scale=spread, eps=eps, singleton=singleton)
    states = similar_states(batch.ids("anchors").take(valid), groups, similarity)
    step = group_normalise(batch["step_returns"][valid], states, scale=spread, eps=eps)
    return batch.signal(advantages=batch.scatter(episodes.spread(episode) + weight * step))


def similar_states(anchors: Groups, groups: Groups, threshold: float) -> Groups:
    """Merge text states of the same prompt whose similarity reaches ``threshold``.

    A state joins the first cluster (in order of appearance) whose first member is similar enough, so the result
    depends on the order of rows. Similarity is ``difflib``'s ratio; identical states are always together.

    Args:
        anchors: partition by state, labelled with the texts.
        groups: partition by prompt; states of different prompts stay apart.
        threshold: in (0, 1]; 1 keeps the exact partition.

    Source: langfengQ/DrMAS verl/trainer/ppo/core_algos.py @19c632bc.
    """
    exact = groups.cross(anchors)
    if threshold >= 1.0:
        return exact
    leaders: dict[int, list[tuple[str, int]]] = {}
    cluster: IntArray = np.zeros(len(exact), np.int64)
    for number, row in enumerate(exact.first(np.arange(exact.rows)).tolist()):
        text = str(anchors.labels[anchors.index[row]])
        group_leaders = leaders.setdefault(int(groups.index[row]), [])
        for leader, leading in group_leaders:
            if SequenceMatcher(None, text, leader).ratio() >= threshold:
                cluster[number] = leading
                break
        else:
            cluster[number] = number
            group_leaders.append((text, number))
    return Groups.of(cluster[exact.index])


@golden("gigpo")
def _(case: Case) -> Any:
    batch = SignalBatch(
        case.array("episode_rewards"),
        case.inputs["group"],
        trajectories=case.inputs["trajectory"],
        anchors=case.inputs["anchor_state"],
        step_returns=case.array("step_returns"),
    )
    estimator = method(
        "gigpo",
        weight=case.params["step_advantage_w"],
        eps=case.params["epsilon"],
        scale="group" if case.params["mode"] == "mean_std_norm" else "none",
        singleton="raw",
    )
    return estimator(batch).advantages
