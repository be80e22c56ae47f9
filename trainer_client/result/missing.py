"""`MissingWindow`: how many scores were missing lately, so that one fault in a small batch is no rate."""

from __future__ import annotations

import threading
from collections import deque

import numpy as np
from numpy.typing import NDArray

LEAST_NEEDED = 64
"""Scores that a share is taken of, at least; unless so many are missing before:"""
LEAST_MISSING = 5

Counts = NDArray[np.int64]


class MissingWindow:
    """Counts over the latest batches of a client, for each reward on its own.

    A batch that asks for `LEAST_NEEDED` scores is judged alone; smaller ones are judged together with those before
    them. Usable from any thread.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._batches: list[deque[tuple[int, int]]] = []
        self._gone: set[int] = set()

    def __getstate__(self) -> dict[str, object]:
        return {}

    def __setstate__(self, state: dict[str, object]) -> None:
        # What another process counted says nothing about the servers as this one sees them.
        self.__init__()  # type: ignore[misc]

    def add(self, needed: Counts, missing: Counts) -> tuple[Counts, Counts]:
        """Count a batch.

        Args:
            needed: ``[R]`` scores that were needed of each reward.
            missing: ``[R]`` those of them that are missing.

        Returns:
            ``[R]`` the same over the window; 0 and 0 where it is too short to say anything.
        """
        with self._lock:
            if not self._batches:
                self._batches = [deque() for _ in range(len(needed))]
            totals = [
                _counted(batches, int(of), int(lost))
                for batches, of, lost in zip(self._batches, needed, missing, strict=True)
            ]
        counts = np.array(totals, np.int64).reshape(-1, 2)
        is_enough = (counts[:, 0] >= LEAST_NEEDED) | (counts[:, 1] >= LEAST_MISSING)
        return np.where(is_enough, counts[:, 0], 0), np.where(is_enough, counts[:, 1], 0)

    def newly_gone(self, needed: Counts, missing: Counts) -> list[int]:
        """Rewards of which a batch has no score at all, and of which the last one that asked had some.

        Args:
            needed: ``[R]`` scores that were needed of each reward.
            missing: ``[R]`` those of them that are missing.
        """
        missing_columns = set(np.flatnonzero((missing > 0) & (needed == missing)).tolist())
        with self._lock:
            fresh = sorted(missing_columns - self._gone)
            self._gone = (self._gone - set(np.flatnonzero(needed > missing).tolist())) | missing_columns
        return fresh


def _counted(batches: deque[tuple[int, int]], needed: int, missing: int) -> tuple[int, int]:
    """Put a batch at the end of a window, drop what it is long enough without, and sum it up."""
    if needed:
        batches.append((needed, missing))
    total = sum(of for of, _ in batches)
    while batches and total - batches[0][0] >= LEAST_NEEDED:
        total -= batches.popleft()[0]
    return total, sum(lost for _, lost in batches)
