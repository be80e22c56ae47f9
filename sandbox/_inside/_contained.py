"""The first process of a container: what a zygote is elsewhere, where the container is the wall and there is no other.

It starts the *manager*, which talks to the owner and keeps what was prepared, and then only forks: it never sees a job,
so nothing of one run is in the memory of the next. Three users share the container. This process and the init of a run
are its root, with the few capabilities that the container has; the manager and the programs are one user each, so
that a signal to all of a program's processes meets nothing else.
"""

from __future__ import annotations

import contextlib
import gc
import itertools
import os
import socket
import subprocess
import sys
import time

from sandbox._inside import _child, _init, _kernel, _program, _rootfs, _wire, _zygote
from sandbox._inside._steps import Steps

MANAGER = "sandbox._docker._manager"
CODE = "/opt/assay"
"""Where the container shows this package."""
ARTEFACTS = "/opt/artefacts"
"""Where it keeps what compilers made: root's, so no program changes a mode, a time or an attribute there."""
_ROOT = 0
_EVERYTHING = -1
_OURS = 2
_DEATH_S, _PAUSE_S = 10.0, 0.001


def main() -> _program.Program | None:
    """Start the manager and fork until it ends. The arguments are the user ids of programs and of the manager.

    Returns:
        In a process that is to become a Python program: the program.
    """
    user, manager = map(int, sys.argv[2:4])
    with contextlib.suppress(FileExistsError):
        os.symlink(_rootfs.SHARED_MEMORY, "/dev/shm")  # noqa: S108 - a path behind the wall
    control = _start_manager(manager, user)
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1):  # only the manager talks to the owner
        os.dup2(null, descriptor)
    os.close(null)
    try:
        _kernel.prctl(_kernel.PR_SET_NO_NEW_PRIVS, 1)
        _zygote.preload(())
        steps = Steps()
        with steps("filter"):
            rights = _child.Rights(shared_user=False)
        _zygote.try_filter(steps, rights)
        _kernel.default_signal(_kernel.SIGCHLD)  # this one waits for its children
        report = "\0".join((sys.version.split()[0], _wire.OWN_USER.decode(), *steps.done))
        _wire.send_frame(control, _wire.READY, report.encode())
        _zygote.stand_in_streams()
        gc.freeze()
    except _kernel.SetupError as error:
        _wire.send_frame(control, _wire.FAILED, f"{error.step}\0{error.detail}".encode())
        os._exit(1)
    return _Forker(control, rights, user).serve()


def _start_manager(user: int, programs: int) -> socket.socket:
    """Start the process that talks to the owner; returns the connection with it."""
    near, far = socket.socketpair()
    if os.fork() == 0:
        near.close()
        far.set_inheritable(True)
        os.setgroups([])
        os.setresgid(user, user, user)
        os.setresuid(user, user, user)
        command = [sys.executable, "-S", "-m", MANAGER, str(far.fileno()), str(programs)]
        os.execve(command[0], command, {**os.environ, "PYTHONPATH": CODE})  # noqa: S606 - no shell is meant
    far.close()
    return near


class _Forker:
    """Makes one run at a time."""

    def __init__(self, control: socket.socket, rights: _child.Rights, user: int) -> None:
        self._control = control
        self._rights = rights
        self._user = user
        self._init = 0
        self._numbers = itertools.count()

    def serve(self) -> _program.Program:
        """Answer the manager until it closes its end. Returns in the processes of Python programs."""
        while True:
            request, descriptors = _wire.receive_request(self._control)
            if len(request) < _wire.SPARE_REQUEST.size:
                os._exit(0)  # and with it all of the container
            if descriptors:
                self._keep(descriptors[0], _wire.SPARE_REQUEST.unpack(request)[0])
            elif not any(_wire.SPARE_REQUEST.unpack(request)):
                self._end_programs()
            elif (program := self._make()) is not None:
                return program

    def _end_programs(self) -> bool:
        """Kill every process of the program's user; that there was none cannot be told."""
        os.seteuid(self._user)
        try:
            return _kernel.kill_others()
        finally:
            os.seteuid(_ROOT)

    def _clean(self) -> None:
        """Have nothing left of the run before."""
        self._end_programs()
        if self._init:
            os.waitpid(self._init, 0)
            self._init = 0
        deadline = time.monotonic() + _DEATH_S
        while self._others():
            if time.monotonic() > deadline:
                raise OSError("a process of a run did not end although it was killed")
            time.sleep(_PAUSE_S)
            self._end_programs()
        left = [f"{_rootfs.WRITABLE}/{name}" for name in os.listdir(_rootfs.WRITABLE)]
        if left:
            subprocess.run(["/bin/rm", "-rf", "--one-file-system", "--", *left], check=True, capture_output=True)

    def _others(self) -> bool:
        """Whether there is any process besides this one and the manager."""
        while os.waitpid(_EVERYTHING, os.WNOHANG)[0]:
            pass
        return sum(map(str.isdigit, os.listdir("/proc"))) > _OURS

    def _make(self) -> _program.Program | None:
        """Fork an init with its program; hands the manager both ends that it needs."""
        try:
            self._clean()
        except (OSError, subprocess.SubprocessError) as error:
            _wire.send_frame(self._control, _wire.FAILED, f"clean\0{error}".encode())
            return None
        near, far = socket.socketpair()
        alive, lifeline = os.pipe()
        self._init = os.fork()
        if self._init == 0:
            near.close()
            self._control.detach()
            os.close(alive)
            return self._start(far, lifeline)
        os.close(lifeline)
        far.close()
        _wire.send_frame(self._control, _wire.SPARE, b"", (near.fileno(), alive))
        os.close(alive)
        near.close()
        return None

    def _start(self, sock: socket.socket, lifeline: int) -> _program.Program:
        """Become the init of a run."""
        try:
            os.setpgid(0, 0)
            handler = _kernel.default_signal(_kernel.SIGINT)
            _kernel.prctl(_kernel.PR_SET_DUMPABLE, 0)
            with contextlib.suppress(OSError):  # gVisor has none: the forker waits for what is left behind
                _kernel.prctl(_kernel.PR_SET_CHILD_SUBREAPER, 1)
            main = os.fork()
            if main == 0:
                _kernel.restore_signal(_kernel.SIGINT, handler)
                return _child.become(sock, self._rights, (), self._settle)
            _kernel.close_others(sock.fileno(), lifeline)
        except BaseException as error:  # noqa: BLE001 - nothing may return into the forker's loop
            _child.fail(sock, "init", error)
        _init.reap(sock, main, None, self._end_programs)

    def _settle(self) -> None:
        """Take the user id of a program and make its working directory."""
        _kernel.empty_bounding_set()
        os.setgroups([])
        os.setresgid(self._user, self._user, self._user)
        os.setresuid(self._user, self._user, self._user)
        _kernel.prctl(_kernel.PR_SET_DUMPABLE, 1)
        os.mkdir(_rootfs.BOX)
        os.mkdir(_rootfs.SHARED_MEMORY)
        os.chdir(_rootfs.BOX)

    def _keep(self, product: int, size: int) -> None:
        """Copy what a compiler made to where no program can change it, and send a descriptor of the copy."""
        path = f"{ARTEFACTS}/program-{next(self._numbers)}"
        try:
            copy = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o555)
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            os.unlink(path)
            offset = 0
            while offset < size and (sent := os.sendfile(copy, product, offset, size - offset)):
                offset += sent
            os.close(copy)
            _wire.send_frame(self._control, _wire.KEPT, b"", (descriptor,))
            os.close(descriptor)
        except OSError as error:
            _wire.send_frame(self._control, _wire.FAILED, f"artefact\0{error}".encode())
        os.close(product)
