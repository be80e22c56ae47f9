"""One run behind the wall: its init, and the process that waits for a job, locks itself in and becomes the program."""

from __future__ import annotations

import fcntl
import marshal
import math
import os
import resource
import signal
import socket
import traceback
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

from sandbox._inside import _kernel, _program, _rootfs, _wire
from sandbox._inside._seccomp import Filter

_RUN_NAMESPACES = _kernel.CLONE_NEWUSER | _kernel.CLONE_NEWPID | _kernel.CLONE_NEWNS | _kernel.CLONE_NEWIPC
_USER = 1000
_OWN_INODES = 4  # the root of the tree, two directories of ours, and the source
_DESCRIPTORS = 256
_NATIVE_STACK_BYTES = 64 << 20
# Below a page no core file is written; 1 and not 0 keeps the dump from a crash handler behind a pipe as well.
_NO_CORE = (1, 1)
_TMP_FLAGS = _kernel.MS_NOSUID | _kernel.MS_NODEV
_PROC_FLAGS = _TMP_FLAGS | _kernel.MS_NOEXEC
_WALL = 0x40000000  # wait for children whatever signal they end with
_OUT_OF_THE_WAY = 64

Bounds = Mapping[str, float]
"""The limits that are set behind the wall: cpu_s, memory, disk, files, processes."""


class Maker:
    """Makes spares: the init of a run and the process that will be the program, both waiting."""

    def __init__(self, seccomp: Filter, groups: tuple[Sequence[int], Sequence[int]], disk: int, files: int) -> None:
        """Read what does not change between runs.

        Args:
            seccomp: The filter of system calls.
            groups: Descriptors of the `cgroup.procs` files of the two sets of groups, used in turns.
            disk: Bytes that a spare's file system may hold unless its job says otherwise.
            files: The same for the number of files.
        """
        self.filter = seccomp
        self._groups = groups
        self._turn = 0
        self._space = (disk, files)
        with open("/proc/sys/kernel/cap_last_cap") as file:
            self._last_capability = int(file.read())
        with open("/proc/self/statm") as file:
            self._address_space = int(file.read().split()[0]) * resource.getpagesize()

    def make(self, sock: socket.socket, unwanted: Sequence[socket.socket]) -> int:
        """Clone an init and return its pidfd. In the child this does not return.

        Args:
            sock: The child's end of the connection with the owner.
            unwanted: Sockets that the child closes.
        """
        groups = self._groups[self._turn]
        self._turn ^= 1
        pid, pidfd = _kernel.clone(_RUN_NAMESPACES)
        if pid == 0:
            for other in unwanted:
                other.close()
            self._init(sock, groups)
        return pidfd

    def _init(self, sock: socket.socket, groups: Sequence[int]) -> NoReturn:
        try:
            for descriptor in groups:
                os.write(descriptor, b"0")
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            _settle(*self._space)
            processes = os.open("/proc", os.O_RDONLY | os.O_DIRECTORY)
            main = os.fork()
            if main == 0:
                os.close(processes)
                self._wait_for_job(sock)
            _kernel.prctl(_kernel.PR_SET_DUMPABLE, 0)
            _kernel.drop_capabilities(self._last_capability)
            _wire.send_frame(sock, _wire.READY, b"", (processes,))
            os.close(processes)
        except BaseException as error:  # noqa: BLE001 - nothing may return into the zygote's loop
            _fail(sock, "init", error)
        _reap(sock, main)

    def _wait_for_job(self, sock: socket.socket) -> NoReturn:
        try:
            received = _wire.receive_job(sock)
            if received is None:
                os._exit(0)
            with open("/proc/self/oom_score_adj", "w") as file:
                file.write("1000")
            self._carry_out(sock, *received)
        except BaseException as error:  # noqa: BLE001 - up to here nothing of the program has run, so it is ours
            _fail(sock, "job", error)

    def _carry_out(self, sock: socket.socket, job: dict[str, Any], descriptors: list[int]) -> NoReturn:
        mode = job["mode"]
        if mode == "compile":
            code, job, descriptors = self._compile(sock, job)
            _arrange(descriptors)
            _bound(job["bounds"], self._address_space)
            _program.run(*code, job["data"])
        self._confine(job, descriptors, sock if mode == "build" else None)
        if mode == "python":
            program, driver = marshal.loads(job["code"])  # noqa: S302 - it is for the program itself to spoil
            _bound(job["bounds"], self._address_space)
            _program.run(program, driver, job["data"])
        _bound_native(job)
        if mode == "build":
            _build(job["argv"], job["output"])
        _restore_signals()
        os.execve(3 if job["artefact"] else job["argv"][0], job["argv"], os.environ)  # noqa: S606 - no shell is meant

    def _confine(self, job: dict[str, Any], descriptors: Sequence[int], kept: socket.socket | None) -> None:
        """Give up every right that a program must not have, after writing its files."""
        bounds = job["bounds"]
        space = (int(bounds["disk"]), int(bounds["files"]))
        if space != self._space:
            _kernel.mount(None, "/tmp", None, _kernel.MS_REMOUNT | _TMP_FLAGS, _size(*space))  # noqa: S108
        _write_files(job["files"])
        os.setsid()
        _arrange([*descriptors, *([kept.fileno()] if kept else [])])
        _kernel.drop_capabilities(self._last_capability)
        self.filter.load()

    def _compile(self, sock: socket.socket, job: dict[str, Any]) -> tuple[tuple[Any, Any], dict[str, Any], list[int]]:
        """Compile a Python program, send it out, and wait to be the process of its first run."""
        null = os.open("/dev/null", os.O_RDWR)
        self._confine(job, (null, null, null), sock)
        sock.detach()
        sock = socket.socket(fileno=3)
        resource.setrlimit(resource.RLIMIT_AS, (self._address_space + int(job["bounds"]["memory"]), -1))
        try:
            driver = job["driver"]
            code = (
                compile(job["source"], f"{_rootfs.BOX}/main.py", "exec", dont_inherit=True),
                compile(driver, "<driver>", "exec", dont_inherit=True) if driver else None,
            )
            packed = marshal.dumps(code)
        except MemoryError:
            _wire.send_frame(sock, _wire.REJECTED, b"mMemoryError while compiling")
            os._exit(0)
        except (SyntaxError, ValueError, RecursionError, OverflowError, SystemError) as error:
            text = "".join(traceback.format_exception_only(error))
            _wire.send_frame(sock, _wire.REJECTED, b"s" + text.encode("utf-8", "backslashreplace"))
            os._exit(0)
        _wire.send_frame(sock, _wire.COMPILED, packed)
        received = _wire.receive_job(sock)
        if received is None:
            os._exit(0)
        return code, *received


def _fail(sock: socket.socket, where: str, error: BaseException) -> NoReturn:
    try:
        _wire.send_frame(sock, _wire.FAILED, f"{where}\0{type(error).__name__}: {error}".encode())
    finally:
        os._exit(1)


def _size(disk: int, files: int) -> str:
    return f"size={disk},nr_inodes={files + _OWN_INODES}"


def _settle(disk: int, files: int) -> None:
    """Take the user id of a program and mount what belongs to one run only."""
    for name, text in (("setgroups", "deny"), ("uid_map", f"{_USER} 0 1"), ("gid_map", f"{_USER} 0 1")):
        descriptor = os.open(f"/proc/self/{name}", os.O_WRONLY)
        os.write(descriptor, text.encode())
        os.close(descriptor)
    _kernel.mount("tmp", "/tmp", "tmpfs", _TMP_FLAGS, _size(disk, files) + ",mode=1777")  # noqa: S108
    os.mkdir(_rootfs.BOX)
    os.mkdir(_rootfs.SHARED_MEMORY)
    os.chdir(_rootfs.BOX)
    _kernel.mount("proc", "/proc", "proc", _PROC_FLAGS)


def _reap(sock: socket.socket, main: int) -> NoReturn:
    """Wait for the program, end what it left behind, report and go."""
    user = system = 0.0
    largest = 0
    result = 0
    while True:
        try:
            pid, status, usage = os.wait4(-1, _WALL)
        except ChildProcessError:
            break
        user += usage.ru_utime
        system += usage.ru_stime
        largest = max(largest, usage.ru_maxrss)
        if pid == main:
            result = status
            try:
                os.kill(-1, signal.SIGKILL)
            except ProcessLookupError:
                break
    try:
        _wire.send_frame(sock, _wire.ENDED, _wire.END_REPORT.pack(result, user, system, largest))
    finally:
        os._exit(0)


def _write_files(files: Mapping[str, bytes]) -> None:
    for name, content in files.items():
        directory = os.path.dirname(name)
        if directory:
            os.makedirs(directory, exist_ok=True)
        descriptor = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
        view = memoryview(content)
        while view:
            view = view[os.write(descriptor, view) :]
        os.close(descriptor)


def _arrange(descriptors: Sequence[int]) -> None:
    """Number the given descriptors from 0 on and close all others."""
    moved = [fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, _OUT_OF_THE_WAY) for descriptor in descriptors]
    for target, descriptor in enumerate(moved):
        os.dup2(descriptor, target, inheritable=target < 3)
    _kernel.close_from(len(moved))


def _bound(bounds: Bounds, address_space: int | None) -> None:
    """Set the limits that the kernel keeps per process, the last thing before foreign code."""
    cpu = math.ceil(bounds["cpu_s"]) + 1
    disk = int(bounds["disk"])
    for kind, value in (
        (resource.RLIMIT_CPU, (cpu, cpu + 1)),
        (resource.RLIMIT_CORE, _NO_CORE),
        (resource.RLIMIT_FSIZE, (disk, disk)),
        (resource.RLIMIT_NOFILE, (_DESCRIPTORS, _DESCRIPTORS)),
        (resource.RLIMIT_NPROC, (int(bounds["processes"]) + 1,) * 2),  # the init counts
        (resource.RLIMIT_MEMLOCK, (0, 0)),
        (resource.RLIMIT_MSGQUEUE, (0, 0)),
    ):
        resource.setrlimit(kind, value)
    if address_space is not None:
        resource.setrlimit(resource.RLIMIT_AS, (address_space + int(bounds["memory"]),) * 2)


def _bound_native(job: dict[str, Any]) -> None:
    bounds = job["bounds"]
    stack = min(_NATIVE_STACK_BYTES, int(bounds["memory"]) // 4)
    resource.setrlimit(resource.RLIMIT_STACK, (stack, stack))
    _bound(bounds, 0 if job["address_space"] else None)


def _restore_signals() -> None:
    for number in (signal.SIGPIPE, signal.SIGXFSZ):
        signal.signal(number, signal.SIG_DFL)


def _build(argv: list[str], output: str) -> NoReturn:
    """Run a compiler, hand its product out and end as it ended."""
    sock = socket.socket(fileno=3)
    pid = os.fork()
    if pid == 0:
        try:
            _restore_signals()
            os.execve(argv[0], argv, os.environ)  # noqa: S606 - no shell is meant
        finally:
            os._exit(127)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    if code == 0:
        product = os.open(output, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        _wire.send_frame(sock, _wire.ARTEFACT, b"", (product,))
    os._exit(code if code >= 0 else 128 - code)
