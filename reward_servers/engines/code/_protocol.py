"""Test code in a sandbox of its own, which talks to the program by messages of plain data only.

    run_code_test   one test, with the program in another sandbox -> `CodeOutcome`
    Protocol        the conversation of the two, passed on message by message

Test code fails in three ways. It cannot run at all: `BadReferenceError`. It exhausts its limits on what the program
gave: a limit verdict, because a program could choose its answer so. It raises on what the program gave: a wrong
answer, unless no answer can be the cause, because a name, a module or a file does not exist, or because nothing was
asked before.
"""

from __future__ import annotations

import dataclasses
import time
from typing import Any

from reward_servers.engines.code._calls import checked_answer, failed
from reward_servers.engines.code._checker import preload_for, trusted_limits
from reward_servers.engines.code._errors import BadReferenceError
from reward_servers.engines.code._guest import plain
from reward_servers.engines.code._names import KNOWN_MODULES
from reward_servers.engines.code._plan import Plan, PlannedTest
from reward_servers.engines.code._slots import Slots
from reward_servers.engines.code._verdicts import Verdict, run_verdict
from sandbox import Attempt, Exit, Limits, Prepared, RunResult, Session, settle

_WALL_FACTOR = 3.0
"""A program may owe answers for this many times its wall limit: every question passes through our own hands twice."""

_TESTS = ("blame", "asking", "files", "lending", "remote", "patching", "shim", "tests")
# What only makes ready, and asks the program for nothing.
_PREPARES = frozenset(("describe", "patch", "unpatch", "environment"))


@dataclasses.dataclass(frozen=True, slots=True)
class CodeOutcome:
    """How a test that ran as code came out.

    Attributes:
        verdict: None if the test never asked the program for anything, so that it says nothing about it.
        run: What the program used.
        detail: What happened.
    """

    verdict: Verdict | None
    run: RunResult
    detail: dict[str, Any]


def run_code_test(slots: Slots, prepared: Prepared, plan: Plan, test: PlannedTest, limits: Limits) -> CodeOutcome:
    """Run one test as code, with the program in another sandbox.

    Args:
        slots: Both sandboxes.
        prepared: The program with its driver, in the slot of programs.
        plan: The test code.
        test: Which of its tests.
        limits: Of the program.

    Raises:
        BadReferenceError: The test code needs what is not offered, or fails before it has asked for anything.
    """

    def attempt(wall_factor: float) -> Attempt[tuple[Protocol, RunResult]]:
        talk, run = _converse(slots, prepared, plan, test, limits, _WALL_FACTOR * wall_factor)
        wall_s = talk.wall_s(run)
        return Attempt((talk, run), talk.waited, wall_s, wall_s, late=talk.late(run), doubtful=talk.doubts(run))

    (talk, run), _ = settle(attempt, slots.program.slowness, _WALL_FACTOR * limits.wall_s)
    return talk.outcome(run)


def _converse(
    slots: Slots, prepared: Prepared, plan: Plan, test: PlannedTest, limits: Limits, wall_factor: float
) -> tuple[Protocol, RunResult]:
    """Have the test code and the program talk once; the program may owe answers for `wall_factor` times its limit."""
    driver = slots.driver(*_TESTS, preload=preload_for(f"{plan.setup}\n{plan.code}".encode()))
    # Each side waits for the other, so only the time in which a side is asked counts; see `Protocol`.
    backstop = 10 * limits.wall_s + 120
    program = slots.program.start(prepared, limits=dataclasses.replace(limits, wall_s=backstop))
    talk = Protocol(program, test.name, limits.wall_s, wall_factor)
    try:
        if talk.load():
            trusted = dataclasses.replace(trusted_limits(limits), wall_s=backstop)
            tests = slots.trusted.start(driver, limits=trusted)
            try:
                talk.relay(tests, _task(plan, test))
            finally:
                # One that has ended by itself is to say how.
                tests_run = tests.finish(kill=bool(talk.said) or talk.program_gone)
            if talk.verdict is None and not talk.said and not talk.program_gone:
                talk.tests_ended(tests_run)
    except BaseException:
        program.finish(kill=True)
        raise
    return talk, program.finish(kill=talk.timed_out)


def _task(plan: Plan, test: PlannedTest) -> bytes:
    chosen = test.selection
    task = {
        "code": plan.code,
        "setup": plan.setup,
        "free": [*plan.from_program, *sorted(test.shadowed)],
        "known": sorted(KNOWN_MODULES),
        "classes": list(plan.classes),
        "keep": list(chosen.keep),
        "function": chosen.function,
        "owner": chosen.owner,
        "parameters": chosen.parameters,
        "shares": plan.shares_files,
        "nodes": [],
        "seed": 0,
    }
    return plain.dumps_json(task)


class Protocol:
    """The conversation between test code and program, passed on message by message.

    The wall limit of a program holds for the time in which it owes an answer: after `wall_factor` times the limit it is
    ended, and only if it waited for a processor in so much of it that the limit itself has not passed, it is in doubt
    who is to blame.
    """

    def __init__(self, program: Session, name: str, wall_s: float, wall_factor: float) -> None:
        self._program = program
        self._name = name
        self._wall_s = wall_s
        self._answer_s = wall_factor * wall_s
        self.waited = 0.0
        self._asked = 0
        self._last: dict[str, str] = {}
        self.timed_out = False
        self.verdict: Verdict | None = None
        self.said: dict[str, Any] = {}
        self.program_gone = False
        self._detail: dict[str, Any] = {}

    def load(self) -> bool:
        """Wait until the program is loaded; False if it cannot be."""
        answer = self._hear_program()
        if answer is None or "ready" in answer:
            return answer is not None
        problem = failed(answer.get("load", {}), "loading the program")
        self.verdict, self._detail = problem.verdict, {"reason": problem.reason}
        return False

    def relay(self, tests: Session, task: bytes) -> None:
        """Pass questions and answers until one side ends."""
        try:
            tests.send(task)
            while (message := tests.receive()) is not None:
                question = plain.loads_json(message)
                if question["op"] == "done":
                    self.said = question
                    return
                self._asked += question["op"] not in _PREPARES
                answer = self._ask_program(message)
                if answer is None:
                    return
                if question["op"] == "describe":
                    answer = checked_kinds(answer, question["names"])
                encoded = _encoded(answer)
                self._last = {"asked": _beginning(message), "answered": _beginning(encoded)}
                tests.send(encoded)
        except EOFError:
            return  # the test code ended; its run says how

    def _ask_program(self, message: bytes) -> dict[str, Any] | None:
        try:
            self._program.send(message)
        except EOFError:
            self.program_gone = True
            return None
        return self._hear_program()

    def _hear_program(self) -> dict[str, Any] | None:
        """The next message of the program, made sure to have the form of an answer; None if it has ended."""
        since = time.monotonic()
        try:
            message = self._program.receive(max(0.0, self._answer_s - self.waited))
        except TimeoutError:
            message, self.timed_out = None, True
        self.waited += time.monotonic() - since
        if message is None:
            self.program_gone = True
            return None
        return checked_answer(message)

    def tests_ended(self, run: RunResult) -> None:
        """The test code ended without a word: it exhausted a limit, or it is broken."""
        if not self._asked:
            ended = f"by signal {run.signal}" if run.signal else f"({run.ended.value})"
            errors = run.stderr[-300:].decode("utf-8", "replace").strip()
            problem = f"test {self._name!r} ended {ended} before it asked the program for anything: {errors}"
            raise BadReferenceError("tests.code", problem, "Repair the test code")
        self.verdict = run_verdict(run) or Verdict.RUNTIME_ERROR
        self._detail = {"where": "tests", "ended": run.ended.value}

    def doubts(self, run: RunResult) -> bool:
        """Whether a program that took too long may have been kept waiting by the host."""
        return self.late(run) and self.wall_s(run) <= self._wall_s

    def late(self, run: RunResult) -> bool:
        """Whether the program owed an answer for longer than it may."""
        return self.timed_out or run.ended is Exit.WALL_LIMIT

    def wall_s(self, run: RunResult) -> float:
        """For how long the program owed an answer, less what other processes are known to have taken."""
        return self.waited - (run.elapsed_s - run.wall_s)

    def outcome(self, run: RunResult) -> CodeOutcome:
        """The verdict, once both sides have ended."""
        if self.late(run):
            return CodeOutcome(
                Verdict.WALL_LIMIT, run, {"reason": f"the program owed an answer for {self.waited:.1f} s"}
            )
        if self.program_gone:
            reason = f"the program ended ({run.ended.value}) while it was tested"
            return CodeOutcome(run_verdict(run) or Verdict.RUNTIME_ERROR, run, {"reason": reason})
        if self.verdict is not None:
            return CodeOutcome(run_verdict(run) or self.verdict, run, self._detail)
        kind = str(self.said["outcome"])
        detail: dict[str, Any] = {"where": "tests", "line": self.said["line"], "raised": self.said["kind"]}
        detail |= {"message": self.said["message"], **self._last}
        if kind == "unpassable":
            problem = f"test {self._name!r} cannot run: {self.said['message']}"
            raise BadReferenceError("tests.code", problem, "Only plain data pass between test code and program")
        if self.said["own_fault"] or (kind in ("error", "failed") and not self._asked and self.said["alone"]):
            problem = (
                f"line {self.said['line']} raises {self.said['kind']}, whatever the program: {self.said['message']}"
            )
            raise BadReferenceError("tests.code", problem[:1000], "Repair the test code")
        if kind in ("passed", "skipped") and not self._asked:
            return CodeOutcome(run_verdict(run), run, detail)
        if kind == "passed":
            return CodeOutcome(run_verdict(run) or Verdict.ACCEPTED, run, {})
        verdicts = {"raised": Verdict.RUNTIME_ERROR, "memory": Verdict.MEMORY_LIMIT}
        return CodeOutcome(verdicts.get(kind, Verdict.WRONG_ANSWER), run, detail)


def _beginning(message: bytes) -> str:
    """The beginning of a message, for the evidence."""
    text = message.decode("ascii", "replace").strip()
    return text if len(text) <= 500 else f"{text[:500]}… ({len(text)} in all)"


def _encoded(answer: dict[str, Any]) -> bytes:
    try:
        return plain.dumps_json(answer)
    except RecursionError:
        return plain.dumps_json({"not_plain": "nested too deeply"})


def checked_kinds(answer: dict[str, Any], names: list[str]) -> dict[str, Any]:
    """What the program says each name is; anything odd counts as absent.

    Until it asks for more, test code thus depends on nothing that a program could make up, and what goes wrong with
    it is its own fault.
    """
    try:
        decoded = plain.decode(answer.get("ok"))
    except (plain.NotPlainError, RecursionError):
        decoded = None
    kinds = decoded if isinstance(decoded, dict) else {}
    allowed_kinds = ("function", "class", "exception", "data")
    return {"ok": plain.encode({name: kinds[name] if kinds.get(name) in allowed_kinds else "absent" for name in names})}
