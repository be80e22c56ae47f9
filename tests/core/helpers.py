"""A scorer in this process, with real worker processes."""

from __future__ import annotations

import asyncio
import pickle
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from reward_servers.core import (
    Call,
    Deliver,
    Evaluation,
    Fault,
    Group,
    Outcome,
    PromptContext,
    Remotes,
    Request,
    Result,
    Rollout,
    Scorer,
    ServerLimits,
    Skip,
    Verdict,
    Verifier,
    bind,
)
from tests.core import unruly

PATIENCE = 240.0
"""Seconds that results may take on a machine that does much besides."""


@asynccontextmanager
async def scoring(
    *verifiers: Verifier,
    workers: int = 2,
    settings: Mapping[str, Mapping[str, Any]] | None = None,
    limits: ServerLimits | None = None,
    remotes: Remotes | None = None,
) -> AsyncIterator[Scorer]:
    """A scorer that hosts verifiers."""
    hosted = [bind(one, (settings or {}).get(one.name)) for one in verifiers]
    scorer = Scorer(hosted, limits, workers=workers, remotes=remotes)
    try:
        await scorer.start()
        yield scorer
    finally:
        await scorer.close()


def group(*responses: str, reference: bytes = b"", size: int | None = None, name: str = "g") -> Group:
    """A group of text responses."""
    context = PromptContext(name, "a prompt", reference, size=len(responses) if size is None else size)
    return Group(context, [Rollout(text, context, f"{name}-{place}") for place, text in enumerate(responses)])


@dataclass(frozen=True)
class Asked:
    """Groups, and what is asked about them."""

    groups: list[Group]
    request: Request


def request(verifier: str, *groups: Group, timeout: float | None = None, **fields: Any) -> Asked:
    """A request for one verifier."""
    deadline = None if timeout is None else time.monotonic() + timeout
    evaluation = Evaluation(verifier, options=fields.pop("options", b""), digest=fields.pop("digest", ""))
    return Asked(list(groups), Request([evaluation], deadline=deadline, **fields))


class AsBytes:
    """Rollouts in a form that worker processes read by themselves."""

    reader = f"{__name__}:read_pickled"

    def __init__(self, groups: Sequence[Group]) -> None:
        self._rollouts = [rollout for group in groups for rollout in group]
        self.looked_at: list[int] = []

    def rollout(self, rank: int) -> Rollout:
        """The rollout with that number."""
        self.looked_at.append(rank)
        return self._rollouts[rank]

    def pieces(self, first: int, last: int) -> list[bytes]:
        """The bytes of rollouts, three to a piece."""
        return [pickle.dumps(self._rollouts[at : min(at + 3, last)]) for at in range(first, last, 3)]


def read_pickled(data: bytes) -> list[Rollout]:
    """The rollouts of a piece."""
    rollouts: list[Rollout] = pickle.loads(data)
    return rollouts


def read_where_nothing_was_judged(data: bytes) -> list[Rollout]:
    """The same, in a worker whose memory no item has touched; elsewhere there is none left."""
    if unruly.JUDGED:
        raise MemoryError
    return read_pickled(data)


def opened(scorer: Scorer, asked: Asked, deliver: Deliver = lambda position, result: None, **how: Any) -> Call:
    """A call that all its groups have been added to."""
    rollouts = sum(len(group) for group in asked.groups)
    hold = scorer.admission.hold(100 * rollouts)
    call = scorer.open(asked.request, deliver, rollouts * len(asked.request.evaluations), hold, **how)
    call.add(asked.groups)
    return call


async def scored(scorer: Scorer, asked: Asked) -> list[Result]:
    """The results of a request, in order; fails when they do not come within minutes."""
    results: dict[int, Result] = {}
    call = opened(scorer, asked, results.__setitem__)
    await asyncio.wait_for(call.wait(), PATIENCE)
    return [results[position] for position in sorted(results)]


async def outcomes(scorer: Scorer, asked: Asked) -> list[Outcome]:
    """The outcomes of a request, in order."""
    return [result.outcome for result in await scored(scorer, asked)]


def as_verdict(outcome: Outcome) -> Verdict:
    """The outcome, which must be a verdict."""
    assert isinstance(outcome, Verdict), outcome
    return outcome


def as_fault(outcome: Outcome) -> Fault:
    """The outcome, which must be a fault."""
    assert isinstance(outcome, Fault), outcome
    return outcome


def as_skip(outcome: Outcome) -> Skip:
    """The outcome, which must be a skip."""
    assert isinstance(outcome, Skip), outcome
    return outcome
