"""What is kept of every row: numbers, in columns that grow, so that a million rows stay small."""

from __future__ import annotations

import re
from array import array
from collections import Counter

import numpy as np
from numpy.typing import NDArray

from reward_servers.labels import Match, compare
from reward_servers.reporting._entry import Cell, Entry
from trainer_client._printable import printable

FloatArray = NDArray[np.float64]
_COLUMNS = 64
_ADDRESSES = re.compile(
    r"(?i)\b(?:ignore|disregard|forget)\b.{0,40}\b(?:instructions?|criteria|rubric|above|previous)\b"
    r"|\b(?:as|dear|note to)\b.{0,20}\b(?:grader|judge|evaluator|verifier)\b"
    r"|\b(?:give|assign|award|deserves?)\b.{0,30}\b(?:full (?:marks|score|credit)|(?:a )?(?:score|grade|rating) of)\b"
)
_READ = 20_000

HIDDEN, ADDRESSES, CUT = 1, 2, 4
"""Signs in a text: characters that are not seen, words to the judge, an end that was cut off."""


class Numbers:
    """Columns of numbers, one entry for each row.

    Attributes:
        rows: How many rows there are.
        group_ids: Ids of the groups, by number.
        names: Names of the rewards, in the order in which they appear.
        codes: Outcomes of each reward by ``kind code``.
        parties: Faults by party.
        texts: How many rows have a response.
    """

    def __init__(self) -> None:
        self.rows = 0
        self.group_ids: dict[str, int] = {}
        self.names: dict[str, int] = {}
        self.codes: list[Counter[str]] = []
        self.parties: Counter[str] = Counter()
        self.texts = 0
        self._group = array("i")
        self._reward = array("d")
        self._advantage = array("d")
        self._length = array("d")
        self._confidence = array("d")
        self._signs = bytearray()
        self._missing = bytearray()
        self._dropped = bytearray()
        self._against = bytearray()
        self._answer = array("q")
        self._scores: list[array[float]] = []
        self._seconds: list[array[float]] = []

    def add(self, entry: Entry) -> None:
        """Count a row."""
        nan = float("nan")
        self._group.append(self.group_ids.setdefault(entry.group_id, len(self.group_ids)))
        self._reward.append(nan if entry.reward is None else entry.reward)
        self._advantage.append(nan if entry.advantage is None else entry.advantage)
        self._length.append(nan if entry.response is None else len(entry.response))
        self._confidence.append(nan if entry.confidence is None else entry.confidence)
        self._signs.append(_signs(entry))
        self._missing.append(entry.missing)
        self._dropped.append(not entry.keep)
        self._against.append(_is_against(entry))
        answer = next((cell.answer for cell in entry.cells.values() if cell.answer), "")
        self._answer.append(hash(answer) if answer else 0)
        self.texts += entry.response is not None
        for name, cell in entry.cells.items():
            self._take(name, cell)
        self.rows += 1
        for column in (*self._scores, *self._seconds):
            if len(column) < self.rows:
                column.append(nan)

    def _take(self, name: str, cell: Cell) -> None:
        if name not in self.names:
            if len(self.names) == _COLUMNS:
                return
            self.names[name] = len(self.names)
            self.codes.append(Counter())
            self._scores.append(array("d", [float("nan")]) * self.rows)
            self._seconds.append(array("d", [float("nan")]) * self.rows)
        place = self.names[name]
        self.codes[place][f"{cell.kind} {cell.code}"] += 1
        if cell.kind == "fault":
            self.parties[cell.party or "unknown"] += 1
        self._scores[place].append(float("nan") if cell.score is None else cell.score)
        self._seconds[place].append(float("nan") if cell.seconds is None else cell.seconds)

    @property
    def groups(self) -> NDArray[np.int32]:
        """``[N]`` number of each row's group."""
        return np.frombuffer(self._group, np.int32)

    @property
    def rewards(self) -> FloatArray:
        """``[N]`` combined rewards; NaN for one that is masked."""
        return np.frombuffer(self._reward, np.float64)

    @property
    def advantages(self) -> FloatArray:
        """``[N]`` advantages; NaN where there is none."""
        return np.frombuffer(self._advantage, np.float64)

    @property
    def lengths(self) -> FloatArray:
        """``[N]`` characters of the responses; NaN where the rows do not have them."""
        return np.frombuffer(self._length, np.float64)

    @property
    def confidences(self) -> FloatArray:
        """``[N]`` how sure the policy said it was; NaN where it did not."""
        return np.frombuffer(self._confidence, np.float64)

    @property
    def signs(self) -> NDArray[np.uint8]:
        """``[N]`` what is odd about the texts, as bits: `HIDDEN`, `ADDRESSES`, `CUT`."""
        return np.frombuffer(self._signs, np.uint8)

    @property
    def answers(self) -> NDArray[np.int64]:
        """``[N]`` hash of the answer that was extracted; 0 where there is none."""
        return np.frombuffer(self._answer, np.int64)

    @property
    def missing(self) -> NDArray[np.bool_]:
        """``[N]`` rows with a score that is not there."""
        return np.frombuffer(self._missing, np.uint8) > 0

    @property
    def dropped(self) -> NDArray[np.bool_]:
        """``[N]`` rows that the recipe's filters do not keep."""
        return np.frombuffer(self._dropped, np.uint8) > 0

    @property
    def against(self) -> NDArray[np.bool_]:
        """``[N]`` rows with a score that contradicts its label."""
        return np.frombuffer(self._against, np.uint8) > 0

    @property
    def scores(self) -> FloatArray:
        """``[N, R]`` scores; NaN where there is none."""
        return _matrix(self._scores, self.rows)

    @property
    def seconds(self) -> FloatArray:
        """``[N, R]`` run times; NaN where the rows do not have them."""
        return _matrix(self._seconds, self.rows)

    def outcome(self) -> FloatArray:
        """``[N]`` the combined reward, or the first reward's score where no row has one."""
        if np.isnan(self.rewards).all() and self.names:
            return self.scores[:, 0]
        return self.rewards


def _matrix(columns: list[array[float]], rows: int) -> FloatArray:
    if not columns:
        return np.zeros((rows, 0))
    return np.stack([np.frombuffer(column, np.float64) for column in columns], axis=1)


def _signs(entry: Entry) -> int:
    if entry.response is None:
        return 0
    text = entry.response[:_READ]
    hidden = HIDDEN if printable(text) != text else 0
    addresses = ADDRESSES if _ADDRESSES.search(text) else 0
    return hidden | addresses | (CUT if entry.finish_reason == "length" else 0)


def _is_against(entry: Entry) -> bool:
    for place, (name, cell) in enumerate(entry.cells.items()):
        label = entry.labels.get(name, entry.labels.get("") if not place else None)
        if label is not None and cell.score is not None and compare(cell.score, label) is not Match.AGREE:
            return True
    return False
