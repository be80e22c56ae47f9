"""Outputs of a model as named heads, and one value of several."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from reward_servers.engines.models import ModelUnusableError


@dataclass(frozen=True, slots=True)
class Head:
    """One output of a model.

    Attributes:
        output: Its place among the model's outputs.
        mean: Subtracted from the output.
        std: Divides the output after that; positive.
        weight: Its share of the combined value.
    """

    output: int
    mean: float = 0.0
    std: float = 1.0
    weight: float = 1.0

    def standard(self, raw: float) -> float:
        """The output after the normaliser."""
        return (raw - self.mean) / self.std


def named_heads(
    declared: Mapping[str, Head],
    label: int | None,
    outputs: int,
    names: Mapping[int, str],
    mean: float = 0.0,
    std: float = 1.0,
) -> dict[str, Head]:
    """Find the heads that a model is read by.

    Args:
        declared: Heads by name, as the operator declares them; empty for a model with one head.
        label: The output to read when none are declared.
        outputs: How many outputs the model has.
        names: The model's own names of its outputs.
        mean: Subtracted from the output of the one head, when none are declared.
        std: Divides it after that.

    Returns:
        The heads by name.

    Raises:
        ModelUnusableError: An output does not exist, or it is not said which of several to read, or both ways of saying
            it are mixed.
    """
    if declared and label is not None:
        raise ModelUnusableError("`label` and `heads` exclude each other; name the output as a head")
    if declared and (mean, std) != (0.0, 1.0):
        raise ModelUnusableError("`mean` and `std` belong to a model without `heads`; give each head its own")
    if not declared:
        if label is None and outputs != 1:
            raise ModelUnusableError(
                f"the model has {outputs} outputs {dict(names)}; say which with `label` or `heads`"
            )
        declared = {"logit": Head(label or 0, mean, std)}
    for name, head in declared.items():
        if head.output >= outputs:
            raise ModelUnusableError(
                f"head {name!r} reads output {head.output}; the model has {outputs}, counted from 0"
            )
    return dict(declared)


def combine(heads: Mapping[str, Head], raw: tuple[float, ...], weights: Mapping[str, float] | None = None) -> float:
    """The weighted sum of the standardised heads.

    Args:
        heads: The heads by name.
        raw: The model's outputs.
        weights: Weights by head that replace the declared ones; a head that is left out has none.

    Returns:
        ``sum_h w_h (raw_h - mean_h) / std_h``.

    Raises:
        KeyError: A weight is given to a head that does not exist.
    """
    if weights is None:
        return sum(head.weight * head.standard(raw[head.output]) for head in heads.values())
    return sum(weight * heads[name].standard(raw[heads[name].output]) for name, weight in weights.items())
