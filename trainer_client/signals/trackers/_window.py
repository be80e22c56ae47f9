"""The latest outcomes of a policy, and what they say of a prompt's chances."""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np

from trainer_client.signals._arrays import FloatArray
from trainer_client.signals._errors import BadOption

from ._tracker import Tracker, saved_ids


class OutcomeWindow(Tracker):
    """The last ``size`` pairs of prompt and outcome, and a Beta estimate from them.

    A stand-in for a learned value model: a prompt's own outcomes are shrunk to the mean outcome of its nearest
    neighbours by embedding, or of the whole window where there are no embeddings.

    Args:
        size: pairs kept.
        strength: observations that the prior counts for.
        neighbours: pairs of other prompts that make the prior.
    """

    kind = "outcome_window"

    def __init__(self, *, size: int = 256, strength: float = 2.0, neighbours: int = 16) -> None:
        if size < 1 or neighbours < 1 or not strength > 0:
            raise BadOption(f"size: {size}, neighbours: {neighbours} and strength: {strength} must be positive")
        self.size, self.strength, self.neighbours = size, strength, neighbours
        self._pairs: deque[tuple[Hashable, float, list[float] | None]] = deque(maxlen=size)

    def __len__(self) -> int:
        return len(self._pairs)

    def update(self, prompts: Sequence[Hashable], outcomes: FloatArray, embeddings: FloatArray | None = None) -> None:
        """Take in outcomes between 0 and 1, oldest first."""
        places = [None] * len(prompts) if embeddings is None else embeddings.tolist()
        self._pairs.extend(zip(saved_ids(prompts), outcomes.tolist(), places, strict=True))

    def predict(self, prompts: Sequence[Hashable], embeddings: FloatArray | None = None) -> FloatArray:
        """``[Q]`` expected outcome of each prompt; 0.5 as long as nothing is known."""
        if not self._pairs:
            return np.full(len(prompts), 0.5)
        known = np.array([outcome for _, outcome, _ in self._pairs])
        prior = self._prior(prompts, known, embeddings)
        own = {prompt: [0.0, 0.0] for prompt in prompts}
        for prompt, outcome, _ in self._pairs:
            if prompt in own:
                own[prompt][0] += outcome
                own[prompt][1] += 1.0
        total, number = (np.array([own[prompt][k] for prompt in prompts]) for k in (0, 1))
        estimate: FloatArray = (self.strength * prior + total) / (self.strength + number)
        return estimate

    def _prior(self, prompts: Sequence[Hashable], known: FloatArray, embeddings: FloatArray | None) -> FloatArray:
        """Mean outcome of the nearest pairs by cosine similarity, or of all of them."""
        overall = np.full(len(prompts), float(known.mean()))
        placed = [k for k, (_, _, place) in enumerate(self._pairs) if place is not None]
        if embeddings is None or not placed or not len(prompts):
            return overall
        pairs = list(self._pairs)
        similar = _unit(embeddings) @ _unit(np.array([pairs[k][2] for k in placed])).T
        nearest = np.argsort(-similar, axis=1, kind="stable")[:, : self.neighbours]
        close: FloatArray = known[placed][nearest].mean(axis=1)
        return close

    def _state(self) -> dict[str, Any]:
        return {"pairs": [list(pair) for pair in self._pairs]}

    def _restore(self, state: Mapping[str, Any]) -> None:
        pairs = [(prompt, float(outcome), place) for prompt, outcome, place in state["pairs"]]
        self._pairs = deque(pairs, maxlen=self.size)


def _unit(vectors: FloatArray) -> FloatArray:
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors / np.where(length > 0, length, 1.0)
