"""The first process of a run: it makes the run's surroundings, starts the program's process, and reaps.

It is needed because the first process of a pid namespace ignores the signals that it does not handle, so no program
could be it and still end by `abort()`. Its end takes the whole namespace with it, whatever was started there.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Sequence
from typing import NoReturn

from sandbox._inside import _child, _kernel, _program, _rootfs, _wire

_NAMESPACES = _kernel.CLONE_NEWUSER | _kernel.CLONE_NEWPID | _kernel.CLONE_NEWNS | _kernel.CLONE_NEWIPC
_USER = 1000
_OWN_INODES = 4  # the root of the tree, two directories of ours, and the source
_TMP_FLAGS = _kernel.MS_NOSUID | _kernel.MS_NODEV
_PROC_FLAGS = _TMP_FLAGS | _kernel.MS_NOEXEC
_WALL = 0x40000000  # wait for children whatever signal they end with


class Maker:
    """Makes spares: the init of a run and the process that will be the program, both waiting."""

    def __init__(self, rights: _child.Rights, groups: tuple[Sequence[int], Sequence[int]]) -> None:
        """Keep what all runs share.

        Args:
            rights: What a program may do.
            groups: Descriptors of the `cgroup.procs` files of the two sets of groups, used in turns.
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
        groups = self._groups[self._turn]
        self._turn ^= 1
        pid, pidfd = _kernel.clone(_NAMESPACES)
        if pid == 0:
            for other in unwanted:
                other.detach()  # closed by number below
            return self._start(sock, groups, disk, files)
        return pidfd

    def _start(self, sock: socket.socket, groups: Sequence[int], disk: int, files: int) -> _program.Program:
        try:
            for descriptor in groups:
                os.write(descriptor, b"0")
            os.dup2(sock.fileno(), _child.SOCKET, inheritable=False)
            sock.detach()
            sock = socket.socket(fileno=_child.SOCKET)
            _kernel.close_from(_child.SOCKET + 1)
            # A process group of the run, so that a signal to the group stays in it. Not a session: each one is a
            # scheduling group of its own to the kernel, made and unmade for every run.
            os.setpgid(0, 0)
            _kernel.default_signal(_kernel.SIGCHLD)
            _settle(disk, files)
            processes = os.open("/proc", os.O_RDONLY | os.O_DIRECTORY)
            main = os.fork()
            if main == 0:
                os.close(processes)
                return _child.wait_for_job(sock, self._rights)
            # The interpreter's handler would make this the one signal that the program can send to us.
            _kernel.default_signal(_kernel.SIGINT)
            _kernel.prctl(_kernel.PR_SET_DUMPABLE, 0)
            _kernel.drop_capabilities()
            # What the end of the run will use is touched now: a page copied here is not waited for there. It has to be
            # done before the owner hears of us, since from then on the program may end at any moment.
            _wire.END_REPORT.pack(0, 0.0, 0.0, 0)
            os.wait4(-1, _WALL | os.WNOHANG)
            _wire.send_frame(sock, _wire.READY, b"", (processes,))
            os.close(processes)
        except BaseException as error:  # noqa: BLE001 - nothing may return into the zygote's loop
            _child.fail(sock, "init", error)
        _reap(sock, main)


def _settle(disk: int, files: int) -> None:
    """Take the user id of a program and mount what belongs to one run only."""
    for name, text in (("setgroups", "deny"), ("uid_map", f"{_USER} 0 1"), ("gid_map", f"{_USER} 0 1")):
        _kernel.write_file(f"/proc/self/{name}", text.encode())
    options = f"size={disk},nr_inodes={files + _OWN_INODES},mode=1777"
    _kernel.mount("tmp", "/tmp", "tmpfs", _TMP_FLAGS, options)  # noqa: S108 - a path behind the wall
    os.mkdir(_rootfs.BOX)
    os.mkdir(_rootfs.SHARED_MEMORY)
    os.chdir(_rootfs.BOX)
    _kernel.mount("proc", "/proc", "proc", _PROC_FLAGS)


def _reap(sock: socket.socket, main: int) -> NoReturn:
    """Wait for the program, end what it left behind, report and go."""
    user = system = 0.0
    largest = 0
    result = 0
    try:
        while True:
            pid, status, usage = os.wait4(-1, _WALL)
            user += usage.ru_utime
            system += usage.ru_stime
            largest = max(largest, usage.ru_maxrss)
            if pid == main:
                result = status
                if not _kernel.kill_others():
                    break
    except ChildProcessError:  # all that it left behind is gone
        pass
    try:
        _wire.send_frame(sock, _wire.ENDED, _wire.END_REPORT.pack(result, user, system, largest))
    finally:
        os._exit(0)
