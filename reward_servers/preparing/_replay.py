"""Pairs of earlier iterations mixed into the last one's (DNO)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from pydantic import Field

from reward_servers.preparing._step import RejectedRow, StepOptions, Table, step
from trainer_client.signals.preference.on_policy_pairs import replay_quotas


class ReplayOptions(StepOptions):
    """How many pairs of earlier iterations are mixed in."""

    share: float = Field(0.3, ge=0.0, le=1.0, description="Pairs of the iteration before the last, beside its own.")
    decay: float = Field(0.5, ge=0.0, le=1.0, description="From one iteration to the one before it.")


@step("replay", ReplayOptions, gathered=True)
def replay(rows: Sequence[tuple[int, Table]], options: ReplayOptions) -> Iterator[dict[str, Any] | RejectedRow]:
    """The rows of the last `iteration` (a whole number), and some of those before it, drawn anew by `seed`.

    Of an iteration at most `share * decay^age` of its own rows are drawn; the last one is kept whole.
    """
    by_iteration: dict[int, list[Table]] = {}
    for number, row in rows:
        iteration = row.get("iteration")
        if not isinstance(iteration, int) or isinstance(iteration, bool):
            yield RejectedRow(number, f"iteration: expected a whole number, found {iteration!r}"[:200])
        else:
            by_iteration.setdefault(iteration, []).append(row)
    last, *earlier = sorted(by_iteration, reverse=True) or [0]
    yield from map(dict, by_iteration.get(last, []))
    quotas = replay_quotas(
        [len(by_iteration[iteration]) for iteration in earlier], share=options.share, decay=options.decay
    )
    draws = np.random.default_rng(options.seed)
    for iteration, quota in zip(earlier, quotas, strict=True):
        rows_held = by_iteration[iteration]
        yield from (
            dict(rows_held[place]) for place in sorted(draws.choice(len(rows_held), quota, replace=False).tolist())
        )
