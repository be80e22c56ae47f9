"""`Merger`: many callers with single rollouts become batches.

An entry waits at most ``Batching.wait`` seconds for company, less when a call's worth has gathered. Entries of any
thread, loop and recipe come together here; each is answered as soon as its own rollout is done.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from ._engine import Batch
from ._errors import ClientClosed, IncompleteBatch
from ._recipe import Recipe
from ._rollout import Rollout
from ._scored import Scored, rewards_of, table_of

if TYPE_CHECKING:
    from ._runtime import Runtime


class Post(Protocol):
    """Where results go: a caller's loop, thread, or stream."""

    def deliver(self, results: Sequence[tuple[Any, Scored | BaseException]]) -> None:
        """Take results with the tokens they were asked under. Called on the private loop."""


class Entry(NamedTuple):
    """A rollout, the size of its group if all of the group is at hand (else 0), and where its result goes."""

    rollout: Rollout
    size: int
    post: Post
    token: Any


class Bucket:
    """Entries of one recipe that wait for company."""

    __slots__ = ("entries", "full", "recipe")

    def __init__(self, recipe: Recipe, full: int) -> None:
        self.recipe = recipe
        self.full = full
        self.entries: list[Entry] = []


RunBatch = Callable[[Recipe, Sequence[Rollout], dict[str, int], Callable[[Batch, list[int]], None]], Any]


class Merger:
    """Gathers entries and runs them as batches on a runtime.

    Args:
        runtime: where the batches run.
        items: rollouts times rewards that make a bucket full.
        wait: seconds that an entry waits for others.
        run: settles a batch, telling which rows are complete.
    """

    def __init__(self, runtime: Runtime, items: int, wait: float, run: RunBatch) -> None:
        self._runtime = runtime
        self._items = items
        self._wait = wait
        self._run = run
        self._lock = threading.Lock()
        self._buckets: dict[int, Bucket] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def add(self, recipe: Recipe, entries: Sequence[Entry]) -> None:
        """Hand over entries, from any thread."""
        with self._lock:
            bucket = self._buckets.get(id(recipe))
            if bucket is None:
                bucket = Bucket(recipe, max(1, self._items // len(recipe.rewards)))
                self._buckets[id(recipe)] = bucket
            before = len(bucket.entries)
            bucket.entries.extend(entries)
            after = len(bucket.entries)
        if before < bucket.full <= after:
            self._runtime.loop.call_soon_threadsafe(self._flush, bucket)
        elif not before:
            self._runtime.loop.call_soon_threadsafe(self._arm, bucket)

    def _arm(self, bucket: Bucket) -> None:
        self._runtime.loop.call_later(self._wait, self._flush, bucket)

    def _flush(self, bucket: Bucket) -> None:
        with self._lock:
            entries, bucket.entries = bucket.entries, []
            # A bucket is dropped as soon as it is empty, so that recipes do not pile up.
            if self._buckets.get(id(bucket.recipe)) is bucket:
                del self._buckets[id(bucket.recipe)]
        for wave in _waves(entries):
            task = self._runtime.loop.create_task(self._settle(bucket.recipe, wave))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _settle(self, recipe: Recipe, entries: list[Entry]) -> None:
        answered = bytearray(len(entries))

        def complete(batch: Batch, rows: list[int]) -> None:
            rewards, aborted = rewards_of(batch, rows)
            results: dict[Post, list[tuple[Any, Scored | BaseException]]] = {}
            for row, reward in zip(rows, rewards, strict=True):
                answered[row] = 1
                entry = entries[row]
                result: Scored | BaseException = Scored(batch, row, reward)
                if row in aborted:
                    result = _aborted(Scored(batch, row, reward))
                results.setdefault(entry.post, []).append((entry.token, result))
            for post, found in results.items():
                post.deliver(found)

        sizes = {entry.rollout.group_id: entry.size for entry in entries if entry.size}
        try:
            await self._run(recipe, [entry.rollout for entry in entries], sizes, complete)
        except (Exception, asyncio.CancelledError) as error:
            for row, entry in enumerate(entries):
                if not answered[row]:
                    entry.post.deliver([(entry.token, ClientClosed() if _is_cancelled(error) else error)])
            if _is_cancelled(error):
                raise


def _is_cancelled(error: BaseException) -> bool:
    """Whether the batch was ended from outside, which only closing the client does."""
    return isinstance(error, asyncio.CancelledError)


def _aborted(scored: Scored) -> IncompleteBatch:
    return IncompleteBatch(
        f"{scored.rollout_id!r}: a score is missing under a code that aborts: {scored.codes}", table_of([scored])
    )


def _waves(entries: list[Entry]) -> list[list[Entry]]:
    """Batches in which ids are unique and the rollouts of a group have one prompt.

    Entries come from callers that know nothing of each other; what does not fit together goes apart.
    """
    waves: list[list[Entry]] = []
    while entries:
        wave: list[Entry] = []
        later: list[Entry] = []
        seen: set[str] = set()
        prompts: dict[str, Any] = {}
        for entry in entries:
            rollout = entry.rollout
            prompt = prompts.setdefault(rollout.group_id, rollout.prompt)
            if rollout.rollout_id in seen or (prompt is not rollout.prompt and prompt != rollout.prompt):
                later.append(entry)
                continue
            seen.add(rollout.rollout_id)
            wave.append(entry)
        waves.append(wave)
        entries = later
    return waves


class LoopPost:
    """Results for futures of one event loop, handed over in one step."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop

    def deliver(self, results: Sequence[tuple[asyncio.Future[Scored], Scored | BaseException]]) -> None:
        """See `Post`."""
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._set, results)

    @staticmethod
    def _set(results: Sequence[tuple[asyncio.Future[Scored], Scored | BaseException]]) -> None:
        for future, result in results:
            if not future.done():
                if isinstance(result, BaseException):
                    future.set_exception(result)
                else:
                    future.set_result(result)


class ThreadPost:
    """Results for futures that threads wait for."""

    def deliver(self, results: Sequence[tuple[Any, Scored | BaseException]]) -> None:
        """See `Post`."""
        for future, result in results:
            if not future.set_running_or_notify_cancel():
                continue
            if isinstance(result, BaseException):
                future.set_exception(result)
            else:
                future.set_result(result)
