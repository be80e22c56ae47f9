"""`RewardClient` and `AsyncRewardClient`: two thin faces of one client, for the recipe that it was given."""

from __future__ import annotations

import asyncio
import concurrent.futures
import os
import queue
import threading
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Generator, Iterable, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar

from trainer_client._batch import Labels
from trainer_client._core import Core
from trainer_client._errors import ClientClosedError, RewardError
from trainer_client._local import LocalCommand
from trainer_client._recipe import Recipe, as_recipe
from trainer_client._result import RolloutResult
from trainer_client._rollout import Rollout, as_rollouts, not_a_rollout
from trainer_client._session.futures import LoopFuture
from trainer_client._session.runtime import refuse_on_private_thread
from trainer_client._session.sinks import LoopSink, ScoringJob, ThreadSink
from trainer_client._session.stream import GroupStream, StreamItem, grouped
from trainer_client._settings import TLS, Batching, Endpoints, Retries, Settings
from trainer_client._state import load, save
from trainer_client._table import ScoreTable
from trainer_client._verifiers import VerifierInfo

if TYPE_CHECKING:
    from trainer_client._state import Method


class _BaseClient:
    """What both faces take, and what they answer without asking a server."""

    _core: Core
    _recipe: Recipe
    _method: Method | None
    _owns_core: bool

    def __init__(
        self,
        recipe: Recipe | str | os.PathLike[str],
        endpoints: Endpoints | None = None,
        *,
        pin: bool = True,
        batching: Batching | None = None,
        retries: Retries | None = None,
        tls: TLS | None = None,
        token: str | None = None,
    ) -> None:
        self._recipe = as_recipe(recipe)
        local = None
        if endpoints == "local":
            endpoints = None
            local = LocalCommand(self._recipe, None if isinstance(recipe, Recipe) else os.fspath(recipe))
        settings = Settings.make(endpoints, pin=pin, batching=batching, retries=retries, tls=tls, token=token)
        self._core = Core(settings, local)
        self._method = self._recipe.estimator()
        self._owns_core = True

    @property
    def recipe(self) -> Recipe:
        """What is asked, and what is made of it."""
        return self._recipe

    def with_recipe(self, recipe: Recipe | str | os.PathLike[str]) -> Self:
        """A client of another recipe over the same connections, with a state of its own.

        Closing it leaves the connections open; they are closed with this client.

        Raises:
            RecipeError: the recipe cannot be used.
            OSError: its file cannot be read.
        """
        return self._sharing(type(self), as_recipe(recipe))

    def _sharing(self, face: type[_F], recipe: Recipe) -> _F:
        other = face.__new__(face)
        other._recipe = recipe
        other._core = self._core
        other._method = recipe.estimator()
        other._owns_core = False
        return other

    def state_dict(self) -> dict[str, Any]:
        """The state of the recipe's methods, of JSON types, for a checkpoint: what they remember of earlier steps.

        It holds a digest of what shapes it: the methods with their options, and the rewards that they read.
        """
        return save(self._recipe, self._method)

    def load_state_dict(self, state: Mapping[str, Any], *, strict: bool = True) -> None:
        """Go on where a state was saved.

        Args:
            state: what `state_dict` returned, possibly through JSON.
            strict: refuse a state that was saved under other methods, options or rewards.

        Raises:
            StateError: it was, with the keys of the recipe that differ; or the state is damaged. Nothing is loaded.
        """
        self._method = load(self._recipe, state, strict=strict)

    def __getstate__(self) -> Mapping[str, object]:
        return {
            "_recipe": self._recipe,
            "_core": self._core,
            "_owns_core": self._owns_core,
            "_state": self.state_dict(),
        }

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        self.__dict__.update({name: value for name, value in state.items() if name != "_state"})
        self.load_state_dict(state["_state"])


_F = TypeVar("_F", bound=_BaseClient)


class RewardClient(_BaseClient):
    """Scores rollouts on reward servers by a recipe; methods wait for the result.

    May be used from any thread, in a forked process, and pickled with its state.

    Args:
        recipe: what to ask, and what to make of it: a recipe, or the path of one.
        endpoints: where the servers are: ``"host:port"``, several of them for replicas, or a mapping from the names
            of the recipe's servers to either. ``"local"``: the client starts what the recipe needs on this host, at
            first use, and ends it with itself. Left out: what the recipe says.
        pin: keep to the versions of verifiers first met, so that none changes during a run.
        batching: how work is cut into calls.
        retries: when items are sent again.
        tls: files for encrypted connections.
        token: bearer token for servers that ask for one, or ``"file:PATH"``, read again whenever a replica is asked
            what it is. Never sent unencrypted to another host.

    Raises:
        RecipeError: the recipe cannot be used, or an address is none.
        ServerUnavailableError: ``"local"``, and the servers are not installed here.
        OSError: a file cannot be read.
    """

    def score(self, rollouts: Iterable[Rollout], *, run: str = "", step: int = 0, seed: int = 0) -> ScoreTable:
        """Score a batch in which every group is complete.

        Args:
            rollouts: the batch.
            run: name of the training run, for the servers' logs.
            step: training step, for logs and for schedules.
            seed: seed of verifiers that draw; an item's own follows from it and from the rollout's id.

        Raises:
            IncompleteBatchError: more scores are missing than the recipe tolerates; carries the table.
            RequestRejectedError: a server refuses what it is asked.
            RecipeError: it is not known where a server is.
            RolloutError: two rollouts have one id, or those of a group different prompts.
        """
        labels = Labels(run, step, seed)
        return _checked(_waited(self._core.score(as_rollouts(rollouts), self._recipe, labels, self._method)))

    def stream(
        self,
        rollouts: Iterable[StreamItem],
        *,
        group_size: int | None = None,
        window: int = 4096,
        run: str = "",
        step: int = 0,
        seed: int = 0,
    ) -> Generator[ScoreTable, None, None]:
        """Score rollouts as they come, and yield a table for each group as it completes.

        Args:
            rollouts: single rollouts, or lists that each hold all rollouts of a prompt. A sequence of rollouts is
                taken as a batch whose groups are all in it.
            group_size: rollouts of a complete group, for single ones; left out, groups complete when the input ends.
            window: rollouts under way, at most; the input is read no further meanwhile.
            run: see `score`, as for ``step`` and ``seed``.
            step: see `score`.
            seed: see `score`.

        Yields:
            Tables of one group each. An estimator that needs the whole batch refuses them; join them by
            ``ScoreTable.concat``.

        Raises:
            RequestRejectedError: a server refuses what it is asked.
            RolloutError: rollouts do not fit together.
        """
        ready: queue.SimpleQueue[ScoreTable | BaseException] = queue.SimpleQueue()
        space = threading.Event()
        order = ScoringJob(self._recipe, Labels(run, step, seed))
        whole = _waited(self._core.judges_groups(self._recipe))
        stream = GroupStream(
            self._core.submit, self._core.given_up, order, self._method, group_size, whole, ready.put, space.set
        )
        yielded = 0
        try:
            for item in grouped(rollouts):
                stream.add(item)
                while stream.open >= window:
                    space.clear()
                    if stream.open >= window:
                        space.wait()
                while not ready.empty():
                    yielded += 1
                    yield _table(ready.get())
            stream.finish()
            while yielded < stream.started:
                yielded += 1
                yield _table(ready.get())
        finally:
            stream.abandon()

    def submit(
        self,
        rollout: Rollout,
        *,
        group_size: int | None = None,
        run: str = "",
        step: int = 0,
        seed: int = 0,
    ) -> concurrent.futures.Future[RolloutResult]:
        """Score one rollout; it travels with others that are submitted at about the same time.

        Args:
            rollout: the rollout. Only weights and gates of the recipe are applied; advantages need groups.
            group_size: rollouts of the complete group, which is sent when the last has come. Needed, with the
                rollout's ``group_id``, where a verifier judges groups.
            run: see `score`, as for ``step`` and ``seed``.
            step: see `score`.
            seed: see `score`.
        """
        _require(rollout)
        order = ScoringJob(self._recipe, Labels(run, step, seed))
        future = self._core.futures.make()
        if group_size:
            self._core.assemble(order, rollout, future, _THREADS, group_size)
        else:
            self._core.submit(order, (rollout,), (future,), _THREADS)
        return future

    def describe(self) -> Mapping[str, VerifierInfo]:
        """What the servers say of each reward's verifier.

        Raises:
            ServerUnavailableError: no replica of a server answers.
            RequestRejectedError: a server does not host the verifier.
        """
        return _waited(self._core.describe(self._recipe))

    def close(self) -> None:
        """Close connections and end what is under way."""
        if self._owns_core:
            self._core.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class AsyncRewardClient(_BaseClient):
    """Scores rollouts on reward servers; methods are awaited, on any event loop.

    Takes the same arguments as `RewardClient`.
    """

    _sink: LoopSink | None = None

    async def score(self, rollouts: Iterable[Rollout], *, run: str = "", step: int = 0, seed: int = 0) -> ScoreTable:
        """Score a batch in which every group is complete: see `RewardClient.score`."""
        labels = Labels(run, step, seed)
        return _checked(await _awaited(self._core.score(as_rollouts(rollouts), self._recipe, labels, self._method)))

    async def stream(
        self,
        rollouts: Iterable[StreamItem] | AsyncIterable[StreamItem],
        *,
        group_size: int | None = None,
        window: int = 4096,
        run: str = "",
        step: int = 0,
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

        order = ScoringJob(self._recipe, Labels(run, step, seed))
        whole = await _awaited(self._core.judges_groups(self._recipe))
        stream = GroupStream(
            self._core.submit, self._core.given_up, order, self._method, group_size, whole, emit, progress
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
        try:
            while not fed or yielded < stream.started:
                result = await ready.get()
                if result is None:
                    fed = True
                else:
                    yielded += 1
                    yield _table(result)
        finally:
            feeding.cancel()
            stream.abandon()

    def submit(
        self,
        rollout: Rollout,
        *,
        group_size: int | None = None,
        run: str = "",
        step: int = 0,
        seed: int = 0,
    ) -> asyncio.Future[RolloutResult]:
        """Score one rollout: see `RewardClient.submit`."""
        _require(rollout)
        loop = asyncio.get_running_loop()
        future = LoopFuture(loop, self._core.given_up)
        if group_size:
            order = ScoringJob(self._recipe, Labels(run, step, seed))
            self._core.assemble(order, rollout, future, LoopSink(loop, order), group_size)
            return future
        sink = self._sink
        # Each loop looks at its own sink only: with several loops at work, they just take turns in making new ones.
        if sink is None or sink.loop is not loop or not sink.order.fits(self._recipe, (run, step, seed)):
            sink = self._sink = LoopSink(loop, ScoringJob(self._recipe, Labels(run, step, seed)))
            loop.call_soon(self._hand_over, sink)
        sink.rollouts.append(rollout)
        sink.futures.append(future)
        return future

    def _hand_over(self, sink: LoopSink) -> None:
        if self._sink is sink:
            self._sink = None
        try:
            self._core.submit(sink.order, sink.rollouts, sink.futures, sink)
        except RewardError as error:
            sink.answer(sink.futures, [error] * len(sink.futures))

    async def describe(self) -> Mapping[str, VerifierInfo]:
        """What the servers say of each reward's verifier: see `RewardClient.describe`."""
        return await _awaited(self._core.describe(self._recipe))

    async def close(self) -> None:
        """Close connections and end what is under way."""
        if self._owns_core:
            await asyncio.to_thread(self._core.close)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()


_T = TypeVar("_T")
_THREADS = ThreadSink()


def _waited(future: concurrent.futures.Future[_T]) -> _T:
    """Wait; whoever stops waiting (Ctrl-C) ends the work.

    Raises:
        BlockingCallError: in a callback, on the thread that would have to do the work.
    """
    try:
        refuse_on_private_thread()
        return future.result()
    except concurrent.futures.CancelledError:
        raise ClientClosedError from None
    except BaseException:
        future.cancel()
        raise


async def _awaited(future: concurrent.futures.Future[_T]) -> _T:
    """Await; cancelling the waiting task ends the work."""
    try:
        return await asyncio.wrap_future(future)
    except asyncio.CancelledError:
        task = asyncio.current_task()
        if task is not None and not task.cancelling():
            raise ClientClosedError from None
        raise


def _table(result: ScoreTable | BaseException) -> ScoreTable:
    if isinstance(result, BaseException):
        raise result
    return result


async def _iterate(source: Iterable[StreamItem] | AsyncIterable[StreamItem]) -> AsyncIterator[StreamItem]:
    if isinstance(source, AsyncIterable):
        async for item in source:
            yield item
        return
    for item in source:
        yield item
        # A long list must not keep the caller's loop from everything else.
        await asyncio.sleep(0)


def _require(rollout: Rollout) -> None:
    if not isinstance(rollout, Rollout):
        raise not_a_rollout(rollout)


def _checked(table: ScoreTable) -> ScoreTable:
    """Combine at once, so that an incomplete batch is an error here and not where the rewards are first used."""
    table.combined  # noqa: B018
    return table
