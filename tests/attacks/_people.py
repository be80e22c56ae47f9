"""Starting a service as root or as an ordinary user, from a pseudo-terminal."""

from __future__ import annotations

import contextlib
import os
import pty
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import termios
from collections.abc import Iterator, Sequence
from fcntl import ioctl
from pathlib import Path

from sandbox._inside import _kernel

_USER = 64_123
_VISIBLE_PREFIX = "/mnt/python"


def become_user() -> None:
    """Show the interpreter in a place that anyone can reach, and give up root for good."""
    _kernel.unshare(_kernel.CLONE_NEWNS)
    _kernel.mount(None, "/", None, _kernel.MS_REC | _kernel.MS_PRIVATE)
    _kernel.mount("mnt", "/mnt", "tmpfs", 0, "mode=0755")
    os.mkdir(_VISIBLE_PREFIX)
    _kernel.mount(sys.base_prefix, _VISIBLE_PREFIX, None, _kernel.MS_BIND)
    os.setgroups([])
    os.setresgid(_USER, _USER, _USER)
    os.setresuid(_USER, _USER, _USER)
    _kernel.prctl(_kernel.PR_SET_DUMPABLE, 1)


def visible_python() -> str:
    """Path of the interpreter after `become_user`."""
    binary = os.path.realpath(getattr(sys, "_base_executable", sys.executable))
    return _VISIBLE_PREFIX + binary.removeprefix(os.path.realpath(sys.base_prefix))


@contextlib.contextmanager
def _home_of_user() -> Iterator[str]:
    directory = tempfile.mkdtemp(prefix="attacks-", dir="/home")
    os.chown(directory, _USER, _USER)
    os.chmod(directory, 0o755)
    try:
        yield directory
    finally:
        shutil.rmtree(directory)


@contextlib.contextmanager
def service(
    who: str, arguments: Sequence[str], environment: dict[str, str], descriptor: int
) -> Iterator[subprocess.Popen[bytes]]:
    """Start the worker with a terminal of its own.

    Args:
        who: `root` or `user`; `self` for whoever runs this.
        arguments: Of the worker after its descriptor.
        environment: Variables beyond the usual ones.
        descriptor: Inherited, for its results.
    """
    root = Path(__file__).resolve().parents[2]
    with contextlib.ExitStack() as stack:
        packages = sysconfig.get_path("purelib")
        python = sys.executable
        home = str(Path.home())
        if who == "user":
            python = visible_python()
            home = stack.enter_context(_home_of_user())
        master, slave = pty.openpty()
        stack.callback(os.close, master)

        def prepare() -> None:
            ioctl(slave, termios.TIOCSCTTY, 0)
            if who == "user":
                become_user()

        process = subprocess.Popen(
            [python, "-m", "tests.attacks._worker", str(descriptor), *arguments],
            stdin=slave,
            stdout=slave,
            stderr=None,
            cwd=root,
            env={
                "PATH": os.environ["PATH"],
                "HOME": home,
                "PYTHONPATH": os.pathsep.join((str(root), packages)),
                "PYTHONUNBUFFERED": "1",
                "PYTHONDONTWRITEBYTECODE": "1",
                "ATTACKS_PACKAGES": packages,
                **environment,
            },
            pass_fds=[descriptor],
            start_new_session=True,
            preexec_fn=prepare,
        )
        os.close(slave)
        with process:
            yield process
