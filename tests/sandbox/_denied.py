"""Opens a sandbox where one thing that it needs is denied: `python -m tests.sandbox._denied KIND WHO`.

Prints the step and the remedy and exits with 3 if the sandbox refuses, 0 if it opens.
"""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Callable

import sandbox
from sandbox._inside import _kernel, _seccomp

_PER_LINUX32 = 8
_EPERM = 1


def _refuse_calls(*names: str, clone_flags: int = 0) -> None:
    """Load a filter that answers EPERM to some calls, as a container engine's does."""
    column = ("x86_64", "aarch64").index(_kernel.machine())
    code = _seccomp.Assembler()
    code.load(0)
    for name in names:
        number = _NUMBERS[name][column]
        code.jump(_seccomp._JUMP_EQUAL, number, then="refuse")
    if clone_flags:
        code.jump(_seccomp._JUMP_EQUAL, _kernel.NUMBERS[_kernel.machine()]["clone"], then="clone")
    code.answer(_seccomp._ALLOW)
    if clone_flags:
        code.label("clone")
        code.load(16)
        code.jump(_seccomp._JUMP_ANY_BIT, clone_flags, then="refuse")
        code.answer(_seccomp._ALLOW)
    code.label("refuse")
    code.answer(_seccomp._ERRNO | _EPERM)
    _kernel.prctl(_kernel.PR_SET_NO_NEW_PRIVS, 1)
    _seccomp.Filter(code.assemble()).load()


_NUMBERS = {"unshare": (272, 97), "mount": (165, 40), "seccomp": (317, 277), "prctl_seccomp": (317, 277)}


def _no_user_namespaces() -> None:
    _refuse_calls(clone_flags=_kernel.CLONE_NEWUSER)


def _masked_proc() -> None:
    _kernel.unshare(_kernel.CLONE_NEWNS)
    _kernel.mount(None, "/", None, _kernel.MS_REC | _kernel.MS_PRIVATE)
    _kernel.mount("mask", "/proc/sys/fs", "tmpfs", _kernel.MS_RDONLY)


def _no_mount() -> None:
    _refuse_calls("mount")


def _no_seccomp() -> None:
    _refuse_calls("seccomp")


def _foreign_architecture() -> None:
    libc = ctypes.CDLL(None)
    libc.personality(_PER_LINUX32)


KINDS: dict[str, tuple[Callable[[], None], bool]] = {
    "user_namespace": (_no_user_namespaces, False),
    "proc": (_masked_proc, True),
    "mount": (_no_mount, False),
    "seccomp": (_no_seccomp, False),
    "architecture": (_foreign_architecture, False),
}
"""What denies it, and whether that has to be done as root, before becoming a user."""


def main() -> int:
    """Deny and open."""
    deny, as_root = KINDS[sys.argv[1]]
    if as_root and os.environ.get("DENIED_ALREADY") is None:
        deny()
        if sys.argv[2] == "user":
            from tests.attacks._people import become_user, visible_python

            become_user()
            environment = {**os.environ, "DENIED_ALREADY": "1"}
            os.execve(visible_python(), [visible_python(), "-m", "tests.sandbox._denied", *sys.argv[1:]], environment)
    elif not as_root:
        deny()
    try:
        with sandbox.open_sandbox(config=sandbox.SandboxConfig(python=sys.executable)):
            print("opened")
            return 0
    except sandbox.SandboxUnavailableError as error:
        print(error.step, error.remedy, error.detail, sep="\n")
        return 3


if __name__ == "__main__":
    sys.exit(main())
