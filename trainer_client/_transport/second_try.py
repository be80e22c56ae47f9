"""`SecondTries`: items that were answered without a score, and what is made of that.

A fault that may pass is tried again within the budget. What cannot be believed from one replica alone is put to
another: a reply that no verifier can have given, a request called wrong, the faults of a replica that gives little
else while another does better.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Sequence
from typing import NamedTuple, TypeAlias

from trainer_client._errors import RequestRejectedError
from trainer_client._settings import Retries
from trainer_client._transport.choice import has_better, has_other
from trainer_client._transport.encoding import EncodedGroup
from trainer_client._transport.plan import CallSpec, Chunk, unfinished
from trainer_client._transport.pool import Pool
from trainer_client._transport.replica import Replica
from trainer_client._transport.retry import Opinions, RetryBudget, backoff
from trainer_client._transport.wire import Ending, ScorelessResult
from trainer_client.result.batch import Batch
from trainer_client.result.outcomes import Outcome

Send: TypeAlias = Callable[[Chunk, Collection[str]], None]
"""Sends work, avoiding some replicas."""


class _Retry(NamedTuple):
    """How to try an item again: its tries so far, and the replicas to avoid."""

    tries: int
    avoid: Collection[str]


class SecondTries:
    """Decides what becomes of items without a score, and sends those again that are worth it.

    Args:
        batch: what is to be scored.
        pool: the server's replicas.
        retries: what is sent again.
        budget: what may be sent again after faults.
        tasks: where they wait.
    """

    def __init__(
        self,
        batch: Batch,
        pool: Pool,
        retries: Retries,
        budget: RetryBudget,
        tasks: asyncio.TaskGroup,
    ) -> None:
        self._batch = batch
        self._store = batch.store
        self._pool = pool
        self._fleet = pool.fleet
        self._retries = retries
        self._budget = budget
        self._opinions = Opinions()
        self._doubted: set[tuple[int, int]] = set()
        self._waiting: dict[tuple[CallSpec, int, frozenset[str]], list[ScorelessResult]] = {}
        self._groups: Sequence[EncodedGroup] = ()
        self._group_of: dict[int, EncodedGroup] = {}
        self._tasks = tasks

    def know(self, groups: Sequence[EncodedGroup]) -> None:
        """The groups of the batch."""
        self._groups = groups

    def _group(self, row: int) -> EncodedGroup:
        """The group of a row. Few batches ask for any, so that they are looked up from then on."""
        if not self._group_of:
            for group in self._groups:
                self._group_of.update(dict.fromkeys(group.rows, group))
        return self._group_of[row]

    def take(self, chunk: Chunk, results: Sequence[ScorelessResult], replica: Replica, send: Send) -> None:
        """Settle what a replica has said for good, and gather the rest for another try.

        Those of a batch that come back together go out together.

        Args:
            chunk: what was asked.
            results: what was said of it without a score.
            replica: who said it.
            send: sends work. Whose method it is holds this: kept here, it would make a circle of the two, in which the
                texts of a batch would stay until the garbage collector comes by, which counts objects and not bytes.

        Raises:
            RequestRejectedError: the request is wrong, and the recipe does not say what to do then.
        """
        doubtful = has_better(self._fleet.replicas, replica, chunk.needs)
        full = 0
        for result in results:
            cell = (result.row, result.column)
            if not self._store.is_open(*cell):
                continue
            full += result.ending is Ending.OVERLOADED
            again = self._again(chunk, result, replica, doubtful)
            if again is None:
                self._settle(result, replica)
                continue
            chunk.passed_on.add(cell)
            key = (chunk.spec, again.tries, frozenset(again.avoid))
            if key not in self._waiting:
                self._waiting[key] = []
                work = chunk.successor([], chunk.asked)
                work.tries, work.rounds = again.tries, chunk.rounds + 1
                self._tasks.create_task(self._try_again(key, work, replica, send))
            self._waiting[key].append(result)
        if full:
            self._pool.overloaded(replica, replica.outstanding - full)

    def _again(self, chunk: Chunk, result: ScorelessResult, replica: Replica, doubtful: bool) -> _Retry | None:
        cell, ending = (result.row, result.column), result.ending
        this_address = frozenset((replica.address,))
        if ending is Ending.OVERLOADED:
            return _Retry(chunk.tries, ())
        if ending in (Ending.UNUSABLE, Ending.REFUSED):
            refused_at = self._opinions.add(cell, replica.address)
            is_other_left = has_other(self._fleet.replicas, chunk.needs, refused_at)
            if self._opinions.is_confirmed(cell, is_other_left) or (ending is Ending.REFUSED and not is_other_left):
                # Two say the same: it is the item, and not the replicas.
                self._fleet.trust_all(refused_at)
                return None
            return _Retry(chunk.tries, frozenset(refused_at))
        if doubtful and cell not in self._doubted:
            self._doubted.add(cell)
            self._fleet.distrust(replica, f"gives mostly faults and skips, such as {result.outcome.code}")
            return _Retry(chunk.tries, this_address)
        if ending is Ending.FINAL:
            return None
        if ending is Ending.WRONG_VERSION:
            self._fleet.reprobe(replica)
        tries = chunk.tries + 1
        if tries >= self._retries.max_attempts or not self._budget.spend(1):
            return None
        return _Retry(tries, this_address)

    def _settle(self, result: ScorelessResult, replica: Replica) -> None:
        reward, outcome = self._batch.recipe.rewards[result.column], result.outcome
        if result.ending in (Ending.REFUSED, Ending.WRONG_VERSION) and outcome.code not in reward.on_missing:
            raise RequestRejectedError(
                outcome.message, outcome.code, self._pool.server, replica.address, reward.verifier
            )
        self._store.settle([(result.row, result.column)], outcome, result.source)

    async def _try_again(
        self, key: tuple[CallSpec, int, frozenset[str]], work: Chunk, replica: Replica, send: Send
    ) -> None:
        spec, _, avoid = key
        await self._pause(work, replica, self._waiting[key][0].retry_after)
        results = self._waiting.pop(key)
        parts: dict[int, tuple[EncodedGroup, list[int]]] = {}
        for result in results:
            group = self._group(result.row)
            _, rows = parts.setdefault(id(group), (group, self._asked_of(spec, group) if spec.whole_groups else []))
            if result.row not in rows:
                rows.append(result.row)
        everything = work.successor(list(parts.values()), tuple(range(len(spec.columns))))
        cells = {(result.row, result.column) for result in results}
        for evaluations, left in unfinished(everything, self._store, cells):
            send(work.successor(left, evaluations), avoid)

    async def _pause(self, work: Chunk, replica: Replica, at_least: float) -> None:
        """Wait as long as the replica asks, unless another one has time, and a jitter."""
        loop = asyncio.get_running_loop()
        await self._pool.wait_for_another(work.needs, replica, min(loop.time() + at_least, work.spec.expires))
        left = max(0.0, work.spec.expires - loop.time())
        await asyncio.sleep(min(backoff(self._retries, work.rounds, 0.0), left))

    def _asked_of(self, spec: CallSpec, group: EncodedGroup) -> list[int]:
        column, store = spec.columns[0], self._store
        return [row for row in group.rows if store.state[row * store.width + column] != Outcome.NOT_ASKED]
