"""Verifiers that ask other verifiers: one hosted beside them, or one on another server."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Protocol

from reward_servers.core._bound import BoundVerifier
from reward_servers.core._call import Call, Deliver
from reward_servers.core._context import Context, VerifierId
from reward_servers.core._errors import (
    CallerError,
    DatasetError,
    FaultError,
    RequestError,
    ServiceError,
    UpstreamError,
)
from reward_servers.core._model import Group, Rollout
from reward_servers.core._outcomes import Fault, Outcome, Party, Skip, Usage, Verdict
from reward_servers.core._work import Evaluation, Request, Result

_ERRORS: dict[Party, type[FaultError]] = {
    Party.DATASET: DatasetError,
    Party.SERVICE: ServiceError,
    Party.UPSTREAM: UpstreamError,
    Party.CALLER: CallerError,
}


class Remote(Protocol):
    """A verifier on another server."""

    async def score(
        self, rollout: Rollout, options: bytes, seed: int, remaining: float | None
    ) -> tuple[Outcome, VerifierId, Usage]:
        """Ask it about one rollout; say what that cost, too."""


class Remotes(Protocol):
    """The verifiers on other servers."""

    def get(self, name: str) -> Remote | None:
        """A verifier on another server; None when it is not known where it is."""

    async def close(self) -> None:
        """Release all connections."""


class _Opens(Protocol):
    hosted: dict[str, BoundVerifier]

    def open(self, request: Request, deliver: Deliver, items: int, *, inner: bool) -> Call: ...


class Composer:
    """Asks verifiers on behalf of others. Deadline and seed are inherited."""

    def __init__(self, scorer: _Opens, remotes: Remotes | None) -> None:
        self._scorer = scorer
        self._remotes = remotes

    async def ask(
        self,
        context: Context,
        name: str,
        rollout: Rollout,
        reference: bytes | None,
        options: Mapping[str, Any],
    ) -> tuple[Verdict, VerifierId]:
        """Ask one verifier about one rollout.

        Raises:
            FaultError: It gave no verdict.
        """
        subject = rollout if reference is None else replace(rollout, own_reference=reference)
        encoded = json.dumps(options, sort_keys=True).encode() if options else b""
        hosted = self._scorer.hosted.get(name)
        if hosted is not None:
            result = await self._ask_here(context, name, subject, encoded)
            outcome, identity, usage = result.outcome, hosted.identity, result.usage or Usage()
            context.elsewhere |= result.elsewhere
        elif (remote := self._remotes.get(name) if self._remotes is not None else None) is not None:
            context.elsewhere = True
            outcome, identity, usage = await remote.score(subject, encoded, context.run_seed, context.remaining())
        else:
            raise ServiceError(
                f"{context.verifier} asks {name}, which is not hosted here and has no entry in [endpoints]",
                code="verifier_not_reachable",
            )
        context.usage.add(usage)
        return self._verdict(name, outcome), identity

    async def _ask_here(self, context: Context, name: str, rollout: Rollout, options: bytes) -> Result:
        results: list[Result] = []
        request = Request([Evaluation(name, options=options)], seed=context.run_seed, deadline=context.deadline)
        try:
            call = self._scorer.open(request, lambda position, result: results.append(result), 1, inner=True)
        except RequestError as error:
            raise CallerError(f"{name}: {error}", code="invalid_request") from None
        try:
            call.add([Group(rollout.prompt_context, [rollout])])
            await call.wait()
        finally:
            call.close()
        return results[0]

    @staticmethod
    def _verdict(name: str, outcome: Outcome) -> Verdict:
        if isinstance(outcome, Verdict):
            return outcome
        if isinstance(outcome, Skip):
            raise ServiceError(f"{name} was not run: {outcome.reason.value}", code=outcome.reason.value, retryable=True)
        raise _fault_error(name, outcome)

    async def close(self) -> None:
        """Release the connections to other servers."""
        if self._remotes is not None:
            await self._remotes.close()


def _fault_error(name: str, fault: Fault) -> FaultError:
    return _ERRORS[fault.party](
        f"{name}: {fault.message}",
        code=fault.code,
        retryable=fault.retryable,
        retry_after=fault.retry_after,
        evidence=fault.evidence,
    )
