"""Programs, run against tests in the sandbox; judged by the engine in ``reward_servers.engines.code``."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from pydantic import ConfigDict, Field

from reward_servers import (
    CallerError,
    Cost,
    DatasetError,
    ItemLimits,
    Reference,
    Rollout,
    Score,
    ServiceError,
    Settings,
    verifier,
)
from reward_servers.engines.code import (
    BadOptionsError,
    BadReferenceError,
    Ceiling,
    Judgement,
    JudgeOptions,
    Slots,
    Submission,
    UnmeasuredLimitError,
    Verdict,
    judge,
    parse_reference,
    swapped,
)
from reward_servers.verifiers._turn import TurnOptions, turn_aspects
from sandbox import SandboxConfig, SandboxError, UnsupportedLanguageError, open_sandbox


class Tests(Reference):
    """The tests of a task; ``reward_servers.engines.code`` documents the fields.

    Attributes:
        language: Language of the program.
        tests: The tests, in one of the engine's kinds.
    """

    __test__: ClassVar[bool] = False  # not a class for pytest to collect

    model_config = ConfigDict(extra="allow", frozen=True)

    language: str = "python"
    tests: Any = None

    def fields(self) -> Mapping[str, Any]:
        """The reference as it was given."""
        fields_set: Mapping[str, Any] = self.model_dump(exclude_unset=True)
        return fields_set


class CodeOptions(TurnOptions):
    """How tests become a score, and which further aspects a turn of several gets."""

    scoring: Literal["fraction", "all"] = "fraction"
    stop_at_first_failure: bool = False
    split_checks: bool = False
    blocks: Literal["last", "first", "all", "entry"] = "last"
    bare: bool = False
    prelude: Literal["auto", "none", "leetcode"] = "auto"
    max_source_bytes: int = Field(1 << 20, ge=1, le=16 << 20)
    swap_outputs: bool = Field(
        False,
        description="Whether two expected outputs that differ change places, the same two for all rollouts of a task: "
        "whether a policy fits tests that it knows to be wrong. A task without such tests is a fault of the data set.",
    )


class CodeSettings(Settings):
    """Limits of the programs on this host.

    Attributes:
        cgroup: ``auto``, ``require`` or ``off``: whether memory and processes are bounded by a control group.
        cgroup_parent: Directory of a delegated group.
        python: Interpreter for Python programs.
        read_only: Further directories that programs may read, such as a toolchain outside ``/usr``.
        backend: What the wall around programs is made of: ``ns`` or, for hosts that forbid namespaces, ``docker``.
        docker_runtime: Runtime of its containers, as the engine calls it: ``runc`` or ``runsc``.
        docker_host: Address of the engine on this host; that of the environment if none is given.
        docker_processes: Processes and threads that a container may hold, independent of the limits of a program.
        unmeasured_cpu: How a reference with ``limits.cpu_s`` is treated on a host that cannot measure processor time:
            ``refuse`` it, or let ``wall`` time alone end its programs, which then have more time than they should.
    """

    score_neutral: ClassVar[frozenset[str]] = frozenset({"cgroup", "cgroup_parent", "docker_host"})

    cgroup: Literal["auto", "require", "off"] = "auto"
    cgroup_parent: str | None = None
    python: str | None = None
    read_only: tuple[str, ...] = ()
    backend: Literal["ns", "docker"] = "ns"
    docker_runtime: str = "runc"
    docker_host: str | None = None
    docker_processes: int = Field(256, ge=64)
    unmeasured_cpu: Literal["refuse", "wall"] = "refuse"

    def open_slots(self) -> Slots:
        """Open the sandboxes, which refuse hosts where they cannot isolate."""
        config = SandboxConfig(**self.model_dump(exclude={"unmeasured_cpu"}))
        return Slots(lambda: open_sandbox(config=config))

    def bounds_cpu(self, slots: Slots) -> bool:
        """Whether a reference may bound processor time in these sandboxes."""
        return slots.program.report.cpu_clock != "none" or self.unmeasured_cpu == "wall"


_JUDGED = {field.name for field in dataclasses.fields(JudgeOptions)}

# The sandbox bounds every run by CPU time, memory and processes. This is a backstop for the judging itself,
# wide enough for the longest list of tests that a reference may ask for.
_LIMITS = ItemLimits(cpu_s=7200.0, wall_s=7200.0, memory_bytes=0)


@verifier(
    "code",
    version="3",
    cost=Cost.SANDBOX,
    limits=_LIMITS,
    aspects={"passed": 0.0, "tests": None, "rejected_by_error": 0.0},
)
class Code:
    """Whether the program in the response passes the tests. Each test runs in a sandbox of its own.

    Source: tests as in HumanEval (arXiv 2107.03374) and APPS (arXiv 2105.09938), run as docs/verifiers/code.md
    says.
    """

    def setup(self, settings: CodeSettings) -> None:
        """Open a sandbox."""
        self._slots = settings.open_slots()
        self._ceiling = Ceiling(bounds_cpu=settings.bounds_cpu(self._slots))

    def score(self, rollout: Rollout, ref: Tests, options: CodeOptions) -> Score:
        """Judge one program."""
        chosen = JudgeOptions(**options.model_dump(include=_JUDGED))
        try:
            spec = parse_reference(ref.fields(), ceiling=self._ceiling, prelude=options.prelude)
            spec = swapped(spec) if options.swap_outputs else spec
            submission = Submission.from_response(
                rollout.response, spec, chosen, prompt=rollout.prompt, marks=rollout.reasoning_marks
            )
            judgement = judge(submission, spec, self._slots, chosen)
        except BadReferenceError as error:
            raise DatasetError(f"reference.{error}") from None
        except UnmeasuredLimitError as error:
            raise ServiceError(f"reference.{error}", code="unmeasured_limit") from None
        except BadOptionsError as error:
            raise CallerError(f"options.{error}", code="invalid_options") from None
        except UnsupportedLanguageError as error:
            raise ServiceError(str(error), code="unsupported_language") from None
        except SandboxError as error:
            raise ServiceError(str(error), code="sandbox_failure", retryable=True) from None
        share, has_code = judgement.passed / judgement.total, judgement.verdict is not Verdict.NO_CODE
        return _score(judgement, turn_aspects(rollout, options, share, answered=has_code))

    def facts(self) -> Mapping[str, object]:
        """How programs are isolated on this host, and how their memory, processes and time are limited."""
        report = self._slots.program.report
        names = ("isolation", "memory_bound", "pids_bound", "cpu_clock", "wall_clock", "proc", "uid_map")
        return {name: getattr(report, name) for name in names}

    def close(self) -> None:
        """Close the sandbox."""
        self._slots.close()


def _score(judgement: Judgement, turn: Mapping[str, float]) -> Score:
    return Score(
        judgement.score,
        code=judgement.code,
        aspects={
            "passed": float(judgement.passed),
            "tests": float(judgement.total),
            "rejected_by_error": judgement.rejected_by_error / judgement.total,
            **turn,
        },
        note=_note(judgement),
        evidence=judgement.evidence(),
        feedback={name: value for name, value in judgement.feedback().items() if value},
    )


def _note(judgement: Judgement) -> str:
    note = f"{judgement.passed} of {judgement.total} tests passed: {judgement.verdict.value}"
    errors = judgement.rejected_by_error
    return f"{note}; {errors} rejected by an error of the checker or the tests" if errors else note
