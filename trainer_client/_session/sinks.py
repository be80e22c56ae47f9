"""The questions about rollouts, and the receivers of their results."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol, TypeAlias

from trainer_client._session.futures import LoopFuture, ThreadFuture, settle
from trainer_client.recipe.recipe import Recipe
from trainer_client.result.batch import Labels
from trainer_client.result.rollout_result import RolloutResult
from trainer_client.rollout.types import Rollout

JobKey: TypeAlias = tuple[str, tuple[str, int, int]]


class ScoringJob(NamedTuple):
    """The question about rollouts: the recipe, and the labels of the requests."""

    recipe: Recipe
    labels: Labels = Labels()

    @property
    def key(self) -> JobKey:
        """Equal for orders that may travel together: those of several spans go in the one of the first."""
        return self.recipe.digest, self.labels[:3]

    def fits(self, recipe: Recipe, labels: tuple[str, int, int]) -> bool:
        """Whether it asks for just that."""
        return self.recipe is recipe and self.labels[:3] == labels


class ResultSink(Protocol):
    """Where results go: a caller's loop, thread, or stream."""

    def deliver(self, tokens: Sequence[Any], results: Sequence[RolloutResult | BaseException]) -> None:
        """Take results, in the order of the tokens they were asked under. Called on the private loop."""

    def is_abandoned(self, token: Any) -> bool:
        """Whether no one waits for a result any more. Called on the private loop."""


class LoopSink:
    """Single rollouts of one event loop and order: gathered within a step of the loop, handed over at its end.

    Results come back the same way, many in one step. Two of the same loop are equal.
    """

    __slots__ = ("futures", "loop", "order", "rollouts")

    def __init__(self, loop: asyncio.AbstractEventLoop, order: ScoringJob) -> None:
        self.loop = loop
        self.order = order
        self.rollouts: list[Rollout] = []
        self.futures: list[asyncio.Future[RolloutResult]] = []

    def __eq__(self, other: object) -> bool:
        return isinstance(other, LoopSink) and other.loop is self.loop

    def __hash__(self) -> int:
        return id(self.loop)

    def deliver(
        self, tokens: Sequence[asyncio.Future[RolloutResult]], results: Sequence[RolloutResult | BaseException]
    ) -> None:
        """See `ResultSink`."""
        if not self.loop.is_closed():
            self.loop.call_soon_threadsafe(self.answer, tokens, results)

    def is_abandoned(self, token: asyncio.Future[RolloutResult]) -> bool:
        """See `ResultSink`."""
        return token.cancelled() or self.loop.is_closed()

    @staticmethod
    def answer(
        tokens: Sequence[asyncio.Future[RolloutResult]], results: Sequence[RolloutResult | BaseException]
    ) -> None:
        """Answer futures of the loop that this runs on."""
        for future, result in zip(tokens, results, strict=True):
            if future.done():
                continue
            if isinstance(result, BaseException):
                future.set_exception(result)
            else:
                future.set_result(result)


class TogetherSink:
    """Rollouts of one event loop that are answered together, when the last of them is done.

    Args:
        future: gets the results, in the order of the tokens: numbers from 0.
        count: how many there are.
    """

    def __init__(self, future: LoopFuture[list[RolloutResult | BaseException]], count: int) -> None:
        self._future = future
        self._loop = future.get_loop()
        self._results: list[Any] = [None] * count
        self._left = count

    def deliver(self, tokens: Sequence[int], results: Sequence[RolloutResult | BaseException]) -> None:
        """See `ResultSink`."""
        for token, result in zip(tokens, results, strict=True):
            self._left -= self._results[token] is None
            self._results[token] = result
        if not self._left and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._answer)

    def is_abandoned(self, token: int) -> bool:
        """See `ResultSink`."""
        return self._future.cancelled() or self._loop.is_closed()

    def _answer(self) -> None:
        if not self._future.done():
            self._future.set_result(self._results)


class ThreadSink:
    """Results for futures that threads wait for."""

    def deliver(self, tokens: Sequence[ThreadFuture], results: Sequence[RolloutResult | BaseException]) -> None:
        """See `ResultSink`."""
        settle(tokens, results)

    def is_abandoned(self, token: ThreadFuture) -> bool:
        """See `ResultSink`."""
        return token.cancelled()
