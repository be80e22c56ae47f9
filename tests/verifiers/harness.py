"""Runs verifiers through the real core: plan, limits, executors and worker processes."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from reward_servers.core import (
    BoundVerifier,
    Document,
    Evaluation,
    Fault,
    Group,
    Outcome,
    PromptContext,
    Request,
    Result,
    Rollout,
    Scorer,
    Verdict,
    Verifier,
    bind,
)

CASES = Path(__file__).parent.parent / "data" / "verifiers"


def rollout(
    response: Any,
    reference: Any = None,
    *,
    prompt: str = "",
    rollout_id: str = "r",
    documents: Sequence[Document] = (),
    **extra: Any,
) -> Rollout:
    """A rollout in a group of its own."""
    encoded = b"" if reference is None else json.dumps(reference).encode()
    context = PromptContext(group_id="g", prompt=prompt, reference=encoded, documents=tuple(documents), size=1)
    return Rollout(response, context, rollout_id, **extra)


def group(responses: Sequence[str], reference: Any = None, *, prompt: str = "") -> Group:
    """A whole group."""
    encoded = b"" if reference is None else json.dumps(reference).encode()
    context = PromptContext(group_id="g", prompt=prompt, reference=encoded, size=len(responses))
    return Group(context, [Rollout(text, context, f"r{place}") for place, text in enumerate(responses)])


class Bench:
    """A running scorer."""

    def __init__(self, scorer: Scorer) -> None:
        self.scorer = scorer

    async def results(
        self,
        name: str,
        groups: Sequence[Group],
        options: Mapping[str, Any] | None = None,
        seed: int = 0,
        deadline: float | None = None,
    ) -> list[Result]:
        """The results of all rollouts, in order."""
        count = sum(len(one) for one in groups)
        results: list[Result | None] = [None] * count
        encoded = json.dumps(options).encode() if options else b""
        request = Request([Evaluation(name, options=encoded)], seed=seed, deadline=deadline)

        def deliver(place: int, result: Result) -> None:
            results[place] = result

        call = self.scorer.open(request, deliver, count)
        call.add(groups)
        await call.wait()
        assert all(one is not None for one in results)
        return [one for one in results if one is not None]

    async def outcomes(
        self, name: str, rollouts: Sequence[Rollout], options: Mapping[str, Any] | None = None, seed: int = 0
    ) -> list[Outcome]:
        """The outcomes of single rollouts."""
        groups = [Group(one.prompt_context, [one]) for one in rollouts]
        return [result.outcome for result in await self.results(name, groups, options, seed)]

    async def verdict(
        self, name: str, one: Rollout, options: Mapping[str, Any] | None = None, seed: int = 0
    ) -> Verdict:
        """The verdict of one rollout."""
        outcome = (await self.outcomes(name, [one], options, seed))[0]
        assert isinstance(outcome, Verdict), outcome
        return outcome

    async def fault(self, name: str, one: Rollout, options: Mapping[str, Any] | None = None) -> Fault:
        """The fault of one rollout."""
        outcome = (await self.outcomes(name, [one], options))[0]
        assert isinstance(outcome, Fault), outcome
        return outcome


@asynccontextmanager
async def bench(*verifiers: Verifier | BoundVerifier) -> AsyncIterator[Bench]:
    """Host verifiers for the length of a test."""
    hosted = [bind(one) if isinstance(one, Verifier) else one for one in verifiers]
    scorer = Scorer(hosted, workers=1)
    try:
        await scorer.start()
        yield Bench(scorer)
    finally:
        await scorer.close()


def evidence(verdict: Verdict) -> dict[str, Any]:
    """The decoded evidence."""
    decoded: dict[str, Any] = json.loads(verdict.evidence) if verdict.evidence else {}
    return decoded
