"""Recipes as TOML files: reading, and finding the line that an error is about."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

from trainer_client._errors import RecipeError
from trainer_client._toml import TomlError, read_toml
from trainer_client.recipe.client_options import read_client_options, read_tls
from trainer_client.recipe.reader import Reader, flag_of, kind_of, number_of, table_of, text_of, texts_of, whole_of
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
            table = read_toml(text)
        except TomlError as error:
            line = error.line if error.line is not None else line_of(text, error.key)
            self.problems = [RecipeError(error.reason, error.key, line, path)]
            return
        problems: list[RecipeError] = []
        self.fields = _fields(Reader(table, problems))
        if path is not None:
            folder = os.path.dirname(os.path.abspath(path))
            self.fields["servers"] = tuple(server.within(folder) for server in self.fields["servers"])
            if self.fields["client"] is not None:
                self.fields["client"] = self.fields["client"].within(folder)
        self.problems = self.located(problems)

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
            document = cls("", os.fspath(path))
            document.problems = [RecipeError(f"not UTF-8: {error.reason}", "", line, os.fspath(path))]
            return document

    def located(self, problems: Iterable[RecipeError]) -> list[RecipeError]:
        """Problems with the lines that they are about, in the order of the text."""
        flat = [error for problem in problems for error in problem.all]
        placed = [RecipeError(error.reason, error.key, line_of(self._text, error.key), self._path) for error in flat]
        return sorted(placed, key=lambda error: error.line or 0)

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


def _fields(top: Reader) -> dict[str, Any]:
    empty: dict[str, Any] = {}
    rewards = top.take("rewards", empty, table_of)
    servers = top.take("servers", empty, table_of)
    name = top.take("name", "recipe", text_of)
    advantage = top.take("advantage", "grpo", _advantage)
    inputs = top.take("inputs", empty, table_of)
    columns = top.take("columns", empty, _columns)
    max_missing = top.take("max_missing", 0.2, number_of)
    reasoning_marks = top.take("reasoning_marks", (), _pairs)
    follow_upgrades = top.take("follow_upgrades", False, flag_of)
    details = top.take("details", True, flag_of)
    record = top.take("record", None, _record)
    client_options = top.take("client", None, read_client_options)
    top.finish(elsewhere=dict.fromkeys(("tls", "token", "pin", "retries", "batching"), _ASKED))
    return {
        "name": name,
        "rewards": _each(top, "rewards", rewards, _reward),
        "servers": _each(top, "servers", servers, _server),
        "advantage": advantage,
        "inputs": inputs,
        "file_columns": columns,
        "record": record,
        "client": client_options,
        "max_missing": max_missing,
        "reasoning_marks": reasoning_marks,
        "follow_upgrades": follow_upgrades,
        "details": details,
    }


def _each(
    top: Reader, section: str, tables: Mapping[str, Any], read: Callable[[str, Reader], _T | None]
) -> tuple[_T, ...]:
    """What the tables of a section say, without those that cannot be used."""
    items = []
    for key, value in tables.items():
        if not isinstance(value, dict):
            reason = f"expected a table [{section}.{key}], found {kind_of(value)}"
            top.problems.append(RecipeError(reason, f"{section}.{key}"))
            continue
        items.append(read(key, Reader(value, top.problems, f"{section}.{key}")))
    return tuple(item for item in items if item is not None)


def _record(outer: Reader, key: str, value: Any) -> Record | None:
    table = outer.below(key, value)
    record: dict[str, Any] = {
        "folder": table.take("folder", "", text_of),
        "rollouts": table.take("rollouts", 256, whole_of),
        "evidence": table.take("evidence", True, flag_of),
        "max_bytes": table.take("max_bytes", 1 << 30, whole_of),
    }
    table.finish()
    return table.made(Record, **record)


def _server(name: str, table: Reader) -> Server | None:
    if table.table.get("endpoints"):
        for key in {"config", "replicas", "env", "workers"} & table.table.keys():
            reason = "is for a server that is started, but this one already runs at its endpoints; remove one"
            table.problems.append(RecipeError(reason, table.at(key)))
    server: dict[str, Any] = {
        "verifiers": table.take("verifiers", (), texts_of),
        "endpoints": table.take("endpoints", (), texts_of),
        "config": table.take("config", None, text_of),
        "replicas": table.take("replicas", 1, whole_of),
        "env": table.take("env", {}, _variables),
        "workers": table.take("workers", None, whole_of),
        "tls": table.take("tls", None, read_tls),
        "token": table.take("token", None, text_of),
    }
    table.finish(elsewhere=_OF_SERVERS)
    return table.made(Server, name, **server)


def _variables(outer: Reader, key: str, value: Any) -> dict[str, str]:
    texts = table_of(outer, key, value)
    return {name: text_of(outer, f"{key}.{name}", text) for name, text in texts.items()}


_ASKED = "how servers are asked, TLS and token included, is said under [client]"
_FILES = "files for an encrypted connection are said by tls = { ca, cert, key }"
_STARTED = 'a server that is started has it from its settings file; name that: config = "FILE"'
_OF_SERVERS = {
    **dict.fromkeys(("pin", "retries", "batching", "deadline", "deadline_s"), _ASKED),
    **dict.fromkeys(("ca", "cert", "key"), _FILES),
    **dict.fromkeys(("host", "port", "limits", "item_limits", "settings", "device"), _STARTED),
    **dict.fromkeys(
        ("gpu", "gpus", "cuda", "devices"), 'say which devices it sees: env = { CUDA_VISIBLE_DEVICES = "0" }'
    ),
    **dict.fromkeys(
        ("cpu", "cpus", "memory", "resources"),
        f"bounds of an item are [item_limits.VERIFIER], processes are workers = N here: {_STARTED}",
    ),
    **dict.fromkeys(("address", "addresses", "url"), 'where it runs is said by endpoints = ["HOST:PORT"]'),
}
_OF_REWARDS = {
    "version": 'it is part of the verifier: verifier = "NAME@VERSION"',
    "timeout": "did you mean deadline_s?",
    **dict.fromkeys(("cpu", "cpu_limit"), "did you mean max_cpu_s?"),
    **dict.fromkeys(("server", "endpoint", "endpoints"), "where it runs is said by [servers.NAME] verifiers = [...]"),
    **dict.fromkeys(("settings", "config"), 'settings are the server\'s: [servers.NAME] config = "FILE"'),
}


def _reward(name: str, table: Reader) -> Reward | None:
    schedules: dict[str, Schedule] = {}
    reward: dict[str, Any] = {
        "verifier": table.take("verifier", "", text_of),
        "tasks": table.take("tasks", None, texts_of),
        "options": table.take("options", {}, _options(schedules)),
        "aspect": table.take("aspect", "", text_of),
        "weighed": "weight" in table.table,
        "weight": table.take("weight", 1.0, _following(schedules, "weight")),
        "required": table.take("required", True, flag_of),
        "gate": table.take("gate", None, _gate_of(schedules)),
        "deadline_s": table.take("deadline_s", DEFAULT_DEADLINE, number_of),
        "max_cpu_s": table.take("max_cpu_s", None, number_of),
        "on_missing": table.take("on_missing", {}, _on_missing),
    }
    table.finish(elsewhere=_OF_REWARDS)
    if table.is_sound and not reward["verifier"]:
        reason = 'is missing; name the verifier, such as verifier = "math"'
        table.problems.append(RecipeError(reason, table.at("verifier")))
    return table.made(Reward, name, **reward, schedules=schedules)


def _following(schedules: dict[str, Schedule], place: str) -> Callable[[Reader, str, Any], float]:
    """Make a reader of a number, or of one that follows the step: its value at step 0, the rest noted at its place."""

    def read(outer: Reader, key: str, value: Any) -> float:
        if not isinstance(value, dict):
            return number_of(outer, key, value)
        try:
            schedules[place] = read_schedule(value)
        except RecipeError as error:
            outer.refuse(key, error.reason)
        return float(schedules[place].at(0))

    return read


def _options(schedules: dict[str, Schedule]) -> Callable[[Reader, str, Any], dict[str, Any]]:
    def read(outer: Reader, key: str, value: Any) -> dict[str, Any]:
        options = dict(table_of(outer, key, value))
        for name, option in options.items():
            if is_schedule(option):
                _following(schedules, f"options.{name}")(outer, f"{key}.{name}", option)
                options[name] = schedules[f"options.{name}"].at(0)
        return options

    return read


def _gate_of(schedules: dict[str, Schedule]) -> Callable[[Reader, str, Any], Any]:
    def read(outer: Reader, key: str, value: Any) -> Any:
        from trainer_client.signals import Gate, SignalError

        table = outer.below(key, value)
        threshold = _following(schedules, "gate.threshold")
        chosen = {name: table.take(name, None, threshold) for name in _COMPARISONS}
        closed = table.take("closed", 0.0, _following(schedules, "gate.closed"))
        table.finish()
        bounds = {name: at for name, at in chosen.items() if at is not None}
        if not table.is_sound:
            return None
        if len(bounds) != 1:
            outer.refuse(key, f"needs exactly one of {', '.join(_COMPARISONS)}, such as gate = {{ at_least = 1.0 }}")
        ((name, at),) = bounds.items()
        try:
            return Gate(at, _COMPARISONS[name], closed)  # type: ignore[arg-type]
        except SignalError as error:
            outer.refuse(key, str(error).removeprefix("gate: "))

    return read


def _on_missing(outer: Reader, key: str, value: Any) -> Any:
    if isinstance(value, str):
        return {"default": value}
    table = table_of(outer, key, value)
    for code, action in table.items():
        text_of(outer, f"{key}.{code}", action)
    return table


def _advantage(outer: Reader, key: str, value: Any) -> Any:
    stages = value if isinstance(value, list) else [value]
    for stage in stages:
        if not isinstance(stage, str | dict):
            outer.refuse(key, f'expected "name" or {{ name = "...", options }}, found {kind_of(stage)}')
    return None if value == "none" else value


def _columns(reader: Reader, key: str, value: Any) -> dict[str, str]:
    """Column by field; ``reference = { answer = "gold" }`` and ``reference.answer = "gold"`` say the same."""
    columns: dict[str, str] = {}
    for name, column in table_of(reader, key, value).items():
        inner = column if isinstance(column, dict) else {"": column}
        for below, source in inner.items():
            place = f"{name}.{below}" if below else name
            columns[place] = text_of(reader, f"{key}.{place}", source)
    return columns


def _pairs(reader: Reader, key: str, value: Any) -> tuple[tuple[str, str], ...]:
    pairs = value if isinstance(value, list) else [value]
    for pair in pairs:
        if not isinstance(pair, list) or len(pair) != 2 or not all(isinstance(mark, str) for mark in pair):
            reader.refuse(key, f'expected a list of pairs such as [["<plan>", "</plan>"]], found {kind_of(value)}')
    return tuple((opening, closing) for opening, closing in pairs)


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
