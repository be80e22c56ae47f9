"""Programs of problem packages that judge: output validators and interactors, in any language.

    validate   a validator reads what the program wrote
    interact   an interactor talks to the program over standard input and output

Both get the names of files with input and answer, and say by their exit code what they found: 42 or 43 as Kattis and
the ICPC format do (with a directory for feedback as the third argument), or 0, 1, 2 as testlib does (a validator with
`/dev/stdin` for the output between the two). Any other end is a wrong answer, because the program's output may be its
cause; the data set is at fault only where the judging program does not compile.
"""

from __future__ import annotations

import contextlib
import dataclasses
import time
from typing import Any, Literal

from reward_servers.engines.code._checker import preload_for, trusted_limits
from reward_servers.engines.code._errors import BadReference
from reward_servers.engines.code._slots import Slots
from reward_servers.engines.code._verdicts import Verdict, run_verdict
from sandbox import CompileFailure, Exit, Limits, Prepared, Program, RunResult, SandboxFailure, Session

JudgingStyle = Literal["kattis", "testlib"]
_SAID: dict[JudgingStyle, dict[int, Verdict]] = {
    "kattis": {42: Verdict.ACCEPTED, 43: Verdict.WRONG_ANSWER},
    "testlib": {0: Verdict.ACCEPTED, 1: Verdict.WRONG_ANSWER, 2: Verdict.WRONG_ANSWER},
}
_TURN_S = 0.005
_LAST_WORD_S = 1.0
_EXCERPT = 500


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
    """

    field: str
    language: str
    source: str
    files: tuple[tuple[str, str], ...] = ()
    args: tuple[str, ...] = ()
    style: JudgingStyle = "kattis"


Cases = tuple[tuple[str, str], ...]
"""Input and answer of each test of a task."""


def _prepared(slots: Slots, judging: JudgingProgram, cases: Cases) -> Prepared:
    """The program with the files of all tests, compiled once for the rollouts of a group."""

    def make() -> Program:
        files = {name: text.encode() for name, text in judging.files}
        for number, (given, answer) in enumerate(cases):
            files[f"tests/{number}.in"] = given.encode("utf-8", "surrogatepass")
            files[f"tests/{number}.ans"] = answer.encode("utf-8", "surrogatepass")
        files["feedback/about"] = b""
        source = judging.source.encode()
        preload = preload_for(source) if judging.language == "python" else None
        return Program(judging.language, source, files, preload)

    made = slots.trusted_program((judging, cases), make)
    if isinstance(made, CompileFailure):
        raise BadReference(judging.field, f"does not compile: {made.message[:500]}", "Repair the judging program")
    return made


def _arguments(judging: JudgingProgram, number: int, *, output: bool) -> list[str]:
    given, answer = f"tests/{number}.in", f"tests/{number}.ans"
    if judging.style == "kattis":
        return [given, answer, "feedback/", *judging.args]
    return [given, "/dev/stdin" if output else "/dev/null", answer, *judging.args]


def _said(judging: JudgingProgram, run: RunResult, where: str) -> tuple[Verdict, dict[str, Any]]:
    """What the end of a judging program means, and why."""
    message = (run.stderr or run.stdout)[-_EXCERPT:].decode("utf-8", "replace")
    if run.ended is Exit.EXITED and run.exit_code in _SAID[judging.style]:
        verdict = _SAID[judging.style][run.exit_code]
        return verdict, {} if verdict is Verdict.ACCEPTED else {"where": where, "message": message}
    limit = run_verdict(run) if run.ended not in (Exit.EXITED, Exit.SIGNALED) else None
    ended = f"exit code {run.exit_code}" if run.ended is Exit.EXITED else run.ended.value
    return limit or Verdict.WRONG_ANSWER, {"where": where, "raised": ended, "message": message}


def validate(
    slots: Slots, judging: JudgingProgram, cases: Cases, number: int, output: bytes, limits: Limits
) -> tuple[Verdict, dict[str, Any]]:
    """Let a validator decide on the output of one test.

    Args:
        slots: Where it runs.
        judging: The validator.
        cases: Input and answer of all tests.
        number: Which test.
        output: What the program wrote.
        limits: Of the program.

    Raises:
        BadReference: The validator does not compile.
    """
    prepared = _prepared(slots, judging, cases)
    arguments = _arguments(judging, number, output=True)
    run = slots.trusted.run(prepared, limits=_room(limits, cases, judging), stdin=output, args=arguments)
    return _said(judging, run, "validator")


def _room(limits: Limits, cases: Cases, judging: JudgingProgram) -> Limits:
    """Limits of a judging program, with space for the files of all tests."""
    allowed = trusted_limits(limits)
    texts = [text for case in cases for text in case] + [text for _, text in judging.files] + [judging.source]
    needed = sum(4096 + 4 * len(text) for text in texts)
    files = allowed.files + len(texts)
    return dataclasses.replace(allowed, disk_bytes=max(allowed.disk_bytes, needed + (16 << 20)), files=files)


def interact(
    slots: Slots, program: Prepared, judging: JudgingProgram, cases: Cases, number: int, limits: Limits
) -> tuple[Verdict, RunResult, dict[str, Any]]:
    """Let an interactor talk to a program, and decide.

    Args:
        slots: Both sandboxes.
        program: In the slot of programs.
        judging: The interactor.
        cases: Input and answer of all tests.
        number: Which test.
        limits: Of the program.

    Returns:
        The verdict, the run of the program, and what happened.

    Raises:
        BadReference: The interactor does not compile.
        sandbox.SandboxFailure: The host kept the interactor waiting for so long that the program ran out of time.
    """
    interactor = _prepared(slots, judging, cases)
    allowed = _room(limits, cases, judging)
    # The program's clock goes on while the interactor computes, which it may do for as long as its own limit.
    wall = dataclasses.replace(limits, wall_s=limits.wall_s + allowed.cpu_s)
    allowed = dataclasses.replace(allowed, wall_s=2 * wall.wall_s)
    asked = slots.program.start(program, limits=wall, raw=True)
    try:
        arguments = _arguments(judging, number, output=False)
        asking = slots.trusted.start(interactor, limits=allowed, raw=True, args=arguments)
        try:
            flooded = _relay(asked, asking, limits.stdout_bytes)
            said_by_itself = flooded is None
            run = None if said_by_itself else asked.finish(kill=bool(flooded))
            limit = Verdict.OUTPUT_LIMIT if flooded else None if run is None else run_verdict(run)
            if limit is not None and limit.is_limit:
                said_by_itself = _ends_soon(asking)
                asking.finish(kill=not said_by_itself)
        finally:
            judged = asking.finish()
        verdict, detail = _said(judging, judged, "interactor")
        run = run or asked.finish(kill=verdict is not Verdict.ACCEPTED)
    except BaseException:
        asked.finish(kill=True)
        raise
    if run.ended is Exit.WALL_LIMIT and judged.elapsed_s - judged.wall_s > limits.cpu_s + limits.wall_s / 2:
        raise SandboxFailure("starved", f"the interactor waited for {judged.elapsed_s - judged.wall_s:.1f} s")
    if limit is not None and limit.is_limit and not said_by_itself:
        return limit, run, {}
    # A program that was told no mostly ends badly, too: which of the two came first would be a matter of load.
    if verdict is Verdict.ACCEPTED:
        return run_verdict(run) or verdict, run, detail
    return verdict, run, {**detail, "exit_code": run.exit_code}


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
