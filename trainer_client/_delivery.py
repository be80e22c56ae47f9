"""`Delivery`: what one server does for one batch.

Parcels go to replicas, results are taken as they come, and what a call leaves open goes out again until the deadline.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from typing import Any

import grpc
import grpc.aio

from . import _wire as wire
from ._batch import Batch, Budget
from ._errors import RequestRejectedError, RolloutError, ServerUnavailableError
from ._ledger import DEADLINE, LocalOutcome, Outcome, Party
from ._plan import Bundle, Evaluation, Parcel, Route, encode_json, pack, unfinished
from ._pool import Expired, Pool
from ._replica import INTERRUPTED, Breakage, Interrupted, Replica, being_cancelled, breakage
from ._settings import Batching, Retries

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
"""Parcels that a suspect is cut into."""
_REFUSALS_TOLERATED = 3
_SMALLEST_SHARE = 16
"""Items below which a batch is not spread further over replicas."""


class Delivery:
    """What one server does for one batch."""

    def __init__(
        self, batch: Batch, pool: Pool, tasks: asyncio.TaskGroup, batching: Batching, retries: Retries, budget: Budget
    ) -> None:
        self._batching = batching
        self._retries = retries
        self._budget = budget
        self._batch = batch
        self._ledger = batch.ledger
        self._pool = pool
        self._tasks = tasks
        self._facts: wire.ServerInfo | None = None
        self._waiting: dict[tuple[Route, int], list[wire.Passing]] = {}
        self._bundle_of: dict[int, Bundle] = {}

    async def run(self, columns: Sequence[int], bundles: Sequence[Bundle]) -> None:
        """Plan, cut and deliver."""
        rewards = self._batch.recipe.rewards
        expires = self._batch.started + max(rewards[column].deadline for column in columns)
        try:
            self._facts = await self._pool.facts(expires)
        except Expired:
            self._settle_all(columns, bundles, DEADLINE)
            return
        except ServerUnavailableError as error:
            self._settle_all(columns, bundles, _unavailable(str(error)))
            return
        for made in bundles:
            self._bundle_of.update(dict.fromkeys(made.rows, made))
        for route, parts in self._routes(columns, bundles, self._facts):
            items = sum(len(rows) for _, rows in parts) * len(route.columns)
            self._budget.earn(items)
            share = max(_SMALLEST_SHARE, -(-items // self._pool.usable))
            calls = -(-share // self._batching.max_items)
            self._start(Parcel(route, parts, tuple(range(len(route.columns)))), -(-share // calls))

    def _settle_all(self, columns: Sequence[int], bundles: Sequence[Bundle], outcome: LocalOutcome) -> None:
        cells = ((row, column) for made in bundles for row in made.rows for column in columns)
        self._ledger.settle(cells, outcome)

    def _routes(
        self, columns: Sequence[int], bundles: Sequence[Bundle], facts: wire.ServerInfo
    ) -> list[tuple[Route, list[tuple[Bundle, list[int]]]]]:
        """Rewards that travel together: asked of the same rollouts, before the same deadline."""
        batch, ledger = self._batch, self._ledger
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
        work: dict[tuple[float, tuple[int, ...]], list[tuple[Bundle, list[int]]]] = {}
        for made in bundles:
            by_need: dict[tuple[int, ...], list[int]] = {}
            if len(need_of) == 1 and all(ledger.left[row] for row in made.rows):
                by_need = {next(iter(need_of.values())): made.rows}
            else:
                for row in made.rows:
                    if ledger.left[row]:
                        by_need.setdefault(need_of[batch.rollouts[row].task], []).append(row)
            for need, rows in by_need.items():
                for deadline in {rewards[column].deadline for column in need}:
                    together = tuple(c for c in need if rewards[c].deadline == deadline)
                    work.setdefault((deadline, together), []).append((made, rows))
        routes = []
        for (deadline, together), parts in work.items():
            evaluations = tuple(self._evaluation(column) for column in together)
            grouped = any(facts.verifiers[e.verifier].judges_groups for e in evaluations)
            if grouped:
                self._require_complete(parts)
            name = f"{self._pool.server}:{'+'.join(map(str, together))}"
            at_once = all(facts.verifiers[e.verifier].is_trivial for e in evaluations)
            route = Route(name, together, evaluations, batch.started + deadline, grouped, at_once)
            routes.append((route, parts))
        return routes

    def _require_complete(self, parts: Sequence[tuple[Bundle, list[int]]]) -> None:
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

    def _start(self, work: Parcel, most: int, avoid: Replica | None = None) -> None:
        """Cut work into parcels of at most that many items and deliver them at the same time."""
        items, size = min(self._batching.max_items, most), self._batching.max_bytes
        if self._facts is not None:
            items = min(items, self._facts.max_items or items)
            # A quarter is left for what the estimate of a message's size does not count.
            size = min(size, self._facts.max_message_bytes * 3 // 4 or size)
        for parcel in pack(work, max(1, items), size):
            self._tasks.create_task(self._deliver(parcel, avoid))

    async def _deliver(self, parcel: Parcel, avoid: Replica | None) -> None:
        """Send a parcel and see to what the call leaves open."""
        route = parcel.route
        needs = {route.evaluations[p].verifier: route.evaluations[p].digest for p in parcel.asked}
        items, suspect = parcel.items, parcel.is_suspect
        try:
            replica = await self._pool.acquire(needs, items, route.expires, avoid=avoid, suspect=suspect)
        except Expired:
            self._ledger.settle(parcel.cells(), DEADLINE)
            return
        except ServerUnavailableError as error:
            self._ledger.settle(parcel.cells(), _unavailable(str(error)))
            return
        try:
            broken = await self._send(parcel, replica)
        finally:
            self._pool.release(replica, items, suspect=suspect)
        if broken is None:
            self._pool.succeeded(replica)
        elif broken.status is grpc.StatusCode.DEADLINE_EXCEEDED:
            self._ledger.settle(parcel.cells(), DEADLINE)
        elif broken is INTERRUPTED:
            self._resend(parcel, items)
        elif broken.status is grpc.StatusCode.RESOURCE_EXHAUSTED and not _is_too_large(broken):
            self._pool.overloaded(replica, 0)
            await self._sleep(route, parcel.rounds, broken.retry_after)
            self._resend(parcel, items)
        else:
            self._after_loss(parcel, replica, broken)

    def _resend(self, parcel: Parcel, most: int, avoid: Replica | None = None) -> None:
        """Send what a call left open once more."""
        parcel.rounds += 1
        for asked, parts in unfinished(parcel, self._ledger):
            self._start(parcel.successor(parts, asked), most, avoid)

    async def _send(self, parcel: Parcel, replica: Replica) -> Breakage | None:
        """One call. Returns how it broke, or None."""
        loop = asyncio.get_running_loop()
        request, unusable = wire.build_request(parcel, self._batch.rollouts, self._batch.name, self._batch.labels)
        columns = [parcel.route.columns[position] for position in parcel.asked]
        for row, outcome in unusable.items():
            self._ledger.settle([(row, column) for column in columns], outcome)
        timeout = parcel.route.expires - loop.time()
        if timeout <= 0:
            return Breakage(grpc.StatusCode.DEADLINE_EXCEEDED, "")
        answered, call = 0, None
        try:
            if parcel.route.at_once:
                call = replica.score(request, timeout)
                answered += self._take(await call, parcel, columns, replica)
            else:
                call = replica.stream(request, timeout)
                try:
                    async for response in call:
                        answered += self._take(response, parcel, columns, replica)
                finally:
                    call.cancel()
        except Interrupted:
            return INTERRUPTED
        except grpc.aio.AioRpcError as error:
            return breakage(error)
        except asyncio.CancelledError:
            if being_cancelled():
                raise
            return replica.forget(call)
        finally:
            replica.forget(call)
        if answered < parcel.items:
            self._ledger.settle(parcel.cells(), _NO_RESULT)
        return None

    def _take(self, response: Any, parcel: Parcel, columns: Sequence[int], replica: Replica) -> int:
        """Take what a response says; how many cells it answers."""
        settled, passing = wire.read_response(response, self._ledger, columns)
        if self._ledger.refusal is not None:
            self._refuse(replica)
        if passing:
            self._again(parcel, passing, replica)
        return settled + len(passing)

    def _refuse(self, replica: Replica) -> None:
        """Stop for a fault of the caller's, unless the recipe says what to do about that code."""
        column, code, message = self._ledger.refusal or (0, "", "")
        reward = self._batch.recipe.rewards[column]
        if code not in reward.on_missing:
            raise RequestRejectedError(message, code, self._pool.server, replica.address, reward.verifier)
        self._ledger.refusal = None

    def _refuse_all(self, parcel: Parcel, replica: Replica, broken: Breakage) -> None:
        """The same for a whole call."""
        code = broken.code or _REJECTIONS[broken.status]
        rewards = [self._batch.recipe.rewards[parcel.route.columns[p]] for p in parcel.asked]
        if not all(code in reward.on_missing for reward in rewards):
            verifiers = ", ".join(reward.verifier_name for reward in rewards)
            raise RequestRejectedError(broken.details, code, self._pool.server, replica.address, verifiers)
        self._ledger.settle(parcel.cells(), LocalOutcome(Outcome.FAULT, code, Party.CALLER, broken.details))

    def _after_loss(self, parcel: Parcel, replica: Replica, broken: Breakage) -> None:
        """A call broke: what is left of it goes out again, to another replica if there is one.

        Servers die for reasons of their own, so the first time nothing else changes. An item that breaks servers is
        cornered from the second time on: suspects go out one at a time, in ever smaller parcels.
        """
        smaller = -(-parcel.items // _PIECES)
        if broken.status is grpc.StatusCode.FAILED_PRECONDITION and parcel.refusals < _REFUSALS_TOLERATED:
            parcel.refusals += 1
            self._pool.look_again(replica)
            self._resend(parcel, parcel.items, replica)
        elif broken.status in _REJECTIONS:
            self._refuse_all(parcel, replica, broken)
        elif _is_too_large(broken):
            if parcel.is_smallest:
                self._ledger.settle(parcel.cells(), _too_large(broken))
            self._resend(parcel, smaller)
        else:
            self._pool.failed(replica, broken)
            parcel.proven += parcel.is_suspect and parcel.is_smallest
            parcel.losses += 1
            if parcel.proven >= self._retries.max_crashes:
                self._ledger.settle(parcel.cells(), _given_up(broken, parcel.losses))
            self._resend(parcel, smaller if parcel.is_suspect else parcel.items, replica)

    # Items that may be better another time

    def _again(self, parcel: Parcel, passing: Sequence[wire.Passing], replica: Replica) -> None:
        """Gather items for another try; those of a batch that come back together go out together."""
        for item in passing:
            if item.wrong_pin:
                self._pool.look_again(replica)
            parcel.passed_on.add((item.row, item.column))
            tries = parcel.tries if item.overloaded else parcel.tries + 1
            spent = not item.overloaded and (tries >= self._retries.max_attempts or not self._budget.spend(1))
            if spent:
                self._ledger.settle([(item.row, item.column)], item.outcome)
                continue
            key = (parcel.route, tries)
            if key not in self._waiting:
                self._waiting[key] = []
                again = parcel.successor([], parcel.asked)
                again.tries, again.rounds = tries, parcel.rounds + 1
                self._tasks.create_task(self._try_again(key, again, replica))
            self._waiting[key].append(item)
        full = sum(item.overloaded for item in passing)
        if full:
            self._pool.overloaded(replica, replica.outstanding - full)

    async def _try_again(self, key: tuple[Route, int], again: Parcel, replica: Replica) -> None:
        route = again.route
        await self._sleep(route, again.rounds, self._waiting[key][0].retry_after)
        parts: dict[int, tuple[Bundle, list[int]]] = {}
        for item in self._waiting.pop(key):
            made = self._bundle_of[item.row]
            _, rows = parts.setdefault(id(made), (made, self._asked_of(route, made) if route.whole_groups else []))
            if item.row not in rows:
                rows.append(item.row)
        everything = again.successor(list(parts.values()), tuple(range(len(route.columns))))
        for asked, left in unfinished(everything, self._ledger):
            self._start(again.successor(left, asked), self._batching.max_items, replica)

    def _asked_of(self, route: Route, made: Bundle) -> list[int]:
        column, ledger = route.columns[0], self._ledger
        return [row for row in made.rows if ledger.state[row * ledger.width + column] != Outcome.NOT_ASKED]

    async def _sleep(self, route: Route, doublings: int, at_least: float) -> None:
        longest = min(self._retries.max_backoff_s, self._retries.initial_backoff_s * 2.0 ** min(doublings, 20))
        delay = at_least + random.uniform(0.0, longest)  # noqa: S311 (jitter)
        await asyncio.sleep(min(delay, max(0.0, route.expires - asyncio.get_running_loop().time())))


_NO_RESULT = LocalOutcome(
    Outcome.FAULT, "no_result", Party.SERVICE, "the server ended the call without an outcome for this item"
)


def _unavailable(message: str) -> LocalOutcome:
    return LocalOutcome(Outcome.FAULT, "unavailable", Party.SERVICE, message, retryable=True)


def _too_large(broken: Breakage) -> LocalOutcome:
    return LocalOutcome(Outcome.FAULT, "too_large", Party.CALLER, f"the server takes no such message: {broken.details}")


def _given_up(broken: Breakage, losses: int) -> LocalOutcome:
    code = "unavailable" if broken.status is grpc.StatusCode.UNAVAILABLE else "server_error"
    return LocalOutcome(
        Outcome.FAULT,
        code,
        Party.SERVICE,
        f"{losses} calls with this item broke, the last with {broken.status.name}: {broken.details}",
    )


def _is_too_large(broken: Breakage) -> bool:
    """Whether a message exceeded what the other side accepts, which gRPC reports under the same status as overload."""
    return broken.status is grpc.StatusCode.RESOURCE_EXHAUSTED and "larger than max" in broken.details
