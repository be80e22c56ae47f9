"""`Dispatcher`: what one server does for one batch.

Chunks go to replicas, results are taken as they come, and what a call leaves open goes out again until the deadline.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from typing import Any

import grpc
import grpc.aio

from trainer_client._batch import Batch
from trainer_client._errors import RequestRejectedError, RolloutError, ServerUnavailableError
from trainer_client._outcomes import DEADLINE, ClientOutcome, Outcome, Party
from trainer_client._settings import Batching, Retries
from trainer_client._transport import wire
from trainer_client._transport.encoding import EncodedGroup, encode_json
from trainer_client._transport.plan import CallSpec, Chunk, Evaluation, pack, unfinished
from trainer_client._transport.pool import Expired, Pool
from trainer_client._transport.replica import (
    INTERRUPTED,
    CallFailure,
    Interrupted,
    Replica,
    breakage,
    task_is_cancelled,
)
from trainer_client._transport.retry import RetryBudget

_REJECTIONS = {
    grpc.StatusCode.INVALID_ARGUMENT: "invalid_request",
    grpc.StatusCode.FAILED_PRECONDITION: "digest_mismatch",
    grpc.StatusCode.NOT_FOUND: "unknown_verifier",
    grpc.StatusCode.UNIMPLEMENTED: "not_a_reward_server",
    grpc.StatusCode.UNAUTHENTICATED: "unauthenticated",
    grpc.StatusCode.PERMISSION_DENIED: "permission_denied",
    grpc.StatusCode.OUT_OF_RANGE: "invalid_request",
}
_PIECES = 4
"""Chunks that a suspect is cut into."""
_REFUSALS_TOLERATED = 3
_SMALLEST_SHARE = 16
"""Items below which a batch is not spread further over replicas."""


class Dispatcher:
    """What one server does for one batch."""

    def __init__(
        self,
        batch: Batch,
        pool: Pool,
        tasks: asyncio.TaskGroup,
        batching: Batching,
        retries: Retries,
        budget: RetryBudget,
    ) -> None:
        self._batching = batching
        self._retries = retries
        self._budget = budget
        self._batch = batch
        self._store = batch.store
        self._pool = pool
        self._tasks = tasks
        self._facts: wire.ServerInfo | None = None
        self._waiting: dict[tuple[CallSpec, int], list[wire.Passing]] = {}
        self._group_of: dict[int, EncodedGroup] = {}

    async def run(self, columns: Sequence[int], groups: Sequence[EncodedGroup]) -> None:
        """Plan, cut and deliver."""
        rewards = self._batch.recipe.rewards
        expires = self._batch.started + max(rewards[column].deadline for column in columns)
        try:
            self._facts = await self._pool.facts(expires)
        except Expired:
            self._settle_all(columns, groups, DEADLINE)
            return
        except ServerUnavailableError as error:
            self._settle_all(columns, groups, _unavailable(str(error)))
            return
        for made in groups:
            self._group_of.update(dict.fromkeys(made.rows, made))
        for spec, parts in self._specs(columns, groups, self._facts):
            items = sum(len(rows) for _, rows in parts) * len(spec.columns)
            self._budget.earn(items)
            share = max(_SMALLEST_SHARE, -(-items // self._pool.usable))
            calls = -(-share // self._batching.max_items)
            self._start(Chunk(spec, parts, tuple(range(len(spec.columns)))), -(-share // calls))

    def _settle_all(self, columns: Sequence[int], groups: Sequence[EncodedGroup], outcome: ClientOutcome) -> None:
        cells = ((row, column) for made in groups for row in made.rows for column in columns)
        self._store.settle(cells, outcome)

    def _specs(
        self, columns: Sequence[int], groups: Sequence[EncodedGroup], facts: wire.ServerInfo
    ) -> list[tuple[CallSpec, list[tuple[EncodedGroup, list[int]]]]]:
        """Rewards that travel together: asked of the same rollouts, before the same deadline."""
        batch, store = self._batch, self._store
        rewards = batch.recipe.rewards
        for column in columns:
            known = facts.verifiers.get(rewards[column].verifier_name)
            if known is None:
                raise self._pool.unknown_verifier(rewards[column].verifier_name)
            batch.floors[column] = known.floor
        need_of = {
            task: tuple(c for c in columns if rewards[c].tasks is None or task in (rewards[c].tasks or ()))
            for task in {rollout.task for rollout in batch.rollouts}
        }
        work: dict[tuple[float, tuple[int, ...]], list[tuple[EncodedGroup, list[int]]]] = {}
        for made in groups:
            by_need: dict[tuple[int, ...], list[int]] = {}
            if len(need_of) == 1 and all(store.left[row] for row in made.rows):
                by_need = {next(iter(need_of.values())): made.rows}
            else:
                for row in made.rows:
                    if store.left[row]:
                        by_need.setdefault(need_of[batch.rollouts[row].task], []).append(row)
            for need, rows in by_need.items():
                for deadline in {rewards[column].deadline for column in need}:
                    together = tuple(c for c in need if rewards[c].deadline == deadline)
                    work.setdefault((deadline, together), []).append((made, rows))
        specs = []
        for (deadline, together), parts in work.items():
            evaluations = tuple(self._evaluation(column) for column in together)
            grouped = any(facts.verifiers[e.verifier].judges_groups for e in evaluations)
            if grouped:
                self._require_complete(parts)
            name = f"{self._pool.server}:{'+'.join(map(str, together))}"
            at_once = all(facts.verifiers[e.verifier].is_trivial for e in evaluations)
            spec = CallSpec(name, together, evaluations, batch.started + deadline, grouped, at_once)
            specs.append((spec, parts))
        return specs

    def _require_complete(self, parts: Sequence[tuple[EncodedGroup, list[int]]]) -> None:
        for made, rows in parts:
            if made.size != len(rows):
                rollout = self._batch.rollouts[rows[0]]
                raise RolloutError(
                    f"a verifier of server {self._pool.server!r} judges whole groups, and of group {made.group_id!r} "
                    f"{len(rows)} rollouts are at hand ({made.size or 'an unknown number'} make it complete); score "
                    "complete groups of one task, or give group_size with single ones",
                    "group_id",
                    rollout.rollout_id,
                )

    def _evaluation(self, column: int) -> Evaluation:
        reward = self._batch.recipe.rewards[column]
        name = reward.verifier_name
        options = encode_json(reward.options) if reward.options else b""
        return Evaluation(name, reward.version, self._pool.pins.get(name, ""), options, reward.cpu_limit)

    def _start(self, work: Chunk, most: int, avoid: Replica | None = None) -> None:
        """Cut work into chunks of at most that many items and deliver them at the same time."""
        items, size = min(self._batching.max_items, most), self._batching.max_bytes
        if self._facts is not None:
            items = min(items, self._facts.max_items or items)
            # A quarter is left for what the estimate of a message's size does not count.
            size = min(size, self._facts.max_message_bytes * 3 // 4 or size)
        for chunk in pack(work, max(1, items), size):
            self._tasks.create_task(self._deliver(chunk, avoid))

    async def _deliver(self, chunk: Chunk, avoid: Replica | None) -> None:
        """Send a chunk and see to what the call leaves open."""
        spec = chunk.spec
        needs = {spec.evaluations[p].verifier: spec.evaluations[p].digest for p in chunk.asked}
        items, suspect = chunk.items, chunk.is_suspect
        try:
            replica = await self._pool.acquire(needs, items, spec.expires, avoid=avoid, suspect=suspect)
        except Expired:
            self._store.settle(chunk.cells(), DEADLINE)
            return
        except ServerUnavailableError as error:
            self._store.settle(chunk.cells(), _unavailable(str(error)))
            return
        try:
            failure = await self._send(chunk, replica)
        finally:
            self._pool.release(replica, items, suspect=suspect)
        if failure is None:
            self._pool.succeeded(replica)
        elif failure.status is grpc.StatusCode.DEADLINE_EXCEEDED:
            self._store.settle(chunk.cells(), DEADLINE)
        elif failure is INTERRUPTED:
            self._resend(chunk, items)
        elif failure.status is grpc.StatusCode.RESOURCE_EXHAUSTED and not _is_too_large(failure):
            self._pool.overloaded(replica, 0)
            await self._sleep(spec, chunk.rounds, failure.retry_after)
            self._resend(chunk, items)
        else:
            self._after_loss(chunk, replica, failure)

    def _resend(self, chunk: Chunk, most: int, avoid: Replica | None = None) -> None:
        """Send what a call left open once more."""
        chunk.rounds += 1
        for asked, parts in unfinished(chunk, self._store):
            self._start(chunk.successor(parts, asked), most, avoid)

    async def _send(self, chunk: Chunk, replica: Replica) -> CallFailure | None:
        """One call. Returns how it broke, or None."""
        loop = asyncio.get_running_loop()
        request, unusable = wire.build_request(chunk, self._batch.rollouts, self._batch.name, self._batch.labels)
        columns = [chunk.spec.columns[position] for position in chunk.asked]
        for row, outcome in unusable.items():
            self._store.settle([(row, column) for column in columns], outcome)
        timeout = chunk.spec.expires - loop.time()
        if timeout <= 0:
            return CallFailure(grpc.StatusCode.DEADLINE_EXCEEDED, "")
        answered, call = 0, None
        try:
            if chunk.spec.at_once:
                call = replica.score(request, timeout)
                answered += self._take(await call, chunk, columns, replica)
            else:
                call = replica.stream(request, timeout)
                try:
                    async for response in call:
                        answered += self._take(response, chunk, columns, replica)
                finally:
                    call.cancel()
        except Interrupted:
            return INTERRUPTED
        except grpc.aio.AioRpcError as error:
            return breakage(error)
        except asyncio.CancelledError:
            if task_is_cancelled():
                raise
            return replica.forget(call)
        finally:
            replica.forget(call)
        if answered < chunk.items:
            self._store.settle(chunk.cells(), _NO_RESULT)
        return None

    def _take(self, response: Any, chunk: Chunk, columns: Sequence[int], replica: Replica) -> int:
        """Take what a response says; how many cells it answers."""
        settled, passing = wire.read_response(response, self._store, columns)
        if self._store.refusal is not None:
            self._refuse(replica)
        if passing:
            self._again(chunk, passing, replica)
        return settled + len(passing)

    def _refuse(self, replica: Replica) -> None:
        """Stop for a fault of the caller's, unless the recipe says what to do about that code."""
        column, code, message = self._store.refusal or (0, "", "")
        reward = self._batch.recipe.rewards[column]
        if code not in reward.on_missing:
            raise RequestRejectedError(message, code, self._pool.server, replica.address, reward.verifier)
        self._store.refusal = None

    def _refuse_all(self, chunk: Chunk, replica: Replica, failure: CallFailure) -> None:
        """The same for a whole call."""
        code = failure.code or _REJECTIONS[failure.status]
        rewards = [self._batch.recipe.rewards[chunk.spec.columns[p]] for p in chunk.asked]
        if not all(code in reward.on_missing for reward in rewards):
            verifiers = ", ".join(reward.verifier_name for reward in rewards)
            raise RequestRejectedError(failure.details, code, self._pool.server, replica.address, verifiers)
        self._store.settle(chunk.cells(), ClientOutcome(Outcome.FAULT, code, Party.CALLER, failure.details))

    def _after_loss(self, chunk: Chunk, replica: Replica, failure: CallFailure) -> None:
        """A call broke: what is left of it goes out again, to another replica if there is one.

        Servers die for reasons of their own, so the first time nothing else changes. An item that breaks servers is
        cornered from the second time on: suspects go out one at a time, in ever smaller chunks.
        """
        smaller = -(-chunk.items // _PIECES)
        if failure.status is grpc.StatusCode.FAILED_PRECONDITION and chunk.refusals < _REFUSALS_TOLERATED:
            chunk.refusals += 1
            self._pool.reprobe(replica)
            self._resend(chunk, chunk.items, replica)
        elif failure.status in _REJECTIONS:
            self._refuse_all(chunk, replica, failure)
        elif _is_too_large(failure):
            if chunk.is_smallest:
                self._store.settle(chunk.cells(), _too_large(failure))
            self._resend(chunk, smaller)
        else:
            self._pool.failed(replica, failure)
            chunk.proven += chunk.is_suspect and chunk.is_smallest
            chunk.losses += 1
            if chunk.proven >= self._retries.max_crashes:
                self._store.settle(chunk.cells(), _given_up(failure, chunk.losses))
            self._resend(chunk, smaller if chunk.is_suspect else chunk.items, replica)

    # Items that may be better another time

    def _again(self, chunk: Chunk, passing: Sequence[wire.Passing], replica: Replica) -> None:
        """Gather items for another try; those of a batch that come back together go out together."""
        for item in passing:
            if item.wrong_pin:
                self._pool.reprobe(replica)
            chunk.passed_on.add((item.row, item.column))
            tries = chunk.tries if item.overloaded else chunk.tries + 1
            spent = not item.overloaded and (tries >= self._retries.max_attempts or not self._budget.spend(1))
            if spent:
                self._store.settle([(item.row, item.column)], item.outcome)
                continue
            key = (chunk.spec, tries)
            if key not in self._waiting:
                self._waiting[key] = []
                again = chunk.successor([], chunk.asked)
                again.tries, again.rounds = tries, chunk.rounds + 1
                self._tasks.create_task(self._try_again(key, again, replica))
            self._waiting[key].append(item)
        full = sum(item.overloaded for item in passing)
        if full:
            self._pool.overloaded(replica, replica.outstanding - full)

    async def _try_again(self, key: tuple[CallSpec, int], again: Chunk, replica: Replica) -> None:
        spec = again.spec
        await self._sleep(spec, again.rounds, self._waiting[key][0].retry_after)
        parts: dict[int, tuple[EncodedGroup, list[int]]] = {}
        for item in self._waiting.pop(key):
            made = self._group_of[item.row]
            _, rows = parts.setdefault(id(made), (made, self._asked_of(spec, made) if spec.whole_groups else []))
            if item.row not in rows:
                rows.append(item.row)
        everything = again.successor(list(parts.values()), tuple(range(len(spec.columns))))
        for asked, left in unfinished(everything, self._store):
            self._start(again.successor(left, asked), self._batching.max_items, replica)

    def _asked_of(self, spec: CallSpec, made: EncodedGroup) -> list[int]:
        column, store = spec.columns[0], self._store
        return [row for row in made.rows if store.state[row * store.width + column] != Outcome.NOT_ASKED]

    async def _sleep(self, spec: CallSpec, doublings: int, at_least: float) -> None:
        longest = min(self._retries.max_backoff_s, self._retries.initial_backoff_s * 2.0 ** min(doublings, 20))
        delay = at_least + random.uniform(0.0, longest)  # noqa: S311 (jitter)
        await asyncio.sleep(min(delay, max(0.0, spec.expires - asyncio.get_running_loop().time())))


_NO_RESULT = ClientOutcome(
    Outcome.FAULT, "no_result", Party.SERVICE, "the server ended the call without an outcome for this item"
)


def _unavailable(message: str) -> ClientOutcome:
    return ClientOutcome(Outcome.FAULT, "unavailable", Party.SERVICE, message, retryable=True)


def _too_large(failure: CallFailure) -> ClientOutcome:
    return ClientOutcome(
        Outcome.FAULT, "too_large", Party.CALLER, f"the server takes no such message: {failure.details}"
    )


def _given_up(failure: CallFailure, losses: int) -> ClientOutcome:
    code = "unavailable" if failure.status is grpc.StatusCode.UNAVAILABLE else "server_error"
    return ClientOutcome(
        Outcome.FAULT,
        code,
        Party.SERVICE,
        f"{losses} calls with this item broke, the last with {failure.status.name}: {failure.details}",
    )


def _is_too_large(failure: CallFailure) -> bool:
    """Whether a message exceeded what the other side accepts, which gRPC reports under the same status as overload."""
    return failure.status is grpc.StatusCode.RESOURCE_EXHAUSTED and "larger than max" in failure.details
