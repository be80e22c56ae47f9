"""What a request asks for, checked against what is hosted, before anything runs."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

from reward_servers.core._bound import BoundVerifier
from reward_servers.core._cache import KeyMaker, fields
from reward_servers.core._errors import RequestError, quoted
from reward_servers.core._hosting import Hosting
from reward_servers.core._outcomes import Fault, Party
from reward_servers.core._schemas import decode
from reward_servers.core._verifier import Cost, Placement, Role
from reward_servers.core._work import Evaluation, Executor, Job, MakeKey, Request

_PLANS = 1024
_PLAN_BYTES = 16 << 20
"""Bytes of options that are remembered as checked."""
_OPTION_BYTES = 256 << 10
_NAME = 256
_WORTH_KEEPING = 5e-5
"""Seconds below which judging an item again is cheaper than digesting it, looking it up and keeping its verdict."""


@dataclass(slots=True, frozen=True)
class _Bound:
    """An evaluation that can be served."""

    hosted: BoundVerifier
    executor: Executor
    options: bytes
    max_cpu_s: float
    revision: int


class Planner:
    """Turns evaluations into jobs. The same evaluation comes with every call, so what was checked is remembered."""

    def __init__(self, hosting: Hosting) -> None:
        self._hosting = hosting
        self._revision = hosting.revision
        self._known: OrderedDict[Evaluation, _Bound] = OrderedDict()
        self._known_bytes = 0

    def bind(self, evaluations: Sequence[Evaluation], *, later: bool = False) -> list[_Bound | Fault]:
        """Find the verifier of each evaluation; a fault for one that cannot be served.

        Args:
            evaluations: What is asked.
            later: Whether nothing is raised, since the same was asked before and could be served.

        Raises:
            RequestError: None of them can be served; the message names the field.
        """
        if not evaluations:
            raise RequestError("evaluations: name at least one verifier")
        bounds = [self._bind(evaluation) for evaluation in evaluations]
        if not later and all(isinstance(bound, Fault) for bound in bounds):
            first = next(bound for bound in bounds if isinstance(bound, Fault))
            raise RequestError(first.message, first.code)
        return bounds

    def _bind(self, evaluation: Evaluation) -> _Bound | Fault:
        problem = _too_large(evaluation)
        if problem:
            return _caller("invalid_options" if "options" in problem else "invalid_request", problem)
        if self._revision != self._hosting.revision:
            self._known.clear()
            self._known_bytes, self._revision = 0, self._hosting.revision
        cached = self._known.get(evaluation)
        if cached is not None:
            return cached
        bound = self._check(evaluation)
        # What is wrong is not remembered: it comes once, or from someone who means harm.
        if isinstance(bound, _Bound):
            self._known[evaluation] = bound
            self._known_bytes += len(evaluation.options)
            while len(self._known) > _PLANS or self._known_bytes > _PLAN_BYTES:
                dropped, _ = self._known.popitem(last=False)
                self._known_bytes -= len(dropped.options)
        return bound

    def _check(self, evaluation: Evaluation) -> _Bound | Fault:
        hosted = self._hosting.find(evaluation)
        if hosted is None:
            return self._not_hosted(evaluation)
        identity = hosted.identity
        if hosted.verifier.options is not None:
            try:
                decode(hosted.verifier.options, evaluation.options, "options")
            except ValueError as error:
                return _caller("invalid_options", f"{identity.name}: {error}")
        elif evaluation.options not in (b"", b"{}"):
            return _caller("invalid_options", f"{identity.name}: options: the verifier takes none; remove them")
        max_cpu_s = evaluation.max_cpu_s
        cpu = hosted.limits.cpu_s if max_cpu_s is None or max_cpu_s <= 0 else min(max_cpu_s, hosted.limits.cpu_s)
        return _Bound(hosted, self._hosting.executor(hosted), evaluation.options, cpu, self._hosting.revision)

    def _not_hosted(self, evaluation: Evaluation) -> Fault:
        versions = [version.identity for version in self._hosting.versions(evaluation.verifier)]
        if not versions:
            names = ", ".join(sorted(self._hosting.current))
            return _caller(
                "unknown_verifier", f"verifier: {quoted(evaluation.verifier)} is not hosted here; hosted: {names}"
            )
        if evaluation.version and all(evaluation.version != version.version for version in versions):
            here = " and ".join(version.version for version in versions)
            return _caller(
                "version_mismatch",
                f"version_constraint: {evaluation.verifier} is at version {here} here, not {evaluation.version}",
            )
        here = " and ".join(version.digest for version in versions)
        return _caller(
            "digest_mismatch",
            f"expected_digest: {evaluation.verifier} has digest {here} here, not {evaluation.digest}; "
            "another replica may still have it",
            retryable=True,
        )

    @staticmethod
    def jobs(bounds: Sequence[_Bound | Fault], request: Request, fairness_key: object) -> list[Job | Fault]:
        """The jobs of a call, one for each evaluation, with the faults of those that cannot be served."""
        now = time.perf_counter()
        return [
            Job(
                bound.hosted,
                bound.executor,
                bound.options,
                bound.max_cpu_s,
                request.seed,
                request.deadline,
                now,
                request.client,
                fairness_key,
                _key_of(bound, request),
                (request.request_id, request.run, request.step),
            )
            if isinstance(bound, _Bound)
            else bound
            for bound in bounds
        ]


def _key_of(bound: _Bound, request: Request) -> MakeKey | None:
    """What makes the keys of an evaluation's units; None when they have none."""
    verifier = bound.hosted.verifier
    if verifier.cost is Cost.TRIVIAL:
        return None
    if verifier.deterministic and bound.executor.expected(bound.hosted) < _WORTH_KEEPING:
        return None
    parts = (bound.hosted.identity.digest, repr(bound.max_cpu_s), bound.options)
    asks_others = Role.CONTEXT in verifier.roles
    if verifier.deterministic:
        seed = request.seed if asks_others or verifier.runs is Placement.DEVICE else None
        # What it asks may be hosted in another version by now.
        hosting = str(bound.revision) if asks_others else ""
        maker = KeyMaker(*parts, hosting, seed=seed, with_names=bound.hosted.named)
        return lambda subject, index: maker.key(subject)
    if not request.request_id:
        return None
    # A stochastic verdict belongs to one call alone, but a call that is sent again must find it. Nothing keeps a caller
    # from giving two calls one name: only what is the same in all else is the same call.
    once = KeyMaker(*parts, "once", request.client, request.request_id, seed=request.seed, with_names=True)
    return lambda subject, index: fields(once.key(subject), str(index))


def _too_large(evaluation: Evaluation) -> str:
    """What of an evaluation is longer than any that is meant; empty when nothing is."""
    if len(evaluation.options) > _OPTION_BYTES:
        return f"options: {len(evaluation.options)} bytes, the limit is {_OPTION_BYTES}"
    for name, value in (
        ("verifier", evaluation.verifier),
        ("version_constraint", evaluation.version),
        ("expected_digest", evaluation.digest),
    ):
        if len(value) > _NAME:
            return f"{name}: {len(value)} characters, the limit is {_NAME}"
    return ""


def _caller(code: str, message: str, *, retryable: bool = False) -> Fault:
    return Fault(Party.CALLER, code, message, retryable)
