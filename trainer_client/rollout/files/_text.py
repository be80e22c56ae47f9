"""Rows of text files: JSON Lines, arrays and documents of JSON, separated values."""

from __future__ import annotations

import codecs
import csv
import io
import json
from collections.abc import Iterator
from typing import IO, Any

from trainer_client._errors import RolloutError
from trainer_client.rollout.files._row import Row, check_names

LONGEST = 1 << 28
"""Bytes of one row; more than any rollout has, and what keeps a file without line breaks out of memory."""
_CHUNK = 1 << 18
_DEEPEST = 200
"""Lists and objects within one another. Each takes several of Python's 1,000 frames where values are written again."""
_TOO_DEEP = "not JSON that can be read: it is nested too deeply"
_WRAPPERS = ("data", "rows", "samples", "examples", "items", "records", "rollouts", "results")


class _DamagedError(RolloutError):
    """What follows cannot be read, so the file is refused rather than scored in part."""


def json_lines(stream: IO[bytes]) -> Iterator[Row]:
    """A row for each line that is not blank; the rows of a sole line that only holds a list of them."""
    lines = _lines(stream)
    first = next(lines, None)
    if first is None:
        return
    second = next(lines, None)
    if second is None and first.table is not None and (entries := _unwrapped(first.table))[0] is not first.table:
        yield from (Row(number, "entry", row) for number, row in enumerate(entries, 1))
        return
    yield first
    if second is not None:
        yield second
    yield from lines


def _lines(stream: IO[bytes]) -> Iterator[Row]:
    number = 0
    while line := stream.readline(LONGEST):
        number += 1
        if not line.removeprefix(codecs.BOM_UTF8).strip():
            continue
        try:
            yield Row(number, "line", _read_object(line))
        except RolloutError as error:
            yield Row(number, "line", None, str(error))


def _read_object(line: bytes) -> dict[str, Any]:
    try:
        table = load_json(line.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise RolloutError(f"not UTF-8: {error.reason} at byte {error.start}") from None
    return _object(table)


def load_json(text: str) -> Any:
    """Read JSON.

    Raises:
        RolloutError: it is none, or holds a number that JSON does not have.
    """
    try:
        value = json.loads(text, parse_constant=_refuse_constant)
    except json.JSONDecodeError as error:
        raise RolloutError(f"not JSON: {error.msg} at character {error.pos + 1}") from None
    except ValueError as error:
        raise RolloutError(f"not JSON: {error}") from None
    except RecursionError:
        raise RolloutError(_TOO_DEEP) from None
    if is_deep(value, text):
        raise RolloutError(_TOO_DEEP)
    return value


def is_deep(value: Any, text: str, start: int = 0, end: int | None = None) -> bool:
    """Whether a value has more levels than can be written again.

    Args:
        value: what was read.
        text: what it was read from.
        start: where it begins there.
        end: where it ends there.
    """
    if sum(text.count(mark, start, end) for mark in "[{") <= _DEEPEST:
        return False
    level = [value]
    for _ in range(_DEEPEST):
        parts = (part for one in level for part in (one.values() if isinstance(one, dict) else one))
        level = [part for part in parts if isinstance(part, dict | list)]
        if not level:
            return False
    return True


def _object(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise RolloutError(f"expected an object, found {type(value).__name__}")
    return value


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not a JSON value")


def array_rows(stream: IO[bytes], place: str) -> Iterator[Row]:
    """A row for each element of an array, read as it comes."""
    values = _Values(stream, place)
    values.expect("[")
    number = 0
    while values.more("]", first=number == 0):
        number += 1
        try:
            yield Row(number, "entry", _object(values.read(number)))
        except _DamagedError:
            raise
        except RolloutError as error:
            yield Row(number, "entry", None, str(error))


def document_rows(stream: IO[bytes], place: str) -> Iterator[Row]:
    """Objects one after the other over several lines each; the rows of one that only holds a list of them."""
    values = _Values(stream, place)
    number = 0
    while values.more(""):
        try:
            table = _object(values.read(number + 1))
        except _DamagedError:
            raise
        except RolloutError as error:
            number += 1
            yield Row(number, "entry", None, str(error))
            continue
        for row in _unwrapped(table):
            number += 1
            yield Row(number, "entry", row)


def _unwrapped(table: dict[str, Any]) -> list[dict[str, Any]]:
    for name in _WRAPPERS:
        rows = table.get(name)
        if isinstance(rows, list) and rows and all(isinstance(row, dict) for row in rows) and "response" not in table:
            return rows
    return [table]


class _Values:
    """Values of JSON one after the other; memory holds the one that is read."""

    def __init__(self, stream: IO[bytes], place: str) -> None:
        self._stream = stream
        self._place = place
        self._decode = codecs.getincrementaldecoder("utf-8-sig")().decode
        self._decoder = json.JSONDecoder(parse_constant=self._note_constant)
        # Asked about each whole number, which takes its time: only where a value cannot be read without.
        self._patient_decoder = json.JSONDecoder(parse_constant=self._note_constant, parse_int=self._whole)
        self._refused = ""
        self._text = ""
        self._at = 0
        self._ended = False

    def expect(self, mark: str) -> None:
        """Pass a mark."""
        if self._next() != mark:
            raise RolloutError(f"{self._place}: expected {mark!r}")
        self._at += 1

    def more(self, end: str, *, first: bool = True) -> bool:
        """Whether a value follows; passes the comma before it."""
        mark = self._next()
        if mark == end or not mark:
            if mark != end:
                raise RolloutError(f"{self._place}: the file ends before its array does; it was cut off")
            return False
        if not first and end:
            if mark != ",":
                raise RolloutError(f"{self._place}: expected ',' or {end!r} after an entry, found {mark!r}")
            self._at += 1
        return True

    def read(self, number: int) -> Any:
        """The next value.

        Args:
            number: its place among the values, for errors.

        Raises:
            RolloutError: it holds a number that JSON does not have, or one of thousands of digits; what follows can be
                read. Or it is no JSON, and so the file is damaged: where the next value begins is not known.
        """
        self._next()
        size = _CHUNK
        damaged = f"{self._place}: entry {number}: the file is damaged or cut off there"
        decoder = self._decoder
        while True:
            self._refused = ""
            try:
                value, end = decoder.raw_decode(self._text, self._at)
                # A number at the end of what is there may go on.
                if end < len(self._text) or self._ended:
                    if is_deep(value, self._text, self._at, end):
                        self._refused = _TOO_DEEP
                    self._at = end
                    if self._refused:
                        raise RolloutError(self._refused)
                    return value
            except json.JSONDecodeError as error:
                if self._ended:
                    raise _DamagedError(f"{damaged} (not JSON: {error.msg})") from None
            except RolloutError:
                raise
            except ValueError:
                # A number of more digits than Python reads. Where it ends is known all the same.
                decoder = self._patient_decoder
                continue
            except RecursionError:
                raise _DamagedError(f"{damaged} ({_TOO_DEEP})") from None
            if len(self._text) - self._at > LONGEST:
                raise _DamagedError(f"{damaged} (not JSON, or longer than {LONGEST >> 20} MiB)")
            self._fill(size)
            # Each failed attempt reads all again: twice as much each time keeps that in proportion.
            size = len(self._text) - self._at

    def _note_constant(self, name: str) -> None:
        self._refused = f"not JSON: {name} is not a JSON value"

    def _whole(self, digits: str) -> int:
        try:
            return int(digits)
        except ValueError as error:
            self._refused = f"not JSON: {error}"
            return 0

    def _next(self) -> str:
        """The next character that is no space; empty at the end."""
        while True:
            while self._at < len(self._text):
                if not self._text[self._at].isspace():
                    return self._text[self._at]
                self._at += 1
            if self._ended:
                return ""
            self._fill(_CHUNK)

    def _fill(self, size: int) -> None:
        data = self._stream.read(max(size, _CHUNK))
        self._ended = not data
        try:
            more = self._decode(data, self._ended)
        except UnicodeDecodeError as error:
            raise RolloutError(f"{self._place}: not UTF-8 ({error.reason}); save it as UTF-8") from None
        self._text = self._text[self._at :] + more
        self._at = 0


def separated_rows(stream: io.BufferedReader, place: str, separator: str) -> Iterator[Row]:
    """Rows of values that a character separates; the first one names the columns.

    An empty cell is an empty text.

    Raises:
        RolloutError: a quote is left open, or has text behind it: which rows the file has is then not known.
    """
    csv.field_size_limit(max(csv.field_size_limit(), LONGEST))
    separator = separator or _separator(stream.peek(_CHUNK).partition(b"\n")[0])
    lines = io.TextIOWrapper(stream, "utf-8-sig", newline="")
    # Not strict, a quote that is left open takes in the rows up to the next one, and says nothing.
    reader = csv.reader(lines, delimiter=separator, strict=True)
    last = 0
    try:
        names = next(reader, [])
        check_names(names, place)
        if not any(names):
            raise RolloutError(f"{place}: there is no header; the first line must name the columns")
        last = reader.line_num
        for cells in reader:
            last = reader.line_num
            if cells and len(cells) != len(names):
                reason = f"has {len(cells)} cells where the header has {len(names)}"
                yield Row(reader.line_num, "line", None, reason)
            elif cells:
                yield Row(reader.line_num, "line", dict(zip(names, cells, strict=True)))
    except UnicodeDecodeError as error:
        at = f"near line {reader.line_num + 1}"
        raise RolloutError(f"{place}: not UTF-8 {at} ({error.reason}); save it as UTF-8") from None
    except csv.Error as error:
        # The row may have begun far above the line where it went wrong.
        reason = f"the row that begins on line {last + 1} is not separated values ({error} on line {reader.line_num})"
        remedy = 'close each quote that opens a cell, and write one within it twice ("")'
        raise RolloutError(f"{place}: {reason}; {remedy}") from None
    finally:
        lines.detach()


def _separator(header: bytes) -> str:
    """The character that separates the names of the columns: a comma unless another one is more often there."""
    return max(",", ";", "\t", key=lambda mark: header.count(mark.encode()))
