"""The number of pipes of a run, bounded by its init.

The kernel bounds the memory of pipes for a whole user of the host, and gives each of them less when that is used up: a
program could make those of other slots smaller by holding many. There is no limit of the kernel's for one run. So
where slots share a user, a filter asks the init before each pipe is made.
"""

from __future__ import annotations

import ctypes
import errno
import os
import select
import signal
import struct

from sandbox._inside import _kernel
from sandbox._inside._seccomp import Filter

MOST = 64
"""Pipes of a run at once. A user of the host may have some thousand of the usual size before the kernel saves."""
_RECEIVE, _SEND = 0xC0502100, 0xC0182101  # SECCOMP_IOCTL_NOTIF_RECV, SECCOMP_IOCTL_NOTIF_SEND
_NOTICE_BYTES = 80
_HEAD = struct.Struct("=QIIi")  # id, pid, flags, number of the call
_ANSWER = struct.Struct("=QqiI")
_CONTINUE = 1
_FLAGS_FIELD = 6  # of a task's stat, after its name
_EXITING = 0x4  # PF_EXITING
_MAKES_PIPE = {"x86_64": (22, 293), "aarch64": (59,)}


class PipeWatch:
    """Answers a filter's questions while the program runs.

    All that can be is made by the zygote: what an init touches first is copied for it.
    """

    def __init__(self, seccomp: Filter) -> None:
        """Prepare for all runs of a slot.

        Args:
            seccomp: The filter that asks.
        """
        self._filter = seccomp
        self._fifos = 0
        self._since_count = 0
        self._ended_children = (ctypes.c_uint64 * 16)(1 << (signal.SIGCHLD - 1))
        self._ended = int(_kernel.libc.signalfd(-1, self._ended_children, os.O_CLOEXEC | os.O_NONBLOCK))
        if self._ended < 0:
            raise OSError(ctypes.get_errno(), "signalfd")
        self._poll = select.poll()
        self._poll.register(self._ended, select.POLLIN)
        self._listener = -1

    def install(self) -> None:
        """Bind this process and all that it will start to the filter."""
        self._listener = self._filter.load_with_listener()

    @property
    def descriptors(self) -> tuple[int, int]:
        """Those that are needed to serve."""
        return self._listener, self._ended

    def begin(self) -> None:
        """Be the one who answers: the signal that tells of an ended child is read from now on."""
        _kernel.libc.sigprocmask(signal.SIG_BLOCK, self._ended_children, None)
        self._poll.register(self._listener, select.POLLIN)

    def serve(self) -> None:
        """Answer until a child may have ended."""
        while True:
            for descriptor, event in self._poll.poll():
                if descriptor == self._ended:
                    os.read(self._ended, 128)
                    return
                if event & select.POLLIN:
                    self._answer()
                else:  # there is no process left that could ask
                    self._poll.unregister(descriptor)

    def _answer(self) -> None:
        notice = ctypes.create_string_buffer(_NOTICE_BYTES)
        if _kernel.libc.ioctl(self._listener, ctypes.c_ulong(_RECEIVE), notice) < 0:
            return  # the one who asked was killed meanwhile
        number, _, _, call = _HEAD.unpack_from(notice.raw)
        fifo = call not in _MAKES_PIPE[_kernel.machine()]
        granted = self._may_have_one_more()
        answer = _ANSWER.pack(number, 0, 0, _CONTINUE) if granted else _ANSWER.pack(number, 0, -errno.EMFILE, 0)
        sent = _kernel.libc.ioctl(
            self._listener, ctypes.c_ulong(_SEND), ctypes.create_string_buffer(answer, _ANSWER.size)
        )
        if granted and sent == 0:  # one that a signal called away asks again
            self._since_count += not fifo
            self._fifos += fifo

    def _may_have_one_more(self) -> bool:
        if self._since_count + self._fifos < MOST:
            return True
        self._since_count = _living_pipes()
        return self._since_count + self._fifos < MOST


def _living_pipes() -> int:
    """Pipes that the processes of the run hold; as many as there may be if one of them hides its own."""
    pipes = set()
    for pid in os.listdir("/proc"):
        if not pid.isdigit() or pid == "1":
            continue
        # Each task by itself: a process whose first thread has ended hides what the others hold.
        for task in _names(f"/proc/{pid}/task"):
            place = f"/proc/{pid}/task/{task}"
            try:
                numbers = os.listdir(f"{place}/fd")
            except PermissionError:
                if is_leaving(_text(f"{place}/stat")):
                    continue
                return MOST
            except OSError:  # it has ended
                continue
            for number in numbers:
                try:
                    target = os.readlink(f"{place}/fd/{number}")
                except OSError:
                    continue
                if target.startswith("pipe:"):
                    pipes.add(target)
    return len(pipes)


def is_leaving(stat: bytes) -> bool:
    """Whether a task is on its way out or gone, by what the kernel says of it.

    A task gives up its memory first, and from then on its descriptors are shown to no user; it becomes a zombie some
    time later, or much later where it has to wait for a processor. What says so from the beginning is its flag.
    """
    fields = stat.rpartition(b")")[2].split()
    return len(fields) <= _FLAGS_FIELD or bool(int(fields[_FLAGS_FIELD]) & _EXITING)


def _names(path: str) -> list[str]:
    try:
        return os.listdir(path)
    except OSError:  # it has ended
        return []


def _text(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError:
        return b""
