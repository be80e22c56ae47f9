"""The addresses of one model, and which of them is asked next."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from reward_servers.engines.judging._completion import TransientError
from reward_servers.engines.judging._probe import UNKNOWN, Capabilities
from reward_servers.engines.judging._window import Window

if TYPE_CHECKING:
    import openai

_log = logging.getLogger("assay.judge")
_TELL_EVERY_S = 30.0


@dataclass(slots=True)
class Endpoint:
    """One address of a model, and what is known of it."""

    url: str = field(repr=False)
    window: Window
    client: openai.AsyncOpenAI
    can: Capabilities = UNKNOWN
    told: float = float("-inf")
    weight: float = 1.0
    credit: float = 0.0
    """What it is owed of the requests, in weights."""

    @property
    def name(self) -> str:
        """Its address without what may be a secret in it."""
        return re.sub(r"//[^/@]*@", "//", self.url).partition("?")[0]

    def tell(self, problem: TransientError) -> None:
        """Log what it fails with, now and then: who waits for a judge has to know for what."""
        if time.monotonic() - self.told >= _TELL_EVERY_S:
            self.told = time.monotonic()
            _log.warning("%s does not answer (%s); it is asked again", self.name, problem)


def next_of(able: Sequence[Endpoint], failed: str, *, weighted: bool) -> Endpoint:
    """An endpoint with room, another than the one that has just failed where there is one.

    Of several it is the one with most room, or the next one in turn by their weights. One of weight 0 stands in while
    no other has room.

    Args:
        able: Those that can do what is asked.
        failed: Address of the one that has just failed; empty for none.
        weighted: Whether they share the requests by their weights.
    """

    def rank(endpoint: Endpoint) -> tuple[bool, bool, bool, float]:
        room = endpoint.window.room > 0
        return room, endpoint.url != failed, endpoint.weight > 0, 0.0 if room else -endpoint.window.pause

    ranks = [rank(endpoint) for endpoint in able]
    best = [endpoint for endpoint, rank in zip(able, ranks, strict=True) if rank == max(ranks)]
    if not weighted:
        return max(best, key=lambda endpoint: endpoint.window.room - endpoint.window.waiting)
    for endpoint in best:
        endpoint.credit += endpoint.weight
    chosen = max(best, key=lambda endpoint: endpoint.credit)
    chosen.credit -= sum(endpoint.weight for endpoint in best)
    return chosen
