"""`Dispatcher`: the work of one server for one batch.

Chunks go to replicas, results are taken as they come, and what a call leaves open goes out again until the deadline.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence

from trainer_client._errors import RequestRejectedError, ServerUnavailableError
from trainer_client._settings import Batching, Retries
from trainer_client._transport import wire
from trainer_client._transport.call import OpenCall
from trainer_client._transport.choice import count_usable, has_other, has_time, pin_versions
from trainer_client._transport.encoding import EncodedGroup
from trainer_client._transport.failures import SETTLED, CallFailure, FailureClass
from trainer_client._transport.fleet import DeadlineExpiredError
from trainer_client._transport.plan import CallSpec, Chunk, call_specs, pack, unfinished
from trainer_client._transport.pool import Pool
from trainer_client._transport.replica import Replica
from trainer_client._transport.retry import RetryBudget, backoff
from trainer_client._transport.second_try import SecondTries
from trainer_client.result.batch import Batch
from trainer_client.result.outcomes import DEADLINE, ClientOutcome, Outcome, Party
from trainer_client.result.verifiers import ServerInfo

_PIECES = 4
"""Chunks that a suspect is cut into."""
_MISMATCHES_TOLERATED = 3
_SMALLEST_SHARE = 16
"""Items below which a batch is not spread further over replicas."""
_SMALLEST_TRIVIAL_SHARE = 128
"""The same of items that take no time: what a call costs beside them is most of their cost."""
_JOIN_TIME = 0.2
"""Seconds that a call goes on beside the one that replaces it, so that the server has joined their work."""
_STALL_DISTRUST = 30.0
"""Seconds that a replica without progress is passed over, the first time."""


class Dispatcher:
    """The work of one server for one batch.

    Args:
        batch: the rollouts to score.
        pool: the server's replicas.
        tasks: where the calls run; the batch is done when they are.
        batching: how work is cut.
        retries: the rules of sending items again.
        budget: what may be sent again after faults.
        hedges: what may be judged by two replicas at once.
    """

    def __init__(
        self,
        batch: Batch,
        pool: Pool,
        tasks: asyncio.TaskGroup,
        batching: Batching,
        retries: Retries,
        budget: RetryBudget,
        hedges: RetryBudget,
    ) -> None:
        self._batching = batching
        self._retries = retries
        self._budget = budget
        self._hedges = hedges
        self._batch = batch
        self._store = batch.store
        self._pool = pool
        self._fleet = pool.fleet
        self._tasks = tasks
        self._info: ServerInfo | None = None
        self._open: set[OpenCall] = set()
        self._duplicates = False
        self._acquiring: dict[asyncio.Task[None], Chunk] = {}
        batch.on_abandon.append(self._prune)
        self._again = SecondTries(batch, pool, retries, budget, tasks)

    async def run(self, columns: Sequence[int], groups: Sequence[EncodedGroup]) -> None:
        """Plan, cut and deliver."""
        rewards = self._batch.recipe.rewards
        expires = self._batch.started + max(rewards[column].deadline_s for column in columns)
        names = {rewards[column].verifier_name: rewards[column].version for column in columns}
        try:
            self._info = await self._pool.info(names, expires)
            if pin_versions(self._fleet.replicas, names, self._fleet.pins):
                self._info = await self._pool.info(names, expires)
        except DeadlineExpiredError:
            self._settle_all(columns, groups, DEADLINE)
            return
        except ServerUnavailableError as error:
            self._settle_all(columns, groups, _unavailable(str(error)))
            return
        if self._batch.recipe.follow_upgrades:
            self._fleet.follow_upgrades(names)
        for column in columns:
            self._batch.floors[column] = self._info.verifiers[rewards[column].verifier_name].floor
        self._again.know(groups)
        for spec, parts in call_specs(
            self._batch, self._pool.server, self._info.verifiers, self._fleet.pins, columns, groups
        ):
            items = sum(len(rows) for _, rows in parts) * len(spec.columns)
            self._budget.earn(items)
            self._hedges.earn(items)
            least = _SMALLEST_TRIVIAL_SHARE if spec.at_once else _SMALLEST_SHARE
            share = max(least, -(-items // count_usable(self._fleet.replicas)))
            calls = -(-share // self._batching.max_items)
            self._start(Chunk(spec, parts, tuple(range(len(spec.columns)))), -(-share // calls))

    def _settle_all(self, columns: Sequence[int], groups: Sequence[EncodedGroup], outcome: ClientOutcome) -> None:
        cells = ((row, column) for group in groups for row in group.rows for column in columns)
        self._store.settle(cells, outcome)

    def _start(self, work: Chunk, most: int, avoid: Collection[str] = ()) -> None:
        """Cut work into chunks of at most that many items and deliver them at the same time."""
        items, size = min(self._batching.max_items, most), self._batching.max_bytes
        if self._info is not None:
            items = min(items, self._info.max_items or items)
            # A quarter is left for what the estimate of a message's size does not count.
            size = min(size, self._info.max_message_bytes * 3 // 4 or size)
        for chunk in pack(work, max(1, items), size):
            task = self._tasks.create_task(self._deliver(chunk, avoid))
            self._acquiring[task] = chunk
            task.add_done_callback(lambda done: self._acquiring.pop(done, None))

    async def _deliver(self, chunk: Chunk, avoid: Collection[str]) -> None:
        """Find a replica for a chunk and send it there."""
        items, suspect = chunk.items, chunk.is_suspect
        try:
            replica = await self._pool.acquire(chunk.needs, items, chunk.spec.expires, avoid=avoid, suspect=suspect)
        except DeadlineExpiredError:
            self._store.settle(chunk.cells(), DEADLINE)
            return
        except ServerUnavailableError as error:
            self._store.settle(chunk.cells(), _unavailable(str(error)))
            return
        except RequestRejectedError as error:
            if error.code != "digest_mismatch" or not self._batch.recipe.follow_upgrades:
                raise
            # Within a batch versions are not mixed; the next one follows.
            words = str(error)
            self._store.settle(
                chunk.cells(), ClientOutcome(Outcome.FAULT, error.code, Party.SERVICE, words, retryable=True)
            )
            return
        self._forget_acquiring()
        await self._deliver_to(replica, chunk)

    def _forget_acquiring(self) -> None:
        # Not in `_deliver`: a frame that holds its own task makes a circle with the error that ends it.
        task = asyncio.current_task()
        if task is not None:
            self._acquiring.pop(task, None)

    async def _deliver_to(self, replica: Replica, chunk: Chunk) -> None:
        """Send a chunk to a replica where it is counted already, and see to what the call leaves open."""
        try:
            failure = await self._send(chunk, replica)
        finally:
            self._pool.release(replica, chunk.items, suspect=chunk.is_suspect)
        if failure is None:
            self._fleet.succeeded(replica)
        else:
            await self._after(chunk, replica, failure)
        if self._duplicates:
            self._end_settled_calls()

    async def _send(self, chunk: Chunk, replica: Replica) -> CallFailure | None:
        """One call. Returns how it failed, or None."""
        batch = self._batch
        request, unusable = wire.build_request(
            chunk,
            batch.rollouts,
            batch.name,
            batch.labels,
            batch.recipe.reasoning_marks,
            form=wire.form_of(replica.info, details=batch.recipe.details),
        )
        for row, outcome in unusable.items():
            self._store.settle([(row, column) for column in chunk.columns], outcome)
        rows = [row for _, rows in chunk.parts for row in rows if row not in unusable]
        call = OpenCall(chunk, replica, self._store, rows, self._take, self._stalled)
        self._open.add(call)
        try:
            return await call.run(request)
        finally:
            self._open.discard(call)

    # What a call tells

    def _take(self, call: OpenCall, verdicts: int, scoreless: list[wire.ScorelessResult]) -> None:
        """Take what a reply says beside verdicts, which are in the store already."""
        replica = call.replica
        unusable = [result for result in scoreless if result.ending is wire.Ending.UNUSABLE]
        if verdicts or len(unusable) < len(scoreless):
            answers = sum(result.ending in (wire.Ending.FINAL, wire.Ending.RETRYABLE) for result in scoreless)
            self._pool.heard(replica, verdicts, answers, call.heard - call.started)
        if unusable:
            self._fleet.distrust(replica, f"unusable reply: {unusable[0].outcome.message}")
        if scoreless:
            self._again.take(call.chunk, scoreless, replica, self._send_again)

    def _stalled(self, call: OpenCall, silence: float) -> None:
        """Give a call's open items to a replica that has time."""
        words = f"gave no result for {silence:.0f} s while others had time"
        chunk, address = call.chunk, call.replica.address
        if not chunk.spec.repeatable or not self._hedges.spend(call.unanswered):
            call.end(CallFailure(FailureClass.STALLED, "stalled", words))
            return
        self._duplicates = True
        self._fleet.distrust(call.replica, words, _STALL_DISTRUST)
        for evaluations, parts in unfinished(chunk, self._store):
            copy = chunk.successor(parts, evaluations)
            copy.takeovers += 1
            self._start(copy, copy.items, {address})

    def _prune(self) -> None:
        """Rollouts were given up: end what works on nothing else, and send the rest of the other calls once more.

        Under the name that it has, so that a server joins it with the work under way, which survives the end of the
        first call, while what no call asks for any more is stopped.
        """
        for task, chunk in list(self._acquiring.items()):
            if not self._has_open(chunk):
                task.cancel()
        loop = asyncio.get_running_loop()
        for call in list(self._open):
            chunk = call.chunk
            open_work = unfinished(chunk, self._store)
            if not open_work:
                call.end(SETTLED)
            elif not (chunk.spec.at_once or chunk.spec.whole_groups or call.moved) and call.unanswered > sum(
                len(rows) * len(evaluations) for evaluations, parts in open_work for _, rows in parts
            ):
                call.moved = True
                for evaluations, parts in open_work:
                    self._join(call.replica, chunk.successor(parts, evaluations))
                loop.call_later(_JOIN_TIME, call.end, SETTLED)

    def _join(self, replica: Replica, chunk: Chunk) -> None:
        self._pool.count(replica, chunk.items, suspect=chunk.is_suspect)
        self._tasks.create_task(self._deliver_to(replica, chunk))

    def _has_open(self, chunk: Chunk) -> bool:
        return any(self._store.is_open(row, column) for row, column in chunk.cells())

    def _end_settled_calls(self) -> None:
        """End calls of which no item is open any more: another replica was faster, or the caller gave them up."""
        for call in list(self._open):
            if not self._has_open(call.chunk):
                call.end(SETTLED)

    async def _after(self, chunk: Chunk, replica: Replica, failure: CallFailure) -> None:
        """A call failed: see to what it leaves open."""
        kind = failure.kind
        if kind is FailureClass.DEADLINE:
            self._store.settle(chunk.cells(), DEADLINE)
        elif kind is FailureClass.INTERRUPTED:
            self._resend(chunk, chunk.items)
        elif kind is FailureClass.OVERLOADED:
            self._pool.overloaded(replica, 0)
            elsewhere = has_time(self._fleet.replicas, chunk.needs, replica, chunk.items, _STALL_DISTRUST)
            await self._sleep(chunk.spec, chunk.rounds, 0.0 if elsewhere else failure.retry_after)
            self._resend(chunk, chunk.items)
        elif kind is FailureClass.TOO_LARGE:
            if chunk.is_smallest:
                self._store.settle(chunk.cells(), _too_large(failure))
            self._resend(chunk, -(-chunk.items // _PIECES))
        elif kind is FailureClass.WRONG_VERSION and chunk.mismatches < _MISMATCHES_TOLERATED:
            chunk.mismatches += 1
            self._fleet.reprobe(replica)
            self._resend(chunk, chunk.items, {replica.address})
        elif kind in (FailureClass.REFUSED, FailureClass.WRONG_VERSION):
            self._after_refusal(chunk, replica, failure)
        elif kind is FailureClass.STALLED:
            chunk.takeovers += 1
            self._fleet.distrust(replica, failure.details, _STALL_DISTRUST)
            self._resend(chunk, chunk.items, {replica.address})
        elif kind is not FailureClass.SETTLED:
            self._after_loss(chunk, replica, failure)

    def _after_refusal(self, chunk: Chunk, replica: Replica, failure: CallFailure) -> None:
        """A replica says that the request is wrong: it is believed when another says so too, or there is no other.

        A page of a proxy in the place of a server that has answered before is an outage, and no refusal.
        """
        if failure.code == "not_a_reward_server":
            self._after_loss(chunk, replica, failure._replace(kind=FailureClass.GONE))
            return
        chunk.refused_by |= {replica.address}
        if has_other(self._fleet.replicas, chunk.needs, chunk.refused_by):
            self._fleet.distrust(replica, f"refuses what it is asked: {failure}")
            self._resend(chunk, chunk.items, chunk.refused_by)
            return
        self._fleet.trust_all(chunk.refused_by)
        rewards = [self._batch.recipe.rewards[column] for column in chunk.columns]
        if not all(failure.code in reward.on_missing for reward in rewards):
            verifiers = ", ".join(reward.verifier_name for reward in rewards)
            raise RequestRejectedError(failure.details, failure.code, self._pool.server, replica.address, verifiers)
        self._store.settle(chunk.cells(), ClientOutcome(Outcome.FAULT, failure.code, Party.CALLER, failure.details))

    def _after_loss(self, chunk: Chunk, replica: Replica, failure: CallFailure) -> None:
        """A call broke: its open items are sent again, to another replica if there is one.

        Servers die for reasons of their own, so the first time nothing else changes. An item that breaks servers is
        cornered from the second time on: suspects go out one at a time, in ever smaller chunks.
        """
        self._fleet.failed(replica, failure)
        chunk.proven += chunk.is_suspect and chunk.is_smallest
        chunk.losses += 1
        if chunk.proven >= self._retries.max_crashes:
            self._store.settle(chunk.cells(), _given_up(failure, chunk.losses))
        self._resend(chunk, -(-chunk.items // _PIECES) if chunk.is_suspect else chunk.items, {replica.address})

    def _resend(self, chunk: Chunk, most: int, avoid: Collection[str] = ()) -> None:
        """Send what a call left open once more."""
        chunk.rounds += 1
        for evaluations, parts in unfinished(chunk, self._store):
            self._start(chunk.successor(parts, evaluations), most, avoid)

    def _send_again(self, work: Chunk, avoid: Collection[str]) -> None:
        self._start(work, self._batching.max_items, avoid)

    async def _sleep(self, spec: CallSpec, rounds: int, at_least: float) -> None:
        left = max(0.0, spec.expires - asyncio.get_running_loop().time())
        await asyncio.sleep(min(backoff(self._retries, rounds, at_least), left))


def _unavailable(message: str) -> ClientOutcome:
    return ClientOutcome(Outcome.FAULT, "unavailable", Party.SERVICE, message, retryable=True)


def _too_large(failure: CallFailure) -> ClientOutcome:
    words = f"the server takes no such message: {failure.details}"
    return ClientOutcome(Outcome.FAULT, "too_large", Party.CALLER, words)


def _given_up(failure: CallFailure, losses: int) -> ClientOutcome:
    code = failure.code if failure.kind in (FailureClass.GONE, FailureClass.UNUSABLE) else "server_error"
    words = f"{losses} calls with this item broke, the last with {failure}"
    return ClientOutcome(Outcome.FAULT, code, Party.SERVICE, words)
