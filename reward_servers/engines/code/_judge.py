"""`judge`: from a submission and the reference of its task to a judgement."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from itertools import zip_longest
from typing import Any, Self

from reward_servers.engines.code._calls import Failed, Returned, make_calls
from reward_servers.engines.code._checker import run_checker
from reward_servers.engines.code._compare import compare_output, compare_value
from reward_servers.engines.code._constant_folding import CandidateCall
from reward_servers.engines.code._convert import Converted
from reward_servers.engines.code._data import comparable, typed
from reward_servers.engines.code._errors import BadOptionsError, BadReferenceError
from reward_servers.engines.code._extract import BLOCKS, Blocks, Extraction, extract
from reward_servers.engines.code._guest import plain
from reward_servers.engines.code._host import UnaffordableError, calls_in, evaluate
from reward_servers.engines.code._names import top_names
from reward_servers.engines.code._packaged import interact, validate
from reward_servers.engines.code._plan import Plan, PlannedTest, plan_tests
from reward_servers.engines.code._program import as_program
from reward_servers.engines.code._protocol import run_code_test
from reward_servers.engines.code._scoring import SCORINGS, Scoring, score
from reward_servers.engines.code._slots import Slots
from reward_servers.engines.code._spec import (
    CallTest,
    CallTests,
    CodeTests,
    InteractiveTests,
    StdioTest,
    TestSpec,
)
from reward_servers.engines.code._verdicts import Judgement, TestResult, Verdict, run_verdict
from reward_servers.engines.text import Marks
from sandbox import CompileFailure, Prepared, ProgramRefusedError, RunResult

_EXCERPT = 1000


@dataclasses.dataclass(frozen=True, slots=True)
class JudgeOptions:
    """What the caller of `judge` may choose.

    Attributes:
        scoring: `fraction` of the tests, or `all`: 1 only if every test is accepted.
        stop_at_first_failure: Do not run the tests after the first one that fails; they count as not accepted.
        split_checks: Count every assertion of a `check(candidate)` or test function as a test, where possible.
        blocks: Which fenced block of the response is the program when there are several.
        bare: Take a response without any fence as the program itself.
        max_source_bytes: Largest program; a larger one is a verdict.
    """

    scoring: Scoring = "fraction"
    stop_at_first_failure: bool = False
    split_checks: bool = False
    blocks: Blocks = "last"
    bare: bool = False
    max_source_bytes: int = 1 << 20

    def __post_init__(self) -> None:
        for name, allowed in (("scoring", SCORINGS), ("blocks", BLOCKS)):
            value = getattr(self, name)
            if value not in allowed:
                raise BadOptionsError(name, f"is {value!r}", f"Give one of {', '.join(allowed)}")
        if self.max_source_bytes < 1:
            raise BadOptionsError("max_source_bytes", f"is {self.max_source_bytes}", "Give more than 0")


@dataclasses.dataclass(frozen=True, slots=True)
class Submission:
    """A program to be judged.

    Attributes:
        source: Its text, None if the response holds none.
        extraction: How it was found, None if it was given as such.
        prompt: The task's prompt, for helpers that it defines and the tests use.
    """

    source: str | None
    extraction: Extraction | None = None
    prompt: str = ""

    @classmethod
    def from_response(
        cls,
        response: str,
        spec: TestSpec,
        options: JudgeOptions | None = None,
        *,
        prompt: str = "",
        marks: Marks = (),
    ) -> Self:
        """Find the program in the response of a model; `marks` are further pairs around its reasoning."""
        chosen = options or JudgeOptions()
        entry = (spec.entry or "").partition(".")[0] or None
        extraction = extract(response, spec.language, blocks=chosen.blocks, entry=entry, bare=chosen.bare, marks=marks)
        return cls(extraction.source, extraction, prompt)


def judge(submission: Submission, spec: TestSpec, slots: Slots, options: JudgeOptions | None = None) -> Judgement:
    """Judge one submission. Blocks; the same submission gets the same judgement at any load of the host.

    Args:
        submission: The program, from a response or as such.
        spec: The reference of its task.
        slots: Where it runs.
        options: What to count and when to stop.

    Returns:
        The judgement; whatever the program did is a verdict in it.

    Raises:
        BadReferenceError: The tests are unusable.
        sandbox.SandboxError: Ours, or the language is not offered on this host.
    """
    options = options or JudgeOptions()
    run = _Judging(submission, spec, slots, options)
    source = submission.source
    if source is None:
        note = submission.extraction.note if submission.extraction else "no program"
        return run.without_running(Verdict.NO_CODE, note)
    size = len(source.encode("utf-8", "surrogatepass"))
    if size > options.max_source_bytes:
        return run.without_running(Verdict.TOO_LARGE, f"{size} bytes, at most {options.max_source_bytes} are judged")
    return run.judged(source.encode("utf-8", "surrogatepass"))


class _NotCompiledError(Exception):
    """A second preparation of the program failed."""


class _Judging:
    """One submission on its way to a judgement."""

    def __init__(self, submission: Submission, spec: TestSpec, slots: Slots, options: JudgeOptions) -> None:
        self._submission = submission
        self._spec = spec
        self._slots = slots
        self._options = options
        self._notes: dict[str, Any] = {}
        self._plan: Plan | None = None
        if isinstance(spec.tests, CodeTests):
            self._plan = plan_tests(
                spec.tests, spec.setup, submission.prompt, split=options.split_checks, prelude=spec.prelude
            )
            self._tests: tuple[StdioTest | CallTest | PlannedTest, ...] = self._plan.tests
            if len(self._tests) > spec.max_tests:
                problem = f"holds {len(self._tests)} tests, above this server's {spec.max_tests}"
                raise BadReferenceError("tests.code", problem, "Give fewer")
            self._note_names(self._plan)
        else:
            self._tests = spec.tests.tests
        self._omitted: list[str] = []
        self._talks: Prepared | None = None

    def _note_names(self, plan: Plan) -> None:
        self._notes["names_from_program"] = list(plan.from_program)
        if plan.from_prompt:
            self._notes["names_from_prompt"] = list(plan.from_prompt)
        as_code = {test.name: test.reason for test in plan.tests if test.converted is None}
        if as_code:
            self._notes["ran_as_code"] = as_code

    def without_running(self, verdict: Verdict, message: str) -> Judgement:
        """The same verdict for every test."""
        results = tuple(TestResult(test.name, verdict, public=self._public(test)) for test in self._tests)
        return self._judgement(results, message)

    def judged(self, source: bytes) -> Judgement:
        """Compile, run the tests, sum up."""
        box = self._slots.program
        try:
            program = as_program(source, self._spec, talks=self._needs_talk())
            prepared = box.prepare(program, self._spec.limits.compile, runs=len(self._tests))
        except ProgramRefusedError as refusal:
            return self.without_running(Verdict.TOO_LARGE, refusal.reason)
        if isinstance(prepared, CompileFailure):
            return self.without_running(Verdict.COMPILE_ERROR, prepared.message)
        self._talks = prepared if self._needs_talk() else None
        try:
            return self._judgement(tuple(self._run_all(prepared)))
        except _NotCompiledError as refusal:
            return self.without_running(Verdict.COMPILE_ERROR, str(refusal))
        finally:
            box.discard(prepared)
            if self._talks is not None and self._talks is not prepared:
                box.discard(self._talks)

    def _needs_talk(self) -> bool:
        return any(isinstance(test, PlannedTest) and test.converted is None for test in self._tests)

    def _talking(self, prepared: Prepared) -> Prepared:
        """The program with the driver that test code talks to, made when it is needed."""
        if self._talks is None:
            program = as_program(prepared.program.source, self._spec, talks=True)
            again = self._slots.program.prepare(program, self._spec.limits.compile, runs=len(self._tests))
            if isinstance(again, CompileFailure):  # it compiled before, so it was near its limit
                raise _NotCompiledError(again.message)
            self._talks = again
        return self._talks

    def _run_all(self, prepared: Prepared) -> Iterator[TestResult]:
        for test in self._tests:
            if isinstance(test, PlannedTest) and self._says_nothing(test):
                result: TestResult | None = None
            elif isinstance(test, StdioTest):
                result = self._packaged(prepared, test) or self._stdio(prepared, test)
            elif isinstance(test, CallTest):
                result = self._call(prepared, test)
            else:
                result = self._code(prepared, test)
            if result is None:
                self._omitted.append(test.name)
                continue
            yield result
            if self._options.stop_at_first_failure and result.verdict is not Verdict.ACCEPTED:
                return

    def _says_nothing(self, test: PlannedTest) -> bool:
        """Whether a test about built-ins, among tests of other things, finds none of them in the program."""
        if not test.shadowed or self._plan is None or self._plan.about_builtins:
            return False
        return not test.shadowed & top_names(self._submission.source or "")

    def _judgement(self, results: tuple[TestResult, ...], message: str = "") -> Judgement:
        total = len(self._tests) - len(self._omitted)
        if total == 0:
            raise BadReferenceError("tests.code", "no test asks the program for anything", "Write tests that call it")
        if self._omitted:
            self._notes["says_nothing"] = self._omitted
        failures = [result.verdict for result in results if result.verdict is not Verdict.ACCEPTED]
        passed = len(results) - len(failures)
        return Judgement(
            verdict=failures[0] if failures else Verdict.ACCEPTED,
            score=score(passed, total, self._options.scoring),
            results=results,
            total=total,
            extraction=self._submission.extraction,
            message=message,
            notes=self._notes,
        )

    def _public(self, test: StdioTest | CallTest | PlannedTest) -> bool:
        if not isinstance(test, PlannedTest):
            return test.public
        tests = self._spec.tests
        public = tests.public if isinstance(tests, CodeTests) else False
        return public if isinstance(public, bool) else test.name in public

    def _result(
        self,
        test: StdioTest | CallTest | PlannedTest,
        verdict: Verdict,
        how: str,
        run: RunResult,
        detail: dict[str, Any],
    ) -> TestResult:
        return TestResult(
            name=test.name,
            verdict=verdict,
            public=self._public(test),
            how=how,
            cpu_s=run.cpu_s,
            wall_s=run.wall_s,
            memory_bytes=run.peak_memory_bytes,
            detail=detail,
        )

    # Kinds of tests

    def _packaged(self, prepared: Prepared, test: StdioTest) -> TestResult | None:
        """A test that a program of a problem package decides; None if there is none."""
        tests, validator = self._spec.tests, self._spec.validator
        case, limits = (test.stdin, test.expected), self._spec.limits.run
        if isinstance(tests, InteractiveTests):
            how = "interactive"
            verdict, run, details = interact(self._slots, prepared, tests.interactor, case, limits)
        elif validator is not None:
            how = "stdio"
            verdict, run, details = validate(self._slots, prepared, validator, case, limits)
        else:
            return None
        return self._result(test, verdict, how, run, {**_shown_run(test, run), **details})

    def _stdio(self, prepared: Prepared, test: StdioTest) -> TestResult:
        limits, compare = self._spec.limits.run, self._spec.compare
        box = self._slots.program
        run = box.run(prepared, stdin=test.stdin.encode("utf-8", "surrogatepass"), limits=limits)
        detail = _shown_run(test, run)
        verdict = run_verdict(run)
        if verdict is None and compare.kind == "checker":
            answer = run.stdout.decode("utf-8", "replace").replace("\r\n", "\n")
            verdict, details = run_checker(self._slots, compare, test.stdin, answer, test.expected, limits)
            detail.update(details)
        elif verdict is None:
            right = compare_output(compare, run.stdout, test.expected)
            verdict = Verdict.ACCEPTED if right else Verdict.WRONG_ANSWER
        return self._result(test, verdict, "stdio", run, detail)

    def _call(self, prepared: Prepared, test: CallTest) -> TestResult:
        tests, limits, compare = self._spec.tests, self._spec.limits.run, self._spec.compare
        assert isinstance(tests, CallTests)
        args = [typed(value, kind) for value, kind in zip_longest(test.args, tests.types[: len(test.args)])]
        call = CandidateCall(tests.entry, args, plain.encode(dict(test.kwargs)), tests.how)
        calls = make_calls(self._slots.program, prepared, [call], limits, data=True)
        detail: dict[str, Any] = {"args": _excerpt(_repr(test.args)), "expected": _excerpt(_repr(test.expected))}
        try:
            outcome = calls.outcome(0)
        except plain.LibraryValueError as value:
            outcome = Failed(Verdict.RUNTIME_ERROR, f"the result is {value}, no plain data")
        if isinstance(outcome, Failed):
            detail["reason"] = outcome.reason
            return self._result(test, outcome.verdict, "calls", calls.result, detail)
        detail["returned"] = _excerpt(_repr(outcome.value))
        verdict = run_verdict(calls.result)
        if verdict is None and compare.kind == "checker":
            arguments = list(test.args)
            verdict, details = run_checker(self._slots, compare, arguments, outcome.value, test.expected, limits)
            detail.update(details)
        elif verdict is None:
            result = comparable(outcome.value, tests.return_type)
            right = any(compare_value(compare, result, value) for value in (test.expected, *test.alternatives))
            verdict = Verdict.ACCEPTED if right else Verdict.WRONG_ANSWER
        return self._result(test, verdict, "calls", calls.result, detail)

    def _code(self, prepared: Prepared, test: PlannedTest) -> TestResult | None:
        """A test of test code: decided outside where it was converted, else run as code."""
        if test.converted is not None:
            try:
                return self._converted(prepared, test, test.converted)
            except (plain.LibraryValueError, UnaffordableError):
                pass  # these values are handled in a sandbox only
        assert self._plan is not None
        outcome = run_code_test(self._slots, self._talking(prepared), self._plan, test, self._spec.limits.run)
        if outcome.verdict is None:
            return None
        return self._result(test, outcome.verdict, "code", outcome.run, outcome.detail)

    def _converted(self, prepared: Prepared, test: PlannedTest, converted: Converted) -> TestResult:
        calls = make_calls(self._slots.program, prepared, converted.calls, self._spec.limits.run)
        results: list[Any] = []
        failures: dict[int, Failed] = {}
        for index in range(len(converted.calls)):
            outcome = calls.outcome(index)
            results.append(outcome.value if isinstance(outcome, Returned) else None)
            if isinstance(outcome, Failed):
                failures[index] = outcome
        for expectation in converted.expectations:
            needed = calls_in(expectation.expression)
            detail: dict[str, Any] = {"assertion": _excerpt(expectation.text), "line": expectation.line}
            failure = next((failures[index] for index in needed if index in failures), None)
            if failure is not None:
                detail["reason"] = failure.reason
                return self._result(test, failure.verdict, "calls", calls.result, detail)
            detail["returned"] = [_excerpt(_repr(results[index])) for index in needed]
            if not _holds(expectation.expression, results):
                return self._result(test, Verdict.WRONG_ANSWER, "calls", calls.result, detail)
        verdict = next(iter(failures.values())).verdict if failures else run_verdict(calls.result)
        return self._result(test, verdict or Verdict.ACCEPTED, "calls", calls.result, {})


def _shown_run(test: StdioTest, run: RunResult) -> dict[str, Any]:
    """What a whole program was given, and what it made of it."""
    return {
        "stdin": _excerpt(test.stdin),
        "expected": _excerpt(test.expected),
        "stdout": _excerpt(run.stdout),
        "stderr": _excerpt(run.stderr[-_EXCERPT:]),
        "ended": run.ended.value,
        "exit_code": run.exit_code,
        "signal": run.signal,
    }


def _holds(expression: Any, results: list[Any]) -> bool:
    """Whether an assertion holds of the results; an operation that does not fit them makes it fail."""
    try:
        return bool(evaluate(expression, results))
    except (UnaffordableError, MemoryError):
        raise
    # What raises for all results was found when the test was converted, so it is this result that does not fit, as in
    # the test code, where the exception would end the test.
    except Exception:  # noqa: BLE001
        return False


def _repr(value: Any) -> str:
    try:
        return repr(value)
    except (ValueError, RecursionError):  # integers of thousands of digits, deep nesting
        return f"<{type(value).__name__}>"


def _excerpt(text: str | bytes) -> str:
    """The beginning of a text, fit for JSON."""
    cut = text[: 4 * _EXCERPT].decode("utf-8", "replace") if isinstance(text, bytes) else text
    short = cut if len(cut) <= _EXCERPT else f"{cut[:_EXCERPT]}… ({len(text)} in all)"
    return short.encode("utf-8", "replace").decode()
