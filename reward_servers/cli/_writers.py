"""Files of results: JSON Lines, separated values and parquet, also compressed; and how they are read again."""

from __future__ import annotations

import csv
import gzip
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Protocol

from reward_servers.cli._spool import Line

_BATCH = 1024
_BY_REWARD = ("scores", "codes", "notes", "faults", "skips", "aspects", "steps", "evidence", "feedback")
_FAULT = ("party", "code", "message")
_TEXTS = ("rollout_id", "group_id", "task", "prompt", "response", "finish_reason")
_NUMBERS = ("reward", "advantage", "shaped_reward", "weight")
_KEPT = "rollout."
_PARENTS = frozenset(f"{name}." for name in _BY_REWARD) | {_KEPT}
"""How columns begin that are parts of something."""
_OTHERS = "others"
"""Column of what only some rows hold, as JSON."""


class Writer(Protocol):
    """Takes lines of results."""

    def write(self, line: Line, signal: Mapping[str, Any]) -> None:
        """Take the line of a rollout, and what the recipe's method gives it."""


def suffix_of(path: Path) -> str:
    """What the name says of the kind: ``.parquet``, ``.csv``, or ``.jsonl`` for any other."""
    suffix = Path(path.name.removesuffix(".gz")).suffix.lower()
    return suffix if suffix in (".parquet", ".csv") else ".jsonl"


def is_compressed(path: Path) -> bool:
    """Whether the name asks for gzip; parquet compresses by itself."""
    return path.name.endswith(".gz") and suffix_of(path) != ".parquet"


@contextmanager
def writing_to(file: IO[bytes], path: Path, rewards: Sequence[str], aspects: Sequence[str] = ()) -> Iterator[Writer]:
    """Write results into an open file, as its name says.

    Args:
        file: Where to.
        path: Its name.
        rewards: Names of the recipe's rewards, which make the columns of tables.
        aspects: Names of the aspects of their verdicts, ``reward.aspect``.
    """
    if suffix_of(path) == ".parquet":
        with _Parquet(file, rewards, aspects) as writer:
            yield writer
        return
    binary = gzip.GzipFile(fileobj=file, mode="wb", mtime=0) if is_compressed(path) else file
    text = io.TextIOWrapper(binary, "utf-8", errors="backslashreplace", newline="")
    try:
        yield _Separated(text, rewards, aspects) if suffix_of(path) == ".csv" else Lines(text)
        text.flush()
    finally:
        text.detach()
        if binary is not file:
            binary.close()


class Lines:
    """JSON Lines."""

    def __init__(self, file: IO[str]) -> None:
        self._file = file

    def write(self, line: Line, signal: Mapping[str, Any]) -> None:
        """See `Writer`."""
        rollout = f', "rollout": {line.kept}' if line.kept else ""
        details = f", {line.shown[1:-1]}" if line.shown else ""
        text = json.dumps(signal, ensure_ascii=False)[1:-1]
        self._file.write(f"{line.scored[:-1]}, {text}{rollout}{details}}}\n")


class _Separated:
    """Separated values: a column for each reward's score, code, note and fault; other objects as JSON."""

    def __init__(self, file: IO[str], rewards: Sequence[str], aspects: Sequence[str]) -> None:
        self._writer = csv.writer(file)
        self._rewards = rewards
        self._aspects = aspects
        self._names: list[str] = []

    def write(self, line: Line, signal: Mapping[str, Any]) -> None:
        row = _flat(line, signal)
        if not self._names:
            self._names = list(dict.fromkeys([*_columns(self._rewards, self._aspects, bool(line.kept)), *row]))
            self._writer.writerow(self._names)
        late = [name for name in row if name not in self._names]
        if late:
            # A column that the header does not have: what only some rows hold.
            row[_OTHERS] = json.dumps({name: row[name] for name in late}, ensure_ascii=False)
        self._writer.writerow([_cell(row.get(name)) for name in self._names])


def _columns(rewards: Sequence[str], aspects: Sequence[str], with_rollouts: bool) -> list[str]:
    reward_columns = [
        f"{name}.{reward}{part}"
        for reward in rewards
        for name, part in (
            ("scores", ""),
            ("codes", ""),
            ("notes", ""),
            *(("faults", f".{key}") for key in _FAULT),
            ("skips", ""),
        )
    ]
    fields = [_KEPT + name for name in ("prompt", "response", "reference", "metadata")] if with_rollouts else []
    return [
        "rollout_id",
        "group_id",
        "task",
        *reward_columns,
        *(f"aspects.{aspect}" for aspect in aspects),
        "reward",
        "advantage",
        *fields,
        _OTHERS,
    ]


def _flat(line: Line, signal: Mapping[str, Any]) -> dict[str, Any]:
    """A line as one level of columns, with dots in their names."""
    row: dict[str, Any] = {}
    for name, value in {**json.loads(line.scored), **signal}.items():
        if name not in _BY_REWARD:
            row[name] = value
            continue
        for reward, values in value.items():
            if name == "faults":
                row.update({f"{name}.{reward}.{key}": part for key, part in values.items()})
            else:
                row[f"{name}.{reward}"] = values
    fields = json.loads(line.kept) if line.kept else {}
    return row | {_KEPT + name: value for name, value in fields.items()}


def _cell(value: Any) -> Any:
    if value is None or isinstance(value, str | int | float):
        return {True: "true", False: "false"}.get(value, value) if isinstance(value, bool) else value
    return json.dumps(value, ensure_ascii=False)


class _Parquet:
    """Parquet with the same columns; numbers are numbers, other objects are JSON."""

    def __init__(self, file: IO[bytes], rewards: Sequence[str], aspects: Sequence[str]) -> None:
        self._file = file
        self._rewards = rewards
        self._aspects = aspects
        self._rows: list[dict[str, Any]] = []
        self._names: list[str] = []
        self._writer: Any = None

    def __enter__(self) -> _Parquet:
        return self

    def __exit__(self, *exception: object) -> None:
        if exception[0] is None:
            self._flush()
        if self._writer is not None:
            self._writer.close()

    def write(self, line: Line, signal: Mapping[str, Any]) -> None:
        self._rows.append(_flat(line, signal))
        if len(self._rows) == _BATCH:
            self._flush()

    def _flush(self) -> None:
        from pyarrow import parquet

        from trainer_client.rollout.files import arrow

        package = arrow("--out")
        if self._writer is None:
            with_rollouts = any(name.startswith(_KEPT) for row in self._rows for name in row)
            extra = [name for row in self._rows for name in row]
            self._names = list(dict.fromkeys([*_columns(self._rewards, self._aspects, with_rollouts), *extra]))
            fields = [package.field(name, self._type(package, name)) for name in self._names]
            self._writer = parquet.ParquetWriter(self._file, package.schema(fields))
        if not self._rows:
            return
        for row in self._rows:
            late = {name: value for name, value in row.items() if name not in self._names}
            row[_OTHERS] = json.dumps(late, ensure_ascii=False) if late else None
        columns = {name: [self._value(name, row.get(name)) for row in self._rows] for name in self._names}
        self._writer.write_table(package.table(columns, schema=self._writer.schema))
        self._rows = []

    def _type(self, package: Any, name: str) -> Any:
        return package.float64() if name in _NUMBERS or name.startswith(("scores.", "aspects.")) else package.string()

    def _value(self, name: str, value: Any) -> Any:
        if name in _NUMBERS or name.startswith(("scores.", "aspects.")):
            return None if value is None else float(value)
        text = _cell(value)
        text = text if text is None or isinstance(text, str) else json.dumps(text)
        # Parquet holds UTF-8 alone, which a lone surrogate does not have.
        return text if text is None else text.encode("utf-8", "backslashreplace").decode()


def as_line(row: dict[str, Any]) -> dict[str, Any]:
    """A row of a file of results in the form of its JSON Lines; what is none stays as it is.

    Raises:
        ValueError: A column holds what it does not in any file of results; the message names it.
    """
    is_table = any(name.startswith("scores.") for name in row)
    return _nested(row) if is_table else row


def _nested(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row of a table as the line that it was made of."""
    flat = {name: value for name, value in row.items() if name != _OTHERS} | _others(row.get(_OTHERS))
    asked_names = {name.partition(".")[2] for name, value in flat.items() if name.startswith("codes.") and value}
    line: dict[str, Any] = {}
    for name, value in flat.items():
        head, _, member = name.partition(".")
        if not member and f"{name}." in _PARENTS:
            if value not in (None, ""):
                raise ValueError(
                    f"{name}: is a column beside those of its parts, {name}.NAME; remove one or the others"
                )
        elif head == "faults" and member:
            reward, _, key = member.rpartition(".")
            if flat.get(f"faults.{reward}.code"):
                line.setdefault("faults", {}).setdefault(reward, {})[key] = value or ""
        elif head == "scores" and member:
            line.setdefault("scores", {}).update({member: _number(value, name)} if member in asked_names else {})
        elif head in _BY_REWARD and member:
            if value not in (None, ""):
                line.setdefault(head, {})[member] = _number(value, name) if head == "aspects" else _json(value, head)
        elif name.startswith(_KEPT):
            if value is not None and (value != "" or member in _TEXTS):
                line.setdefault("rollout", {})[member] = _json(value, member)
        else:
            line[name] = value if name in _TEXTS else _number(value, name) if name in _NUMBERS else _json(value, name)
    return line


def _others(text: Any) -> dict[str, Any]:
    if text in (None, ""):
        return {}
    try:
        late = json.loads(text)
    except (TypeError, ValueError, RecursionError):
        late = None
    if not isinstance(late, dict):
        raise ValueError(f"{_OTHERS}: {text!r:.60} is no JSON object")
    return late


def _number(value: Any, name: str) -> float | None:
    if value is None or value == "":
        return None
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError):
        raise ValueError(f"{name}: {value!r:.60} is no number") from None


def _json(value: Any, name: str) -> Any:
    """What a cell holds; a text that is no JSON is a text."""
    if not isinstance(value, str) or name in ("codes", "notes", "skips"):
        return value
    if not value.startswith(("{", "[", "true", "false")):
        return value
    try:
        decoded = json.loads(value)
    except (ValueError, RecursionError):
        return value
    # A text may look like JSON; a conversation is a list of messages.
    talks = isinstance(decoded, list) and all(isinstance(message, dict) and "role" in message for message in decoded)
    return value if name in _TEXTS and not (decoded and talks) else decoded
