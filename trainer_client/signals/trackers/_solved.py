"""A corpus of solved prompts, searched by embedding."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np

from trainer_client.signals._arrays import FloatArray
from trainer_client.signals._errors import BadOption

from ._tracker import Tracker, saved_ids


class SolvedCorpus(Tracker):
    """Prompts that have been solved, with a text and an embedding; a later solution replaces an earlier one.

    Args:
        capacity: prompts kept; the ones solved longest ago go first.
    """

    kind = "solved_corpus"

    def __init__(self, *, capacity: int = 10_000) -> None:
        if capacity < 1:
            raise BadOption(f"capacity: {capacity} must be at least 1")
        self.capacity = capacity
        self._solved: dict[Hashable, tuple[str, list[float]]] = {}

    def __len__(self) -> int:
        return len(self._solved)

    def add(self, prompt: Hashable, text: str, embedding: Sequence[float]) -> None:
        """Keep a solution."""
        (prompt,) = saved_ids([prompt])
        self._solved.pop(prompt, None)
        self._solved[prompt] = (text, [float(x) for x in embedding])
        while len(self._solved) > self.capacity:
            del self._solved[next(iter(self._solved))]

    def nearest(
        self, prompt: Hashable, embedding: FloatArray, *, k: int, min_similarity: float
    ) -> list[tuple[Hashable, str]]:
        """The ``k`` most similar solved prompts by cosine and their solutions; never the prompt itself."""
        others = [(label, *entry) for label, entry in self._solved.items() if label != prompt]
        if not others or k < 1:
            return []
        matrix = np.array([place for _, _, place in others])
        lengths = np.linalg.norm(matrix, axis=1) * float(np.linalg.norm(embedding))
        similar = matrix @ embedding / np.where(lengths > 0, lengths, 1.0)
        best = [row for row in np.argsort(-similar, kind="stable")[:k].tolist() if similar[row] >= min_similarity]
        return [others[row][:2] for row in best]

    def _state(self) -> dict[str, Any]:
        return {"solved": [[prompt, text, list(place)] for prompt, (text, place) in self._solved.items()]}

    def _restore(self, state: Mapping[str, Any]) -> None:
        self._solved = {prompt: (text, list(place)) for prompt, text, place in state["solved"]}
