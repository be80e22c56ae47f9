"""`AsyncRewardClient`: the face of the client whose methods are awaited, on any event loop."""

from __future__ import annotations

import asyncio
import concurrent.futures
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Iterable, Mapping, Sequence
from types import TracebackType
from typing import Self, TypeVar

from trainer_client._client.base import BaseClient, combined_at_once, require_rollout, table_or_raise
from trainer_client._errors import ClientClosedError, RewardError
from trainer_client._session.futures import LoopFuture
from trainer_client._session.sinks import LoopSink, ScoringJob, TogetherSink
from trainer_client._session.stream import GroupStream, StreamItem, grouped
from trainer_client._session.tracing import current_trace
from trainer_client.result.batch import Labels
from trainer_client.result.rollout_result import RolloutResult
from trainer_client.result.table import ScoreTable
from trainer_client.result.verifiers import VerifierInfo, Wait
from trainer_client.rollout.types import Rollout, as_rollouts

_T = TypeVar("_T")


class AsyncRewardClient(BaseClient):
    """Scores rollouts on reward servers; methods are awaited, on any event loop.

    Takes the same arguments as `RewardClient`.
    """

    _sink: LoopSink | None = None

    async def score(
        self, rollouts: Iterable[Rollout], *, run: str = "", step: int | None = None, seed: int = 0
    ) -> ScoreTable:
        """Score a batch in which every group is complete: see `RewardClient.score`."""
        labels = Labels(run, self._step(step), seed, current_trace())
        batch = as_rollouts(rollouts)
        table = await _awaited(self._core.score(batch, self._recipe, labels, self._kept))
        return combined_at_once(table, batch, labels, self._recorder)

    async def stream(
        self,
        rollouts: Iterable[StreamItem] | AsyncIterable[StreamItem],
        *,
        group_size: int | None = None,
        window: int = 4096,
        run: str = "",
        step: int | None = None,
        seed: int = 0,
    ) -> AsyncGenerator[ScoreTable, None]:
        """Score rollouts as they come, and yield a table for each group as it completes: see `RewardClient.stream`.

        The input may be asynchronous; it is read while groups are yielded.
        """
        loop = asyncio.get_running_loop()
        ready: asyncio.Queue[ScoreTable | BaseException | None] = asyncio.Queue()
        space = asyncio.Event()

        def emit(result: ScoreTable | BaseException) -> None:
            loop.call_soon_threadsafe(ready.put_nowait, result)

        def progress() -> None:
            loop.call_soon_threadsafe(space.set)

        order = ScoringJob(self._recipe, Labels(run, self._step(step), seed, current_trace()))
        by_group = await _awaited(self._core.judges_groups(self._recipe))
        core = self._core
        stream = GroupStream(
            core.submit, core.given_up, order, self._kept, group_size, by_group, emit, progress, self._taking
        )

        async def feed() -> None:
            try:
                async for item in _iterate(grouped(rollouts)):
                    stream.add(item)
                    while stream.open >= window:
                        space.clear()
                        if stream.open >= window:
                            await space.wait()
                stream.finish()
            except Exception as error:  # noqa: BLE001 (raised where the groups are read)
                ready.put_nowait(error)
            ready.put_nowait(None)

        feeding = asyncio.create_task(feed())
        fed, yielded = False, 0
        result: ScoreTable | BaseException | None = None
        try:
            while not fed or yielded < stream.started:
                result = await ready.get()
                if result is None:
                    fed = True
                else:
                    yielded += 1
                    yield table_or_raise(result)
        finally:
            feeding.cancel()
            stream.abandon()
            result = None  # an error and a frame that holds it are a circle

    def submit(
        self,
        rollout: Rollout,
        *,
        group_size: int | None = None,
        run: str = "",
        step: int | None = None,
        seed: int = 0,
    ) -> asyncio.Future[RolloutResult]:
        """Score one rollout: see `RewardClient.submit`."""
        require_rollout(rollout)
        loop = asyncio.get_running_loop()
        future: LoopFuture[RolloutResult] = LoopFuture(loop=loop)
        future.tell = self._core.given_up
        if group_size:
            order = ScoringJob(self._recipe, Labels(run, self._step(step), seed, current_trace()))
            self._core.assemble(order, rollout, future, LoopSink(loop, order), group_size)
            return future
        sink = self._sink
        # Each loop looks at its own sink only: with several loops at work, they just take turns in making new ones.
        if sink is None or sink.loop is not loop or not sink.order.fits(self._recipe, (run, self._step(step), seed)):
            order = ScoringJob(self._recipe, Labels(run, self._step(step), seed, current_trace()))
            sink = self._sink = LoopSink(loop, order)
            loop.call_soon(self._hand_over, sink)
        sink.rollouts.append(rollout)
        sink.futures.append(future)
        return future

    def submit_together(
        self, rollouts: Sequence[Rollout], *, run: str = "", step: int | None = None, seed: int = 0
    ) -> asyncio.Future[list[RolloutResult | BaseException]]:
        """Score rollouts each on its own, as `submit` does, answered when the last of them is done.

        Returns:
            A future of a result for each, or the error that the future of `submit` would have raised.
        """
        for rollout in rollouts:
            require_rollout(rollout)
        future: LoopFuture[list[RolloutResult | BaseException]] = LoopFuture(loop=asyncio.get_running_loop())
        future.tell = self._core.given_up
        if not rollouts:
            future.set_result([])
            return future
        order = ScoringJob(self._recipe, Labels(run, self._step(step), seed, current_trace()))
        sink = TogetherSink(future, len(rollouts))
        try:
            self._core.submit(order, rollouts, range(len(rollouts)), sink)
        except RewardError as error:
            future.set_result([error] * len(rollouts))
        return future

    def _hand_over(self, sink: LoopSink) -> None:
        if self._sink is sink:
            self._sink = None
        try:
            self._core.submit(sink.order, sink.rollouts, sink.futures, sink)
        except RewardError as error:
            sink.answer(sink.futures, [error] * len(sink.futures))

    async def waits(self) -> list[Wait]:
        """The replicas that open calls wait for: see `RewardClient.waits`."""
        return await _awaited(self._core.waits())

    async def describe(self) -> Mapping[str, VerifierInfo]:
        """What the servers say of each reward's verifier: see `RewardClient.describe`."""
        return await _awaited(self._core.describe(self._recipe))

    async def close(self) -> None:
        """Close connections and end open calls."""
        if self._recorder is not None:
            await asyncio.to_thread(self._recorder.close)
        if self._owns_core:
            await asyncio.to_thread(self._core.close)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()


async def _awaited(future: concurrent.futures.Future[_T]) -> _T:
    """Await; cancelling the waiting task ends the work."""
    try:
        return await asyncio.wrap_future(future)
    except asyncio.CancelledError:
        task = asyncio.current_task()
        if task is not None and not task.cancelling():
            raise ClientClosedError from None
        raise
    finally:
        # It holds the error, which holds this frame and those above, with all that is in them.
        del future


async def _iterate(source: Iterable[StreamItem] | AsyncIterable[StreamItem]) -> AsyncIterator[StreamItem]:
    if isinstance(source, AsyncIterable):
        async for item in source:
            yield item
        return
    for item in source:
        yield item
        # A long list must not keep the caller's loop from everything else.
        await asyncio.sleep(0)
