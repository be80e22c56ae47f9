"""Recipes as TOML files: reading, and finding the line that an error is about."""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NoReturn, TypeVar

from trainer_client._errors import RecipeError
from trainer_client.recipe.record import Record
from trainer_client.recipe.rewards import DEFAULT_DEADLINE, Reward, Server
from trainer_client.recipe.schedules import Schedule, is_schedule, read_schedule

_T = TypeVar("_T")
_D = TypeVar("_D")
_COMPARISONS = {"at_least": ">=", "above": ">", "at_most": "<=", "below": "<"}


class RecipeText:
    """A recipe's text, read as far as it can be, with everything that is wrong with it.

    Args:
        text: TOML.
        path: the file that it comes from, for errors.

    Attributes:
        fields: what it says, by the names of a recipe's attributes; rewards and servers that cannot be used are left
            out.
        problems: what is wrong with it, in the order of the text.
    """

    def __init__(self, text: str, path: str | None = None) -> None:
        self._text = text
        self._path = path
        self.fields: dict[str, Any] = {}
        self.problems: list[RecipeError] = []
        try:
            table = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            at = re.search(r" \(at line (\d+), column \d+\)$", str(error))
            reason = str(error)[: at.start()] if at else str(error)
            line = int(at[1]) if at else text.count("\n") + 1
            self.problems = [RecipeError(f"not TOML: {reason}", "", line, path)]
            return
        found: list[RecipeError] = []
        self.fields = _fields(_Reader(table, found))
        self.problems = self.located(found)

    @classmethod
    def of_file(cls, path: str | os.PathLike[str]) -> RecipeText:
        """The text of a file.

        Raises:
            OSError: the file cannot be read.
        """
        with open(path, "rb") as file:
            content = file.read()
        try:
            return cls(content.decode("utf-8-sig"), os.fspath(path))
        except UnicodeDecodeError as error:
            line = content[: error.start].count(b"\n") + 1
            found = cls("", os.fspath(path))
            found.problems = [RecipeError(f"not UTF-8: {error.reason}", "", line, os.fspath(path))]
            return found

    def located(self, problems: Iterable[RecipeError]) -> list[RecipeError]:
        """Problems with the lines that they are about, in the order of the text."""
        flat = [one for problem in problems for one in problem.all]
        placed = [RecipeError(one.reason, one.key, line_of(self._text, one.key), self._path) for one in flat]
        return sorted(placed, key=lambda one: one.line or 0)

    def build(self, make: Callable[..., _T]) -> _T:
        """What ``make`` makes of its fields.

        Raises:
            RecipeError: everything that is wrong with it.
        """
        if not self.problems:
            try:
                return make(**self.fields)
            except RecipeError as error:
                self.problems = self.located([error])
        raise RecipeError.of_all(self.problems) from None


class _Reader:
    """A TOML table that is taken apart key by key; what is left at the end is unknown.

    What is wrong with a key is noted, and the key counts as absent.
    """

    def __init__(self, table: Mapping[str, Any], problems: list[RecipeError], place: str = "") -> None:
        self.table = dict(table)
        self.place = place
        self.known: list[str] = []
        self.problems = problems
        self._earlier = len(problems)

    @property
    def is_sound(self) -> bool:
        """Whether nothing of it was noted as wrong."""
        return len(self.problems) == self._earlier

    def at(self, key: str) -> str:
        return f"{self.place}.{key}" if self.place else key

    def below(self, key: str, value: Any) -> _Reader:
        """The table under a key."""
        return _Reader(_table(self, key, value), self.problems, self.at(key))

    def refuse(self, key: str, reason: str) -> NoReturn:
        raise RecipeError(reason, self.at(key))

    def take(self, key: str, default: _D, read: Callable[[_Reader, str, Any], _T]) -> _T | _D:
        self.known.append(key)
        if key not in self.table:
            return default
        try:
            return read(self, key, self.table.pop(key))
        except RecipeError as error:
            self.problems.append(error)
            return default

    def finish(self, *also: str) -> None:
        for key in self.table:
            from difflib import get_close_matches

            close = get_close_matches(key, [*self.known, *also], n=1, cutoff=0.5)
            hint = f"did you mean {close[0]}?" if close else f"known are {', '.join([*self.known, *also])}"
            self.problems.append(RecipeError(f"is not a key here; {hint}", self.at(key)))

    def made(self, make: Callable[..., _T], *args: Any, **fields: Any) -> _T | None:
        """What is made of its fields; None, and a note, where they do not fit or something of them was wrong."""
        if not self.is_sound:
            return None
        try:
            return make(*args, **fields)
        except RecipeError as error:
            self.problems.append(error)
            return None


def _fields(top: _Reader) -> dict[str, Any]:
    nothing: dict[str, Any] = {}
    rewards = top.take("rewards", nothing, _table)
    servers = top.take("servers", nothing, _table)
    name = top.take("name", "recipe", _text)
    advantage = top.take("advantage", "grpo", _advantage)
    inputs = top.take("inputs", nothing, _table)
    columns = top.take("columns", nothing, _columns)
    max_missing = top.take("max_missing", 0.2, _number)
    reasoning_marks = top.take("reasoning_marks", (), _pairs)
    follow_upgrades = top.take("follow_upgrades", False, _flag)
    details = top.take("details", True, _flag)
    record = top.take("record", None, _record)
    top.finish()
    return {
        "name": name,
        "rewards": _each(top, "rewards", rewards, _reward),
        "servers": _each(top, "servers", servers, _server),
        "advantage": advantage,
        "inputs": inputs,
        "file_columns": columns,
        "record": record,
        "max_missing": max_missing,
        "reasoning_marks": reasoning_marks,
        "follow_upgrades": follow_upgrades,
        "details": details,
    }


def _each(
    top: _Reader, section: str, tables: Mapping[str, Any], read: Callable[[str, _Reader], _T | None]
) -> tuple[_T, ...]:
    """What the tables of a section say, without those that cannot be used."""
    found = []
    for key, value in tables.items():
        if not isinstance(value, dict):
            reason = f"expected a table [{section}.{key}], found {_kind(value)}"
            top.problems.append(RecipeError(reason, f"{section}.{key}"))
            continue
        found.append(read(key, _Reader(value, top.problems, f"{section}.{key}")))
    return tuple(one for one in found if one is not None)


def _record(outer: _Reader, key: str, value: Any) -> Record | None:
    table = outer.below(key, value)
    record: dict[str, Any] = {
        "folder": table.take("folder", "", _text),
        "rollouts": table.take("rollouts", 256, _whole),
        "evidence": table.take("evidence", True, _flag),
        "max_bytes": table.take("max_bytes", 1 << 30, _whole),
    }
    table.finish()
    return table.made(Record, **record)


def _server(name: str, table: _Reader) -> Server | None:
    server: dict[str, Any] = {
        "verifiers": table.take("verifiers", (), _texts),
        "endpoints": table.take("endpoints", (), _texts),
        "config": table.take("config", None, _text),
        "replicas": table.take("replicas", 1, _whole),
    }
    table.finish()
    return table.made(Server, name, **server)


def _reward(name: str, table: _Reader) -> Reward | None:
    schedules: dict[str, Schedule] = {}
    reward: dict[str, Any] = {
        "verifier": table.take("verifier", "", _text),
        "tasks": table.take("tasks", None, _texts),
        "options": table.take("options", {}, _options(schedules)),
        "aspect": table.take("aspect", "", _text),
        "weight": table.take("weight", 1.0, _following(schedules, "weight")),
        "required": table.take("required", True, _flag),
        "gate": table.take("gate", None, _gate_of(schedules)),
        "deadline": table.take("deadline", DEFAULT_DEADLINE, _number),
        "cpu_limit": table.take("cpu_limit", None, _number),
        "on_missing": table.take("on_missing", {}, _on_missing),
    }
    table.finish()
    if table.is_sound and not reward["verifier"]:
        reason = 'is missing; name the verifier, such as verifier = "math"'
        table.problems.append(RecipeError(reason, table.at("verifier")))
    return table.made(Reward, name, **reward, schedules=schedules)


def _following(schedules: dict[str, Schedule], place: str) -> Callable[[_Reader, str, Any], float]:
    """Reads a number, or one that follows the step; of that the value at step 0, with the rest noted at its place."""

    def read(outer: _Reader, key: str, value: Any) -> float:
        if not isinstance(value, dict):
            return _number(outer, key, value)
        try:
            schedules[place] = read_schedule(value)
        except RecipeError as error:
            outer.refuse(key, error.reason)
        return float(schedules[place].at(0))

    return read


def _options(schedules: dict[str, Schedule]) -> Callable[[_Reader, str, Any], dict[str, Any]]:
    def read(outer: _Reader, key: str, value: Any) -> dict[str, Any]:
        options = dict(_table(outer, key, value))
        for name, one in options.items():
            if is_schedule(one):
                _following(schedules, f"options.{name}")(outer, f"{key}.{name}", one)
                options[name] = schedules[f"options.{name}"].at(0)
        return options

    return read


def _gate_of(schedules: dict[str, Schedule]) -> Callable[[_Reader, str, Any], Any]:
    def read(outer: _Reader, key: str, value: Any) -> Any:
        from trainer_client.signals import Gate, SignalError

        table = outer.below(key, value)
        threshold = _following(schedules, "gate.threshold")
        chosen = {name: table.take(name, None, threshold) for name in _COMPARISONS}
        closed = table.take("closed", 0.0, _following(schedules, "gate.closed"))
        table.finish()
        given = {name: at for name, at in chosen.items() if at is not None}
        if not table.is_sound:
            return None
        if len(given) != 1:
            outer.refuse(key, f"needs exactly one of {', '.join(_COMPARISONS)}, such as gate = {{ at_least = 1.0 }}")
        ((name, at),) = given.items()
        try:
            return Gate(at, _COMPARISONS[name], closed)  # type: ignore[arg-type]
        except SignalError as error:
            outer.refuse(key, str(error).removeprefix("gate: "))

    return read


def _on_missing(outer: _Reader, key: str, value: Any) -> Any:
    if isinstance(value, str):
        return {"default": value}
    table = _table(outer, key, value)
    for code, action in table.items():
        _text(outer, f"{key}.{code}", action)
    return table


def _advantage(outer: _Reader, key: str, value: Any) -> Any:
    stages = value if isinstance(value, list) else [value]
    for stage in stages:
        if not isinstance(stage, str | dict):
            outer.refuse(key, f'expected "name" or {{ name = "...", options }}, found {_kind(stage)}')
    return None if value == "none" else value


def _table(reader: _Reader, key: str, value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        reader.refuse(key, f"expected a table, found {_kind(value)}")
    return value


def _columns(reader: _Reader, key: str, value: Any) -> dict[str, str]:
    """Column by field; ``reference = { answer = "gold" }`` and ``reference.answer = "gold"`` say the same."""
    columns: dict[str, str] = {}
    for name, column in _table(reader, key, value).items():
        inner = column if isinstance(column, dict) else {"": column}
        for below, one in inner.items():
            place = f"{name}.{below}" if below else name
            columns[place] = _text(reader, f"{key}.{place}", one)
    return columns


def _text(reader: _Reader, key: str, value: Any) -> str:
    if not isinstance(value, str):
        reader.refuse(key, f"expected text in quotes, found {_kind(value)}")
    return value


def _texts(reader: _Reader, key: str, value: Any) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(entry, str) for entry in value):
        reader.refuse(key, f'expected a list of texts such as ["a", "b"], found {_kind(value)}')
    return tuple(value)


def _pairs(reader: _Reader, key: str, value: Any) -> tuple[tuple[str, str], ...]:
    pairs = value if isinstance(value, list) else [value]
    for pair in pairs:
        if not isinstance(pair, list) or len(pair) != 2 or not all(isinstance(mark, str) for mark in pair):
            reader.refuse(key, f'expected a list of pairs such as [["<plan>", "</plan>"]], found {_kind(value)}')
    return tuple((opening, closing) for opening, closing in pairs)


def _flag(reader: _Reader, key: str, value: Any) -> bool:
    if not isinstance(value, bool):
        reader.refuse(key, f"expected true or false, found {_kind(value)}")
    return value


def _whole(reader: _Reader, key: str, value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        reader.refuse(key, f"expected a whole number, found {_kind(value)}")
    return value


def _number(reader: _Reader, key: str, value: Any) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool):
        reader.refuse(key, f"expected a number, found {_kind(value)}")
    return float(value)


def _kind(value: Any) -> str:
    names = {str: "text", bool: "true or false", int: "a number", float: "a number", list: "a list", dict: "a table"}
    return f"{names.get(type(value), type(value).__name__)} ({value!r})"


_HEADER = re.compile(r"\s*\[\[?\s*([^\]]+?)\s*\]\]?\s*(?:#.*)?$")
_KEY = re.compile(r"""\s*((?:[\w-]+|"[^"]*"|'[^']*')(?:\s*\.\s*(?:[\w-]+|"[^"]*"|'[^']*'))*)\s*=""")
_KEY_PART = re.compile(r"""[\w-]+|"[^"]*"|'[^']*'""")


def line_of(text: str, key: str) -> int:
    """Line of a dotted key, or of the nearest enclosing table that the text names; 1 when there is none.

    ``tomllib`` gives no positions, so the text is scanned for table headers and keys.
    """
    lines: dict[str, int] = {}
    table = ""
    fence = ""
    for number, line in enumerate(text.splitlines(), 1):
        if fence:
            fence = "" if fence in line else fence
            continue
        header, assignment = _HEADER.match(line), _KEY.match(line)
        if header and not assignment:
            table = _joined(header[1])
            lines.setdefault(table, number)
        elif assignment:
            lines.setdefault(f"{table}.{_joined(assignment[1])}".lstrip("."), number)
        for mark in ('"""', "'''"):
            if line.count(mark) % 2:
                fence = mark
    while key:
        if key in lines:
            return lines[key]
        below = [number for name, number in lines.items() if name.startswith(f"{key}.")]
        if below:
            return min(below)
        key = key.rpartition(".")[0]
    return 1


def _joined(dotted: str) -> str:
    return ".".join(part.strip("\"'") for part in _KEY_PART.findall(dotted))
