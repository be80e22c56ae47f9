"""XRPO's seeding: an unsolved prompt is shown examples from the growing corpus of solved ones.

XRPO (arXiv 2510.06672), public reviews; the similarity bound is ours.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np

from trainer_client.signals.authoring import FloatArray, Laws, OptionError, Request, Signal, SignalBatch, register
from trainer_client.signals.parts.prompts import extreme_row, first_row, unsolved_groups
from trainer_client.signals.parts.state import Tracker, saved_ids


@register(
    "xrpo_seeds",
    paper="xrpo",
    needs="state",
    inputs=("rewards", "groups", "embeddings", "texts"),
    provenance="secondary",
    formula="all wrong: up to k solved prompts nearest by embedding, with their solutions",
    laws=Laws(rewards="binary"),
)
class XRPOSeeds(Tracker):
    """XRPO's seeding: an unsolved prompt is shown examples from the growing corpus of solved ones.

    Requests are of kind ``seed``; ``examples`` are pairs of prompt id and solution, to be cut to the prompt limit. A
    prompt with nothing similar enough has none and is tried plainly. A group's solution is its best row's text.
    """

    kind = "xrpo_seeds"
    parts = ("_corpus",)

    def __init__(
        self, *, k: int = 2, min_similarity: float = 0.0, correct: float = 1.0, capacity: int = 10_000
    ) -> None:
        self.k, self.min_similarity, self.correct = k, min_similarity, correct
        self._corpus = SolvedCorpus(capacity=capacity)

    def __call__(self, batch: SignalBatch) -> Signal:
        """Look up examples for unsolved prompts, then add this batch's solutions."""
        labels, places = batch.groups.labels.tolist(), batch["embeddings"]
        below = float(np.nextafter(self.correct, -np.inf))
        unsolved = unsolved_groups(batch.rewards, batch.groups, batch.valid, threshold=below)
        first = first_row(batch.groups, batch.valid)
        requests = []
        for group in np.flatnonzero(unsolved).tolist():
            row = int(first[group])
            seeds = self._corpus.nearest(labels[group], places[row], k=self.k, min_similarity=self.min_similarity)
            if seeds:
                requests.append(Request(row, "seed", {"examples": seeds}))
        solved = extreme_row(batch.groups, batch.rewards, batch.valid & (batch.rewards >= self.correct))
        for group in np.flatnonzero(solved >= 0).tolist():
            row = int(solved[group])
            self._corpus.add(labels[group], batch.objects("texts")[row], places[row].tolist())
        return batch.signal(requests=requests, report={"xrpo_seeds/corpus": len(self._corpus)})


class SolvedCorpus(Tracker):
    """Prompts that have been solved, with a text and an embedding; a later solution replaces an earlier one.

    Args:
        capacity: prompts kept; the ones solved longest ago go first.
    """

    kind = "solved_corpus"

    def __init__(self, *, capacity: int = 10_000) -> None:
        if capacity < 1:
            raise OptionError(f"capacity: {capacity} must be at least 1")
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
        neighbours = [(label, *entry) for label, entry in self._solved.items() if label != prompt]
        if not neighbours or k < 1:
            return []
        matrix = np.array([place for _, _, place in neighbours])
        lengths = np.linalg.norm(matrix, axis=1) * float(np.linalg.norm(embedding))
        similar = matrix @ embedding / np.where(lengths > 0, lengths, 1.0)
        best = [row for row in np.argsort(-similar, kind="stable")[:k].tolist() if similar[row] >= min_similarity]
        return [neighbours[row][:2] for row in best]

    def _state(self) -> dict[str, Any]:
        return {"solved": [[prompt, text, list(place)] for prompt, (text, place) in self._solved.items()]}

    def _restore(self, state: Mapping[str, Any]) -> None:
        self._solved = {prompt: (text, list(place)) for prompt, text, place in state["solved"]}
