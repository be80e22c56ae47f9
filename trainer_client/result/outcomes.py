"""`OutcomeStore`: the cells of a score table while they are filled.

A cell is one reward of one rollout. It is settled once; whatever arrives for it later is ignored, so that a retry
can never count twice. Columns are flat standard-library arrays: one item assignment costs some 40 ns, and numpy
views them without a copy.
"""

from __future__ import annotations

import enum
from array import array
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from trainer_client.contract.aspect_names import AspectNames, Renumbering
from trainer_client.result.verifiers import VerifierId


class Outcome(enum.IntEnum):
    """What became of a cell."""

    NOT_ASKED = 0
    """The recipe does not ask this of the rollout."""
    VERDICT = 1
    """A judgement: the cell has a score."""
    FAULT = 2
    """No judgement could be made."""
    SKIP = 3
    """Not judged on purpose."""
    PENDING = 4
    """Not settled yet. No cell of a finished table is."""


class Party(enum.IntEnum):
    """Whose failure a fault is."""

    NONE = 0
    DATASET = 1
    SERVICE = 2
    UPSTREAM = 3
    CALLER = 4


class ModelUsage(NamedTuple):
    """What models did for some cells: calls, tokens read and written, and the price by the servers' operators."""

    upstream_calls: int
    input_tokens: int
    output_tokens: int
    cost: float


class ClientOutcome(NamedTuple):
    """A fault or skip that the client states itself, or that it could not get past."""

    outcome: Outcome
    code: str
    party: Party = Party.NONE
    message: str = ""
    retryable: bool = False
    retry_after: float | None = None


class Cells(NamedTuple):
    """Cells as arrays ``[rows, columns]``: `Outcome`, score, position in the names of codes."""

    state: NDArray[np.uint8]
    scores: NDArray[np.float64]
    codes: NDArray[np.int32]


DEADLINE = ClientOutcome(Outcome.SKIP, "deadline", message="the reward's deadline passed")


class OutcomeStore:
    """Cells of ``rows`` rollouts and ``width`` rewards, row by row.

    Attributes:
        state: `Outcome` of each cell.
        scores: score of each verdict; NaN elsewhere.
        codes: position in ``code_names``.
        parties: `Party` of each fault.
        sources: what the cell was settled with, for reading the rest of it later.
        places: position of the cell in its source, where that has many.
        code_names: names of the codes.
        left: cells of each row that are not settled.
        versions: for each column the verifiers that answered, by digest.
        aspects: for each column the names by which its sources number aspects, whichever version answered.
        on_rows: called with the rows that have just become complete.
        on_settled: called with them before that, to make columns of what others hold.
    """

    __slots__ = (
        "aspects",
        "code_names",
        "codes",
        "left",
        "numbers",
        "on_rows",
        "on_settled",
        "parties",
        "places",
        "rows",
        "scores",
        "sources",
        "state",
        "versions",
        "width",
    )  # fmt: skip

    def __init__(self, rows: int, width: int, on_rows: Callable[[list[int]], None] | None = None) -> None:
        cells = rows * width
        self.rows = rows
        self.width = width
        self.state = bytearray(cells)
        self.scores = array("d", [float("nan")]) * cells
        self.codes = array("i", [0]) * cells
        self.parties = bytearray(cells)
        self.sources: list[Any] = [None] * cells
        self.places = array("i", [0]) * cells
        self.code_names = ["not_asked"]
        self.numbers = {"not_asked": 0}
        self.left = array("i", [0]) * rows
        self.versions: list[dict[str, VerifierId]] = [{} for _ in range(width)]
        self.aspects = [AspectNames() for _ in range(width)]
        self.on_rows = on_rows
        self.on_settled: Callable[[list[int]], None] | None = None

    def __getstate__(self) -> dict[str, Any]:
        state = {name: getattr(self, name) for name in self.__slots__}
        from trainer_client.result.sources import packed

        return {
            **state,
            "sources": packed(self.sources),
            "on_rows": None,
            "on_settled": None,
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        for name, value in state.items():
            setattr(self, name, value)
        from trainer_client.result.sources import unpacked

        self.sources = unpacked(self.sources)

    def ask(self, rows: Sequence[int], column: int) -> None:
        """Mark cells as asked for."""
        if len(rows) == self.rows:
            self.state[column :: self.width] = bytes([Outcome.PENDING]) * self.rows
            self.left = array("i", [left + 1 for left in self.left])
            return
        for row in rows:
            self.state[row * self.width + column] = Outcome.PENDING
            self.left[row] += 1

    def is_open(self, row: int, column: int) -> bool:
        """Whether a cell waits for its outcome."""
        return self.state[row * self.width + column] == Outcome.PENDING

    def number_of(self, code: str) -> int:
        """Position of a code in ``code_names``, which grows as codes are met."""
        number = self.numbers.get(code)
        if number is None:
            number = self.numbers[code] = len(self.code_names)
            self.code_names.append(code)
        return number

    def settle(self, cells: Iterable[tuple[int, int]], outcome: ClientOutcome, source: object = None) -> None:
        """Give open cells ``(row, column)`` an outcome without a score.

        Args:
            cells: those cells; what is settled already stays as it is.
            outcome: what became of them.
            source: the message that says so, for reading the rest of it later.
        """
        number = self.number_of(outcome.code)
        complete = []
        for row, column in cells:
            cell = row * self.width + column
            if self.state[cell] != Outcome.PENDING:
                continue
            self.state[cell] = outcome.outcome
            self.codes[cell] = number
            self.parties[cell] = outcome.party
            self.sources[cell] = outcome if source is None else source
            self.left[row] -= 1
            if not self.left[row]:
                complete.append(row)
        self.announce(complete)

    def settle_rest(self, outcome: ClientOutcome) -> int:
        """Give every cell that is still open an outcome; how many there were."""
        if self.state.find(Outcome.PENDING) < 0:
            return 0
        left = [divmod(cell, self.width) for cell, state in enumerate(self.state) if state == Outcome.PENDING]
        self.settle(left, outcome)
        return len(left)

    def announce(self, rows: list[int]) -> None:
        """Tell the listener that rows are complete."""
        if rows and self.on_settled is not None:
            self.on_settled(rows)
        if rows and self.on_rows is not None:
            self.on_rows(rows)

    def view(self, rows: Sequence[int]) -> Cells:
        """Scores and outcomes of some rows as arrays."""
        shape = (self.rows, self.width)
        return Cells(
            np.frombuffer(self.state, np.uint8).reshape(shape)[rows],
            np.frombuffer(self.scores, np.float64).reshape(shape)[rows],
            np.frombuffer(self.codes, np.int32).reshape(shape)[rows],
        )

    def take(self, rows: Sequence[int]) -> OutcomeStore:
        """The cells of some rows."""
        width = self.width
        part = OutcomeStore(0, width)
        part.rows = len(rows)
        part.code_names, part.numbers = self.code_names, self.numbers
        part.versions, part.aspects = self.versions, self.aspects
        for row in rows:
            cells = slice(row * width, (row + 1) * width)
            part.state += self.state[cells]
            part.scores += self.scores[cells]
            part.codes += self.codes[cells]
            part.parties += self.parties[cells]
            part.sources += self.sources[cells]
            part.places += self.places[cells]
            part.left.append(self.left[row])
        return part

    def shed(self) -> None:
        """Forget evidence, feedback, notes and steps of settled cells."""
        from trainer_client.result.sources import lean

        self.sources = lean(self.sources)

    @classmethod
    def joined(cls, stores: Sequence[OutcomeStore]) -> OutcomeStore:
        """The cells of several settled stores of equal width, one below the other."""
        joined = cls(0, stores[0].width)
        versions: list[dict[str, VerifierId]] = joined.versions
        headers: dict[tuple[int, int], Renumbering] = {}
        for store in stores:
            joined.rows += store.rows
            joined.state += store.state
            joined.scores += store.scores
            renumbered = [joined.number_of(code) for code in store.code_names]
            joined.codes.extend(renumbered[number] for number in store.codes)
            joined.parties += store.parties
            joined.sources += joined._renumbered(store, headers)
            joined.places += store.places
            joined.left += store.left
            for identities, more in zip(versions, store.versions, strict=True):
                identities.update(more)
        return joined

    def _renumbered(self, store: OutcomeStore, headers: dict[tuple[int, int], Renumbering]) -> list[Any]:
        """Another store's sources, with aspects numbered as here.

        Args:
            store: the store.
            headers: what its numbers are here, by column and names; it is added to.
        """
        column_headers = []
        for column, names in enumerate(store.aspects):
            at = column, id(names)
            if at not in headers:
                headers[at] = Renumbering(names.names, self.aspects[column])
            column_headers.append(headers[at])
        if not any(header.changes for header in column_headers):
            return store.sources
        # Here, for it brings protobuf along, which is loaded with the first client alone.
        from trainer_client.result.sources import renumbered

        return [renumbered(source, column_headers[cell % self.width]) for cell, source in enumerate(store.sources)]
