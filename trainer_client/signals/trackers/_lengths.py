"""How long the right answers to each prompt have been."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any, Literal

import numpy as np

from trainer_client.signals._arrays import BoolArray, FloatArray, IntArray
from trainer_client.signals._errors import BadOption
from trainer_client.signals._groups import Groups

from ._tracker import Tracker, saved_ids

LengthStatistic = Literal["min", "mean"]


class LengthHistory(Tracker):
    """Shortest, or mean, length of the right answers to each prompt so far.

    Args:
        statistic: what is kept.
    """

    kind = "length_history"

    def __init__(self, *, statistic: LengthStatistic = "min") -> None:
        if statistic not in ("min", "mean"):
            raise BadOption(f"statistic: {statistic!r} is neither 'min' nor 'mean'")
        self.statistic: LengthStatistic = statistic
        self._known: dict[Hashable, tuple[float, int]] = {}

    def lengths(self, prompts: Sequence[Hashable]) -> FloatArray:
        """``[Q]`` the statistic of each prompt; NaN where no right answer is known."""
        return np.array([self._known.get(prompt, (np.nan, 0))[0] for prompt in prompts], dtype=np.float64)

    def counts(self, prompts: Sequence[Hashable]) -> IntArray:
        """``[Q]`` right answers that the statistic rests on."""
        return np.array([self._known.get(prompt, (np.nan, 0))[1] for prompt in prompts], dtype=np.int64)

    def update(self, groups: Groups, correct: BoolArray, lengths: FloatArray, *, repeat: bool = False) -> None:
        """Take in a step, once all of it has been scored against the old lengths.

        Args:
            groups: partition of the rows by prompt.
            correct: ``[N]``.
            lengths: ``[N]``.
            repeat: count each right answer once for every row of its prompt, as a release does.
        """
        number = groups.sum(correct).astype(np.int64)
        total = groups.sum(np.where(correct, lengths, 0.0))
        shortest = groups.min(np.where(correct, lengths, np.inf))
        times = groups.sizes if repeat else np.ones(len(groups), np.int64)
        labels = saved_ids(groups.labels.tolist())
        for q in np.flatnonzero(number).tolist():
            prompt, n = labels[q], int(number[q] * times[q])
            old, count = self._known.get(prompt, (np.nan, 0))
            if self.statistic == "min":
                new = float(shortest[q]) if count == 0 else min(old, float(shortest[q]))
            else:
                new = ((old * count if count else 0.0) + float(total[q] * times[q])) / (count + n)
            self._known[prompt] = (new, count + n)

    def _state(self) -> dict[str, Any]:
        return {"known": [[prompt, length, count] for prompt, (length, count) in self._known.items()]}

    def _restore(self, state: Mapping[str, Any]) -> None:
        self._known = {prompt: (float(length), int(count)) for prompt, length, count in state["known"]}
