"""Where a path of reasoning is to be cut and asked for its answer (S-GRPO)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

import numpy as np
from pydantic import Field

from reward_servers.preparing._step import RowError, StepOptions, Table, row_name, step
from trainer_client.signals.shaping.s_grpo import exit_positions


class ExitOptions(StepOptions):
    """How many exits, and where."""

    exits: int = Field(8, ge=1, le=1024, description="Exits of each path.")
    spacing: Literal["random", "even"] = Field("random", description="Drawn, or at even distances.")


@step("exits", ExitOptions)
def exits(row: Table, options: ExitOptions, draws: np.random.Generator) -> Iterator[dict[str, Any]]:
    """The `token_ids` of a path cut at several places: what the trainer goes on from with a request for the answer.

    `metadata.exit` is the input `exit_order` of the method `s_grpo`; the whole path is the last of its group.
    """
    tokens, name = row.get("token_ids"), row_name(row)
    if not isinstance(tokens, list) or len(tokens) < 2:
        raise RowError("token_ids: expected a list of at least two")
    seed = int(draws.integers(1 << 32))
    places = exit_positions(len(tokens), options.exits, spacing=options.spacing, seed=seed).tolist()
    for order, place in enumerate([*places, len(tokens)]):
        cut_row = {**row, "rollout_id": f"{name}/exit-{order}", "group_id": name, "token_ids": tokens[:place]}
        yield {**cut_row, "metadata": {**(row.get("metadata") or {}), "exit": order}}
