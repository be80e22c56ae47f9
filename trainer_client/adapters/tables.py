"""What adapters of trainers that hand over whole groups or batches share."""

from __future__ import annotations

from dataclasses import replace

from trainer_client import AsyncRewardClient, Outcome, ScoreTable


def tolerant(client: AsyncRewardClient) -> AsyncRewardClient:
    """The client over the same connections, for batches of which any share may be missing: the breaker decides."""
    return client.with_recipe(replace(client.recipe, max_missing=1.0, advantage=None, inputs={}))


def reason_of(table: ScoreTable, row: int) -> str:
    """Why a row has no reward: code and message of each score that it lacks."""
    said = []
    for column, name in enumerate(table.columns):
        if table.outcomes[row, column] in (Outcome.FAULT, Outcome.SKIP):
            cell = table.cell(row, column)
            said.append(f"{name}: {cell.code}: {cell.message}" if cell.message else f"{name}: {cell.code}")
    return "; ".join(said) or "no reward applies to its task"
