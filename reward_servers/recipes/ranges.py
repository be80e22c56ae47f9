"""Between which numbers the reward of a recipe lies, as far as its verifiers declare their scores."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from reward_servers.recipes.offers import Offer
from trainer_client import Recipe, Reward
from trainer_client.recipe.inputs import Bound, Source, sources_of


class Range(NamedTuple):
    """Lowest and highest value."""

    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.low:g} to {self.high:g}"

    def times(self, factor: float) -> Range:
        """Every value multiplied."""
        ends = (self.low * factor, self.high * factor)
        return Range(min(ends), max(ends))

    def plus(self, other: Range) -> Range:
        """A value of each added."""
        return Range(self.low + other.low, self.high + other.high)

    def joined(self, other: Range) -> Range:
        """The range of both."""
        return Range(min(self.low, other.low), max(self.high, other.high))


_NOTHING = Range(0.0, 0.0)


def score_range(offer: Offer | None) -> Range | None:
    """Range of a verifier's scores; None where it is not known."""
    if offer is None or offer.low is None or offer.high is None:
        return None
    return Range(offer.low, offer.high)


def reward_range(recipe: Recipe, offers: Mapping[str, Offer | None]) -> Range | None:
    """Range of the weighted sum under the gates; None where a verifier's range is not known.

    Args:
        recipe: The recipe.
        offers: What each reward gets, by its name.
    """
    tasks = {task for reward in recipe.rewards for task in reward.tasks or ()}
    total: Range | None = None
    # A task that no reward names gets those that are asked of every task.
    for task in [*sorted(tasks), "".join(tasks) + "?"]:
        rewards = [reward for reward in recipe.rewards if reward.applies_to(task)]
        if not rewards:
            continue
        possible = _of_task(rewards, offers)
        if possible is None:
            return None
        total = possible if total is None else total.joined(possible)
    return total


def _of_task(rewards: list[Reward], offers: Mapping[str, Offer | None]) -> Range | None:
    parts: dict[str, Range] = {}
    for reward in rewards:
        possible = score_range(offers.get(reward.name))
        if possible is None and reward.weight != 0:
            return None
        parts[reward.name] = (possible or _NOTHING).times(reward.weight)
    gates = [reward for reward in rewards if reward.gate is not None]
    total = _sum(parts[reward.name] for reward in rewards)
    for number, gate in enumerate(gates):
        assert gate.gate is not None
        reached = _sum(parts[gate.name] for gate in gates[: number + 1])
        total = total.joined(reached.plus(Range(gate.gate.closed, gate.gate.closed)))
    return total


def _sum(parts: Iterable[Range]) -> Range:
    total = _NOTHING
    for part in parts:
        total = total.plus(part)
    return total


def source_range(bound: Bound, recipe: Recipe, offers: Mapping[str, Offer | None]) -> Range | None:
    """Range of what an input is bound to; None where it is not known."""
    total: Range | None = None
    for source in sources_of(bound):
        possible = _of_source(source, recipe, offers)
        if possible is None:
            return None
        total = possible if total is None else total.joined(possible)
    return total


def _of_source(source: Source, recipe: Recipe, offers: Mapping[str, Offer | None]) -> Range | None:
    if source.comparison:
        return Range(0.0, 1.0)
    if source.kind == "number":
        return Range(source.threshold, source.threshold)
    if source.kind != "reward":
        return None
    possible = score_range(offers.get(source.name))
    return None if possible is None else possible.times(source.times).plus(Range(source.plus, source.plus))
