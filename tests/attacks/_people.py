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
_FIRST_SUB_ID = 1_000_000_000
_VISIBLE_PREFIX = "/mnt/python"


def become_user(*, sub_ids: bool = False) -> None:
    """Show the interpreter in a place that anyone can reach, and give up root for good.

    Args:
        sub_ids: Whether the host shall know the user, with subordinate ids; as seen by this process only.
    """
    _leave_mounts()
    _kernel.mount("mnt", "/mnt", "tmpfs", 0, "mode=0755")
    os.mkdir(_VISIBLE_PREFIX)
    _kernel.mount(sys.base_prefix, _VISIBLE_PREFIX, None, _kernel.MS_BIND)
    if sub_ids:
        _add_line("/etc/passwd", f"attacks:x:{_USER}:{_USER}::/nonexistent:/bin/false")
        _add_line("/etc/subuid", f"attacks:{_FIRST_SUB_ID}:65536")
    os.setgroups([])
    os.setresgid(_USER, _USER, _USER)
    os.setresuid(_USER, _USER, _USER)
    _kernel.prctl(_kernel.PR_SET_DUMPABLE, 1)


def _leave_mounts() -> None:
    """See no more of what others mount on the host: only what is left by our own is looked for."""
    _kernel.unshare(_kernel.CLONE_NEWNS)
    _kernel.mount(None, "/", None, _kernel.MS_REC | _kernel.MS_PRIVATE)


def _add_line(path: str, line: str) -> None:
    """Have this mount namespace see a file of the host with one line more."""
    known = Path(path).read_text() if os.path.exists(path) else ""
    changed = f"/mnt/{os.path.basename(path)}"
    Path(changed).write_text(f"{known.rstrip()}\n{line}\n")
    if os.path.exists(path):
        _kernel.mount(changed, path, None, _kernel.MS_BIND)


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
    who: str,
    arguments: Sequence[str],
    environment: dict[str, str],
    descriptor: int,
    module: str = "tests.attacks._worker",
) -> Iterator[subprocess.Popen[bytes]]:
    """Start the worker with a terminal of its own.

    Args:
        who: `root` or `user`; `self` for the user that runs this.
        arguments: Of the worker after its descriptor.
        environment: Variables beyond the usual ones.
        descriptor: Inherited, for its results.
        module: What is started.
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
            elif os.geteuid() == 0:
                _leave_mounts()

        process = subprocess.Popen(
            [python, "-m", module, str(descriptor), *arguments],
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
