"""Files that appear whole or not at all."""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, TypeAlias

from reward_servers.cli._errors import UserError, writing_at

STDOUT = Path("-")
ROLLOUTS = "rollouts.jsonl"
"""The file of a folder of results that has a line per rollout."""
REPORT, PAIRS, REQUESTS = "report.json", "pairs.jsonl", "requests.jsonl"
RESULTS = (ROLLOUTS, REPORT, PAIRS, REQUESTS)
"""All files of a folder of results: each is replaced, or removed where there is nothing for it."""
Inputs: TypeAlias = Mapping[str, Path | Sequence[Path] | None]
"""What a command reads, by what it is: a file, a folder or a pattern; several of them; or none."""
_OTHER_KINDS = (".xlsx", ".xls", ".tsv", ".arrow", ".feather", ".zst", ".html", ".npz", ".sqlite", ".db")
"""Names that promise what no results are written as."""


@contextmanager
def whole_file(path: Path, *, binary: bool = False) -> Iterator[IO[Any]]:
    """Open a file for writing text, or bytes; it takes its place when the block ends, and not when it fails.

    A link is followed: its target is what is replaced. What is no regular file (a device, a pipe) is written to as it
    is: renaming a file onto it would destroy it.

    Raises:
        OSError: The file cannot be written.
    """
    with writing_at(path), _replacing(path, binary=binary) as file:
        yield file


@contextmanager
def _replacing(path: Path, *, binary: bool) -> Iterator[IO[Any]]:
    target = Path(os.path.realpath(path))
    how: dict[str, Any] = {"mode": "wb"} if binary else {"mode": "w", "encoding": "utf-8", "errors": "backslashreplace"}
    if target.exists() and not target.is_file():
        with target.open(**how) as file:
            yield file
        return
    try:
        beside = tempfile.NamedTemporaryFile(  # noqa: SIM115 (closed below; its error must name the user's file)
            **how, dir=target.parent, prefix=f"{target.name}.", delete=False
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


def refuse_overwriting(option: str, path: Path, inputs: Inputs) -> None:
    """Refuse to write over what a command reads, and a place where nothing can be written: before work, not after it.

    Raises:
        UserError: With the option and the remedy.
    """
    target = Path(os.path.realpath(path))
    for name, sources in inputs.items():
        for source in (sources,) if isinstance(sources, Path) else sources or ():
            if any(_is_same(target, file) for file in _files_of(source)):
                raise UserError(f"{option} {path}: that is {name}, which would be overwritten; choose another name")
    if not target.parent.is_dir():
        raise UserError(f"{option} {path}: the folder {target.parent} does not exist; create it first")
    if target.is_dir():
        raise UserError(f"{option} {path}: it is a folder; give the name of a file, or end it with / to write a folder")
    if reason := _unwritable(target):
        raise UserError(
            f"{option} {path}: it cannot be written there ({reason}); choose another folder or change its rights"
        )


def _files_of(source: Path) -> list[Path]:
    """The files that the name of an input stands for."""
    from trainer_client import RolloutError
    from trainer_client.rollout.files import files_of

    try:
        files = files_of(source)
    except RolloutError:  # it is for the reading of the folder to say what is wrong with it
        files = []
    # A folder of results is no folder of rows, and is read too.
    return [source, *files, *(source / name for name in RESULTS if (source / name).is_file())]


def _is_same(target: Path, second: Path) -> bool:
    if target.exists() and second.exists():
        return target.samefile(second) and not target.is_char_device()
    return target == Path(os.path.realpath(second))


def _unwritable(target: Path) -> str:
    """Why nothing can be written at a place; empty where it can."""
    if target.exists() and not target.is_file():
        return "" if os.access(target, os.W_OK) else os.strerror(errno.EACCES)
    try:
        # Rights alone do not say it: a file system may be read-only, or none for files of a user's own.
        with tempfile.TemporaryFile(dir=target.parent):
            return ""
    except OSError as error:
        return error.strerror or str(error)


def output_place(
    out: str | None, inputs: Inputs, page: Path | None, state: Path | None, *, as_json: bool
) -> Path | None:
    """Where results go; a folder is made. Refuses, before work is done, what could not be written.

    Args:
        out: What the command line says.
        inputs: What is read, by what it is.
        page: Where the page about the run goes; None without one.
        state: Where the method's state is kept; None without one.
        as_json: Whether standard output is taken.
    """
    place = _results_place(out, inputs, as_json=as_json)
    taken = {**inputs, "the results": _results_at(place)}
    if page is not None:
        refuse_overwriting("--report", page, taken)
    if state is not None:
        refuse_overwriting("--state", state, {**taken, "the page": page})
        if state.exists() and not state.is_file():
            raise UserError(
                f"--state {state}: a state is read there and written, and it is no regular file; name a file"
            )
    return place


def partial_place(place: Path) -> Path:
    """Where ``--resume`` keeps what is scored, beside results that go to a file or a folder."""
    beside = place / ROLLOUTS if place.is_dir() else place
    return beside.with_name(f"{beside.name}.partial")


def _results_at(place: Path | None) -> list[Path]:
    """All files that are written or removed for results at a place."""
    if place is None or place == STDOUT:
        return []
    files = [place / name for name in RESULTS] if place.is_dir() else [place]
    return [*files, partial_place(place)]


def _results_place(out: str | None, inputs: Inputs, *, as_json: bool) -> Path | None:
    if out == str(STDOUT) and as_json:
        raise UserError("--out - and --json both write to standard output; choose one, or name a file")
    if out is None or out == str(STDOUT):
        return None if out is None else STDOUT
    path = Path(out)
    if "".join(path.suffixes[-2:]).lower().removesuffix(".gz").endswith(_OTHER_KINDS):
        raise UserError(
            f"--out {out}: results are written as JSON Lines (.jsonl), .csv or .parquet; choose one of them"
        )
    if not out.endswith("/"):
        refuse_overwriting("--out", path, inputs)
        return path
    path.mkdir(parents=True, exist_ok=True)
    for name in RESULTS:
        refuse_overwriting("--out", path / name, inputs)
    return path


def remove_file(path: Path) -> None:
    """Remove a file that `whole_file` wrote: the target of a link, and nothing that is no regular file."""
    target = Path(os.path.realpath(path))
    if target.is_file():
        target.unlink()
