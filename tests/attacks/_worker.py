"""The service under attack: two slots, a harness around them, and one JSON line per case on a descriptor of its own.

Started as `python -m tests.attacks._worker DESCRIPTOR TOKEN FILE...` from a pseudo-terminal, as root or as a user.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import platform
import re
import sys
import time
from collections.abc import Callable
from functools import partial

import sandbox
from reward_servers.engines.code import CodeEngineError, Slots
from sandbox import CompileFailure, Limits, Program, ProgramRefusedError, RunResult, Sandbox
from tests.attacks import _plants
from tests.attacks._backend import chosen_config
from tests.attacks._grading import judge_fraud
from tests.attacks._host import Sampler, Written, settled, stable
from tests.attacks._judge import (
    PASSED,
    Judgement,
    Outcome,
    Status,
    check_expectation,
    excused,
    fail,
    inconclusive,
    judge_host,
    judge_marker,
)
from tests.attacks._lines import Line, filled, load

_HELLO = Program("python", b"print('hello')")
_MIB = 1 << 20
_SETTLE_S = 1.0
_TRIES = 3  # of a run that was too long and else as it should be
_BUILD = 3.0  # a compiler may use this many times the CPU time of a run
_GONE_S = 0.5
_REFUSED = re.compile(rb"^(OSError|PermissionError|BlockingIOError): \[Errno", re.MULTILINE)


class Case:
    """One line, run against two slots."""

    def __init__(self, line: Line, slot: Sandbox, other: Sandbox, slots: Slots, token: str) -> None:
        self._line = line
        self._slots = slots
        self._slot = slot
        self._other = other
        self._token = token
        self._uids = frozenset(int(box.report.uid_map.rpartition(">")[2]) for box in (slot, other))

    def judge(self) -> Judgement:
        """Run the whole case: hello, plant, control, attack, measure, hello."""
        line = self._line
        if line.get("arch", platform.machine()) != platform.machine():
            return Judgement(Status.SKIPPED, f"for {line['arch']}")
        if line["language"] not in sandbox.languages():
            if line.get("optional_language"):
                return Judgement(Status.SKIPPED, f"{line['language']} is not offered")
            return inconclusive(f"{line['language']} is not offered")
        if complaint := self._hello(self._slot):
            return fail(f"hello before: {complaint}")
        before = stable(self._uids)
        judgement = self._planted_case()
        if judgement.status is Status.PASS and self._slot.report.proc == "fresh":  # containers are the engine's
            gone = _GONE_S if "0.5 s" in line["probe"]["pass_if"]["pass"] else _SETTLE_S
            if settled(before, self._uids, gone):
                # As much longer as the host is slower than an idle one, and not at all where it is not.
                longer = gone * (self._slot.slowness() - 1)
                if difference := settled(before, self._uids, longer):
                    judgement = fail(f"left on the host: {difference}")
        if complaint := self._hello(self._slot):
            return fail(f"hello after: {complaint}")
        return judgement

    def _hello(self, box: Sandbox) -> str:
        result = _execute(box, _HELLO, b"", Limits())
        ok = isinstance(result, RunResult) and result.ok and result.stdout == b"hello\n"
        return "" if ok else repr(result)

    def _planted_case(self) -> Judgement:
        with _plants.planted(self._line, self._token) as (names, listeners):
            line = filled(self._line, names)
            probe = line["probe"]
            if probe.get("control") == "outside":
                if not _plants.outside_shows_leak(line["code"], probe["leak_if"]):
                    status = Status.INCONCLUSIVE if probe.get("plant") else Status.SKIPPED
                    return Judgement(status, "the control outside the sandbox shows no leak")
                time.sleep(0.05)  # what the control sent has arrived
            arrived = listeners.received
            judgement = self._attack(line)
            if listeners.received > arrived and judgement.status is Status.PASS:
                return fail("a listener of the host was reached")
            return judgement

    def _attack(self, line: Line) -> Judgement:
        if line["probe"]["kind"] == "grading":
            return judge_fraud(line, self._slots)
        expect = line["expect"]
        for name in expect.get("request_must_be_refused_for_paths", ()):
            with contextlib.suppress(ProgramRefusedError):
                self._slot.prepare(Program(line["language"], line["code"].encode(), files={name: b"x"}))
                return fail(f"accepted a file named {name!r}")
        judgement = self._attack_once(line)
        for _ in range(_TRIES - 1):
            if judgement.by_clock_only:
                judgement = self._attack_once(line)
        return judgement

    def _attack_once(self, line: Line) -> Judgement:
        program = Program(line["language"], line["code"].encode())
        sampler = Sampler()
        sampler.start()
        neighbour = _Neighbour(self._neighbour_action(line))
        with _plants.parallel(neighbour):
            time.sleep(0.1 if line["probe"].get("plant") else 0.0)  # the run beside it has begun
            started = time.monotonic()
            result = _execute(self._slot, program, line.get("stdin", "").encode(), _limits(line))
            outcome = Outcome.of(result, time.monotonic() - started)
        sampler.stop()
        if neighbour.complaint:
            return fail(f"another slot: {neighbour.complaint}")
        return self._judge_run(line, outcome, sampler)

    def _neighbour_action(self, line: Line) -> Callable[[], str]:
        """What runs in the other slot meanwhile: a planted run, else hello."""
        for plant in line["probe"].get("plant", ()):
            if plant["kind"] == "parallel_run":
                program = Program("python", plant["code"].encode())
                return partial(_plant, self._other, program, _limits(line))
        return partial(self._hello, self._other)

    def _judge_run(self, line: Line, result: Outcome, sampler: Sampler) -> Judgement:
        expected = check_expectation(line["expect"], result, self._slot.slowness)
        if expected is not PASSED:
            return expected
        kind = line["probe"]["kind"]
        if kind == "stdout_marker":
            return judge_marker(line, result, sampler)
        if kind == "host_check" and self._slot.report.proc != "fresh":
            return Judgement(Status.SKIPPED, "what a container takes of the host is not measured from here")
        if kind == "host_check":
            return judge_host(line, result, sampler, self._slot.report.memory_bound)
        if kind == "next_run":
            return self._judge_next(line, result)
        return inconclusive(f"unknown kind {kind!r}")

    def _judge_next(self, line: Line, first: Outcome) -> Judgement:
        if not first.stdout:
            return inconclusive("the first run printed nothing")
        program = Program(line["language"], line["probe"]["second_code"].encode())
        second = _execute(self._slot, program, b"", _limits(line))
        text = second.stdout.decode("utf-8", "replace") if isinstance(second, RunResult) else second.message
        probe = line["probe"]
        if probe.get("leak_if", "LEAK") in text:
            return fail(f"the second run printed {text[:200]!r}")
        if not (isinstance(second, RunResult) and second.ok and probe.get("blocked_if", "BLOCKED") in text):
            return inconclusive(f"the second run printed {text[:200]!r}")
        return excused(first.stdout + second.stdout) or PASSED


class _Neighbour:
    """Keeps what the run in the other slot complained of."""

    def __init__(self, action: Callable[[], str]) -> None:
        self._action = action
        self.complaint = ""

    def __call__(self) -> None:
        try:
            self.complaint = self._action()
        except sandbox.SandboxError as error:
            self.complaint = str(error)


def _plant(box: Sandbox, program: Program, limits: Limits) -> str:
    """Run a program that is to be noticed. That it was refused what would be noticed is well, too."""
    result = _execute(box, program, b"", limits)
    well = isinstance(result, RunResult) and (result.ok or _REFUSED.search(result.stderr))
    return "" if well else repr(result)


def _limits(line: Line) -> Limits:
    limits = line["limits"]
    return Limits(
        cpu_s=limits["cpu_s"],
        wall_s=limits["wall_s"],
        memory_bytes=limits["memory_mb"] * _MIB,
        stdout_bytes=limits.get("stdout_bytes", _MIB),
        stderr_bytes=limits.get("stderr_bytes", _MIB),
        disk_bytes=limits.get("disk_mb", 64) * _MIB,
        files=limits.get("files", 10_000),
        processes=limits.get("processes", 64),
    )


def _execute(box: Sandbox, program: Program, stdin: bytes, limits: Limits) -> RunResult | CompileFailure:
    build = None
    if program.language != "python":
        build = dataclasses.replace(limits, cpu_s=_BUILD * limits.cpu_s, wall_s=60.0, memory_bytes=1024 * _MIB)
    prepared = box.prepare(program, build)
    if isinstance(prepared, CompileFailure):
        return prepared
    try:
        return box.run(prepared, stdin=stdin, limits=limits)
    finally:
        box.discard(prepared)


def _judge(line: Line, slot: Sandbox, other: Sandbox, slots: Slots, token: str) -> Judgement:
    try:
        return Case(line, slot, other, slots, token).judge()
    except sandbox.SandboxError as error:
        return fail(f"unavailable: {error}")
    except CodeEngineError as error:
        return inconclusive(f"the line cannot be graded: {error}")


def main() -> None:
    """Run all lines and report each."""
    descriptor, token, *paths = sys.argv[1:]
    packages = os.environ.pop("ATTACKS_PACKAGES", None)
    config = chosen_config(python=sys.executable, packages=packages)
    with (
        os.fdopen(int(descriptor), "w") as out,
        contextlib.closing(Written()) as written,
        sandbox.open_sandbox(config=config) as slot,
        sandbox.open_sandbox(config=config) as other,
        Slots(partial(sandbox.open_sandbox, config=config)) as slots,
    ):
        # Opened now, so that what is counted before and after a case does not change by it.
        slots.program, slots.trusted  # noqa: B018
        for line in load(paths):
            judgement = _judge(line, slot, other, slots, token)
            if (complaint := written.complaint()) and judgement.status is Status.PASS:
                judgement = fail(complaint)
            row = {"id": line["id"], "status": judgement.status, "reason": judgement.reason}
            out.write(json.dumps(row) + "\n")
            out.flush()


if __name__ == "__main__":
    main()
