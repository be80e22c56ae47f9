"""What a step is, and how it is run over rows."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from pydantic import Field

from reward_servers import Options

Table: TypeAlias = Mapping[str, Any]


class RowError(Exception):
    """A row that a step cannot use: the message names the column and the remedy."""


class StepOptions(Options):
    """What every step may be told."""

    seed: int = Field(0, description="Of what is drawn; a row's own draws follow from it and from the row.")


class RejectedRow(NamedTuple):
    """A row that was left out.

    Attributes:
        number: Its number in the file, from 1.
        reason: Why.
    """

    number: int
    reason: str


Function: TypeAlias = Callable[..., Iterable[dict[str, Any] | RejectedRow]]


@dataclass(frozen=True, slots=True)
class DataStep:
    """One step.

    Attributes:
        name: What the command line calls it.
        summary: One line.
        options: Its options.
        function: ``(row, options, draws)`` gives the rows that one row becomes; of a step that is ``gathered``,
            ``(rows, options)`` those that all rows become.
        gathered: Whether it needs all rows at once.
    """

    name: str
    summary: str
    options: type[StepOptions]
    function: Function
    gathered: bool = False


STEPS: dict[str, DataStep] = {}
"""The steps by name."""


def step(name: str, options: type[StepOptions], *, gathered: bool = False) -> Callable[[Function], Function]:
    """Make a function a step; the first line of its docstring is its summary."""

    def register(function: Function) -> Function:
        summary = (function.__doc__ or "").strip().partition("\n")[0]
        STEPS[name] = DataStep(name, summary, options, function, gathered)
        return function

    return register


def prepared(
    chosen: DataStep, rows: Iterable[tuple[int, Table]], options: StepOptions
) -> Iterator[dict[str, Any] | RejectedRow]:
    """The rows that a step makes, and those of the input that it cannot use.

    Args:
        chosen: The step.
        rows: Number and columns of each row.
        options: Its options.
    """
    if chosen.gathered:
        rows_left: list[tuple[int, Table]] = list(rows)
        yield from chosen.function(rows_left, options)
        return
    for number, row in rows:
        try:
            new_rows = list(chosen.function(row, options, _draws(row, options.seed)))
        except RowError as error:
            yield RejectedRow(number, str(error))
        else:
            yield from new_rows


def text_of(row: Table, column: str) -> str:
    """A column that holds text.

    Raises:
        RowError: It does not.
    """
    value = row.get(column)
    if not isinstance(value, str) or not value:
        raise RowError(f"{column}: expected a text, found {_clipped(value)}")
    return value


def row_name(row: Table) -> str:
    """What a row is called: its `rollout_id`, else its `id` or `group_id`, else a digest of it."""
    for column in ("rollout_id", "id", "group_id"):
        if row.get(column) not in (None, ""):
            return str(row[column])
    return hashlib.blake2b(_canonical(row), digest_size=6).hexdigest()


def _draws(row: Table, seed: int) -> np.random.Generator:
    """Draws of a row, which do not depend on the rows before it."""
    digest = hashlib.blake2b(_canonical(row), digest_size=8).digest()
    return np.random.default_rng([seed, int.from_bytes(digest, "little")])


def _canonical(row: Table) -> bytes:
    return json.dumps(row, sort_keys=True, default=str).encode("utf-8", "surrogatepass")


def _clipped(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
