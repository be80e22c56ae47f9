"""Samples of an evaluation log that is a zip file, one JSON document each, as inspect_ai writes them."""

from __future__ import annotations

import lzma
import struct
import zipfile
import zlib
from collections.abc import Iterator
from typing import IO

from trainer_client._errors import RolloutError
from trainer_client.rollout.files._row import Row, arrow
from trainer_client.rollout.files._text import LONGEST, load_json

_HEADER = struct.Struct("<26xHH")
_ZSTD = 93
_ENCRYPTED = 1


def sample_rows(stream: IO[bytes], place: str) -> Iterator[Row]:
    """A row for each sample of a log, in the order of the file.

    Raises:
        RolloutError: it is another zip file, or damaged.
    """
    try:
        with zipfile.ZipFile(stream) as archive:
            samples = [entry for entry in archive.infolist() if _is_sample(entry.filename)]
            if not samples:
                raise RolloutError(f"{place}: a zip file or spreadsheet is not read; save it as CSV, or unpack it")
            for number, entry in enumerate(samples, 1):
                yield _row(number, _content(archive, stream, entry, place))
    except RolloutError:
        raise
    except (zipfile.BadZipFile, zlib.error, lzma.LZMAError, struct.error, EOFError, ValueError) as error:
        raise RolloutError(f"{place}: the log is damaged or ends early ({error})") from None


def _is_sample(name: str) -> bool:
    return name.startswith("samples/") and name.endswith(".json")


def _row(number: int, content: bytes) -> Row:
    try:
        table = load_json(content.decode())
    except (RolloutError, UnicodeDecodeError) as error:
        return Row(number, "sample", None, str(error))
    return Row(number, "sample", table) if isinstance(table, dict) else Row(number, "sample", None, "is no object")


def _content(archive: zipfile.ZipFile, stream: IO[bytes], entry: zipfile.ZipInfo, place: str) -> bytes:
    if entry.file_size > LONGEST:
        raise RolloutError(f"{place}: {entry.filename} is longer than {LONGEST >> 20} MiB")
    if entry.flag_bits & _ENCRYPTED:
        raise RolloutError(f"{place}: {entry.filename} is encrypted; decrypt the log first")
    if entry.compress_type != _ZSTD:
        try:
            return archive.read(entry)
        except NotImplementedError:
            reason = f"{entry.filename} is compressed by a method that is not read ({entry.compress_type})"
            raise RolloutError(f"{place}: {reason}; write the log again") from None
    # zipfile knows zstd from Python 3.14 on; the bytes stand behind a header whose length varies.
    stream.seek(entry.header_offset)
    skipped = sum(_HEADER.unpack(stream.read(_HEADER.size)))
    stream.seek(skipped, 1)
    package = arrow(place)
    try:
        with package.CompressedInputStream(package.BufferReader(stream.read(entry.compress_size)), "zstd") as unpacked:
            content: bytes = unpacked.read(entry.file_size)
    except OSError as error:
        raise RolloutError(f"{place}: {entry.filename} is damaged ({error})") from None
    if zlib.crc32(content) != entry.CRC:
        raise RolloutError(f"{place}: {entry.filename} is damaged (its checksum differs)")
    return content
