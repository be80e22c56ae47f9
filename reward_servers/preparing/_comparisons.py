"""Replies of a judge that compared two responses, gathered by response (Pref-GRPO)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from pydantic import Field

from reward_servers.engines.published import read_dimensions, read_verdict
from reward_servers.preparing._step import RejectedRow, RowError, StepOptions, Table, step, text_of


class ComparisonOptions(StepOptions):
    """How replies are read."""

    first: str = Field("Image 1 is better", description="What a reply says where the first response is better.")
    second: str = Field("Image 2 is better", description="The same for the second one.")
    strict: bool = Field(True, description="Whether it must stand in <answer> and be written so.")


@step("comparisons", ComparisonOptions, gathered=True)
def comparisons(
    rows: Sequence[tuple[int, Table]], options: ComparisonOptions
) -> Iterator[dict[str, Any] | RejectedRow]:
    """What each response won, out of rows with `first` and `second` (their ids) and the judge's `reply`.

    A reply is a verdict in `<answer>`, or an object with `winner` and `categories`. A row of the result has
    `rollout_id`, `comparisons` and `dimension_comparisons`, for `assay score --join` and the methods `win_rate` and
    `dimension_win_rate`. A reply that names no winner is left out.
    """
    won: dict[str, dict[str, Any]] = {}
    for number, row in rows:
        try:
            first, two, reply = (text_of(row, column) for column in ("first", "second", "reply"))
        except RowError as error:
            yield RejectedRow(number, str(error))
            continue
        rated = read_dimensions(reply)
        verdict = read_verdict(reply, first=options.first, second=options.second, strict=options.strict)
        overall = rated.overall if rated is not None else verdict
        if overall is None:
            yield RejectedRow(number, "reply: names no winner")
            continue
        by_name = rated.by_name if rated is not None else {}
        _add(won, first, overall, by_name)
        _add(won, two, 1.0 - overall, {name: 1.0 - value for name, value in by_name.items()})
    yield from won.values()


def _add(won: dict[str, dict[str, Any]], name: str, overall: float, by_name: dict[str, float]) -> None:
    own = won.setdefault(name, {"rollout_id": name, "comparisons": [], "dimension_comparisons": {}})
    own["comparisons"].append(overall)
    for respect, value in by_name.items():
        own["dimension_comparisons"].setdefault(respect, []).append(value)
