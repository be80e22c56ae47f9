"""Encoded pairs."""

from __future__ import annotations

from dataclasses import dataclass

from reward_servers.engines.models import Encoded


@dataclass(frozen=True, slots=True)
class Example:
    """An encoded pair.

    Attributes:
        chosen: The conversation with the better response.
        rejected: The one with the worse.
        margin: How much more the better one should score.
        label: Probability that the preference holds.
    """

    chosen: Encoded
    rejected: Encoded
    margin: float
    label: float
