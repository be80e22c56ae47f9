"""The system calls that Python does not wrap, by ctypes, and the numbers of the machines that are supported."""

from __future__ import annotations

import ctypes
import errno
import os

CLONE_PIDFD = 0x1000
CLONE_NEWNS = 0x20000
CLONE_NEWCGROUP = 0x2000000
CLONE_NEWUTS = 0x4000000
CLONE_NEWIPC = 0x8000000
CLONE_NEWUSER = 0x10000000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000
NAMESPACES = CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET

MS_RDONLY = 1
MS_NOSUID = 2
MS_NODEV = 4
MS_NOEXEC = 8
MS_REMOUNT = 32
MS_BIND = 4096
MS_REC = 16384
MS_PRIVATE = 1 << 18
MNT_DETACH = 2

PR_SET_PDEATHSIG = 1
PR_SET_DUMPABLE = 4
PR_CAPBSET_DROP = 24
PR_SET_CHILD_SUBREAPER = 36
PR_SET_NO_NEW_PRIVS = 38

_AT_RECURSIVE = 0x8000
_MOUNT_ATTR_RDONLY = 0x1
_MOUNT_ATTR_NOSUID = 0x2
_MOUNT_ATTR_NODEV = 0x4
SIGINT = 2
SIGPIPE = 13
SIGCHLD = 17
SIGXFSZ = 25
_FIRST = 3  # descriptor after the standard streams
_SIG_DFL = None
_SIG_IGN = 1
_MOST_CAPABILITIES = 64
_MOST_DESCRIPTORS = 0x7FFFFFFF

# The calls made by number. Those from 424 on have the same number on every machine.
CLOSE_RANGE = 436
MOUNT_SETATTR = 442
NUMBERS = {
    "x86_64": {"clone": 56, "pivot_root": 155, "seccomp": 317},
    "aarch64": {"clone": 220, "pivot_root": 41, "seccomp": 277},
}

libc = ctypes.CDLL(None, use_errno=True)
_syscall = libc.syscall
_syscall.restype = ctypes.c_long
_prctl = libc.prctl
_signal = libc.signal
_signal.restype = ctypes.c_void_p
_signal.argtypes = (ctypes.c_int, ctypes.c_void_p)


class SetupError(Exception):
    """A step of setting up the isolation failed."""

    def __init__(self, step: str, detail: str) -> None:
        super().__init__(step, detail)
        self.step = step
        self.detail = detail


def machine() -> str:
    """Name of this machine's instruction set as the kernel reports it to this process."""
    return os.uname().machine


def _check(result: int, call: str) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{call}: {os.strerror(number)}")
    return result


def syscall(name: str, number: int, *arguments: object) -> int:
    """Make a system call by number.

    Raises:
        OSError: With the call's name in front of the kernel's reason.
    """
    return _check(int(_syscall(ctypes.c_long(number), *arguments)), name)


def clone(flags: int) -> tuple[int, int]:
    """Fork into new namespaces. Returns the child's pid and a pidfd; (0, -1) in the child.

    The C library does not take part, so the child must not raise signals at itself by its functions; a fork by
    `os.fork` puts everything right in the grandchild.
    """
    pidfd = ctypes.c_int(-1)
    pid = syscall(
        "clone",
        NUMBERS[machine()]["clone"],
        ctypes.c_ulong(flags | CLONE_PIDFD | SIGCHLD),
        None,
        ctypes.byref(pidfd),
        None,
        None,
    )
    return pid, pidfd.value if pid else -1


def unshare(flags: int) -> None:
    """Leave the given namespaces for new ones."""
    _check(libc.unshare(ctypes.c_int(flags)), "unshare")


def mount(source: str | None, target: str, kind: str | None, flags: int, options: str | None = None) -> None:
    """Mount something; the arguments are those of the system call."""
    arguments = [value.encode() if value is not None else None for value in (source, target, kind)]
    data = options.encode() if options is not None else None
    _check(libc.mount(*arguments, ctypes.c_ulong(flags), data), f"mount {target}")


def unmount(target: str) -> None:
    """Take a mount out of the tree; who has it open keeps it."""
    _check(libc.umount2(target.encode(), MNT_DETACH), f"umount {target}")


def make_read_only(target: str, *, devices: bool = False) -> None:
    """Make a mount and all mounts below it read-only and without setuid programs, devices only if asked for."""
    attributes = _MOUNT_ATTR_RDONLY | _MOUNT_ATTR_NOSUID | (0 if devices else _MOUNT_ATTR_NODEV)
    packed = (ctypes.c_uint64 * 4)(attributes, 0, 0, 0)
    syscall(
        f"mount_setattr {target}",
        MOUNT_SETATTR,
        ctypes.c_int(-100),
        target.encode(),
        ctypes.c_uint(_AT_RECURSIVE),
        ctypes.byref(packed),
        ctypes.c_size_t(ctypes.sizeof(packed)),
    )


def pivot_into(directory: str) -> None:
    """Make a directory the root and let go of the old one."""
    os.chdir(directory)
    syscall("pivot_root", NUMBERS[machine()]["pivot_root"], b".", b".")
    _check(libc.umount2(b".", MNT_DETACH), "umount of the old root")
    os.chdir("/")


def prctl(option: int, value: int) -> None:
    """Change an attribute of this process."""
    _check(_prctl(option, ctypes.c_ulong(value), 0, 0, 0), f"prctl {option}")


def default_signal(number: int) -> int | None:
    """Let the kernel do with a signal what it does by default; returns the address of what it did before.

    The interpreter's own way is more work in a process that is a copy of another, and may not notice.
    """
    handler: int | None = _signal(number, _SIG_DFL)
    return handler


def restore_signal(number: int, handler: int | None) -> None:
    """Undo `default_signal`, as the interpreter sets its handlers: calls are interrupted by them."""
    _signal(number, handler)
    libc.siginterrupt(number, 1)


def ignore_signal(number: int) -> None:
    """Have the kernel drop a signal, without the interpreter's knowing: programs are to find its own settings."""
    _signal(number, _SIG_IGN)


def write_file(path: str, content: bytes) -> None:
    """Write to a file of the kernel's, in one call."""
    descriptor = os.open(path, os.O_WRONLY)
    os.write(descriptor, content)
    os.close(descriptor)


def kill_others() -> bool:
    """Kill every other process of this pid namespace; False if there was none."""
    return int(libc.kill(-1, 9)) == 0


def close_from(first: int) -> None:
    """Close every descriptor from `first` on."""
    syscall("close_range", CLOSE_RANGE, ctypes.c_uint(first), ctypes.c_uint(_MOST_DESCRIPTORS), ctypes.c_uint(0))


def close_others(*numbers: int) -> None:
    """Close every descriptor but the standard streams and some more."""
    first = _FIRST
    for number in sorted(numbers):
        if number > first:
            syscall("close_range", CLOSE_RANGE, ctypes.c_uint(first), ctypes.c_uint(number - 1), ctypes.c_uint(0))
        first = number + 1
    close_from(first)


_capability_header = (ctypes.c_uint32 * 2)(0x20080522, 0)
_no_capabilities = (ctypes.c_uint32 * 6)()


def empty_bounding_set() -> None:
    """Give up the capabilities that a program could gain by executing another."""
    for number in range(_MOST_CAPABILITIES):
        try:
            prctl(PR_CAPBSET_DROP, number)
        except OSError as error:
            if error.errno == errno.EINVAL:  # one more than this kernel knows
                return
            raise


def drop_capabilities() -> None:
    """Empty the effective, permitted and inheritable sets."""
    _check(libc.capset(_capability_header, _no_capabilities), "capset")
