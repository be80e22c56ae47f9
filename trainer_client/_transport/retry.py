"""What may be sent again."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class RetryBudget:
    """Items that may be sent again after faults: a reserve, and a share of what is sent."""

    tokens: float
    share: float
    most: float

    def earn(self, items: int) -> None:
        """Items were sent for the first time."""
        self.tokens = min(self.most, self.tokens + self.share * items)

    def spend(self, items: int) -> bool:
        """Whether that many may be sent again."""
        if self.tokens < items:
            return False
        self.tokens -= items
        return True
