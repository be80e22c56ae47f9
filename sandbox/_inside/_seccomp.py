"""The filter of system calls, assembled as classic BPF.

It refuses what could widen the view of a program (mounts, namespaces, tracing), what outlives a run (keyrings), what
reaches other runs and the host through the files that they share (locks, watches, leases), what goes round limits
(anonymous files, System V objects), what the kernel counts for a whole user or host (large pipes, descriptors in
flight, asynchronous input and output), what could hurt the init of the run (its limits, its place at the processor),
and the large optional interfaces of the kernel in which most of its weaknesses were found. Calls newer than those
known here do not exist for a program.

Two kinds of calls are answered with success and not made. `sync` and `syncfs` concern the disks of the host; a
program has none. Record locks (`fcntl` F_SETLK) are what sqlite opens any file with, and classic BPF cannot see whether
the file is a shared one; a process never waits for its own, so the only ones that could tell are several processes of
one program that exclude each other by them.
"""

from __future__ import annotations

import ctypes
import errno
import struct
from collections.abc import Mapping

from sandbox._inside import _kernel

_AUDIT_ARCH = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
_X32_BIT = 0x40000000
_NEWEST_KNOWN = 462

# name: (x86_64, aarch64); None where the machine has no such call.
_REFUSED: Mapping[str, tuple[int | None, int | None]] = {
    "acct": (163, 89),
    "add_key": (248, 217),
    "adjtimex": (159, 171),
    "bpf": (321, 280),
    "cachestat": (451, 451),
    "chroot": (161, 51),
    "clock_adjtime": (305, 266),
    "clock_settime": (227, 112),
    "create_module": (174, None),
    "delete_module": (176, 106),
    "fanotify_init": (300, 262),
    "fanotify_mark": (301, 263),
    "finit_module": (313, 273),
    "flock": (73, 32),
    "fsconfig": (431, 431),
    "fsmount": (432, 432),
    "fsopen": (430, 430),
    "fspick": (433, 433),
    "get_kernel_syms": (177, None),
    "init_module": (175, 105),
    "inotify_add_watch": (254, 27),
    "inotify_init": (253, None),
    "inotify_init1": (294, 26),
    "io_setup": (206, 0),
    "io_uring_enter": (426, 426),
    "io_uring_register": (427, 427),
    "io_uring_setup": (425, 425),
    "ioperm": (173, None),
    "iopl": (172, None),
    "ioprio_get": (252, 31),
    "ioprio_set": (251, 30),
    "kcmp": (312, 272),
    "kexec_file_load": (320, 294),
    "kexec_load": (246, 104),
    "keyctl": (250, 219),
    "listmount": (458, 458),
    "lookup_dcookie": (212, 18),
    "mbind": (237, 235),
    "memfd_create": (319, 279),
    "memfd_secret": (447, 447),
    "migrate_pages": (256, 238),
    "modify_ldt": (154, None),
    "mount": (165, 40),
    "mount_setattr": (442, 442),
    "move_mount": (429, 429),
    "move_pages": (279, 239),
    "msgget": (68, 186),
    "name_to_handle_at": (303, 264),
    "nfsservctl": (180, 42),
    "open_by_handle_at": (304, 265),
    "open_tree": (428, 428),
    "perf_event_open": (298, 241),
    "personality": (135, 92),
    "pidfd_getfd": (438, 438),
    "pivot_root": (155, 41),
    "process_madvise": (440, 440),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "ptrace": (101, 117),
    "query_module": (178, None),
    "quotactl": (179, 60),
    "quotactl_fd": (443, 443),
    "reboot": (169, 142),
    "request_key": (249, 218),
    "sched_setattr": (314, 274),
    "sched_setparam": (142, 118),
    "sched_setscheduler": (144, 119),
    "semget": (64, 190),
    "set_mempolicy": (238, 237),
    "set_mempolicy_home_node": (450, 450),
    "setdomainname": (171, 162),
    "sethostname": (170, 161),
    "setns": (308, 268),
    "settimeofday": (164, 170),
    "shmget": (29, 194),
    "statmount": (457, 457),
    "swapoff": (168, 225),
    "swapon": (167, 224),
    "syslog": (103, 116),
    "sysfs": (139, None),
    "umount2": (166, 39),
    "unshare": (272, 97),
    "uselib": (134, None),
    "userfaultfd": (323, 282),
    "ustat": (136, None),
    "vhangup": (153, 58),
    "vmsplice": (278, 75),
}
_CLONE3 = 435
_GRANTED: Mapping[str, tuple[int | None, int | None]] = {"sync": (162, 81), "syncfs": (306, 267)}
_FCNTL = {"x86_64": 72, "aarch64": 25}
_IOCTL = {"x86_64": 16, "aarch64": 29}
_PRLIMIT = {"x86_64": 302, "aarch64": 261}
_SET_AFFINITY = {"x86_64": 203, "aarch64": 122}
_SET_PRIORITY = {"x86_64": 141, "aarch64": 140}
_SOCKETS = {"x86_64": (41, 53), "aarch64": (198, 199)}
_SENDING = {"x86_64": (46, 307), "aarch64": (211, 269)}
_PIPES = {"x86_64": (22, 293), "aarch64": (59,)}
_NODES = {"x86_64": ((133, 1), (259, 2)), "aarch64": ((33, 2),)}
_NODE_KIND, _FIFO = 0o170000, 0o010000
_F_SETLK, _F_SETLKW, _F_SETPIPE_SZ = 6, 7, 1031
# Locks of open file descriptions, leases, watches, and hints that are kept with the file.
_REFUSED_FCNTLS = (36, 37, 38, 1024, 1026, 1036, 1038)
_PIPE_BYTES = 1 << 16
_INIT = 1
_REFUSED_IOCTLS = (0x5412, 0x541C)  # TIOCSTI and TIOCLINUX type into a terminal
_AF_UNIX = 1

_LOAD, _JUMP_EQUAL, _JUMP_GREATER, _JUMP_GREATER_EQUAL, _JUMP_ANY_BIT, _RETURN = 0x20, 0x15, 0x25, 0x35, 0x45, 0x06
_AND = 0x54
_ALLOW = 0x7FFF0000
_KILL_PROCESS = 0x80000000
_ERRNO = 0x00050000
_NOTIFY = 0x7FC00000
_EPERM, _ENOSYS = 1, 38
_NUMBER_OFFSET, _ARCH_OFFSET, _ARGUMENTS_OFFSET = 0, 4, 16
_SET_MODE_FILTER = 1
_NEW_LISTENER = 8
_WAIT_KILLABLE = 32  # since Linux 5.19


class Assembler:
    """Classic BPF with jumps to labels further down."""

    def __init__(self) -> None:
        self._code: list[tuple[int, str | None, str | None, int]] = []
        self._labels: dict[str, int] = {}

    def load(self, offset: int) -> None:
        """Load a word of the call's description."""
        self._code.append((_LOAD, None, None, offset))

    def jump(self, test: int, value: int, *, then: str | None = None, otherwise: str | None = None) -> None:
        """Compare and go on at a label; without one at the next instruction."""
        self._code.append((test, then, otherwise, value))

    def mask(self, value: int) -> None:
        """Keep some bits of the word."""
        self._code.append((_AND, None, None, value))

    def answer(self, value: int) -> None:
        """End with a decision."""
        self._code.append((_RETURN, None, None, value))

    def label(self, name: str) -> None:
        """Name the next instruction."""
        self._labels[name] = len(self._code)

    def assemble(self) -> bytes:
        """Return the program as an array of `struct sock_filter`."""
        packed = bytearray()
        for position, (code, then, otherwise, value) in enumerate(self._code):
            hops = [self._labels[name] - position - 1 if name else 0 for name in (then, otherwise)]
            packed += struct.pack("HBBI", code, *hops, value)
        return bytes(packed)


def build(machine: str) -> bytes:
    """Assemble the filter for a machine.

    Raises:
        KeyError: The machine is not supported.
    """
    column = _column(machine)
    code = Assembler()
    code.load(_ARCH_OFFSET)
    code.jump(_JUMP_EQUAL, _AUDIT_ARCH[machine], otherwise="kill")
    code.load(_NUMBER_OFFSET)
    code.jump(_JUMP_GREATER_EQUAL, _NEWEST_KNOWN + 1, then="absent")  # x32 calls carry a high bit
    code.jump(_JUMP_EQUAL, _CLONE3, then="absent")  # its flags lie in memory; the C library falls back to clone
    for table, answer in ((_REFUSED, "refuse"), (_GRANTED, "grant")):
        for numbers in table.values():
            number = numbers[column]
            if number is not None:
                code.jump(_JUMP_EQUAL, number, then=answer)
    code.jump(_JUMP_EQUAL, _kernel.NUMBERS[machine]["clone"], then="clone")
    for number in _SOCKETS[machine]:
        code.jump(_JUMP_EQUAL, number, then="socket")
    code.jump(_JUMP_EQUAL, _FCNTL[machine], then="fcntl")
    code.jump(_JUMP_EQUAL, _IOCTL[machine], then="ioctl")
    code.jump(_JUMP_EQUAL, _PRLIMIT[machine], then="prlimit")
    code.jump(_JUMP_EQUAL, _SET_AFFINITY[machine], then="affinity")
    code.jump(_JUMP_EQUAL, _SET_PRIORITY[machine], then="priority")
    code.answer(_ALLOW)
    _judge_arguments(code)
    code.label("allow")
    code.answer(_ALLOW)
    code.label("refuse")
    code.answer(_ERRNO | _EPERM)
    code.label("absent")
    code.answer(_ERRNO | _ENOSYS)
    code.label("grant")
    code.answer(_ERRNO)  # error 0: the call is not made and has succeeded
    code.label("kill")
    code.answer(_KILL_PROCESS)
    return code.assemble()


def _judge_arguments(code: Assembler) -> None:
    """Decide the calls of which only some uses are refused."""
    code.label("clone")
    code.load(_ARGUMENTS_OFFSET)
    code.jump(_JUMP_ANY_BIT, _kernel.NAMESPACES, then="refuse", otherwise="allow")
    code.label("socket")
    code.load(_ARGUMENTS_OFFSET)
    code.jump(_JUMP_EQUAL, _AF_UNIX, then="allow", otherwise="refuse")
    code.label("prlimit")
    code.load(_ARGUMENTS_OFFSET)
    code.jump(_JUMP_EQUAL, 0, then="allow", otherwise="refuse")  # limits of itself only
    code.label("affinity")
    code.load(_ARGUMENTS_OFFSET)
    code.jump(_JUMP_EQUAL, _INIT, then="refuse", otherwise="allow")
    code.label("priority")
    code.load(_ARGUMENTS_OFFSET)
    code.jump(_JUMP_EQUAL, 0, otherwise="refuse")  # of one process, not of a group or a user
    code.load(_ARGUMENTS_OFFSET + 8)
    code.jump(_JUMP_EQUAL, _INIT, then="refuse", otherwise="allow")
    code.label("fcntl")
    code.load(_ARGUMENTS_OFFSET + 8)
    for command in _REFUSED_FCNTLS:
        code.jump(_JUMP_EQUAL, command, then="refuse")
    for command in (_F_SETLK, _F_SETLKW):
        code.jump(_JUMP_EQUAL, command, then="grant")
    code.jump(_JUMP_EQUAL, _F_SETPIPE_SZ, otherwise="allow")
    code.load(_ARGUMENTS_OFFSET + 16)
    code.jump(_JUMP_GREATER, _PIPE_BYTES, then="refuse", otherwise="allow")
    code.label("ioctl")
    code.load(_ARGUMENTS_OFFSET + 8)
    for request in _REFUSED_IOCTLS:
        code.jump(_JUMP_EQUAL, request, then="refuse")


def build_for_shared_user(machine: str) -> bytes:
    """Assemble what is refused in addition where several slots run as one user of the host.

    The kernel counts the descriptors in flight for the whole user, and what a message carries lies in memory.

    Raises:
        KeyError: The machine is not supported.
    """
    code = _for_machine(machine)
    for number in _SENDING[machine]:
        code.jump(_JUMP_EQUAL, number, then="refuse")
    code.answer(_ALLOW)
    code.label("refuse")
    code.answer(_ERRNO | _EPERM)
    code.label("kill")
    code.answer(_KILL_PROCESS)
    return code.assemble()


def build_pipe_watch(machine: str) -> bytes:
    """Assemble the filter that asks the init of a run for each pipe, since the kernel counts those of a whole user.

    Raises:
        KeyError: The machine is not supported.
    """
    code = _for_machine(machine)
    for number in _PIPES[machine]:
        code.jump(_JUMP_EQUAL, number, then="ask")
    for number, argument in _NODES[machine]:
        code.jump(_JUMP_EQUAL, number, then=f"mode of argument {argument}")
    code.answer(_ALLOW)
    for _, argument in _NODES[machine]:
        code.label(f"mode of argument {argument}")
        code.load(_ARGUMENTS_OFFSET + 8 * argument)
        code.mask(_NODE_KIND)
        code.jump(_JUMP_EQUAL, _FIFO, then="ask", otherwise="allow")
    code.label("allow")
    code.answer(_ALLOW)
    code.label("ask")
    code.answer(_NOTIFY)
    code.label("kill")
    code.answer(_KILL_PROCESS)
    return code.assemble()


def _column(machine: str) -> int:
    if machine not in _AUDIT_ARCH:
        raise KeyError(machine)
    return ("x86_64", "aarch64").index(machine)


def _for_machine(machine: str) -> Assembler:
    """Begin a filter that has the number of a call of this machine loaded."""
    _column(machine)
    code = Assembler()
    code.load(_ARCH_OFFSET)
    code.jump(_JUMP_EQUAL, _AUDIT_ARCH[machine], otherwise="kill")
    code.load(_NUMBER_OFFSET)
    return code


class Filter:
    """A filter ready to be loaded: built once, loaded by every run."""

    def __init__(self, program: bytes) -> None:
        self._instructions = ctypes.create_string_buffer(program, len(program))
        address = ctypes.addressof(self._instructions)
        self._header = ctypes.create_string_buffer(struct.pack("HxxxxxxQ", len(program) // 8, address))
        self._number = _kernel.NUMBERS[_kernel.machine()]["seccomp"]

    def load(self) -> None:
        """Bind this process and all its descendants for good."""
        _kernel.syscall("seccomp", self._number, _SET_MODE_FILTER, 0, self._header)

    def load_with_listener(self) -> int:
        """The same; returns the descriptor on which the filter asks.

        A call that the other side has begun to look at is not interrupted by signals, where the kernel can do that:
        else `pipe`, which never fails so, would be seen to fail with EINTR.
        """
        try:
            return self._ask(_NEW_LISTENER | _WAIT_KILLABLE)
        except OSError as error:
            if error.errno != errno.EINVAL:
                raise
            return self._ask(_NEW_LISTENER)

    def _ask(self, flags: int) -> int:
        return _kernel.syscall("seccomp", self._number, _SET_MODE_FILTER, flags, self._header)
