"""The inputs that a batch may carry, declared once so that all methods share names and shapes.

A method that needs a new input adds a row to `INPUTS`; it never reads an array whose name is not here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal["float", "int", "bool", "ids", "rows"]


@dataclass(frozen=True, slots=True)
class Input:
    """What is known of an input.

    Attributes:
        name: keyword of `SignalBatch` and key of ``batch[...]``.
        axes: letters of its axes; equal letters mean equal lengths within a batch. ``N`` rollouts, ``T``
            token positions, ``K`` reward components. The empty string is one number for the whole batch.
        kind: ``float``, ``int``, ``bool``; ``ids`` (labels to group by); ``rows`` (a list with one object a
            row, where rows differ in length).
        meaning: one line for the docs.
    """

    name: str
    axes: str
    kind: Kind
    meaning: str


_DECLARED = (
    Input("rewards", "N", "float", "reward of each rollout"),
    Input("groups", "N", "ids", "prompt that a rollout answers"),
    Input("components", "NK", "float", "rewards before they are summed, one column per reward"),
    Input("components_valid", "NK", "bool", "which components hold a verdict"),
    Input("lengths", "N", "int", "generated tokens"),
    Input("truncated", "N", "bool", "generation hit its limit before it ended"),
    Input("mask", "NT", "bool", "tokens that the policy generated; tool output and padding are False"),
    Input("token_rewards", "NT", "float", "reward at each token (KL penalty included, if any)"),
    Input("values", "NT", "float", "critic's value at each token"),
    Input("baselines", "N", "float", "reward of the greedy answer to the same prompt"),
    Input("old_logprobs", "NT", "float", "log-probability of each token under the sampling policy"),
    Input("ref_logprobs", "NT", "float", "log-probability of each token under the reference policy"),
    Input("sum_pi_squared", "NT", "float", "sum of squared next-token probabilities at each position"),
    Input("trajectories", "N", "ids", "trajectory that a row (a step) belongs to"),
    Input("anchors", "N", "ids", "state in which a row's step was taken"),
    Input("step_returns", "N", "float", "discounted return from a row's step on"),
)

INPUTS: dict[str, Input] = {declared.name: declared for declared in _DECLARED}
