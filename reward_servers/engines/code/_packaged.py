"""Programs of problem packages that judge: output validators and interactors, in any language.

    validate   runs the program, and a validator reads what it wrote
    interact   an interactor talks to the program over standard input and output

Both get the names of files with input and answer, and say by their exit code what they found: 42 or 43 as Kattis and
the ICPC format do (with a directory for feedback as the third argument), or 0, 1, 2 as testlib does (a validator with
`/dev/stdin` for the output between the two). Any other end is a wrong answer, because the program's output may be its
cause; the data set is at fault only where the judging program does not compile.

In a problem of several passes the program is run again, by itself, as long as the judging program says yes and leaves a
file `nextpass.in` in the directory for feedback: that is the input of the next pass. What else it leaves there is there
again in its next run, and nothing of the program's is.
"""

from __future__ import annotations

import contextlib
import dataclasses
import time
from collections.abc import Callable, Mapping
from typing import Any, Literal

from reward_servers.engines.code._checker import preload_for, trusted_limits
from reward_servers.engines.code._errors import BadReferenceError
from reward_servers.engines.code._slots import Slots
from reward_servers.engines.code._verdicts import Verdict, run_verdict
from sandbox import (
    CompileFailure,
    Exit,
    Invocation,
    Limits,
    Prepared,
    Program,
    ProgramRefusedError,
    RunResult,
    SandboxInternalError,
    Session,
)

JudgingStyle = Literal["kattis", "testlib"]
_SAID: dict[JudgingStyle, dict[int, Verdict]] = {
    "kattis": {42: Verdict.ACCEPTED, 43: Verdict.WRONG_ANSWER},
    "testlib": {0: Verdict.ACCEPTED, 1: Verdict.WRONG_ANSWER, 2: Verdict.WRONG_ANSWER},
}
_TURN_S = 0.005
_LAST_WORD_S = 1.0
_EXCERPT = 500
_MOST_FEEDBACK = 64 << 20


@dataclasses.dataclass(frozen=True, slots=True)
class JudgingProgram:
    """A trusted program of a problem package.

    Attributes:
        field: Where the reference gives it.
        language: As the sandbox names it.
        source: Its text.
        files: Further files beside it, such as `testlib.h`.
        args: Further arguments.
        style: Of its arguments and exit codes.
        passes: How often it may have the program run in one test.
    """

    field: str
    language: str
    source: str
    files: tuple[tuple[str, str], ...] = ()
    args: tuple[str, ...] = ()
    style: JudgingStyle = "kattis"
    passes: int = 1


@dataclasses.dataclass(frozen=True, slots=True)
class _Pass:
    """One run of the program in a test: what it is given, and what the judging program remembers."""

    number: int
    given: bytes
    feedback: Mapping[str, bytes] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True, slots=True)
class _Ruling:
    """What a judging program says of one pass, and the pass that it asks for."""

    verdict: Verdict
    detail: dict[str, Any]
    then: _Pass | None = None


def _prepared(slots: Slots, judging: JudgingProgram) -> Prepared:
    """The program, compiled once for all tests of the rollouts of a group."""

    def make() -> Program:
        source = judging.source.encode()
        preload = preload_for(source) if judging.language == "python" else None
        return Program(judging.language, source, {name: text.encode() for name, text in judging.files}, preload)

    try:
        binary = slots.trusted_program(judging, make)
    except ProgramRefusedError as refusal:
        raise BadReferenceError(judging.field, f"cannot be run: {refusal.reason}", "Give other files") from None
    if isinstance(binary, CompileFailure):
        raise BadReferenceError(
            judging.field, f"does not compile: {binary.message[:500]}", "Repair the judging program"
        )
    return binary


def _invocation(judging: JudgingProgram, turn: _Pass, answer: str, *, output: bool) -> Invocation:
    files = {"test.in": turn.given, "test.ans": answer.encode("utf-8", "surrogatepass"), "feedback/.pass": b""}
    files |= {f"feedback/{name}": content for name, content in turn.feedback.items()}
    if judging.style == "kattis":
        arguments = ("test.in", "test.ans", "feedback/", *judging.args)
    else:
        arguments = ("test.in", "/dev/stdin" if output else "/dev/null", "test.ans", *judging.args)
    return Invocation(arguments, files, "feedback" if judging.passes > 1 else "")


def _ruling(judging: JudgingProgram, run: RunResult, turn: _Pass, where: str) -> _Ruling:
    """What the end of a judging program means, why, and what comes next."""
    verdict, detail = _verdict_of_end(judging, run, where)
    limits_text = run.files.get("nextpass.in")
    if verdict is not Verdict.ACCEPTED:
        return _Ruling(verdict, detail)
    if run.reply_truncated:
        return _Ruling(Verdict.WRONG_ANSWER, {"where": where, "raised": "too much feedback"})
    if limits_text is None:
        return _Ruling(verdict, detail)
    if turn.number == judging.passes:
        return _Ruling(Verdict.WRONG_ANSWER, {"where": where, "raised": f"more than {judging.passes} passes"})
    feedback = {name: content for name, content in run.files.items() if name != "nextpass.in"}
    return _Ruling(verdict, detail, _Pass(turn.number + 1, limits_text, feedback))


def _verdict_of_end(judging: JudgingProgram, run: RunResult, where: str) -> tuple[Verdict, dict[str, Any]]:
    """What the end of a judging program means, and why."""
    message = (run.stderr or run.stdout)[-_EXCERPT:].decode("utf-8", "replace")
    if run.ended is Exit.EXITED and run.exit_code in _SAID[judging.style]:
        verdict = _SAID[judging.style][run.exit_code]
        return verdict, {} if verdict is Verdict.ACCEPTED else {"where": where, "message": message}
    limit = run_verdict(run) if run.ended not in (Exit.EXITED, Exit.SIGNALED) else None
    ended = f"exit code {run.exit_code}" if run.ended is Exit.EXITED else run.ended.value
    return limit or Verdict.WRONG_ANSWER, {"where": where, "raised": ended, "message": message}


def validate(
    slots: Slots, program: Prepared, judging: JudgingProgram, test: tuple[str, str], limits: Limits
) -> tuple[Verdict, RunResult, dict[str, Any]]:
    """Run a program, once or in several passes, and let a validator decide on what it writes.

    Args:
        slots: Both sandboxes.
        program: In the slot of programs.
        judging: The validator.
        test: Input and answer.
        limits: Of each run of the program.

    Returns:
        The verdict, the last run of the program, and what happened.

    Raises:
        BadReferenceError: The validator does not compile.
    """
    return _through_passes(test, lambda turn, answer: _validation(slots, program, judging, turn, answer, limits))


def _through_passes(
    test: tuple[str, str], judge: Callable[[_Pass, str], tuple[_Ruling, RunResult]]
) -> tuple[Verdict, RunResult, dict[str, Any]]:
    """Judge pass after pass, until a ruling asks for no further one."""
    stdin, answer = test
    turn = _Pass(1, stdin.encode("utf-8", "surrogatepass"))
    while True:
        ruling, run = judge(turn, answer)
        if ruling.then is None:
            about = {} if turn.number == 1 else {"pass": turn.number}
            return ruling.verdict, run, {**about, **ruling.detail}
        turn = ruling.then


def _validation(
    slots: Slots, program: Prepared, judging: JudgingProgram, turn: _Pass, answer: str, limits: Limits
) -> tuple[_Ruling, RunResult]:
    """One run of the program, and what the validator says of its output."""
    run = slots.program.run(program, stdin=turn.given, limits=limits)
    ended = run_verdict(run)
    if ended is not None:
        return _Ruling(ended, {}), run
    prepared = _prepared(slots, judging)
    invocation = _invocation(judging, turn, answer, output=True)
    allowed = _room(limits, invocation, judging)
    ruling = slots.trusted.run(prepared, limits=allowed, stdin=run.stdout, given=invocation)
    return _ruling(judging, ruling, turn, "validator"), run


def _room(limits: Limits, invocation: Invocation, judging: JudgingProgram) -> Limits:
    """Limits of a judging program, with space for its files, and as much for what it keeps."""
    allowed = trusted_limits(limits)
    texts = [*invocation.files.values(), *(text for _, text in judging.files), judging.source]
    needed = sum(4096 + 4 * len(text) for text in texts) + (16 << 20)
    return dataclasses.replace(
        allowed,
        disk_bytes=max(allowed.disk_bytes, needed),
        reply_bytes=max(allowed.reply_bytes, _MOST_FEEDBACK),
        files=allowed.files + len(texts),
    )


def interact(
    slots: Slots, program: Prepared, judging: JudgingProgram, test: tuple[str, str], limits: Limits
) -> tuple[Verdict, RunResult, dict[str, Any]]:
    """Let an interactor talk to a program, in one run or several, and decide.

    Args:
        slots: Both sandboxes.
        program: In the slot of programs.
        judging: The interactor.
        test: Input and answer.
        limits: Of each run of the program.

    Returns:
        The verdict, the last run of the program, and what happened.

    Raises:
        BadReferenceError: The interactor does not compile.
        sandbox.SandboxInternalError: The host kept the interactor waiting for so long that the program ran out of time.
    """
    return _through_passes(test, lambda turn, answer: _interaction(slots, program, judging, turn, answer, limits))


def _interaction(
    slots: Slots, program: Prepared, judging: JudgingProgram, turn: _Pass, answer: str, limits: Limits
) -> tuple[_Ruling, RunResult]:
    """One conversation."""
    interactor = _prepared(slots, judging)
    invocation = _invocation(judging, turn, answer, output=False)
    allowed = _room(limits, invocation, judging)
    # The program's clock goes on while the interactor computes, which it may do for as long as its own limit.
    wall = dataclasses.replace(limits, wall_s=limits.wall_s + allowed.cpu_s)
    allowed = dataclasses.replace(allowed, wall_s=2 * wall.wall_s)
    running = slots.program.start(program, limits=wall, raw=True)
    try:
        asking = slots.trusted.start(interactor, limits=allowed, raw=True, given=invocation)
        try:
            flooded = _relay(running, asking, limits.stdout_bytes)
            said_by_itself = flooded is None
            run = None if said_by_itself else running.finish(kill=bool(flooded))
            limit = Verdict.OUTPUT_LIMIT if flooded else None if run is None else run_verdict(run)
            if limit is not None and limit.is_limit:
                said_by_itself = _ends_soon(asking)
                asking.finish(kill=not said_by_itself)
        finally:
            judged = asking.finish()
        ruling = _ruling(judging, judged, turn, "interactor")
        run = run or running.finish(kill=ruling.verdict is not Verdict.ACCEPTED)
    except BaseException:
        running.finish(kill=True)
        raise
    if run.ended is Exit.WALL_LIMIT and judged.elapsed_s - judged.wall_s > limits.cpu_s + limits.wall_s / 2:
        raise SandboxInternalError("starved", f"the interactor waited for {judged.elapsed_s - judged.wall_s:.1f} s")
    if limit is not None and limit.is_limit and not said_by_itself:
        return _Ruling(limit, {}), run
    # A program that was told no mostly ends badly, too: which of the two came first would be a matter of load.
    ended = run_verdict(run) if ruling.verdict is Verdict.ACCEPTED else None
    if ended is not None:
        return _Ruling(ended, ruling.detail), run
    if ruling.verdict is Verdict.ACCEPTED:
        return ruling, run
    return dataclasses.replace(ruling, detail={**ruling.detail, "exit_code": run.exit_code}), run


def _relay(program: Session, interactor: Session, most: int) -> bool | None:
    """Pass on what two programs write to each other, until one of them has ended.

    Args:
        program: The program under test.
        interactor: The other one.
        most: Bytes of the program that are passed on at most.

    Returns:
        None if the interactor has ended; else whether the program has written more than that.
    """
    while True:
        for source, target in ((interactor, program), (program, interactor)):
            try:
                data = source.receive(_TURN_S)
            except TimeoutError:
                continue
            if data is None:
                return None if source is interactor else False
            if source is program:
                flooded = len(data) > most
                data = data[:most]
                most -= len(data)
            with contextlib.suppress(EOFError):  # its own end says why
                target.send(data)
            if source is program and flooded:
                return True


def _ends_soon(interactor: Session) -> bool:
    """Whether an interactor, which has got all that a program wrote before its limit, comes to an end by it."""
    deadline = time.monotonic() + _LAST_WORD_S
    while (left := deadline - time.monotonic()) > 0:
        try:
            if interactor.receive(left) is None:
                return True
        except TimeoutError:
            return False
    return False
