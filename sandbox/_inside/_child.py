"""The process that becomes the program: it makes its surroundings, locks itself in, and waits for its job."""

from __future__ import annotations

import contextlib
import marshal
import math
import os
import resource
import socket
import stat
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NoReturn

from sandbox._inside import _kernel, _program, _rootfs, _seccomp, _wire
from sandbox._inside._pipes import PipeWatch
from sandbox._inside._seccomp import Filter

_DESCRIPTORS = 256
_NATIVE_STACK_BYTES = 64 << 20
_STACK_SHARE = 4  # of the memory of a program, for one stack
_RESERVING_STACK_BYTES = 8 << 20  # every thread has one
_RESERVING_BASE_BYTES = 64 << 20  # an engine such as V8 with its threads, doing nothing
# Below a page no core file is written; 1 and not 0 keeps the dump from a crash handler behind a pipe as well.
_NO_CORE = (1, 1)
_USER = 1000
_OWN_INODES = 4  # the root of the tree, two directories of ours, and the source
_TMP_FLAGS = _kernel.MS_NOSUID | _kernel.MS_NODEV
# What can be written there reaches the init, or the scheduling of the whole slot.
_PROC_FLAGS = _TMP_FLAGS | _kernel.MS_NOEXEC | _kernel.MS_RDONLY
_PENDING = 256  # timers and queued signals, which the kernel counts for the whole user otherwise
_KEPT_BY_LINUX = (
    (resource.RLIMIT_MSGQUEUE, 0),
    (resource.RLIMIT_RTPRIO, 0),
    (resource.RLIMIT_SIGPENDING, _PENDING),
)
_NOT_EXECUTABLE = 126
_USUAL_NUMBERS = 1, 2
"""Process ids of an init and its program in namespaces of their own."""
SOCKET = 3
"""Descriptor of the connection with the owner, until the program takes its place."""
_REHEARSAL = {"mode": "", "bounds": {"cpu_s": 1.0}, "files": {"": b""}, "code": marshal.dumps(compile("0", "", "eval"))}

Bounds = Mapping[str, float]
"""The limits that are set behind the wall: cpu_s, memory, disk, processes."""


class Rights:
    """What a program may do, and what it inherits."""

    def __init__(self, shared_user: bool) -> None:
        """Assemble the filters.

        Args:
            shared_user: Whether other slots may run as the same user of the host.
        """
        machine = _kernel.machine()
        self.filter = Filter(_seccomp.build(machine))
        self.last_filter = Filter(_seccomp.build_for_shared_user(machine)) if shared_user else None
        self.pipe_watch = PipeWatch(Filter(_seccomp.build_pipe_watch(machine))) if shared_user else None
        with open("/proc/self/statm") as file:
            self.address_space = int(file.read().split()[0]) * resource.getpagesize()

    def lock_in(self) -> None:
        """Refuse what was still needed by us: the last thing before foreign code."""
        if self.last_filter is not None:
            self.last_filter.load()


def fail(sock: socket.socket, where: str, error: BaseException) -> NoReturn:
    """Say that something of ours has failed, and end."""
    try:
        _wire.send_frame(sock, _wire.FAILED, f"{where}\0{type(error).__name__}: {error}".encode())
    finally:
        os._exit(1)


def become(sock: socket.socket, rights: Rights, groups: Sequence[int], settle: Callable[[], None]) -> _program.Program:
    """Make the surroundings of a run, lock this process in, wait for its job and carry it out.

    Args:
        sock: To the owner.
        rights: What a program may do.
        groups: Descriptors of the `cgroup.procs` files of the groups to join.
        settle: Takes the user id of a program and makes its working directory.

    Returns:
        The program, if the job is a Python program.
    """
    try:
        for descriptor in groups:
            os.write(descriptor, b"0")
        os.dup2(sock.fileno(), SOCKET, inheritable=False)
        sock.detach()
        sock = socket.socket(fileno=SOCKET)
        _kernel.close_from(SOCKET + 1)
        _kernel.prctl(_kernel.PR_SET_DUMPABLE, 1)  # until then our own /proc files are root's
        _kernel.write_file("/proc/self/oom_score_adj", b"1000")
        settle()
        _kernel.drop_capabilities()
        rights.filter.load()
        _rehearse()
        _program.forget_ourselves()
        processes = os.open("/proc", os.O_RDONLY | os.O_DIRECTORY)
        numbers = os.getppid(), os.getpid()
        # The usual ones go without saying: what has no payload is read in one call.
        ids = b"" if numbers == _USUAL_NUMBERS else "{} {}".format(*numbers).encode()
        _wire.send_frame(sock, _wire.READY, ids, (processes,))
        os.close(processes)
        received = _wire.receive_job(sock)
        if received is None:
            os._exit(0)
        return _carry_out(sock, rights, *received)
    except BaseException as error:  # noqa: BLE001 - up to here nothing of the program has run, so it is ours
        fail(sock, "job", error)


def settle_in_namespaces(disk: int, files: int) -> None:
    """Take the user id of a program and mount what belongs to one run only.

    Args:
        disk: Bytes that the run may store.
        files: Files that it may make.
    """
    for name, text in (("setgroups", "deny"), ("uid_map", f"{_USER} 0 1"), ("gid_map", f"{_USER} 0 1")):
        _kernel.write_file(f"/proc/self/{name}", text.encode())
    options = f"size={disk},nr_inodes={files + _OWN_INODES},mode=1777"
    _kernel.mount("tmp", "/tmp", "tmpfs", _TMP_FLAGS, options)  # noqa: S108 - a path behind the wall
    os.mkdir(_rootfs.BOX)
    os.mkdir(_rootfs.SHARED_MEMORY)
    os.chdir(_rootfs.BOX)
    _kernel.mount("proc", "/proc", "proc", _PROC_FLAGS)
    _kernel.empty_bounding_set()


def _rehearse() -> None:
    """Touch what a job will touch: the pages copied now are not waited for then."""
    near, far = socket.socketpair()
    with near, far:
        _wire.send_job(near, _REHEARSAL)
        received = _wire.receive_job(far)
    if received is not None:
        exec(marshal.loads(received[0]["code"]), {})  # noqa: S102, S302 - our own constant
    _write_files({"main.py": b""})
    os.unlink("main.py")
    resource.setrlimit(resource.RLIMIT_CORE, _NO_CORE)


def _carry_out(sock: socket.socket, rights: Rights, job: dict[str, Any], descriptors: list[int]) -> _program.Program:
    mode = job["mode"]
    _write_files(job["files"])
    if mode == "compile":
        code, job, descriptors = _compile(sock, rights.address_space, job)
        _write_files(job["files"])
    elif mode == "python":
        code = marshal.loads(job["code"])  # noqa: S302 - it is for the program itself to spoil
    if job.get("keeps"):
        _leave_to_child(sock, job["keeps"], job["most_kept"])
    sock.detach()  # closed or replaced by number from here on
    # The connection stays until the program takes over; should that fail, it is to be said.
    place = len(descriptors)
    _arrange([*descriptors, os.dup(SOCKET)], place + 1)
    sock = socket.socket(fileno=place)
    if mode in ("compile", "python"):
        try:
            _bound(job["bounds"], rights.address_space)
            _program.bound_thread_stacks(int(job["bounds"]["memory"]) // _STACK_SHARE)
            rights.lock_in()
        except (OSError, ValueError) as error:
            fail(sock, "bounds", error)
        sock.close()
        sys.argv[1:] = job["args"]
        return _program.Program(*code, "none" if job["data"] == "raw" else job["data"])
    bounds = job["bounds"]
    try:
        _bound(bounds, None, output_file=job.get("output_file", False))
        if mode != "build":
            _restore_signals()
        _bound_memory(int(bounds["memory"]), reserves=not job["address_space"])
        if mode == "build":
            _build(sock, rights, job["argv"], job["output"])
        rights.lock_in()
        os.execve(SOCKET if job["artefact"] else job["argv"][0], job["argv"], os.environ)  # noqa: S606 - no shell
    except OSError as error:
        if job.get("artefact"):  # what its source has made of it, say by naming a loader that there is not
            os.write(2, f"{job['argv'][0]}: {error.strerror}\n".encode())
            os._exit(_NOT_EXECUTABLE)
        fail(sock, "exec", error)


def _leave_to_child(sock: socket.socket, directory: str, most: int) -> None:
    """Go on in a child; this process hands out the files of a directory once the child has ended, and ends like it."""
    os.makedirs(directory, exist_ok=True)
    pid = os.fork()
    if pid == 0:
        return
    _kernel.close_others(sock.fileno())
    _restore_signals()
    status = os.waitpid(pid, 0)[1]
    try:
        _wire.send_frame(sock, _wire.LEFT, _files_of(directory, most))
    finally:
        code = os.waitstatus_to_exitcode(status)
        if code < 0:
            _kernel.default_signal(-code)
            os.kill(os.getpid(), -code)
        os._exit(max(0, code))


def _files_of(directory: str, most: int) -> bytes:
    """The regular files of a directory, packed. The program may have put a link in its place, or to endless files."""
    files: dict[str, bytes] = {}
    left = most
    place = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    for name in os.listdir(place):
        try:
            descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=place)
        except OSError:  # a link, or one that the program has locked away
            continue
        if stat.S_ISREG(os.fstat(descriptor).st_mode):
            with open(descriptor, "rb", closefd=False) as file:
                files[name] = file.read(left + 1)
            left -= len(files[name])
        os.close(descriptor)
        if left < 0:
            return _wire.TOO_LARGE
    return _wire.pack_files(files)


def _compile(sock: socket.socket, base: int, job: dict[str, Any]) -> tuple[tuple[Any, Any], dict[str, Any], list[int]]:
    """Compile a Python program, send it out, and wait to be the process of its first run."""
    resource.setrlimit(resource.RLIMIT_AS, (base + int(job["bounds"]["memory"]), -1))
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
    except Exception as error:  # noqa: BLE001 - whatever the compiler raises was caused by the source
        import traceback  # not needed by most

        text = "".join(traceback.format_exception_only(error))
        _wire.send_frame(sock, _wire.REJECTED, b"s" + text.encode("utf-8", "backslashreplace"))
        os._exit(0)
    if len(packed) > _wire.MAX_FRAME:
        _wire.send_frame(sock, _wire.REJECTED, b"mthe compiled program is too large")
        os._exit(0)
    _wire.send_frame(sock, _wire.COMPILED, packed)
    received = _wire.receive_job(sock)
    if received is None:
        os._exit(0)
    return code, *received


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


def _arrange(descriptors: Sequence[int], first_closed: int) -> None:
    """Number the given descriptors from 0 on, and close all from another number on.

    They arrived when 0 to 3 were in use, so none of them lies where another one is to go.
    """
    for target, descriptor in enumerate(descriptors):
        os.dup2(descriptor, target, inheritable=target < SOCKET)
    _kernel.close_from(first_closed)


def _bound(bounds: Bounds, address_space: int | None, *, output_file: bool = False) -> None:
    """Set the limits that the kernel keeps per process, the last thing before foreign code."""
    cpu = math.ceil(bounds["cpu_s"]) + 1
    disk = int(max(bounds["disk"], bounds["output"]) if output_file else bounds["disk"])
    for kind, value in (
        (resource.RLIMIT_CPU, (cpu, cpu + 1)),
        (resource.RLIMIT_CORE, _NO_CORE),
        (resource.RLIMIT_FSIZE, (disk, disk)),
        (resource.RLIMIT_NOFILE, (_DESCRIPTORS, _DESCRIPTORS)),
        (resource.RLIMIT_NPROC, (int(bounds["processes"]) + 1,) * 2),  # the init counts
        (resource.RLIMIT_MEMLOCK, (0, 0)),
    ):
        resource.setrlimit(kind, value)
    for kind, most in _KEPT_BY_LINUX:
        with contextlib.suppress(ValueError):  # gVisor has no such limit, and counts none of it for a user
            resource.setrlimit(kind, (most, most))
    if address_space is not None:
        resource.setrlimit(resource.RLIMIT_AS, (address_space + int(bounds["memory"]),) * 2)


def _bound_memory(memory: int, *, reserves: bool) -> None:
    """Set the limits of memory of a program that is not Python.

    Args:
        memory: Bytes that it may use.
        reserves: Whether it reserves far more address space than it uses.
    """
    if reserves:
        resource.setrlimit(resource.RLIMIT_DATA, (memory + _RESERVING_BASE_BYTES,) * 2)
        stack = _RESERVING_STACK_BYTES
    else:
        resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
        stack = min(_NATIVE_STACK_BYTES, memory // _STACK_SHARE)
    resource.setrlimit(resource.RLIMIT_STACK, (stack, stack))


def _restore_signals() -> None:
    """Give a program that is not Python the signals that Python ignores."""
    for number in (_kernel.SIGPIPE, _kernel.SIGXFSZ):
        _kernel.default_signal(number)


def _build(sock: socket.socket, rights: Rights, argv: list[str], output: str) -> NoReturn:
    """Run a compiler, hand its product out and end as it ended."""
    pid = os.fork()
    if pid == 0:
        with contextlib.suppress(OSError):
            _restore_signals()
            rights.lock_in()
            os.execve(argv[0], argv, os.environ)  # noqa: S606 - no shell is meant
        os._exit(127)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    if code == 0:
        with contextlib.suppress(OSError):  # no product is a failure to compile
            product = os.open(output, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
            _wire.send_frame(sock, _wire.ARTEFACT, b"", (product,))
    os._exit(code if code >= 0 else 128 - code)
