"""Work in flight: calls, the units of work that they wait for, and what comes back."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Protocol

from reward_servers.core._bound import BoundVerifier
from reward_servers.core._model import Group, Rollout
from reward_servers.core._outcomes import Outcome, Usage, Verdict


@dataclass(slots=True, frozen=True)
class Evaluation:
    """One verifier with its options, asked for in a request.

    Attributes:
        verifier: Its name.
        version: Version that the caller accepts; empty for any.
        digest: Digest that the caller has pinned; empty for any.
        options: Options as JSON; empty for the defaults.
        max_cpu_s: CPU seconds an item may take, when less than the server's limit.
    """

    verifier: str
    version: str = ""
    digest: str = ""
    options: bytes = b""
    max_cpu_s: float | None = None


@dataclass(slots=True, frozen=True)
class Request:
    """What is asked about the rollouts of a call.

    Attributes:
        evaluations: The verifiers to ask about each rollout.
        request_id: Names the call across retries; empty for none.
        seed: Seed of the run.
        deadline: When the caller stops waiting, on the monotonic clock; None for never.
        client: Who asks; clients take turns, and each has its share of the server.
        run: Name of the training run, for reports.
        step: Training step, for reports.
    """

    evaluations: Sequence[Evaluation]
    request_id: str = ""
    seed: int = 0
    deadline: float | None = None
    client: str = ""
    run: str = ""
    step: int = 0


@dataclass(slots=True)
class Result:
    """The outcome of one evaluation of one rollout, with its cost.

    Attributes:
        outcome: Verdict, fault or skip.
        queue_us: Microseconds that it waited.
        run_us: Microseconds that it ran.
        usage: What it cost, when it is worth saying.
        cached: Whether it came from the cache or from another item's run.
        elsewhere: Whether a verifier on another server had a part in it.
    """

    outcome: Outcome
    queue_us: int = 0
    run_us: int = 0
    usage: Usage | None = None
    cached: bool = False
    elsewhere: bool = False


@dataclass(slots=True)
class PlainVerdicts:
    """Verdicts of one evaluation that have nothing but a score and a code, column by column.

    Attributes:
        positions: Rollout number times evaluations, plus evaluation.
        scores: Their scores.
        codes: Their codes.
        queue_us: Microseconds that each waited.
        run_us: Microseconds that each ran.
        cpu_us: Microseconds of CPU time of each; empty where that is not measured.
    """

    positions: Sequence[int]
    scores: Sequence[float]
    codes: Sequence[str]
    queue_us: Sequence[int]
    run_us: Sequence[int]
    cpu_us: Sequence[int] = ()

    def results(self) -> Iterator[tuple[int, Result]]:
        """The same one by one, each with its position."""
        for place, position in enumerate(self.positions):
            usage = Usage(self.cpu_us[place]) if self.cpu_us else None
            verdict = Verdict(self.scores[place], self.codes[place])
            yield position, Result(verdict, self.queue_us[place], self.run_us[place], usage)


class Source(Protocol):
    """Rollouts of a part of a call as they came, which a worker process can read by itself.

    Attributes:
        reader: Import path of the function that reads what `pieces` gives: from bytes to rollouts.
    """

    reader: str

    def rollout(self, rank: int) -> Rollout:
        """The rollout with that number."""

    def pieces(self, first: int, last: int) -> list[bytes]:
        """The bytes of rollouts, up to but not including the last; those of a group share a piece."""


class Subscriber(Protocol):
    """What waits for units: a call."""

    def give(self, position: int, result: Result) -> None:
        """Take the result of one position."""

    def give_plain(self, verdicts: PlainVerdicts) -> None:
        """Take many verdicts."""

    def job(self, position: int) -> Job | None:
        """What was asked about a position; None where it could not be served."""

    def wait_for(self, unit: Unit) -> None:
        """Wait for another unit as well."""


@dataclass(slots=True, eq=False)
class Job:
    """One evaluation of one call: what its units share.

    Attributes:
        hosted: The verifier.
        executor: What runs its units.
        options: Its options as JSON.
        max_cpu_s: CPU seconds that a unit may take.
        seed: Seed of the run.
        deadline: When the caller stops waiting, on the monotonic clock; None for never.
        queued_at: When the call was opened, on the performance counter.
        client: Who asks: clients take turns in a queue.
        fairness_key: Whose turn it takes among those of its client; the jobs of one call share it.
        key: Makes the key under which others may join a unit and its verdict is kept; None when units have none.
        origin: Request id, run and step, for reports.
    """

    hosted: BoundVerifier
    executor: Executor
    options: bytes
    max_cpu_s: float
    seed: int
    deadline: float | None
    queued_at: float
    client: str
    fairness_key: object
    key: MakeKey | None
    origin: tuple[str, str, int] = ("", "", 0)


class DeathKind(Enum):
    """Whose doing the death of a worker was.

    Attributes:
        CRASH: The verifier's, on the item: an abort, a fault of memory.
        BOUND: A bound of ours that the item exceeded.
        OUTSIDE: Neither: it was killed or stopped from outside, or others had used up what it needed.
        SHARED: Not known: it was on a whole batch.
    """

    CRASH = "crash"
    BOUND = "bound"
    OUTSIDE = "outside"
    SHARED = "shared"


@dataclass(slots=True, eq=False)
class Unit:
    """The unit of execution and retrying: one rollout, or one group, for one evaluation.

    Attributes:
        job: What it shares with the other units of its evaluation.
        subject: What it judges.
        subscribers: Who waits for it, with the position of each of its rollouts.
        key: Under which others may join it and its verdict is kept; None for neither.
        deaths: How workers died on it; after the first it is run alone.
        settled: Whether its outcome is known, or no call waits for it any more.
        elsewhere: Whether a verifier on another server had a part in its outcome.
    """

    job: Job
    subject: Rollout | Group
    subscribers: list[tuple[Subscriber, Sequence[int]]]
    key: bytes | None = None
    deaths: list[DeathKind] = field(default_factory=list)
    settled: bool = False
    elsewhere: bool = False


MakeKey = Callable[[Rollout | Group, int], bytes]
"""Makes the key of a subject, given the caller's own index of its (first) rollout."""

Settle = Callable[[Unit, Sequence[Outcome], int, int, Usage | None], None]
"""Reports a finished unit: its outcomes (one per rollout), queue and run time in microseconds, and its cost."""


class Executor(Protocol):
    """Runs units. Calls ``settle`` once for each unit that has not been abandoned before."""

    async def start(self) -> None:
        """Make it ready.

        Raises:
            StartupError: What a verifier needs is missing here.
        """

    def submit(self, units: Sequence[Unit]) -> None:
        """Take units of one job to run."""

    def abandon(self, units: Sequence[Unit]) -> None:
        """Drop units that are no longer waited for, and stop their work."""

    def expected(self, hosted: BoundVerifier) -> float:
        """Seconds that an item of a verifier takes, as far as is known."""

    def facts(self) -> Mapping[str, str]:
        """What its verifiers tell of the host."""

    async def close(self) -> None:
        """Stop; units that are still running are lost."""
