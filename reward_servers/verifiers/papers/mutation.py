"""Tests that a policy wrote, judged by the faults that they find (GRPO-SMu)."""

from __future__ import annotations

from typing import Any

from pydantic import Field, field_validator

from reward_servers import (
    Cost,
    DatasetError,
    ItemLimits,
    Options,
    Reference,
    Rollout,
    Score,
    ServiceError,
    verifier,
)
from reward_servers.engines.code import (
    BadReferenceError,
    Ceiling,
    Judgement,
    JudgeOptions,
    Submission,
    UnmeasuredLimitError,
    extract,
    judge,
    parse_reference,
)
from reward_servers.engines.code import Verdict as Said
from reward_servers.engines.mutation import mutants_of
from reward_servers.engines.text import parse_python
from reward_servers.verifiers.code import CodeSettings
from sandbox import SandboxError

_MOST = 64
_LONGEST = 1 << 18
_LIMITS = ItemLimits(cpu_s=3600.0, wall_s=3600.0, memory_bytes=0, response_bytes=1 << 20)
_OWN = JudgeOptions(stop_at_first_failure=True)
_MOST_TESTS = 50
"""Every test is run on every program: a policy that writes thousands would hold a worker for hours."""


class Implementations(Reference):
    """The programs that the tests are run on: right, wrong, and other right ones."""

    program: str = Field(min_length=1, max_length=_LONGEST, description="The right program, in Python.")
    mutants: tuple[str, ...] | None = Field(
        None, max_length=_MOST, description="Wrong programs; made of the right one where none are given."
    )
    equivalents: tuple[str, ...] = Field((), max_length=_MOST, description="Further right programs.")
    cpu_s: float = Field(1.0, gt=0.0, le=60.0, description="CPU seconds of each test on each program.")

    @field_validator("program", "mutants", "equivalents")
    @classmethod
    def _parses(cls, value: Any) -> Any:
        for text in (value,) if isinstance(value, str) else value or ():
            try:
                parse_python(text)
            except (SyntaxError, ValueError) as error:
                raise ValueError(f"is no Python: {error}") from None
        return value


class MutationOptions(Options):
    """How faults found become a score."""

    mutants: int = Field(8, ge=1, le=_MOST, description="Wrong programs made of the right one where none are given.")
    golden_weight: float = Field(
        0.5, ge=0.0, le=1.0, description="Share of the score for tests that the right program passes."
    )


@verifier(
    "mutation",
    version="1",
    cost=Cost.SANDBOX,
    limits=_LIMITS,
    aspects=dict.fromkeys(("golden", "mutants", "killed", "equivalents", "rejected", "tests"), 0.0),
)
class Mutation:
    """How many faulty programs the tests in the response find, while the right ones pass.

    The response holds assertions or test functions in Python. 0 unless the right program passes all of them, else
    `(w + (1 - w) * killed / mutants) * (1 - rejected / equivalents)`. The aspects are the inputs of the method
    `grpo_smu`. Tests that ask the program for nothing, and more than 50 of them, get the floor. Source: arXiv
    2601.07593, from its abstract.
    """

    def setup(self, settings: CodeSettings) -> None:
        """Open a sandbox."""
        self._slots = settings.open_slots()
        self._ceiling = Ceiling(tests=_MOST_TESTS, bounds_cpu=settings.bounds_cpu(self._slots))

    def score(self, rollout: Rollout, ref: Implementations, options: MutationOptions) -> Score:
        """Run the tests on the right program first, on the others if it passes."""
        extraction = extract(rollout.response, "python", marks=rollout.reasoning_marks)
        if extraction.source is None:
            return _floor("no_code", "no block of Python")
        try:
            return self._judged(extraction.source, ref, options)
        except BadReferenceError as error:
            return _floor("malformed", f"the tests cannot be used: {error}")
        except UnmeasuredLimitError as error:
            raise ServiceError(f"reference.{error}", code="unmeasured_limit") from None
        except SandboxError as error:
            raise ServiceError(str(error), code="sandbox_failure", retryable=True) from None

    def _judged(self, tests: str, ref: Implementations, options: MutationOptions) -> Score:
        golden = self._run(ref.program, tests, ref.cpu_s)
        if golden.verdict is Said.COMPILE_ERROR:
            raise DatasetError(f"reference.program: does not compile: {golden.message}")
        mutants = ref.mutants
        if mutants is None:
            mutants = tuple(mutant.source for mutant in mutants_of(ref.program, options.mutants))
        aspects = {"golden": 0.0, "mutants": float(len(mutants)), "killed": 0.0, "rejected": 0.0}
        aspects |= {"equivalents": float(len(ref.equivalents)), "tests": float(golden.total)}
        if golden.verdict is not Said.ACCEPTED:
            note = f"the right program fails the tests: {golden.verdict.value}"
            return Score(0.0, code="wrong", aspects=aspects, note=note, evidence=golden.evidence())
        killed = [place for place, text in enumerate(mutants) if self._fails(text, tests, ref.cpu_s)]
        rejected = sum(self._fails(text, tests, ref.cpu_s) for text in ref.equivalents)
        aspects |= {"golden": 1.0, "killed": float(len(killed)), "rejected": float(rejected)}
        weight = options.golden_weight
        score = weight + (1.0 - weight) * len(killed) / len(mutants) if mutants else 1.0
        score *= 1.0 - rejected / len(ref.equivalents) if ref.equivalents else 1.0
        survivors = [text for place, text in enumerate(mutants) if place not in killed]
        rejected_text = f"{rejected} of {len(ref.equivalents)} other right ones rejected"
        note = f"{len(killed)} of {len(mutants)} faulty programs found, {rejected_text}"
        code = "accepted" if score >= 1.0 else "partial"
        return Score(score, code=code, aspects=aspects, note=note, evidence={"survivors": survivors})

    def _fails(self, program: str, tests: str, cpu: float) -> bool:
        return self._run(program, tests, cpu).verdict is not Said.ACCEPTED

    def _run(self, program: str, tests: str, cpu: float) -> Judgement:
        kind = "unittest" if "def test" in tests else "assert"
        limits = {"cpu_s": cpu, "wall_s": 5.0 * cpu}
        spec = parse_reference({"tests": {"kind": kind, "code": tests}, "limits": limits}, ceiling=self._ceiling)
        return judge(Submission(program), spec, self._slots, _OWN)

    def close(self) -> None:
        """Close the sandbox."""
        self._slots.close()


def _floor(code: str, note: str) -> Score:
    no_aspects = dict.fromkeys(("golden", "mutants", "killed", "equivalents", "rejected", "tests"), 0.0)
    return Score(None, code=code, aspects=no_aspects, note=note)
