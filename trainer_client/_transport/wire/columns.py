"""Verdicts that come column by column: all checks of a whole message at once, and no object for each of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from trainer_client._transport.failures import UnusableReplyError
from trainer_client.contract.v1 import reward_service_pb2 as service
from trainer_client.result.outcomes import Outcome, OutcomeStore


class Checked(NamedTuple):
    """Verdicts of a message whose columns fit together and answer what was asked, each once.

    Attributes:
        rows: row of each.
        evaluations: evaluation of each.
        scores: score of each, as it was sent.
        codes: position of each one's code in the message's codes.
    """

    rows: NDArray[np.int64]
    evaluations: NDArray[np.int64]
    scores: NDArray[np.float64]
    codes: NDArray[np.int64]


def check_columns(columns: service.ResultColumns, width: int, awaited: set[int]) -> Checked:
    """Check what holds for the message as a whole, and take its items out of those that are awaited.

    Args:
        columns: the message.
        width: number of evaluations of the call.
        awaited: what is not answered yet, as ``row * width + evaluation``.

    Raises:
        UnusableReplyError: a column is too short or too long, or an item was not asked or is answered already.
    """
    index, evaluation = columns.index[:], columns.evaluation[:]
    count = len(index)
    optional = (columns.evaluation, columns.queue_us, columns.run_us, columns.cpu_us, columns.cached)
    if (
        len(columns.score) != count
        or len(columns.code) != count
        or any(len(column) not in (0, count) for column in optional)
    ):
        raise UnusableReplyError(f"columns of different lengths, {count} items in the first")
    if evaluation and max(evaluation) >= width:
        raise UnusableReplyError(f"results for evaluation {max(evaluation)} of a call of {width}")
    keys = index
    if width > 1:
        keys = [row * width + e for row, e in zip(index, evaluation or [0] * count, strict=True)]
    answered_keys = set(keys)
    if len(answered_keys) != count or not answered_keys <= awaited:
        raise UnusableReplyError("results for items that were not asked, or are answered already")
    codes = np.array(columns.code[:], np.int64)
    if count and int(codes.max()) >= len(columns.codes):
        raise UnusableReplyError(f"a code at position {codes.max()} of {len(columns.codes)}")
    awaited -= answered_keys
    return Checked(
        np.array(index, np.int64),
        np.array(evaluation, np.int64) if evaluation else np.zeros(count, np.int64),
        np.array(columns.score[:], np.float64),
        codes,
    )


def settle_columns(
    store: OutcomeStore,
    verdicts: Checked,
    good: NDArray[np.bool_],
    numbers: NDArray[np.int64],
    columns: Sequence[int],
    source: service.ResultColumns,
) -> list[int]:
    """Settle the cells of good verdicts, but for those that are settled already; the rows that are complete then.

    Args:
        store: where they go.
        verdicts: the verdicts.
        good: which of them are to be believed.
        numbers: position of each one's code in the store's.
        columns: column of each evaluation.
        source: what they were read from, for reading the rest of it later.
    """
    cells = verdicts.rows * store.width + np.array(columns, np.int64)[verdicts.evaluations]
    state = np.frombuffer(store.state, np.uint8)
    places = np.arange(len(cells), dtype=np.int32)
    # Settled already: by a copy of the work elsewhere, or given up.
    fresh = good & (state[cells] == Outcome.PENDING.value)
    rows, scores = verdicts.rows, verdicts.scores
    if not fresh.all():
        cells, places, rows, scores, numbers = cells[fresh], places[fresh], rows[fresh], scores[fresh], numbers[fresh]
    state[cells] = Outcome.VERDICT.value
    np.frombuffer(store.scores, np.float64)[cells] = scores
    np.frombuffer(store.codes, np.int32)[cells] = numbers
    np.frombuffer(store.places, np.int32)[cells] = places
    sources = store.sources
    for cell in cells.tolist():
        sources[cell] = source
    left = np.frombuffer(store.left, np.int32)
    if len(columns) == 1:
        left[rows] -= 1
    else:
        np.subtract.at(left, rows, 1)
        rows = np.unique(rows)
    complete: list[int] = rows[left[rows] == 0].tolist()
    return complete
