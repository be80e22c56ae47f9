"""What a method makes of a batch, as lines: fields of each rollout, preference pairs, requests to the trainer."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from reward_servers.cli._whole_file import whole_file
from trainer_client import Rollout, ScoreTable
from trainer_client.result.rows import plain
from trainer_client.signals import Signal

_FIELDS = {
    "rewards": "shaped_reward",
    "weights": "weight",
    "keep": "keep",
    "token_advantages": "token_advantages",
    "token_weights": "token_weights",
    "feature_advantages": "feature_advantages",
    "returns": "returns",
    "budget": "budget",
    "copies": "copies",
}
"""Arrays of a signal with a row per rollout, and what the lines call them."""
_ROWS = ("replaces", "wrong_row")
"""Details of a request that are rows of the batch; files name rollouts."""


def row_fields(signal: Signal, row: int) -> dict[str, Any]:
    """What a signal says of one rollout, besides its advantage."""
    fields = {name: getattr(signal, attribute) for attribute, name in _FIELDS.items()}
    return {name: plain(array[row]) for name, array in fields.items() if array is not None}


def describe_signal(signal: Signal | None) -> dict[str, Any]:
    """Figures of a method's result, for JSON."""
    if signal is None:
        return {"pairs": None, "requests": None, "kept": None, "report": {}}
    return {
        "pairs": None if signal.pairs is None else len(signal.pairs),
        "requests": None if signal.requests is None else len(signal.requests),
        "kept": int((signal.keep & signal.valid).sum()),
        "report": plain(dict(signal.report)),
    }


def write_folder_parts(
    folder: Path, rollouts: Sequence[Rollout], table: ScoreTable, signal: Signal | None
) -> list[str]:
    """Write pairs and requests into a folder; a file that there is nothing for is removed, so that none is stale.

    Returns:
        Names of the files that were written.

    Raises:
        OSError: One cannot be written.
    """
    by_id = {rollout.rollout_id: rollout for rollout in rollouts}
    parts: dict[str, Iterator[dict[str, Any]] | None] = {
        "pairs.jsonl": _pairs(signal, table, by_id) if signal is not None and signal.pairs is not None else None,
        "requests.jsonl": _requests(signal, table) if signal is not None and signal.requests is not None else None,
    }
    for name, lines in parts.items():
        if lines is None:
            (folder / name).unlink(missing_ok=True)
            continue
        with whole_file(folder / name) as file:
            for line in lines:
                file.write(json.dumps(line, ensure_ascii=False) + "\n")
    return [name for name, lines in parts.items() if lines is not None]


def _pairs(signal: Signal, table: ScoreTable, by_id: Mapping[str, Rollout]) -> Iterator[dict[str, Any]]:
    """Pairs in the form of preference data sets, with the ids of the rollouts beside the texts."""
    for pair in signal.pairs or ():
        chosen, rejected = (by_id[table.rollout_ids[row]] for row in (pair.chosen, pair.rejected))
        yield {
            "prompt": chosen.prompt,
            "chosen": chosen.response,
            "rejected": rejected.response,
            "chosen_id": chosen.rollout_id,
            "rejected_id": rejected.rollout_id,
            "margin": plain(pair.margin),
            "weight": plain(pair.weight),
            "label": plain(pair.label),
        }


def _requests(signal: Signal, table: ScoreTable) -> Iterator[dict[str, Any]]:
    for request in signal.requests or ():
        details = {
            name: table.rollout_ids[value] if name in _ROWS and value is not None else plain(value)
            for name, value in request.details.items()
        }
        row = int(request.row)
        yield {
            "rollout_id": table.rollout_ids[row],
            "group_id": table.group_ids[row],
            "kind": request.kind,
            "details": details,
        }
