"""What may be sent again: the budget, the backoff, and who is asked for a second opinion."""

from __future__ import annotations

import random
from collections.abc import Collection
from dataclasses import dataclass, field

from trainer_client._settings import Retries

_OPINIONS = 2
"""Replicas that have to say the same of an item before it is believed."""


@dataclass(slots=True)
class RetryBudget:
    """Items that may be sent again after faults: a reserve, and a share of what is sent.

    Attributes:
        tokens: Items that may be sent again now.
        share: Items earned for each that is sent for the first time.
        most: Items that ``tokens`` never exceeds.
    """

    tokens: float
    share: float
    most: float

    def earn(self, items: int) -> None:
        """Add what items earn that were sent for the first time."""
        self.tokens = min(self.most, self.tokens + self.share * items)

    def spend(self, items: int) -> bool:
        """Whether that many may be sent again."""
        if self.tokens < items:
            return False
        self.tokens -= items
        return True


def backoff(retries: Retries, rounds: int, at_least: float) -> float:
    """Seconds to wait before the next round: what the server asks for, and a jitter that grows from round to round."""
    longest = min(retries.max_backoff_s, retries.initial_backoff_s * 2.0 ** min(rounds, 20))
    return at_least + random.uniform(0.0, longest)  # noqa: S311 (jitter)


@dataclass(slots=True)
class Opinions:
    """Which replicas have said something of an item that another replica has to confirm.

    Attributes:
        said: addresses by cell, one for each time.
    """

    said: dict[tuple[int, int], list[str]] = field(default_factory=dict)

    def add(self, cell: tuple[int, int], address: str) -> list[str]:
        """Note that a replica has said it, and return the address of each that has, once for each time."""
        addresses = self.said.setdefault(cell, [])
        addresses.append(address)
        return addresses

    def is_confirmed(self, cell: tuple[int, int], has_other: bool) -> bool:
        """Whether it is believed: two replicas say it, or the only one there is says it twice."""
        addresses = self.said[cell]
        return len(set(addresses)) >= _OPINIONS or (len(addresses) >= _OPINIONS and not has_other)

    def of(self, cell: tuple[int, int]) -> Collection[str]:
        """Who has said it."""
        return frozenset(self.said.get(cell, ()))
