"""The inputs that a batch may carry: what several methods read is declared here, the rest in the file that reads it.

Names and shapes are shared by all methods; none reads an array whose name is not declared.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from trainer_client.signals._errors import OptionError

Kind = Literal["float", "int", "bool", "ids", "rows"]


@dataclass(frozen=True, slots=True)
class Input:
    """What is known of an input.

    Attributes:
        name: keyword of `SignalBatch` and key of ``batch[...]``.
        axes: letters of its axes; equal letters mean equal lengths within a batch. ``N`` rollouts, ``T``
            token positions, ``K`` reward components, ``P`` prefixes, ``I`` items of a list, ``S`` signs of a reward
            (at least 0, below 0), ``E`` features, ``D`` and ``H`` dimensions of embeddings, ``M`` reward models, ``J``
            judges, ``C`` states, ``O`` orders of presentation. The empty string is one number for
            the whole batch.
        kind: ``float``, ``int``, ``bool``; ``ids`` (labels to group by); ``rows`` (a list with one object a
            row, where rows differ in length).
        meaning: one line for the docs.
        beside: name of the input that says which entries count; they may be NaN elsewhere.
        within: lowest and highest value that an entry may have.
        examples: what a row may hold, for ``rows``.
    """

    name: str
    axes: str
    kind: Kind
    meaning: str
    beside: str = ""
    within: tuple[float, float] | None = None
    examples: tuple[Any, ...] = ()


_SHARED = (
    Input("rewards", "N", "float", "reward of each rollout"),
    Input("groups", "N", "ids", "prompt that a rollout answers"),
    Input(
        "components", "NK", "float", "rewards before they are summed, one column per reward", beside="components_valid"
    ),
    Input("components_valid", "NK", "bool", "which components hold a verdict"),
    Input("lengths", "N", "int", "generated tokens"),
    Input("truncated", "N", "bool", "generation hit its limit before it ended"),
    Input("mask", "NT", "bool", "tokens that the policy generated; tool output and padding are False"),
    Input("token_rewards", "NT", "float", "reward at each token (KL penalty included, if any)"),
    Input("values", "NT", "float", "critic's value at each token"),
    Input("old_logprobs", "NT", "float", "log-probability of each token under the sampling policy"),
    Input("logprobs", "NT", "float", "log-probability of each token under the present policy"),
    Input("ref_logprobs", "NT", "float", "log-probability of each token under the reference policy"),
    Input("trajectories", "N", "ids", "trajectory that a row (a step) belongs to"),
    Input("format_scores", "N", "float", "share of the format asked for that a rollout keeps, 0 to 1"),
    Input("references", "N", "bool", "row is a reference answer, not a rollout"),
    Input("token_ids", "NT", "int", "token at each position"),
    Input("criterion_weights", "NK", "float", "weight of each criterion in a row's rubric; 0 where it has none"),
    Input("success_rates", "N", "float", "chance that a rollout for the row's prompt succeeds", within=(0.0, 1.0)),
    Input("embeddings", "ND", "float", "embedding of a row's prompt"),
    Input("texts", "N", "rows", "text of each rollout", examples=("angle median circle", "delta circle angle")),
    Input("helped", "N", "bool", "row was written with help in the context (a hint, a skill, the answer) or is given"),
    Input("refused", "N", "bool", "hint of the row is unreadable, leaks the answer or is too long"),
    Input("answered", "N", "bool", "row holds an answer of the form asked for"),
    Input("variants", "N", "ids", "wording of the question that a row answers"),
    Input("token_lists", "N", "rows", "tokens of each rollout", examples=([], [0, 1, 0, 1], [2, 2, 1], [1])),
    Input("accuracy", "N", "float", "reward of being right alone"),
    Input(
        "comparisons",
        "N",
        "rows",
        "what a row won of each comparison: 1, 0, or 0.5 for a tie",
        examples=([], [1.0, 0.5], [0.0], [0.5, 1.0, 1.0]),
    ),
    Input("preferred", "N", "bool", "row is the preferred one of its pair"),
    Input("attempted", "N", "bool", "row gives an answer instead of a refusal"),
    Input("correct", "N", "bool", "row's answer is right"),
)


class _Vocabulary(Mapping[str, Input]):
    """Declared inputs by name. A name that is not known yet makes the files of all methods be read first."""

    def __init__(self, shared: tuple[Input, ...]) -> None:
        self._declared = {declared.name: declared for declared in shared}
        self.complete: Callable[[], object] = lambda: None

    def __getitem__(self, name: str) -> Input:
        if name not in self._declared:
            self.complete()
        return self._declared[name]

    def __iter__(self) -> Iterator[str]:
        self.complete()
        return iter(sorted(self._declared))

    def __len__(self) -> int:
        self.complete()
        return len(self._declared)

    def add(self, declared: Input) -> None:
        earlier = self._declared.setdefault(declared.name, declared)
        if earlier != declared:
            raise OptionError(f"input {declared.name!r} is declared twice and differently; share one declaration")


INPUTS = _Vocabulary(_SHARED)
"""Every input by name, those that a method's file declares included."""


def declare(declared: Input) -> Input:
    """Make an input known.

    Raises:
        OptionError: another input has that name.
    """
    INPUTS.add(declared)
    return declared
