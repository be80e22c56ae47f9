"""Files that appear whole or not at all."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from reward_servers.cli._errors import UserError


@contextmanager
def whole_file(path: Path) -> Iterator[IO[str]]:
    """Open a file for writing text; it takes its place when the block ends, and not when it fails.

    A link is followed: its target is what is replaced. What is no regular file (a device, a pipe) is written to as it
    is: renaming a file onto it would destroy it.

    Raises:
        OSError: The file cannot be written.
    """
    target = Path(os.path.realpath(path))
    if target.exists() and not target.is_file():
        with target.open("w", encoding="utf-8", errors="backslashreplace") as file:
            yield file
        return
    try:
        beside = tempfile.NamedTemporaryFile(  # noqa: SIM115 (closed below; its error must name the user's file)
            "w", encoding="utf-8", errors="backslashreplace", dir=target.parent, prefix=f"{target.name}.", delete=False
        )
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from None
    with beside as file:
        try:
            yield file
            file.flush()
            # A temporary file is private; the result is as readable as the user's other files.
            mask = os.umask(0)
            os.umask(mask)
            os.chmod(file.name, 0o666 & ~mask)
            os.replace(file.name, target)
        except BaseException:
            os.unlink(file.name)
            raise


def refuse_overwriting(option: str, path: Path, inputs: Mapping[str, Path | None]) -> None:
    """Refuse to write over what a command reads, and a place where nothing can be written: before work, not after it.

    Raises:
        UserError: With the option and the remedy.
    """
    target = Path(os.path.realpath(path))
    for name, source in inputs.items():
        if source is not None and target.exists() and source.exists() and target.samefile(source):
            raise UserError(f"{option} {path}: that is {name}, which would be lost; choose another name")
    if not target.parent.is_dir():
        raise UserError(f"{option} {path}: the folder {target.parent} does not exist; make it first")
    if target.is_dir():
        raise UserError(f"{option} {path}: it is a folder; give the name of a file, or a name that ends with / for all")
    if not os.access(target if target.exists() and not target.is_file() else target.parent, os.W_OK):
        raise UserError(f"{option} {path}: it cannot be written there; choose another folder or change its rights")


def remove_file(path: Path) -> None:
    """Remove a file that `whole_file` wrote: the target of a link, and nothing that is no regular file."""
    target = Path(os.path.realpath(path))
    if target.is_file():
        target.unlink()
