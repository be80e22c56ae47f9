"""Rows of files of any kind: JSON Lines, JSON, CSV, parquet, Arrow, compressed or not, folders and standard input.

A kind is told from the content and not from the name, except for separated values, which begin with no mark. A row that
cannot be read is a row with a problem; a file that cannot be read is an error.
"""

from __future__ import annotations

import glob
import gzip
import io
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Any, TypeAlias, cast

from trainer_client._errors import RolloutError
from trainer_client.rollout.files import _archive, _columnar, _text
from trainer_client.rollout.files._row import Row, arrow

PathLike: TypeAlias = str | os.PathLike[str]

STDIN = "-"
SEPARATORS = {".csv": "", ".tsv": "\t"}
"""Separator by suffix; empty where the header says it."""
_GZIP, _ZSTD, _ZIP = b"\x1f\x8b", b"\x28\xb5\x2f\xfd", b"PK\x03\x04"
_PARQUET, _ARROW_FILE, _ARROW_STREAM = b"PAR1", b"ARROW1", b"\xff\xff\xff\xff"
_COMPRESSED = (".gz", ".zst")
_DATA = (".jsonl", ".json", ".csv", ".tsv", ".parquet", ".arrow", ".feather")
_ABOUT = ("dataset_info.json", "dataset_infos.json", "dataset_dict.json", "state.json")
_SHARD = re.compile(r"(?:-\d+(?:-of-\d+)?|(?<=^part)\.\d+)$")
"""What tells the shards of a data set apart: ``train-00000-of-00002``, ``data-0``, and ``part.0`` of dask."""
_BUFFER = 1 << 18


def read_rows(path: PathLike) -> Iterator[Row]:
    """Read the rows of a file one after the other; memory holds a few of them.

    Args:
        path: a file; a folder of files, or one that ``datasets`` saved; a pattern such as ``train-*.parquet``; or ``-``
            for standard input.

    Raises:
        RolloutError: it is no file of rows, is damaged, or needs a package that is not installed.
        OSError: it cannot be read.
    """
    name = os.fspath(path)
    if name == STDIN:
        yield from _read_stream(sys.stdin.buffer, "standard input", "")
        return
    files = files_of(Path(name))
    offset = 0
    for file in files:
        number = 0
        with open(file, "rb") as stream:
            for row in _read_stream(stream, str(file), file.name):
                number = row.number
                unit = f"{file.name} {row.unit}" if len(files) > 1 else row.unit
                yield row._replace(number=row.number + offset, unit=unit) if len(files) > 1 else row
        offset += number


def files_of(path: Path) -> list[Path]:
    """The files of a path, in the order of their names.

    Args:
        path: a file, a folder or a pattern: see `read_rows`.

    Raises:
        RolloutError: it is a folder with no file of rows, or with those of several data sets.
    """
    if not path.is_dir():
        matches = sorted(glob.glob(str(path))) if not path.exists() and glob.has_magic(str(path)) else []
        return [Path(match) for match in matches] or [path]
    if (path / "dataset_dict.json").is_file():
        splits = sorted(entry.name for entry in path.iterdir() if entry.is_dir())
        raise RolloutError(f"{path}: has the splits {', '.join(splits)}; name one of them: {path / splits[0]}")
    files = _data_in(path)
    if (path / "state.json").is_file():
        files = [entry for entry in files if entry.suffix == ".arrow" and not entry.name.startswith("cache-")]
    files = files or _data_in(path / "data")
    if not files:
        raise RolloutError(f"{path}: there is no data file in this folder ({', '.join(_DATA)}); name a file")
    parts = dict.fromkeys(_SHARD.sub("", _stem(entry)) for entry in files)
    if len(parts) > 1:
        first = files[0].parent / f"{next(iter(parts))}*"
        raise RolloutError(f"{path}: has several data sets ({', '.join(parts)}); name one of them, such as '{first}'")
    return files


def _data_in(folder: Path) -> list[Path]:
    entries = sorted(folder.iterdir()) if folder.is_dir() else []
    return [entry for entry in entries if entry.is_file() and _kind_of(entry) in _DATA and entry.name not in _ABOUT]


def _kind_of(path: Path) -> str:
    suffixes = [suffix for suffix in path.suffixes if suffix not in _COMPRESSED]
    return suffixes[-1] if suffixes else ""


def _stem(path: Path) -> str:
    """The name without what says its kind: a name such as ``qwen2.5-7b.jsonl`` has further dots."""
    name = path.name
    for suffixes in (_COMPRESSED, _DATA):
        name = name.removesuffix(next((suffix for suffix in suffixes if name.endswith(suffix)), ""))
    return name


def _read_stream(raw: IO[bytes], place: str, name: str) -> Iterator[Row]:
    """Rows of an open file, whose kind is told from its first bytes."""
    with ExitStack() as stack:
        stream = raw if isinstance(raw, io.BufferedReader) else io.BufferedReader(cast("Any", raw), _BUFFER)
        packed = stream.peek(8)[:8]
        try:
            if packed.startswith(_GZIP):
                stream = io.BufferedReader(stack.enter_context(gzip.GzipFile(fileobj=stream)), _BUFFER)
            elif packed.startswith(_ZSTD):
                stream = io.BufferedReader(stack.enter_context(_zstd(stream, place)), _BUFFER)
            plain = name.removesuffix(".gz").removesuffix(".zst")
            yield from _read_plain(stack, stream, place, Path(plain).suffix.lower())
        except (EOFError, gzip.BadGzipFile) as error:
            raise RolloutError(f"{place}: the compressed file is damaged or ends early ({error})") from None
        except OSError as error:
            if error.errno is not None:
                raise
            raise RolloutError(f"{place}: the compressed file is damaged or ends early ({error})") from None


def _read_plain(stack: ExitStack, stream: io.BufferedReader, place: str, suffix: str) -> Iterator[Row]:
    head = stream.peek(_BUFFER)
    if head.startswith(_PARQUET):
        return _columnar.parquet_rows(_seekable(stack, stream), place)
    if head.startswith(_ARROW_FILE):
        return _columnar.arrow_file_rows(_seekable(stack, stream), place)
    if head.startswith(_ARROW_STREAM):
        return _columnar.arrow_stream_rows(stream, place)
    if head.startswith(_ZIP):
        return _archive.sample_rows(_seekable(stack, stream), place)
    first = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    if suffix in SEPARATORS or (first and not first.startswith((b"{", b"[")) and suffix not in (".jsonl", ".json")):
        return _text.separated_rows(stream, place, SEPARATORS.get(suffix, ""))
    if first.startswith(b"[") and suffix != ".jsonl":
        return _text.array_rows(stream, place)
    if first.partition(b"\n")[0].strip() == b"{":
        return _text.document_rows(stream, place)
    return _text.json_lines(stream)


def _zstd(stream: IO[bytes], place: str) -> Any:
    return arrow(place).CompressedInputStream(stream, "zstd")


def _seekable(stack: ExitStack, stream: io.BufferedReader) -> IO[bytes]:
    """The stream itself where its parts can be read in any order, else a copy on disk."""
    if isinstance(stream.raw, io.FileIO) and stream.seekable():
        return stream
    copy = stack.enter_context(tempfile.TemporaryFile())  # noqa: SIM115 (the stack closes it)
    shutil.copyfileobj(stream, copy, _BUFFER)
    copy.seek(0)
    return copy
