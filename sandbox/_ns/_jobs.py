"""From a `Program` to the jobs that are sent behind the wall, and back to what they yield."""

from __future__ import annotations

import dataclasses
import fcntl
import os
import select
import socket
import stat
from typing import Any

from sandbox._errors import SandboxClosedError, SandboxInternalError
from sandbox._inside import _wire
from sandbox._languages import OUTPUT, TABLE, Language
from sandbox._ns._meter import Meter
from sandbox._ns._running import Endpoints, Running
from sandbox._ns._zygote import Child, Zygote
from sandbox._starvation import Attempt
from sandbox._types import CompileFailure, Exit, Invocation, Limits, Program

RAW = "raw"
"""Use of the data descriptor: none, because the conversation goes over standard input and output."""
_MAX_ARTEFACT = 64 << 20


@dataclasses.dataclass(slots=True)
class Artefact:
    """What is kept of a prepared program.

    Attributes:
        program: As sent.
        language: Its row.
        tool: Path of the compiler or interpreter.
        code: Python only: program and driver as compiled, opaque to us.
        binary: Descriptor of the product of a compiler, on a file system that is read-only; -1 if there is none.
        text: What was built for an interpreter, copied into every run.
        runs: How many more runs the caller has announced.
    """

    program: Program
    language: Language
    tool: str
    code: bytes = b""
    binary: int = -1
    text: bytes = b""
    runs: int = 0

    def close(self) -> None:
        """Free it."""
        if self.binary >= 0:
            os.close(self.binary)
            self.binary = -1


def _bounds(limits: Limits) -> dict[str, float]:
    return {
        "cpu_s": limits.cpu_s,
        "memory": limits.memory_bytes,
        "disk": limits.disk_bytes,
        "output": 1 + max(limits.stdout_bytes, limits.stderr_bytes),
        "processes": limits.processes,
    }


def _files(program: Program) -> dict[str, bytes]:
    return {**program.files, TABLE[program.language].source_name(program.source): program.source}


def run_job(artefact: Artefact, limits: Limits, data: str, given: Invocation) -> dict[str, Any]:
    """The job of running what was prepared."""
    program, language = artefact.program, artefact.language
    job = armed_job(limits, data, given)
    if not language.tool:
        return {**job, "mode": "python", "files": {**_files(program), **given.files}, "code": artefact.code}
    job |= {
        "mode": "exec",
        "address_space": language.address_space,
        "output_file": not language.waits_for_reader,
        "artefact": artefact.binary >= 0,
    }
    if artefact.binary >= 0:
        return {**job, "files": {**program.files, **given.files}, "argv": ["./main", *given.args]}
    argv = language.run_command(artefact.tool, program.source, limits.memory_bytes >> 20)
    files = {**program.files, language.product: artefact.text} if language.product else _files(program)
    return {**job, "files": {**files, **given.files}, "argv": [*argv, *given.args]}


def armed_job(limits: Limits, data: str, given: Invocation) -> dict[str, Any]:
    """The job of a process that has compiled its program already; what every job of running says."""
    job: dict[str, Any] = {
        "bounds": _bounds(limits),
        "data": data,
        "args": list(given.args),
        "files": dict(given.files),
    }
    return {**job, "keeps": given.keeps, "most_kept": limits.reply_bytes} if given.keeps else job


def build_job(program: Program, limits: Limits, tool: str) -> dict[str, Any]:
    """The job of compiling with a compiler."""
    language = TABLE[program.language]
    argv = language.build_command(tool, program.source)
    job: dict[str, Any] = {
        "mode": "build",
        "bounds": _bounds(limits),
        "address_space": language.builds_in_address_space,
    }
    return {**job, "files": _files(program), "argv": argv, "output": OUTPUT, "artefact": False}


@dataclasses.dataclass(frozen=True, slots=True)
class Launch:
    """A job on its way to a process.

    Attributes:
        zygote: Where the process came from.
        child: The process.
        job: What it is to do.
        limits: What it may use.
        program: What it runs or compiles.
        stdin: Its standard input.
        artefact: What was prepared of the program; None for a compilation.
        wall_factor: How many times its wall limit may pass on the clock.
    """

    zygote: Zygote
    child: Child
    job: dict[str, Any]
    limits: Limits
    program: Program
    stdin: bytes = b""
    artefact: Artefact | None = None
    wall_factor: float = 1.0


def launch(start: Launch, wake: int) -> Running:
    """Hand a job and its descriptors to its process and return the run.

    Args:
        start: The job.
        wake: Descriptor that becomes readable when the slot is closed by another thread.

    Raises:
        SandboxInternalError: The process is gone.
    """
    child, job, limits = start.child, start.job, start.limits
    language, artefact = TABLE[start.program.language], start.artefact
    opened: list[int] = []
    descriptors: list[int] = []
    data: socket.socket | None = None
    try:
        opened.append(_sealed(start.stdin))
        for _ in range(2):
            reading, writing = _pipe() if language.waits_for_reader else _output_file()
            descriptors.append(reading)
            opened.append(writing)
        if job.get("data") == RAW:
            data = _talk_by_streams(opened)
        elif job.get("data", "none") != "none" and not language.tool:
            data, far = socket.socketpair()
            data.setblocking(False)
            opened.append(far.detach())
        # Its own descriptor is closed by the program's start, so what a run does with its file is not seen by the next.
        shared = [artefact.binary] if artefact is not None and artefact.binary >= 0 else []
        meter = child.begin(limits.memory_bytes)
        _wire.send_job(child.sock, job, [*opened, *shared])
    except OSError as error:
        _abandon(child, descriptors, data)
        raise SandboxInternalError("send", f"{type(error).__name__}: {error}") from error
    except BaseException:
        _abandon(child, descriptors, data)
        raise
    finally:
        for descriptor in opened:
            os.close(descriptor)
    ends = Endpoints(descriptors[0], descriptors[1], data)
    return Running(child, meter, ends, limits, language, wake, start.zygote, start.wall_factor)


def _talk_by_streams(opened: list[int]) -> socket.socket:
    """Put one connection in the place of standard input and output; returns our end of it."""
    near, far = socket.socketpair()
    near.setblocking(False)
    for place in (0, 1):
        os.close(opened[place])
        opened[place] = os.dup(far.fileno())
    far.close()
    return near


def _abandon(child: Child, descriptors: list[int], data: socket.socket | None) -> None:
    child.close()
    for descriptor in descriptors:
        os.close(descriptor)
    if data is not None:
        data.close()


def _pipe() -> tuple[int, int]:
    reading, writing = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
    os.set_blocking(writing, True)
    return reading, writing


def _output_file() -> tuple[int, int]:
    """A file that is appended to, in memory; its reading and its writing end."""
    file = os.memfd_create("output", os.MFD_CLOEXEC)
    try:
        reading = os.open(f"/proc/self/fd/{file}", os.O_RDONLY | os.O_CLOEXEC)
        try:
            return reading, os.open(f"/proc/self/fd/{file}", os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
        except BaseException:
            os.close(reading)
            raise
    finally:
        os.close(file)


def _sealed(content: bytes) -> int:
    """A memory file that no one can change, at its beginning, open for reading only."""
    writing = os.memfd_create("stdin", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        _write_all(writing, content)
        _seal(writing)
        # Opened again: flags and offset of one run must not be those of another descriptor.
        return os.open(f"/proc/self/fd/{writing}", os.O_RDONLY | os.O_CLOEXEC)
    finally:
        os.close(writing)


def _write_all(descriptor: int, content: bytes) -> None:
    view = memoryview(content)
    while view:
        view = view[os.write(descriptor, view) :]


def _seal(descriptor: int) -> None:
    seals = fcntl.F_SEAL_WRITE | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL
    fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, seals)


def compile_python(
    program: Program, limits: Limits, child: Child, wake: int, wall_factor: float
) -> Attempt[Artefact | CompileFailure]:
    """Have a child compile a Python program, within the limits, and leave it waiting for its first run.

    Raises:
        SandboxInternalError: The child is gone for a reason of ours.
        SandboxClosedError: The slot was closed meanwhile.
    """
    job = {
        "mode": "compile",
        "bounds": _bounds(limits),
        "files": _files(program),
        "source": program.source,
        "driver": program.driver or b"",
    }
    keep = False
    try:
        meter = child.begin(limits.memory_bytes)
        _wire.send_job(child.sock, job)
        exceeded = _await_compiler(meter, child, limits, wake, wall_factor)
        if exceeded is not None:
            failure = CompileFailure(f"compiling exceeded the {exceeded.value.replace('_', ' ')}", exceeded)
            late = exceeded is Exit.WALL_LIMIT
            doubtful = late and meter.doubts(limits.wall_s)
            return Attempt(failure, *_clocks(meter), late=late, doubtful=doubtful)
        letter, payload, _ = _wire.receive_frame(child.sock)
        if letter == _wire.COMPILED:
            keep = True
            return Attempt(Artefact(program, TABLE["python"], "", payload), *_clocks(meter))
        return Attempt(_explain(letter, payload, child, limits), *_clocks(meter))
    except (OSError, EOFError, ValueError) as error:
        raise SandboxInternalError("compile", f"{type(error).__name__}: {error}") from error
    finally:
        if not keep:
            child.close()


def _explain(letter: bytes, payload: bytes, child: Child, limits: Limits) -> CompileFailure:
    """Why there is no code."""
    if letter == _wire.REJECTED:
        ended = Exit.MEMORY_LIMIT if payload[:1] == b"m" else Exit.EXITED
        text = payload[1 : 1 + limits.stderr_bytes].decode("utf-8", "replace")
        return CompileFailure(text, ended)
    if letter == _wire.ENDED:
        status = _wire.END_REPORT.unpack(payload)[0]
        if status == _wire.DISTURBED:
            raise SandboxInternalError("compile", "a signal from outside, such as one to all processes, has reached it")
        code = os.waitstatus_to_exitcode(status)
        memory = child.group is not None and child.group.killed_for_memory()
        ended = Exit.MEMORY_LIMIT if memory else Exit.SIGNALED
        return CompileFailure(f"the compiler was ended by signal {-code}", ended)
    raise SandboxInternalError("compile", payload.replace(b"\0", b": ").decode("utf-8", "replace"))


def _await_compiler(meter: Meter, child: Child, limits: Limits, wake: int, wall_factor: float) -> Exit | None:
    """Wait until the child answers; the limit that it exceeded before, if any."""
    poll = select.poll()
    poll.register(child.sock, select.POLLIN)
    poll.register(wake, select.POLLIN)
    pause = min(limits.cpu_s, limits.wall_s)
    while True:
        events = dict(meter.wait(poll, max(0.01, pause)))
        if wake in events:
            raise SandboxClosedError("the sandbox was closed during the call")
        if events:
            return None
        meter.sample()
        if meter.cpu_s > limits.cpu_s:
            return Exit.CPU_LIMIT
        if meter.wall_limit_reached(limits.wall_s, wall_factor):
            return Exit.WALL_LIMIT
        pause = min(limits.cpu_s - meter.cpu_s, limits.wall_s - meter.wall_s)


def _clocks(meter: Meter) -> tuple[float, float, float]:
    return meter.elapsed_s, meter.wall_s, meter.least_wall_s


def collect_build(running: Running, program: Program, tool: str, zygote: Zygote) -> Artefact | CompileFailure:
    """Turn the run of a compiler into its product or its complaint."""
    result = running.result()
    product = running.product()
    if not result.ok:
        text = (result.stderr or result.stdout).decode("utf-8", "replace")
        return CompileFailure(text or f"the compiler ended: {result.ended}", result.ended)
    if product is None:
        return CompileFailure("the compiler made no program")
    status = os.fstat(product)
    if not stat.S_ISREG(status.st_mode):
        return CompileFailure("what the compiler made is not a file")
    size = status.st_size
    if size > _MAX_ARTEFACT:
        return CompileFailure(f"the compiled program has {size} bytes, more than {_MAX_ARTEFACT}", Exit.DISK_LIMIT)
    language = TABLE[program.language]
    if language.product:
        return Artefact(program, language, tool, text=os.pread(product, size, 0))
    return Artefact(program, language, tool, binary=zygote.keep(product, size))
