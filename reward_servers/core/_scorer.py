"""The heart of a server: requests in, one result for each rollout and evaluation out.

It plans a request, answers what is known, joins what is in flight, and hands the rest to executors. It knows nothing of
any transport.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from reward_servers.core._admission import Admission, ServerLimits
from reward_servers.core._cache import KeyMaker, VerdictCache
from reward_servers.core._call import Call
from reward_servers.core._compose import Composer, Remote
from reward_servers.core._errors import RequestError
from reward_servers.core._hosted import Hosted, bound_exceeded
from reward_servers.core._model import Group, Rollout
from reward_servers.core._outcomes import Fault, Outcome, Party, Skip, SkipReason, Usage, Verdict
from reward_servers.core._schemas import decode
from reward_servers.core._verifier import Cost, Role, Runs
from reward_servers.core._work import Evaluation, Executor, Request, Result, Unit
from reward_servers.core.executors import LoopExecutor, ProcessExecutor

__all__ = ["Deliver", "Scorer"]

Deliver = Callable[[int, Result], None]
"""Takes the result of a position: rollout number times evaluations, plus evaluation."""

_KINDS = {
    "unknown_verifier": "not_found",
    "version_mismatch": "precondition",
    "digest_mismatch": "precondition",
}
_PLANS = 1024
_WORTH_KEEPING = 5e-5
"""Seconds below which judging an item again is cheaper than digesting it, looking it up and keeping its verdict."""


@dataclass(slots=True, frozen=True)
class _Bound:
    """An evaluation that can be served."""

    hosted: Hosted
    executor: Executor
    options: bytes
    cpu_limit: float


class Scorer:
    """Hosts verifiers and judges requests."""

    def __init__(
        self,
        hosted: Sequence[Hosted],
        limits: ServerLimits | None = None,
        *,
        workers: int = 1,
        remotes: Mapping[str, Remote] | None = None,
    ) -> None:
        self.limits = limits or ServerLimits()
        self.hosted = {one.identity.name: one for one in hosted}
        self.admission = Admission(self.limits)
        self.cache = VerdictCache(self.limits.cache_bytes)
        self._composer = Composer(self, remotes or {})
        self._executors: dict[str, Executor] = {}
        self._owned: list[Executor] = []
        self._flying: dict[bytes, Unit] = {}
        self._plans: OrderedDict[Evaluation, _Bound | Fault] = OrderedDict()
        self._calls: set[Call] = set()
        self._idle: asyncio.Event | None = None
        self._build_executors(hosted, workers)

    def _build_executors(self, hosted: Sequence[Hosted], workers: int) -> None:
        pooled = [one for one in hosted if one.verifier.runs is Runs.PROCESS]
        if pooled:
            pool = ProcessExecutor(pooled, self._settle, workers)
            self._owned.append(pool)
            self._executors.update({one.identity.name: pool for one in pooled})
        for one in hosted:
            executor: Executor
            if one.verifier.runs is Runs.DEVICE:
                executor = ProcessExecutor([one], self._settle, 1)
            elif one.verifier.runs is Runs.LOOP:
                executor = LoopExecutor(one, self._settle, self._composer.ask)
            else:
                continue
            self._owned.append(executor)
            self._executors[one.identity.name] = executor

    async def start(self) -> None:
        """Makes every verifier ready.

        Raises:
            StartRefused: What a verifier needs is missing here.
        """
        await asyncio.gather(*(executor.start() for executor in self._owned))

    async def drain(self) -> None:
        """Waits until everything that was admitted is answered."""
        if self._calls:
            self._idle = asyncio.Event()
            await self._idle.wait()

    async def close(self) -> None:
        """Stops the executors; what is in flight is lost."""
        await asyncio.gather(*(executor.close() for executor in self._owned))
        await self._composer.close()

    def open(self, request: Request, deliver: Deliver, *, partial: bool = False, inner: bool = False) -> Call:
        """Begins to judge a request.

        Args:
            request: What to judge.
            deliver: Takes each result as it becomes known, perhaps before this returns.
            partial: Answer what does not fit with a skip, instead of refusing the whole.
            inner: Asked by a verifier whose own item is admitted already: nothing is counted twice.

        Returns:
            The call: wait for it, or close it to abandon what is not finished.

        Raises:
            RequestError: The request as a whole cannot be served; the message names the field.
            Overloaded: It does not fit now, and ``partial`` is false.
        """
        bounds = self._plan(request.evaluations)
        items = sum(len(group) for group in request.groups) * len(bounds)
        size = 0 if inner else request.size()
        call = Call(self, deliver, items, size, counted=not inner)
        if not inner and not self._admit(items, size, partial):
            return self._refuse(call, items)
        self._calls.add(call)
        call.arm(request.deadline)
        batches: dict[int, tuple[Executor, list[Unit]]] = {}
        for place, bound in enumerate(bounds):
            units = self._begin(call, request, place, len(bounds), bound)
            if units and isinstance(bound, _Bound):
                batches.setdefault(id(bound.executor), (bound.executor, []))[1].extend(units)
        for executor, units in batches.values():
            executor.submit(units)
        return call

    def _admit(self, items: int, size: int, partial: bool) -> bool:
        if partial and not self.admission.fits(items, size):
            self.admission.check_size(items, size)
            return False
        self.admission.admit(items, size)
        return True

    def _refuse(self, call: Call, items: int) -> Call:
        skip = Skip(SkipReason.OVERLOADED, self.admission.retry_after())
        call.counted = False
        for position in range(items):
            call.give(position, Result(skip))
        return call

    def _plan(self, evaluations: Sequence[Evaluation]) -> list[_Bound | Fault]:
        if not evaluations:
            raise RequestError("evaluations: name at least one verifier")
        bounds = [self._bind(one) for one in evaluations]
        if all(isinstance(one, Fault) for one in bounds):
            first = next(one for one in bounds if isinstance(one, Fault))
            raise RequestError(first.message, _KINDS.get(first.code, "invalid"))
        return bounds

    def _bind(self, evaluation: Evaluation) -> _Bound | Fault:
        bound = self._plans.get(evaluation)
        if bound is None:
            bound = self._plans[evaluation] = self._bind_anew(evaluation)
            if len(self._plans) > _PLANS:
                self._plans.popitem(last=False)
        return bound

    def _bind_anew(self, evaluation: Evaluation) -> _Bound | Fault:
        hosted = self.hosted.get(evaluation.verifier)
        if hosted is None:
            names = ", ".join(sorted(self.hosted))
            return _caller("unknown_verifier", f"verifier: {evaluation.verifier!r} is not hosted here; hosted: {names}")
        who = hosted.identity
        if evaluation.version and evaluation.version != who.version:
            return _caller(
                "version_mismatch",
                f"version_constraint: {who.name} is at version {who.version} here, not {evaluation.version}",
            )
        if evaluation.digest and evaluation.digest != who.digest:
            return _caller(
                "digest_mismatch",
                f"expected_digest: {who.name} has digest {who.digest} here, not {evaluation.digest}; "
                "another replica may still have it",
                retryable=True,
            )
        if hosted.verifier.options is not None:
            try:
                decode(hosted.verifier.options, evaluation.options, "options")
            except ValueError as error:
                return _caller("invalid_options", f"{who.name}: {error}")
        elif evaluation.options not in (b"", b"{}"):
            return _caller("invalid_options", f"{who.name}: options: the verifier takes none; remove them")
        asked = evaluation.cpu_limit
        cpu = hosted.limits.cpu if asked is None or asked <= 0 else min(asked, hosted.limits.cpu)
        return _Bound(hosted, self._executors[who.name], evaluation.options, cpu)

    def _begin(self, call: Call, request: Request, place: int, width: int, bound: _Bound | Fault) -> list[Unit]:
        """Answers what one evaluation's items need no run for, and returns the units for the rest."""
        if isinstance(bound, Fault):
            for rank in range(sum(len(group) for group in request.groups)):
                call.give(rank * width + place, Result(bound))
            return []
        units: list[Unit] = []
        keys = self._keys(bound, request)
        now = time.perf_counter()
        rank = 0
        whole = bound.hosted.verifier.scope == "group"
        for group in request.groups:
            subjects: Sequence[Rollout | Group] = [group] if whole and group.rollouts else group.rollouts
            for subject in subjects:
                count = len(group) if whole else 1
                positions = tuple(range(rank * width + place, (rank + count) * width, width))
                known = self._known(bound, subject)
                if known is not None:
                    for position in positions:
                        call.give(position, Result(known))
                else:
                    key = keys(subject, rank) if keys is not None else None
                    unit = self._join_or_make(call, request, bound, subject, key, positions, now)
                    if unit is not None:
                        units.append(unit)
                rank += count
        return units

    def _keys(self, bound: _Bound, request: Request) -> Callable[[Rollout | Group, int], bytes] | None:
        """Makes the keys of an evaluation's units; None when they have none."""
        verifier = bound.hosted.verifier
        if verifier.cost is Cost.TRIVIAL:
            return None
        if verifier.deterministic and bound.executor.expected(bound.hosted) < _WORTH_KEEPING:
            return None
        if verifier.deterministic:
            seed = request.seed if Role.CONTEXT in verifier.roles or verifier.runs is Runs.DEVICE else None
            maker = KeyMaker(f"{bound.hosted.identity.digest} {bound.cpu_limit}", bound.options, seed)
            return lambda subject, rank: maker.key(subject)
        if not request.request_id:
            return None
        # A stochastic verdict is nobody else's, but a call that is sent again must find it.
        base = f"{request.request_id}\0{bound.hosted.identity.digest}\0{bound.options!r}"
        indices = request.keys
        return lambda subject, rank: f"{base}\0{indices[rank] if indices else rank}".encode()

    @staticmethod
    def _known(bound: _Bound, subject: Rollout | Group) -> Outcome | None:
        """The outcome that needs no run: a response over the limit, or a group that is not whole."""
        limit = bound.hosted.limits.response
        if isinstance(subject, Group):
            if not subject.complete:
                size = subject.case.size
                message = (
                    f"size: {bound.hosted.identity.name} judges whole groups; group {subject.case.group_id!r} has "
                    f"{len(subject)} rollouts here and size {size}; send the group in one call, with its size"
                )
                return Fault(Party.CALLER, "incomplete_group", message)
            return None
        content = subject.content
        if isinstance(content, str):
            # A character is at most four bytes: short texts need no encoding to be measured.
            too_long = len(content) * 4 > limit and len(content.encode()) > limit
        else:
            too_long = sum(len(part.text.encode()) for message in content for part in message.parts) > limit
        return bound_exceeded(bound.hosted.floor, f"response longer than {limit} bytes") if too_long else None

    def _join_or_make(
        self,
        call: Call,
        request: Request,
        bound: _Bound,
        subject: Rollout | Group,
        key: bytes | None,
        positions: Sequence[int],
        now: float,
    ) -> Unit | None:
        if key is not None:
            verdicts = self.cache.get(key)
            if verdicts is not None:
                for position, verdict in zip(positions, verdicts, strict=True):
                    call.give(position, Result(verdict, cached=True))
                return None
            flying = self._flying.get(key)
            if flying is not None:
                flying.subscribers.append((call, positions))
                call.units.add(flying)
                return None
        unit = Unit(
            bound.hosted,
            subject,
            bound.options,
            request.seed,
            bound.cpu_limit,
            request.deadline,
            now,
            key,
            call,
            [(call, positions)],
        )
        call.units.add(unit)
        if key is not None:
            self._flying[key] = unit
        return unit

    def _settle(self, unit: Unit, outcomes: Sequence[Outcome], queue_us: int, run_us: int, usage: Usage | None) -> None:
        if unit.settled:
            return
        unit.settled = True
        if unit.key is not None:
            self._flying.pop(unit.key, None)
            if all(type(one) is Verdict for one in outcomes):
                self.cache.put(unit.key, cast("Sequence[Verdict]", outcomes))
        shared = False
        for subscriber, positions in unit.subscribers:
            subscriber.units.discard(unit)
            for position, outcome in zip(positions, outcomes, strict=True):
                subscriber.give(position, Result(outcome, queue_us, run_us, usage, shared))
            shared = True

    def release(self, call: Call, unfinished: Sequence[Unit]) -> None:
        """Forgets a call that is complete or closed, and abandons units that nobody else waits for."""
        self._calls.discard(call)
        if not self._calls and self._idle is not None:
            self._idle.set()
        for unit in unfinished:
            unit.subscribers = [entry for entry in unit.subscribers if entry[0] is not call]
            if unit.subscribers or unit.settled:
                continue
            unit.settled = True
            if unit.key is not None:
                self._flying.pop(unit.key, None)
            self._executors[unit.hosted.identity.name].abandon(unit)

    def facts(self) -> dict[str, Any]:
        """What verifiers tell of the host, and counters worth telling an operator."""
        told = {name: value for executor in self._owned for name, value in executor.facts().items()}
        return {
            **told,
            "cache_entries": len(self.cache),
            "cache_hits": self.cache.hits,
            "cache_misses": self.cache.misses,
        }


def _caller(code: str, message: str, *, retryable: bool = False) -> Fault:
    return Fault(Party.CALLER, code, message, retryable)
