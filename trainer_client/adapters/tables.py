"""What adapters of trainers that hand over whole groups or batches share."""

from __future__ import annotations

import math
from contextlib import suppress
from dataclasses import replace

from trainer_client import AsyncRewardClient, Outcome, RewardError, ScoreTable
from trainer_client.adapters.missing import refuse_advantages
from trainer_client.adapters.numbers import Parts, numbers_of, parts_of


def tolerant(client: AsyncRewardClient, method_remedy: str = "") -> AsyncRewardClient:
    """The client over the same connections, for batches of which any share may be missing: the breaker decides.

    Raises:
        RecipeError: the recipe asks for a method: see `missing.refuse_advantages`.
    """
    refuse_advantages(client.recipe, method_remedy)
    return client.with_recipe(replace(client.recipe, max_missing=1.0, advantage=None, inputs={}))


class PartsOnce:
    """The parts of verdicts that a client's recipe tells, asked for once.

    Args:
        client: whose servers are asked.
    """

    def __init__(self, client: AsyncRewardClient) -> None:
        self._client = client
        self._parts: Parts | None = None

    async def of(self, table: ScoreTable) -> Parts:
        """The parts that a batch's numbers tell; none as long as no server has answered, which costs no batch a reward.

        Args:
            table: the batch.
        """
        if self._parts is None and table.valid.any():
            with suppress(RewardError):
                self._parts = parts_of(self._client.recipe, await self._client.describe())
        return self._parts or {}


def numbers_of_row(table: ScoreTable, row: int, parts: Parts) -> dict[str, float]:
    """A row in numbers for a trainer's logs: see `numbers_of`."""
    is_valid = table.valid[row]
    scores = {name: float(table.scores[row, at]) if is_valid[at] else None for at, name in enumerate(table.columns)}
    aspects: dict[str, dict[str, float | None]] = {}
    for name, names in parts.items():
        columns = table.aspects(name)
        values = {part: float(columns[part][row]) for part in names if part in columns}
        aspects[name] = {part: None if math.isnan(value) else value for part, value in values.items()}
    return numbers_of(bool(table.mask[row]), scores, aspects, parts)


def reason_of(table: ScoreTable, row: int) -> str:
    """Why a row has no reward: code and message of each score that it lacks."""
    reasons = []
    for column, name in enumerate(table.columns):
        if table.outcomes[row, column] in (Outcome.FAULT, Outcome.SKIP):
            cell = table.cell(row, column)
            reasons.append(f"{name}: {cell.code}: {cell.message}" if cell.message else f"{name}: {cell.code}")
    return "; ".join(reasons) or "no reward applies to its task"
