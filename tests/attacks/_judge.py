"""The rules by which a case has passed, failed or is inconclusive."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable
from enum import StrEnum
from typing import Any

from sandbox import CompileFailure, Exit, RunResult
from tests.attacks._host import Sampler
from tests.attacks._lines import Line

MIB = 1 << 20
_SIGSYS = 31
_RESOURCE = ("resource.processes", "resource.memory", "resource.disk", "resource.files")
_KILLED = ("process_limit", "memory_limit", "disk_limit", "output_limit", "runtime_error")
_NOT_THE_SANDBOX = ("ModuleNotFoundError", "ImportError", "NameError", "AttributeError")
_VERDICTS = {
    Exit.OUTPUT_LIMIT: "output_limit",
    Exit.MEMORY_LIMIT: "memory_limit",
    Exit.CPU_LIMIT: "time_limit",
    Exit.WALL_LIMIT: "wall_limit",
    Exit.DISK_LIMIT: "disk_limit",
    Exit.SIGNALED: "runtime_error",
}


class Status(StrEnum):
    """Outcome of a case."""

    PASS = "pass"
    FAIL = "fail"
    INCONCLUSIVE = "inconclusive"
    SKIPPED = "skipped"


@dataclasses.dataclass(frozen=True)
class Judgement:
    """Outcome with its reason.

    Attributes:
        by_clock_only: Nothing but a time speaks against the case. A host that stands still for a while lengthens
            one run and shows nothing afterwards; a fault of the sandbox lengthens each.
    """

    status: Status
    reason: str = ""
    by_clock_only: bool = False


PASSED = Judgement(Status.PASS)


def fail(reason: str) -> Judgement:
    """The case has failed."""
    return Judgement(Status.FAIL, reason)


def inconclusive(reason: str) -> Judgement:
    """The case shows nothing."""
    return Judgement(Status.INCONCLUSIVE, reason)


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What became of a program, compiled or run, in the words of the files."""

    verdict: str
    elapsed_s: float
    stdout: bytes = b""
    stderr: bytes = b""
    truncated: bool = False
    exit_code: int | None = None
    signal: int | None = None
    cpu_s: float | None = 0.0
    peak_memory_bytes: int | None = None

    @classmethod
    def of(cls, result: RunResult | CompileFailure, elapsed_s: float) -> Outcome:
        """Translate what the sandbox says."""
        if isinstance(result, CompileFailure):
            return cls("compile_error", elapsed_s, stderr=result.message.encode())
        if result.ended is Exit.EXITED:
            verdict = "ok" if result.exit_code == 0 else "runtime_error"
        else:
            verdict = _VERDICTS[result.ended]
        return cls(
            verdict,
            result.elapsed_s,
            result.stdout,
            result.stderr,
            result.stdout_truncated or result.stderr_truncated,
            result.exit_code,
            result.signal,
            result.cpu_s,
            result.peak_memory_bytes,
        )


def check_expectation(expect: dict[str, Any], result: Outcome, slowness: Callable[[], float]) -> Judgement:
    """Fail with what of `expect` does not hold, in words.

    Args:
        expect: Of the line.
        result: What became of the program.
        slowness: Measures how many times slower the host is, when nothing of the run exists. It is asked only about a
            run that took too long, so that a program which slows itself down is not excused by that.
    """
    wrong = []
    if result.verdict not in expect["verdict_in"]:
        wrong.append(f"verdict {result.verdict}, stderr {result.stderr[-300:]!r}")
    if "stdout_equals" in expect and result.stdout != expect["stdout_equals"].encode():
        wrong.append(f"stdout {result.stdout[:200]!r}")
    if "stdout_bytes_hex" in expect and result.stdout.hex() != expect["stdout_bytes_hex"].lower():
        wrong.append(f"stdout {result.stdout[:200]!r}")
    for name in ("stdout", "stderr"):
        most = expect.get(f"{name}_max_bytes")
        if most is not None and len(getattr(result, name)) > most:
            wrong.append(f"{name} has {len(getattr(result, name))} bytes")
    if "truncated" in expect and expect["truncated"] != result.truncated:
        wrong.append(f"truncated is {result.truncated}")
    if "exit_code" in expect and result.exit_code != expect["exit_code"]:
        wrong.append(f"exit code {result.exit_code}")
    if "signal" in expect:
        number = expect["signal"]
        codes = (*expect.get("or_exit_code_in", ()), 128 + number, -number)
        if result.signal != expect["signal"] and result.exit_code not in codes:
            wrong.append(f"signal {result.signal}, exit code {result.exit_code}")
    if wrong:
        return fail(", ".join(wrong))
    most = expect.get("max_wall_s")
    if most is not None and result.elapsed_s > most and result.elapsed_s > most * slowness():
        return Judgement(Status.FAIL, f"took {result.elapsed_s:.2f} s", by_clock_only=True)
    return PASSED


def judge_marker(line: Line, result: Outcome, sampler: Sampler) -> Judgement:
    """A program that says itself whether it got out. That it says nothing proves nothing."""
    probe, text = line["probe"], result.stdout.decode("utf-8", "replace")
    word = result.verdict
    if probe["leak_if"] in text:
        return fail(f"printed {text[:200]!r}")
    if line["category"] in _RESOURCE:
        most = 4 * line["limits"]["disk_mb"] * MIB
        if "stored" in probe["pass_if"]["pass"] and sampler.stored_bytes > most:
            return fail(f"stored {sampler.stored_bytes} bytes on the host")
        if word in _KILLED:
            return PASSED
    if result.signal == _SIGSYS or result.exit_code in (128 + _SIGSYS, -_SIGSYS):
        return PASSED
    if probe["blocked_if"] not in text:
        return inconclusive(f"{word} without {probe['blocked_if']}: {text[:200]!r} {result.stderr[-200:]!r}")
    return excused(result.stdout + result.stderr) or PASSED


def excused(said: bytes) -> Judgement | None:
    """The judgement of a probe that has failed by itself, so that nothing was blocked."""
    excuse = next((name for name in _NOT_THE_SANDBOX if name.encode() in said), "")
    return inconclusive(f"blocked by {excuse}: {said[:200]!r}") if excuse else None


_MEASURED = re.compile(r"on the host: (?P<what>.*)", re.DOTALL)


def judge_host(line: Line, result: Outcome, sampler: Sampler, memory_bound: str) -> Judgement:
    """The measurements that the line's own sentence names, beyond those taken for every case."""
    sentence = line["probe"]["pass_if"]["pass"]
    found = _MEASURED.search(sentence)
    what = found["what"] if found else sentence
    limits = line["limits"]
    known = False
    for pattern, measure in _MEASURES:
        if re.search(pattern, what):
            known = True
            if complaint := measure(limits, result, sampler, memory_bound):
                return Judgement(Status.FAIL, complaint, by_clock_only=measure in _BY_CLOCK)
    if not known and not re.search(_TAKEN_FOR_ALL, what):
        return inconclusive(f"no measurement is known for: {what}")
    return PASSED


# Said by these words, measured for every case by the worker.
_TAKEN_FOR_ALL = (
    r"number of processes|no process|core file|another slot|other slots|next run|is gone when|slot is free"
    r"|nothing further|no file named|is refused|collecting|no tree|unavailable"
    # Compared with the fields of `expect`, or counted by the listeners that were planted.
    r"|stdout|stderr|exit code|expect\.|listeners?\b|accepts no connection|connection"
    # What the service itself writes, see `_host.Written`.
    r"|escape|control (bytes|characters)|logs?\b|terminal"
    r"|processes are|mounts?\b|cgroups?\b|descriptors?\b|shared memory (objects|segments|files)|files? (is|are) left"
)


def _memory(limits: dict[str, Any], result: Outcome, sampler: Sampler, bound: str) -> str:
    most = limits["memory_mb"] * MIB + 64 * MIB
    if bound == "per_process":
        # Only the largest process is bounded here, and the report says so.
        return ""
    peak = max(sampler.memory_bytes, result.peak_memory_bytes or 0)
    return f"memory peak {peak} bytes" if peak > most else ""


def _memory_single(limits: dict[str, Any], result: Outcome, sampler: Sampler, bound: str) -> str:
    most = limits["memory_mb"] * MIB + 64 * MIB
    peak = max(sampler.memory_bytes, result.peak_memory_bytes or 0)
    if not peak:
        return "the memory of the run could not be read"
    return f"memory peak {peak} bytes" if peak > most else ""


def _cpu_near(limits: dict[str, Any], result: Outcome, sampler: Sampler, _: str) -> str:
    limit = limits["cpu_s"]
    if result.cpu_s is None:
        return "no processor time was measured"
    return "" if abs(result.cpu_s - limit) <= 0.2 * limit else f"reported cpu_s {result.cpu_s:.3f}"


def _cpu_twice(limits: dict[str, Any], result: Outcome, sampler: Sampler, _: str) -> str:
    used = max(result.cpu_s or 0.0, sampler.cpu_s)
    return f"CPU used {used:.2f} s" if used > 2 * limits["cpu_s"] else ""


def _server_memory(limits: dict[str, Any], result: Outcome, sampler: Sampler, _: str) -> str:
    growth = sampler.own_bytes - sampler.own_start
    return f"the server grew by {growth} bytes" if growth > 16 * MIB else ""


def _server_cpu(limits: dict[str, Any], result: Outcome, sampler: Sampler, _: str) -> str:
    return f"the server used {sampler.own_cpu_s:.2f} s CPU" if sampler.own_cpu_s >= 1 else ""


def _marked(limits: dict[str, Any], result: Outcome, sampler: Sampler, _: str) -> str:
    return "" if result.truncated else "not marked truncated"


def _well_before(limits: dict[str, Any], result: Outcome, sampler: Sampler, _: str) -> str:
    return f"answered after {result.elapsed_s:.2f} s" if result.elapsed_s > limits["wall_s"] / 2 else ""


def _signaled(limits: dict[str, Any], result: Outcome, sampler: Sampler, _: str) -> str:
    by_signal = result.signal is not None or result.exit_code is None or result.exit_code > 128 or result.exit_code < 0
    return "" if by_signal else f"ended with exit code {result.exit_code} and no signal"


def _stored(limits: dict[str, Any], result: Outcome, sampler: Sampler, _: str) -> str:
    most = 4 * limits.get("disk_mb", 64) * MIB
    return f"stored {sampler.stored_bytes} bytes" if sampler.stored_bytes > most else ""


_MEASURES = (
    (r"(ended|killed|death) by (a |the )?signal|signal that ended", _signaled),
    (r"stored|disk", _stored),
    (r"without one the capability report", _memory),
    (r"memory peak (?!of the whole)", _memory_single),
    (r"reported cpu_s", _cpu_near),
    (r"at most twice limits.cpu_s", _cpu_twice),
    (r"memory of the server", _server_memory),
    (r"server's CPU", _server_cpu),
    (r"marked truncated", _marked),
    (r"well before the wall limit", _well_before),
)
# What a host that stands still lengthens: a run's own time, and that of one whose watcher got no processor.
_BY_CLOCK = (_cpu_near, _well_before)
