"""Work in flight: calls, the units of work that they wait for, and what comes back."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from reward_servers.core._hosted import Hosted
from reward_servers.core._model import Content, Group, Rollout
from reward_servers.core._outcomes import Outcome, Usage

__all__ = ["Evaluation", "Executor", "Request", "Result", "Settle", "Subscriber", "Unit"]


@dataclass(slots=True, frozen=True)
class Evaluation:
    """One verifier with its options, asked for in a request.

    Attributes:
        verifier: Its name.
        version: Version that the caller accepts; empty for any.
        digest: Digest that the caller has pinned; empty for any.
        options: Options as JSON; empty for the defaults.
        cpu_limit: CPU seconds an item may take, when less than the server's limit.
    """

    verifier: str
    version: str = ""
    digest: str = ""
    options: bytes = b""
    cpu_limit: float | None = None


@dataclass(slots=True)
class Request:
    """A batch: groups of rollouts, and the evaluations asked for each rollout.

    Attributes:
        groups: The rollouts, by prompt.
        evaluations: The verifiers to ask.
        request_id: Names the call across retries; empty for none.
        seed: Seed of the run.
        deadline: When the caller stops waiting, on the monotonic clock; None for never.
        keys: The caller's own index of each rollout, in order; part of its idempotency key.
    """

    groups: Sequence[Group]
    evaluations: Sequence[Evaluation]
    request_id: str = ""
    seed: int = 0
    deadline: float | None = None
    keys: Sequence[int] = ()

    def size(self) -> int:
        """How much it takes to hold, roughly: characters of texts and bytes of references. Used for admission."""
        size = 0
        for group in self.groups:
            case = group.case
            size += len(case.reference) + _length(case.prompt) + sum(len(one.text) for one in case.documents)
            for rollout in group.rollouts:
                content = rollout.content
                size += len(content) if isinstance(content, str) else _length(content)
                if rollout.own_documents or rollout.own_reference:
                    size += len(rollout.own_reference) + sum(len(one.text) for one in rollout.own_documents)
        return size


def _length(content: Content) -> int:
    if isinstance(content, str):
        return len(content)
    return sum(len(part.text) + len(part.data) for message in content for part in message.parts)


@dataclass(slots=True)
class Result:
    """The outcome of one evaluation of one rollout, with its cost.

    Attributes:
        outcome: Verdict, fault or skip.
        queue_us: Microseconds that it waited.
        run_us: Microseconds that it ran.
        usage: What it cost, when it is worth saying.
        cached: Whether it came from the cache or from another item's run.
    """

    outcome: Outcome
    queue_us: int = 0
    run_us: int = 0
    usage: Usage | None = None
    cached: bool = False


class Subscriber(Protocol):
    """Whoever waits for units: a call.

    Attributes:
        units: The units that it waits for.
    """

    units: set[Unit]

    def give(self, position: int, result: Result) -> None:
        """Takes the result of one position."""


@dataclass(slots=True, eq=False)
class Unit:
    """The unit of execution and retrying: one rollout, or one group, for one evaluation.

    Attributes:
        hosted: The verifier.
        subject: What it judges.
        options: Its options as JSON.
        seed: Seed of the run.
        cpu_limit: CPU seconds that it may take.
        deadline: When its caller stops waiting, on the monotonic clock.
        queued_at: When it was queued, on the performance counter.
        key: Under which others may join it and its verdict is cached; None for neither.
        lane: Whose turn it takes in the queue; units of one call share it.
        subscribers: Who waits for it, with the position of each of its rollouts.
        crashes: Workers that died on it.
        settled: Whether its outcome is known or nobody waits for it any more.
    """

    hosted: Hosted
    subject: Rollout | Group
    options: bytes
    seed: int
    cpu_limit: float
    deadline: float | None
    queued_at: float
    key: bytes | None
    lane: object
    subscribers: list[tuple[Subscriber, Sequence[int]]] = field(default_factory=list)
    crashes: int = 0
    settled: bool = False


Settle = Callable[[Unit, Sequence[Outcome], int, int, Usage | None], None]
"""Reports a finished unit: its outcomes (one per rollout), queue and run time in microseconds, and its cost."""


class Executor(Protocol):
    """Runs units. Calls ``settle`` once for each unit that has not been abandoned before."""

    async def start(self) -> None:
        """Makes it ready.

        Raises:
            StartRefused: What a verifier needs is missing here.
        """

    def submit(self, units: Sequence[Unit]) -> None:
        """Takes units to run."""

    def abandon(self, unit: Unit) -> None:
        """Drops a unit that nobody waits for any more, and stops its work."""

    def expected(self, hosted: Hosted) -> float:
        """Seconds that an item of a verifier takes, as far as is known."""

    def facts(self) -> Mapping[str, str]:
        """What its verifiers tell of the host."""

    async def close(self) -> None:
        """Stops; units that are still running are lost."""
