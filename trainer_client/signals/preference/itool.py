"""iTool: Boosting Tool Use of LLMs via Iterative Reinforced Fine-Tuning.

iTool, zeng-yirong/iTool mcts/mcts_vllm.py get_reward(fast_reward=True) @871eceb4.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np

from trainer_client.signals.authoring import (
    BoolArray,
    Case,
    FloatArray,
    Groups,
    Input,
    InputError,
    Pair,
    Paper,
    Signal,
    SignalBatch,
    golden,
    register,
)
from trainer_client.signals.parts.pairs import best_worst_pairs

PAPER = Paper("itool", __doc__, provenance="code")

_REFERENCE_TEXTS = Input(
    "reference_texts",
    "N",
    "rows",
    "text that a row ought to have written; None where there is none",
    examples=(None, "add(a=1)]"),
)


@register(
    "itool_steps",
    paper=PAPER,
    needs="row",
    inputs=("texts", _REFERENCE_TEXTS),
    formula="r = +-0.1 for calling a tool where the reference does + shared words / shorter text - 0.5",
)
def itool_steps(batch: SignalBatch) -> Signal:
    """ITool's quick reward of a step of tool use against the reference call."""
    texts, references = batch.objects("texts"), batch.objects("reference_texts")
    scored = zip(texts, references, batch.valid.tolist(), strict=True)
    return batch.signal(rewards=np.array([tool_step_reward(t, r) if live else 0.0 for t, r, live in scored]))


@register(
    "itool_pairs",
    paper=PAPER,
    needs="group",
    inputs=("rewards", "groups", "texts"),
    source="iTool, zeng-yirong/iTool mcts/utils.py @871eceb4",
    formula="best > worst child of a node, if gap >= 0.1, overlap <= 0.95 and best >= -0.3",
)
def itool_pairs(batch: SignalBatch, *, margin: float = 0.1, alike: float = 0.95, min_value: float = -0.3) -> Signal:
    """ITool's pairs from a search tree: ``groups`` are the nodes that steps follow, ``rewards`` their values.

    Published: depth 2, 2 actions, 5 iterations, 3 rounds of DPO with beta 0.01.
    """
    pairs = sibling_pairs(
        batch.rewards,
        batch.objects("texts"),
        batch.groups,
        batch.valid,
        margin=margin,
        alike=alike,
        min_value=min_value,
    )
    return batch.signal(pairs=pairs)


def token_overlap(first: str, second: str, *, of: Literal["shorter", "longer"] = "shorter") -> float:
    """Shared words over the words of the shorter text, or of the longer, each counted once; 0 where one has none."""
    left, right = set(first.split()), set(second.split())
    size = (min if of == "shorter" else max)(len(left), len(right))
    return len(left & right) / size if left and right else 0.0


def tool_step_reward(action: str, reference: str | None, *, of: Literal["shorter", "longer"] = "shorter") -> float:
    """Reward of a step: 0.1 for calling a tool just where the reference does, else -0.1; plus the overlap less 0.5.

    The overlap is `token_overlap`, in the release of the shorter text. A blank step gets 0. Without a reference the
    step is only asked whether it closes a bracket. The release knows a call by ``)]``, and without a reference by
    ``)``.

    Source: iTool, zeng-yirong/iTool mcts/mcts_vllm.py @871eceb4.
    """
    if not action.strip():
        return 0.0
    if reference is None:
        return 0.1 if ")" in action else -0.1
    alike = 0.1 if (")]" in action) == (")]" in reference) else -0.1
    return alike + token_overlap(reference, action, of=of) - 0.5


def tree_choice(
    values: FloatArray, visits: FloatArray, priors: FloatArray, parent_visits: float, *, exploration: float = 1.0
) -> int:
    """Child to visit next: the largest ``value / (n + 1) + c * prior * sqrt(log N / (n + 1))``; ties to the first.

    Args:
        values: ``[C]`` sums of what was found below each child.
        visits: ``[C]``.
        priors: ``[C]`` ``exp(mean log-probability)`` of each step.
        parent_visits: at least 1.
        exploration: weight of the second part.

    Raises:
        InputError: there is no child, or the parent has not been visited.

    Source: iTool, zeng-yirong/iTool mcts/mcts_vllm.py @871eceb4.
    """
    if not values.size or parent_visits < 1:
        raise InputError(f"children: {values.size} under a parent visited {parent_visits} times; at least 1 of each")
    bound = exploration * priors * np.sqrt(np.log(parent_visits) / (visits + 1.0))
    return int(np.argmax(values / (visits + 1.0) + bound))


def sibling_pairs(
    values: FloatArray,
    texts: Sequence[str],
    parents: Groups,
    valid: BoolArray,
    *,
    margin: float = 0.1,
    alike: float = 0.95,
    min_value: float = -0.3,
) -> list[Pair]:
    """The best and the worst child of each node, if they differ enough in value and in words.

    Args:
        values: ``[N]`` of the steps.
        texts: of the steps.
        parents: partition by the node that a step follows.
        valid: ``[N]`` rows that take part.
        margin: least difference in value.
        alike: largest `token_overlap`.
        min_value: least value of the chosen one.

    Source: iTool, zeng-yirong/iTool mcts/utils.py @871eceb4.
    """
    return [
        pair
        for pair in best_worst_pairs(values, parents, valid)
        if pair.margin >= margin
        and values[pair.chosen] >= min_value
        and token_overlap(texts[pair.chosen], texts[pair.rejected]) <= alike
    ]


@golden("iTool step reward")
def _(case: Case) -> Any:
    return [tool_step_reward(case.inputs["action"], case.inputs["reference"])]


@golden("iTool tree policy")
def _(case: Case) -> Any:
    children = case.inputs["children"]
    values, visits, priors = (np.array([child[key] for child in children]) for key in ("value", "visits", "prob"))
    visited = case.inputs["parent_visits"]
    return [tree_choice(values, visits, priors, visited, exploration=case.params["exploration_weight"])]
