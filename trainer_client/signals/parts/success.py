"""How often prompts were solved recently."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping
from typing import Any

import numpy as np

from trainer_client.signals._arrays import BoolArray, FloatArray
from trainer_client.signals._errors import OptionError
from trainer_client.signals._groups import Groups
from trainer_client.signals.parts.state import Tracker, saved_ids


class RecentSuccess(Tracker):
    """Success rate of each prompt: the mean of its last visit, or of its newest results where those were few.

    A visit is one call of `update`; a prompt is visited once an epoch.

    Args:
        enough: results of a visit that stand alone; below, the newest ``enough`` over all visits are taken.
        known_after: results after which a rate counts as known.

    Source: Knapsack RL; liziniu/KnapsackRL verl/utils/dataset/rl_dataset.py @ca5d5f5b.
    """

    kind = "recent_success"

    def __init__(self, *, enough: int = 16, known_after: int = 8) -> None:
        if enough < 1 or known_after < 1:
            raise OptionError(f"enough: {enough} and known_after: {known_after} must be at least 1")
        self.enough, self.known_after = enough, known_after
        self._seen: dict[Hashable, tuple[int, float, list[float]]] = {}

    def update(self, groups: Groups, rewards: FloatArray) -> None:
        """Take in a visit: the rows' results, 0 to 1, by prompt."""
        for label, rows in zip(saved_ids(groups.labels.tolist()), groups.members(), strict=True):
            part = rewards[rows]
            seen, _, recent = self._seen.get(label, (0, 0.0, []))
            recent = [*recent, *part.tolist()][-self.enough :]
            rate = float(part.mean()) if part.size >= self.enough else sum(recent) / len(recent)
            self._seen[label] = (seen + part.size, rate, recent)

    def rates(self, prompts: Iterable[Hashable]) -> tuple[FloatArray, BoolArray]:
        """``[Q]`` rate of each prompt (0 if never seen), and whether it is known."""
        found = [self._seen.get(prompt, (0, 0.0, [])) for prompt in prompts]
        return np.array([rate for _, rate, _ in found]), np.array(
            [n >= self.known_after for n, _, _ in found], np.bool_
        )

    def _state(self) -> dict[str, Any]:
        return {"seen": [[prompt, n, rate, list(recent)] for prompt, (n, rate, recent) in self._seen.items()]}

    def _restore(self, state: Mapping[str, Any]) -> None:
        self._seen = {prompt: (int(n), float(rate), list(recent)) for prompt, n, rate, recent in state["seen"]}
