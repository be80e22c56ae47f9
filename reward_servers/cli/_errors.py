"""Errors of the person at the keyboard: one line that names the field and the remedy."""

from __future__ import annotations

import errno
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

EXIT_NO = 1
"""Exit code of a command that ran and whose answer is no."""
EXIT_USER_ERROR = 2
"""Exit code of a mistake of the user."""
EXIT_DEFECT = 70
"""Exit code of a defect of ours (EX_SOFTWARE): never to be mistaken for an answer."""
EXIT_INTERRUPTED = 130
"""Exit code after Ctrl-C."""
EXIT_BROKEN_PIPE = 141
"""Exit code when the output is not read to its end, as of a process that SIGPIPE ends."""

_FAMILIES = (
    ("reward_servers.core", "AssayServerError"),
    ("reward_servers.supervisor", "SupervisorError"),
    ("trainer_client", "RewardError"),
    ("sandbox", "SandboxError"),
)
_EXTRAS = {
    "grpc": "server",
    "grpc_health": "server",
    "grpc_reflection": "server",
    "google": "server",
    "packaging": "server",
    "pydantic": "server",
    "rich": "server",
    "psutil": "server",
    "fastapi": "gateway",
    "orjson": "gateway",
    "uvicorn": "gateway",
}


_ROOM = {
    errno.ENOSPC: "make room there, or choose another place",
    errno.EDQUOT: "make room within your quota, or choose another place",
    errno.EFBIG: "raise the limit of a file's size (`ulimit -f`), or choose another place",
    errno.EROFS: "choose another place",
}
"""Errors of a place that takes no more, and what to do. Those of a write name no file."""


class UserError(Exception):
    """A mistake that the user can mend; the message names the field and the remedy."""


def describe(error: BaseException) -> str | None:
    """Write an error in one line.

    Args:
        error: What ended the command.

    Returns:
        The line; None when the error is a defect of ours, whose traceback is needed.
    """
    if isinstance(error, UserError):
        return _one_line(str(error))
    if isinstance(error, OSError) and (error.filename is not None or error.errno in _ROOM):
        remedy = f"; {_ROOM[error.errno]}" if error.errno in _ROOM else ""
        place = "standard output or a temporary file" if error.filename is None else error.filename
        return _one_line(f"{place}: {error.strerror}{remedy}")
    if isinstance(error, FileNotFoundError) and str(error.strerror).startswith("No usable temporary directory"):
        return _one_line(f"{error.strerror}; make room in one of them, or name another by the variable TMPDIR")
    if isinstance(error, ModuleNotFoundError) and (package := (error.name or "").partition(".")[0]) in _EXTRAS:
        return f"the package {package} is missing; install it with `pip install 'assay[{_EXTRAS[package]}]'`"
    if (lacking := missing_library(error)) is not None:
        return f"{_one_line(str(error))}; {lacking}"
    for module, name in _FAMILIES:
        # An error of a family can only have been raised when its module is loaded: none is imported for this.
        loaded = sys.modules.get(module)
        if loaded is not None and isinstance(error, getattr(loaded, name)):
            return _one_line(str(error))
    return None


@contextmanager
def writing_at(path: Path) -> Iterator[None]:
    """Name a place in an error of the block that says that the place takes no more.

    Raises:
        OSError: With the name of the place.
    """
    try:
        yield
    except OSError as error:
        if error.filename is None and error.errno in _ROOM:
            raise OSError(error.errno, error.strerror, str(path)) from None
        raise


def missing_library(error: BaseException) -> str | None:
    """What mends an import that fails for a library of the system, as grpc's does in a slim image; None for others."""
    if not isinstance(error, ImportError) or "cannot open shared object file" not in str(error):
        return None
    library = str(error).partition(":")[0]
    package = "libstdc++6 (Debian, Ubuntu) or libstdc++ (Alpine, Fedora)" if "libstdc++" in library else "its package"
    return f"install {package} of the distribution"


def unexpected(error: BaseException) -> str:
    """Write an error that is no mistake of the user in one line."""
    return _one_line(f"{type(error).__name__}: {error}")


def _one_line(text: str) -> str:
    return " ".join(text.split())
