"""Columns that are read from verdicts which other columns hold, or from a part of them: see `Recipe.readings`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from trainer_client.contract.aspect_names import name_of
from trainer_client.contract.v1 import reward_service_pb2 as service
from trainer_client.contract.v1 import types_pb2 as types
from trainer_client.recipe.rewards import Reading
from trainer_client.result.outcomes import ClientOutcome, Outcome, OutcomeStore, Party

NO_ASPECT = "no_aspect"
"""Code of a verdict that has no such part and is no floor."""


class Readings:
    """Fills such columns when their rows are complete.

    A verdict at its verifier's floor, of a response that gave nothing to judge or exceeded a bound, may lack parts, and
    then counts as the floor: what the candidate did is no reason for a missing score.

    Args:
        readings: the columns.
        store: where they are.
        floors: floor of each column's verifier, as far as a server has told it; those of these columns are added.
    """

    def __init__(self, readings: Sequence[Reading], store: OutcomeStore, floors: dict[int, float]) -> None:
        self._readings = readings
        self._store = store
        self._floors = floors
        store.on_settled = self.fill

    def fill(self, rows: Sequence[int]) -> None:
        """Fill the columns of some rows."""
        store, width = self._store, self._store.width
        for reading in self._readings:
            if reading.asked in self._floors:
                self._floors[reading.column] = self._floors[reading.asked]
            store.versions[reading.column].update(store.versions[reading.asked])
            store.aspects[reading.column] = store.aspects[reading.asked]
        for row in rows:
            # Others read the verdict that was asked for: it becomes a part of itself last.
            for reading in sorted(self._readings, key=lambda reading: reading.column == reading.asked):
                self._read(reading, row * width + reading.column, row * width + reading.asked)

    def _read(self, reading: Reading, cell: int, source: int) -> None:
        store = self._store
        for name in ("state", "scores", "codes", "parties", "sources", "places"):
            column: Any = getattr(store, name)
            column[cell] = column[source]
        if not reading.aspect or store.state[cell] != Outcome.VERDICT:
            return
        value = _aspect(store.sources[cell], store.aspects[reading.column].names, reading.aspect)
        floor = self._floors.get(reading.asked)
        if value is None and floor is not None and store.scores[source] <= floor:
            value = floor
        if value is not None:
            store.scores[cell] = value
            return
        version = next(iter(store.versions[reading.asked].values()), None)
        names = ", ".join(version.aspects) if version is not None and version.aspects else "none"
        words = f"the verdict has no aspect {reading.aspect!r}; the verifier gave {names}"
        outcome = ClientOutcome(Outcome.FAULT, NO_ASPECT, Party.SERVICE, words)
        store.state[cell], store.scores[cell] = outcome.outcome, float("nan")
        store.codes[cell], store.parties[cell] = store.number_of(outcome.code), outcome.party
        store.sources[cell] = outcome


def _aspect(source: Any, names: Sequence[str], label: str) -> float | None:
    if source is None or isinstance(source, ClientOutcome | service.ResultColumns):
        return None
    result = types.Result.FromString(source) if isinstance(source, bytes) else source
    aspects: Mapping[str, Any] = {name_of(aspect, names): aspect for aspect in result.verdict.aspects}
    aspect = aspects.get(label)
    return float(aspect.value) if aspect is not None and aspect.HasField("value") else None
