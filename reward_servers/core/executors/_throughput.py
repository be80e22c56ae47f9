"""Measures how fast a device is. From this follow the size of a batch and whether an item can meet its deadline."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence

from reward_servers.core._outcomes import Skip, SkipReason
from reward_servers.core._work import Unit
from reward_servers.core.executors._batch_queue import cost_of, prompt_cost

_DECAY = 0.995
"""Weight of the earlier items after one more item: the last few hundred items count."""
_ENOUGH = 16
"""Items that must have been measured before an item is refused because of its deadline."""
_TOKENS = 0.3
"""Tokens per character, until tokens have been counted."""
_AT_RISK = 2.0
"""Number of batches that should fit between now and a deadline."""
_SHORTEST_WAIT = 0.05


class Throughput:
    """Running means of what items cost, in characters, tokens and seconds."""

    def __init__(self) -> None:
        self._items = self._characters = self._tokens = self._seconds = 0.0
        self._seen = 0

    def note(self, unit: Unit, seconds: float, tokens: int) -> None:
        """Take a finished item into account.

        Args:
            unit: The item.
            seconds: Its share of the batch's time; 0 for one that was settled before it came to the device, which says
                nothing of that: a flood of responses that are too long would make the device look fast.
            tokens: Tokens that it had; 0 when its verifier does not say.
        """
        if seconds <= 0.0:
            return
        size = max(1, unit.subject.prompt_context.size)
        self._seen += 1
        self._items = _DECAY * self._items + 1.0
        self._characters = _DECAY * self._characters + cost_of(unit) + prompt_cost(unit) / size
        self._seconds = _DECAY * self._seconds + seconds
        # Members of a group share the prompt's characters, and each counts its tokens.
        self._tokens = _DECAY * self._tokens + tokens * (cost_of(unit) + prompt_cost(unit) / size) / (
            cost_of(unit) + prompt_cost(unit)
        )

    def characters(self, tokens: int) -> float:
        """Characters of so many tokens; infinite for 0, which stands for no bound."""
        if not tokens:
            return float("inf")
        return tokens / (self._tokens / self._characters if self._tokens else _TOKENS)

    def at_risk(self, budget: float, items: int) -> float:
        """The moment before which a deadline needs the next batch.

        Args:
            budget: Characters of a batch.
            items: Items of a batch at most.
        """
        if self._seen < _ENOUGH:
            return time.monotonic()
        batch = min(budget, items * self._characters / self._items)
        return time.monotonic() + _AT_RISK * batch * self._seconds / self._characters

    def refusal(self, unit: Unit, ahead: float, longest: float = math.inf) -> Skip | None:
        """A skip for an item that cannot be judged in time; it says when to ask again.

        The times are estimates. A device without work therefore refuses no item, and the caller is told to ask again
        while there is time left: a wrong estimate delays an item and does not lose it.

        Args:
            unit: The item.
            ahead: Characters that come before it.
            longest: Characters of the longest text that the device reads.
        """
        deadline = unit.job.deadline
        if deadline is None or self._seen < _ENOUGH or not ahead:
            return None
        needed = (ahead + self.cost([unit], longest)) * self._seconds / self._characters
        left = deadline - time.monotonic()
        if needed <= left:
            return None
        return Skip(SkipReason.OVERLOADED, max(_SHORTEST_WAIT, min(needed - left, left / 2)))

    @staticmethod
    def cost(units: Sequence[Unit], longest: float) -> int:
        """Characters of units, each counted up to the longest text that the device reads."""
        return sum(cost_of(unit, longest) for unit in units)
