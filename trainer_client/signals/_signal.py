"""`Signal`: what an estimator returns. Every field is aligned with the rows of the batch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from trainer_client.signals._arrays import BoolArray, FloatArray, IntArray
from trainer_client.signals._errors import InputError


@dataclass(frozen=True, slots=True)
class Pair:
    """One preference: row ``chosen`` over row ``rejected`` of the batch.

    Attributes:
        chosen: row number.
        rejected: row number.
        margin: how much better, in the units of the method.
        weight: factor of the pair in a loss.
        label: probability that the preference holds; below 1 for a softened label.
    """

    chosen: int
    rejected: int
    margin: float = 0.0
    weight: float = 1.0
    label: float = 1.0


@dataclass(frozen=True, slots=True)
class Request:
    """Something that the trainer has to generate before the signal is complete.

    Attributes:
        row: a row of the prompt in question.
        kind: what to do, in the method's words (``"hint"``, ``"revise"``, ``"resample"``).
        details: what the trainer needs to do it.
    """

    row: int
    kind: str
    details: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, eq=False)
class Signal:
    """A training signal. A method fills the fields it is about and leaves the others None.

    Made by ``batch.signal(...)``, which applies the validity mask.

    Attributes:
        valid: ``[N]`` rows that took part.
        keep: ``[N]`` rows to train on; False where a selection dropped the row.
        weights: ``[N]`` factor of a row in the loss; 0 where not valid or not kept.
        advantages: ``[N]``; 0 where not valid or not kept.
        rewards: ``[N]`` rewards after shaping or combination.
        token_advantages: ``[N, T]``; 0 outside the mask.
        token_weights: ``[N, T]`` factor of a token in the loss.
        feature_advantages: ``[N, E]`` credit of each feature that a row has; 0 where it has not.
        returns: ``[N, T]`` targets for a critic.
        budget: ``[N]`` rollouts to generate for a row's prompt.
        copies: ``[N]`` times that a row is in the step after resampling; repeat the row or use the weights, not
            both.
        pairs: preference pairs.
        requests: what the trainer has to generate.
        report: figures to log, by name.
    """

    valid: BoolArray
    keep: BoolArray
    weights: FloatArray
    advantages: FloatArray | None = None
    rewards: FloatArray | None = None
    token_advantages: FloatArray | None = None
    token_weights: FloatArray | None = None
    feature_advantages: FloatArray | None = None
    returns: FloatArray | None = None
    budget: IntArray | None = None
    copies: IntArray | None = None
    pairs: Sequence[Pair] | None = None
    requests: Sequence[Request] | None = None
    report: Mapping[str, Any] = field(default_factory=dict)

    def over_tokens(self, mask: BoolArray) -> FloatArray:
        """``[N, T]`` advantages: the token form if the method gives one, else one value on each token.

        Raises:
            InputError: the signal holds no advantages.
        """
        if self.token_advantages is not None:
            return np.where(mask, self.token_advantages, 0.0)
        if self.advantages is None:
            raise InputError("advantages: this signal holds none; end the pipeline with an advantage method")
        return np.where(mask, self.advantages[:, None], 0.0)

    def then(self, later: Signal) -> Signal:
        """Join with the signal of a later stage: its fields win, masks intersect, weights multiply."""
        names = (
            "advantages",
            "rewards",
            "token_advantages",
            "token_weights",
            "feature_advantages",
            "returns",
            "budget",
            "copies",
            "pairs",
            "requests",
        )
        chosen = {n: b if (b := getattr(later, n)) is not None else getattr(self, n) for n in names}
        return Signal(
            valid=self.valid,
            keep=self.keep & later.keep,
            weights=self.weights * later.weights,
            report={**self.report, **later.report},
            **chosen,
        )
