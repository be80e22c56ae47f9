"""The first process of a run: it starts the program's process, and reaps.

It is needed because the first process of a pid namespace ignores the signals that it does not handle, so no program
could be it and still end by `abort()`. Its end takes the whole namespace with it, whatever was started there.
"""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Callable, Sequence
from typing import NoReturn

from sandbox._inside import _child, _kernel, _program, _wire
from sandbox._inside._pipes import PipeWatch

_NAMESPACES = _kernel.CLONE_NEWUSER | _kernel.CLONE_NEWPID | _kernel.CLONE_NEWNS | _kernel.CLONE_NEWIPC
_TO_ALL = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
"""Signals that service managers, job schedulers and terminals send to all processes of what they stop."""
_ARRIVES = 0.2
"""Seconds in which such a signal reaches this process after the program."""
_WALL = 0x40000000  # wait for children whatever signal they end with


class Maker:
    """Makes spares: the init of a run and the process that will be the program, both waiting."""

    def __init__(self, rights: _child.Rights, groups: Sequence[Sequence[int]]) -> None:
        """Keep what all runs share.

        Args:
            rights: What a program may do.
            groups: Descriptors of the `cgroup.procs` files of each set of groups; the sets are used in turns.
        """
        self._rights = rights
        self._groups = groups
        self._turn = 0

    def make(
        self, sock: socket.socket, unwanted: Sequence[socket.socket], disk: int, files: int
    ) -> int | _program.Program:
        """Clone an init and return its pidfd. In the run's own process this returns its program.

        Args:
            sock: The child's end of the connection with the owner.
            unwanted: Sockets that the child does not keep.
            disk: Bytes that the run may store.
            files: Files that it may make.
        """
        groups = self._groups[self._turn % len(self._groups)] if self._groups else ()
        self._turn += 1
        pid, pidfd = _kernel.clone(_NAMESPACES)
        if pid == 0:
            for owner in unwanted:
                owner.detach()  # closed by number below
            return self._start(sock, groups, disk, files)
        return pidfd

    def _start(self, sock: socket.socket, groups: Sequence[int], disk: int, files: int) -> _program.Program:
        """Become the init. All that can be is left to the program's process: what both touch is copied twice."""
        try:
            # A process group of the run, so that a signal to the group stays in it. Not a session: each one is a
            # scheduling group of its own to the kernel, made and unmade for every run.
            os.setpgid(0, 0)
            _kernel.default_signal(_kernel.SIGCHLD)
            # The interpreter's handler would make this the one signal that the program can send to us.
            handler = _kernel.default_signal(_kernel.SIGINT)
            _kernel.prctl(_kernel.PR_SET_DUMPABLE, 0)
            pipes = self._rights.pipe_watch
            if pipes is not None:
                pipes.install()
            main = os.fork()
            if main == 0:
                _kernel.restore_signal(_kernel.SIGINT, handler)
                return _child.become(sock, self._rights, groups, lambda: _child.settle_in_namespaces(disk, files))
            # Kept for the end of the run, where they are looked at.
            signal.pthread_sigmask(signal.SIG_BLOCK, _TO_ALL)
            _kernel.close_others(sock.fileno(), *(() if pipes is None else pipes.descriptors))
            _kernel.drop_capabilities()
            if pipes is not None:
                pipes.begin()
        except BaseException as error:  # noqa: BLE001 - nothing may return into the zygote's loop
            _child.fail(sock, "init", error)
        reap(sock, main, pipes, _kernel.kill_others, _was_disturbed)


def _was_disturbed(status: int) -> bool:
    """Whether a signal from outside has reached the run, so that nothing can be said of its program.

    A program that signals us itself, or its own end, is known by its number: who is outside has none in here.

    Args:
        status: How the program ended.
    """
    by_signal = os.WIFSIGNALED(status) and os.WTERMSIG(status) in _TO_ALL
    while (signal_info := signal.sigtimedwait(_TO_ALL, _ARRIVES if by_signal else 0.0)) is not None:
        if signal_info.si_pid == 0 and signal_info.si_code >= 0:
            return True
    return False


def reap(
    sock: socket.socket,
    main: int,
    pipes: PipeWatch | None,
    end_others: Callable[[], bool],
    was_disturbed: Callable[[int], bool] = lambda status: False,
) -> NoReturn:
    """Wait for the program, end what it left behind, report and go.

    Args:
        sock: To the owner.
        main: The program's process.
        pipes: What is asked by the program meanwhile.
        end_others: Ends all other processes of the run; False if there was none.
        was_disturbed: Whether what came from outside may have ended it in the way that is given.
    """
    options = _WALL if pipes is None else _WALL | os.WNOHANG
    user = system = 0.0
    largest = 0
    result = 0
    try:
        while True:
            pid, status, usage = os.wait4(-1, options)
            if pid == 0 and pipes is not None:
                pipes.serve()
                continue
            user += usage.ru_utime
            system += usage.ru_stime
            largest = max(largest, usage.ru_maxrss)
            if pid == main:
                result, main = status, 0
                options = _WALL
            if not main and not end_others():
                break
    except ChildProcessError:  # all that it left behind is gone
        pass
    if was_disturbed(result):
        result = _wire.DISTURBED
    try:
        _wire.send_frame(sock, _wire.ENDED, _wire.END_REPORT.pack(result, user, system, largest))
    finally:
        os._exit(0)
