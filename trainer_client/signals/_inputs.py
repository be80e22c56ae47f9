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
            token positions, ``K`` reward components, ``P`` prefixes, ``E`` features, ``D`` dimensions of an
            embedding. The empty string is one number for the whole batch.
        kind: ``float``, ``int``, ``bool``; ``ids`` (labels to group by); ``rows`` (a list with one object a
            row, where rows differ in length).
        meaning: one line for the docs.
        beside: name of the input that says which entries count; they may be NaN elsewhere.
    """

    name: str
    axes: str
    kind: Kind
    meaning: str
    beside: str = ""


_DECLARED = (
    Input("rewards", "N", "float", "reward of each rollout"),
    Input("groups", "N", "ids", "prompt that a rollout answers"),
    Input("components", "NK", "float", "rewards before they are summed, one column per reward", "components_valid"),
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
    Input("trace_lengths", "N", "int", "tokens of the reasoning trace alone"),
    Input("format_scores", "N", "float", "share of the format asked for that a rollout keeps, 0 to 1"),
    Input("references", "N", "bool", "row is a reference answer, not a rollout"),
    Input("strata", "N", "ids", "structure of a rollout, such as its number of searches"),
    Input("subagent", "N", "bool", "row was written by a sub-agent within its trajectory"),
    Input("token_ids", "NT", "int", "token at each position"),
    Input("guided", "NT", "bool", "tokens that a teacher wrote"),
    Input("revised", "N", "bool", "row was generated with help from another row of its prompt"),
    Input("drafts", "N", "bool", "row is a draft to be refined"),
    Input("hint_levels", "N", "int", "hint that a row was generated with; 0 for none"),
    Input("hints", "N", "rows", "hints for a row's prompt: a list of tiers, each a list of texts"),
    Input("criterion_weights", "NK", "float", "weight of each criterion in a row's rubric; 0 where it has none"),
    Input("decisions", "N", "int", "decision of a rollout: 1 accept, 0 reject, -1 none that can be read"),
    Input("labels", "N", "int", "decision that would have been right: 1 accept, 0 reject"),
    Input("success_rates", "N", "float", "chance that a rollout for the row's prompt succeeds"),
    Input(
        "prefix_scores",
        "NP",
        "float",
        "score of a rollout's prefix after each step, the empty one first",
        "prefix_valid",
    ),
    Input("prefix_valid", "NP", "bool", "which prefixes exist and hold a score"),
    Input("steps", "NT", "int", "number of the step that a token belongs to, from 0; negative for none"),
    Input("features", "NE", "bool", "structural features that a rollout has (edges of a graph, tools used)"),
    Input("embeddings", "ND", "float", "embedding of a row's prompt"),
    Input("predictions", "N", "rows", "what a row predicts of its prompt's rollouts; None for an ordinary rollout"),
    Input("texts", "N", "rows", "text of each rollout"),
    Input("questions", "N", "rows", "text of each row's prompt"),
)

INPUTS: dict[str, Input] = {declared.name: declared for declared in _DECLARED}
