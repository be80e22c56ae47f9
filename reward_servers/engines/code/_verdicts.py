"""What is said of a submission: `Verdict`, `TestResult`, `Judgement`.

Every verdict is the program's own doing. `wall_limit` too: wall time is measured without the time spent waiting for
a processor, and a program in the sandbox has only itself to wait for (no network, input that ends), so one that
is idle for that long sleeps or has deadlocked. A host that starves a run, a slot that dies, a sandbox that cannot
start are never a verdict; they leave `judge` as `sandbox.SandboxError`.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from enum import StrEnum
from typing import Any

from reward_servers.engines.code._extract import Extraction
from sandbox import Exit, RunResult

_SHOWN_FAILURES = 10
_SAYING_NO = frozenset(("AssertionError", "FailedTestError", "SystemExit", ""))


class Verdict(StrEnum):
    """Outcome of one test or of a whole submission."""

    ACCEPTED = "accepted"
    WRONG_ANSWER = "wrong_answer"
    RUNTIME_ERROR = "runtime_error"
    TIME_LIMIT = "time_limit"
    WALL_LIMIT = "wall_limit"
    MEMORY_LIMIT = "memory_limit"
    OUTPUT_LIMIT = "output_limit"
    COMPILE_ERROR = "compile_error"
    NO_CODE = "no_code"
    TOO_LARGE = "too_large"

    @property
    def is_limit(self) -> bool:
        """Whether a declared bound was exceeded."""
        return self in _LIMITS


_LIMITS = frozenset(
    (Verdict.TIME_LIMIT, Verdict.WALL_LIMIT, Verdict.MEMORY_LIMIT, Verdict.OUTPUT_LIMIT, Verdict.TOO_LARGE)
)
_ENDED = {
    Exit.OUTPUT_LIMIT: Verdict.OUTPUT_LIMIT,
    Exit.CPU_LIMIT: Verdict.TIME_LIMIT,
    Exit.WALL_LIMIT: Verdict.WALL_LIMIT,
    Exit.MEMORY_LIMIT: Verdict.MEMORY_LIMIT,
}


def run_verdict(result: RunResult) -> Verdict | None:
    """What the end of a run says by itself; None if the program ended well and its answer decides."""
    if result.ended is not Exit.EXITED:
        return _ENDED.get(result.ended, Verdict.RUNTIME_ERROR)
    return None if result.exit_code == 0 else Verdict.RUNTIME_ERROR


@dataclasses.dataclass(frozen=True, slots=True)
class TestResult:
    """Outcome of one test.

    Attributes:
        name: Name of the test.
        verdict: Its outcome.
        public: Whether the policy may see it.
        how: `stdio`, `calls` (decided outside from the results of calls) or `code` (test code in a second sandbox).
        cpu_s: CPU time of the program, seconds; None where it cannot be measured.
        wall_s: Its wall time without waiting for a processor, seconds.
        memory_bytes: Its largest memory, None where it could not be read.
        detail: What was given, expected and got. JSON-able; may quote the test.
    """

    __test__ = False  # not a class for pytest to collect

    name: str
    verdict: Verdict
    public: bool = False
    how: str = ""
    cpu_s: float | None = None
    wall_s: float = 0.0
    memory_bytes: int | None = None
    detail: dict[str, Any] = dataclasses.field(default_factory=dict)

    def as_json(self, *, detail: bool) -> dict[str, Any]:
        """The result as JSON-able data."""
        data: dict[str, Any] = {
            "name": self.name,
            "verdict": self.verdict.value,
            "cpu_s": None if self.cpu_s is None else round(self.cpu_s, 4),
            "wall_s": round(self.wall_s, 4),
            "memory_bytes": self.memory_bytes,
        }
        return {**data, "how": self.how, **self.detail} if detail else data


@dataclasses.dataclass(frozen=True, slots=True)
class Judgement:
    """What is said of one submission.

    Attributes:
        verdict: `accepted`, or the verdict of the first test that failed.
        score: By the scoring asked for, 0 to 1.
        results: One per test that was decided, in order.
        total: Number of tests, those not run after a failure included.
        extraction: Where the program was found in the response, None if it was given as such.
        message: What the compiler said, or why there is no program.
        notes: Facts about the judging, JSON-able: names taken from the program or the prompt, tests left out.
    """

    verdict: Verdict
    score: float
    results: tuple[TestResult, ...]
    total: int
    extraction: Extraction | None = None
    message: str = ""
    notes: dict[str, Any] = dataclasses.field(default_factory=dict)

    @property
    def passed(self) -> int:
        """Number of accepted tests."""
        return sum(result.verdict is Verdict.ACCEPTED for result in self.results)

    @property
    def rejected_by_error(self) -> int:
        """Number of tests in which a checker or test code raised an error of its own on what the program gave.

        Each is a wrong answer. A reference with which most programs end so is worth a look.
        """
        return sum(
            result.verdict is Verdict.WRONG_ANSWER
            and "where" in result.detail
            and result.detail.get("raised", "AssertionError") not in _SAYING_NO
            for result in self.results
        )

    @property
    def code(self) -> str:
        """One of `accepted`, `partial`, `wrong`, `limit`, `runtime_error`, `compile_error`, `no_code`."""
        if 0 < self.passed < self.total:
            return "partial"
        if self.verdict is Verdict.WRONG_ANSWER:
            return "wrong"
        return "limit" if self.verdict.is_limit else self.verdict.value

    def evidence(self) -> dict[str, Any]:
        """Everything that explains the score, as JSON-able data. Private: it may quote hidden tests."""
        failures = [result for result in self.results if result.verdict is not Verdict.ACCEPTED]
        shown_ids = {id(result) for result in failures[:_SHOWN_FAILURES]}
        data: dict[str, Any] = {
            "verdict": self.verdict.value,
            "score": self.score,
            "passed": self.passed,
            "total": self.total,
            "rejected_by_error": self.rejected_by_error,
            "verdicts": dict(Counter(result.verdict.value for result in self.results)),
            "tests": [result.as_json(detail=id(result) in shown_ids) for result in self.results],
            "notes": self.notes,
        }
        if self.message:
            data["message"] = self.message
        if self.extraction is not None:
            fields = dataclasses.asdict(self.extraction)
            data["extraction"] = {name: value for name, value in fields.items() if name != "source"}
        return data

    def feedback(self) -> dict[str, Any]:
        """What a policy may be shown: the compiler's words and the public tests, nothing of hidden ones."""
        data: dict[str, Any] = {
            "tests": [result.as_json(detail=True) for result in self.results if result.public],
        }
        if self.message:
            data["message"] = self.message
        return data
