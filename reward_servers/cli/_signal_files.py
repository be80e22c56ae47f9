"""What a method makes of a batch, as lines: fields of each rollout, preference pairs, requests to the trainer."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Any, NamedTuple

from reward_servers.cli._whole_file import PAIRS, REQUESTS, whole_file
from trainer_client import ScoreTable
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


def describe_signal(steps: Sequence[Signal]) -> dict[str, Any]:
    """Figures of what a method gave in each step, for JSON; the report is that of the last one."""
    if not steps:
        return {"pairs": None, "requests": None, "kept": None, "report": {}}
    pairs = [len(signal.pairs) for signal in steps if signal.pairs is not None]
    requests = [len(signal.requests) for signal in steps if signal.requests is not None]
    return {
        "pairs": sum(pairs) if pairs else None,
        "requests": sum(requests) if requests else None,
        "kept": int(sum((signal.keep & signal.valid).sum() for signal in steps)),
        "report": plain(dict(steps[-1].report)),
    }


class RolloutFacts(NamedTuple):
    """What is known of a row's rollout besides its scores.

    Attributes:
        fields: Its own fields.
        feedback: What the policy may be told of it, by reward; empty where there is nothing.
    """

    fields: Callable[[int], Mapping[str, Any]]
    feedback: Callable[[int], Mapping[str, Any]]


class Parts:
    """Pairs and requests in a folder, a file for each; one that there is nothing for is removed, so that none is stale.

    Args:
        stack: Closes the files.
        folder: The folder.
    """

    def __init__(self, stack: ExitStack, folder: Path) -> None:
        self._stack = stack
        self._folder = folder
        self._files: dict[str, IO[str]] = {}

    def write(self, signal: Signal | None, table: ScoreTable, texts: RolloutFacts) -> None:
        """Write what a method gave in a step.

        Args:
            signal: That; None for nothing.
            table: The scores of the step.
            texts: Gives what else is known of a row.

        Raises:
            OSError: A file cannot be written.
        """
        if signal is None:
            return
        if signal.pairs is not None:
            self._lines(PAIRS, _pairs(signal, table, texts.fields))
        if signal.requests is not None:
            self._lines(REQUESTS, _requests(signal, table, texts.feedback))

    def _lines(self, name: str, lines: Iterator[dict[str, Any]]) -> None:
        if name not in self._files:
            self._files[name] = self._stack.enter_context(whole_file(self._folder / name))
        for line in lines:
            self._files[name].write(json.dumps(line, ensure_ascii=False) + "\n")

    def finish(self) -> None:
        """Remove what an earlier run has left."""
        for name in (PAIRS, REQUESTS):
            if name not in self._files:
                (self._folder / name).unlink(missing_ok=True)


def _pairs(signal: Signal, table: ScoreTable, fields: Callable[[int], Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    """Pairs in the form of preference data sets, with the ids of the rollouts beside the texts."""
    for pair in signal.pairs or ():
        chosen, rejected = fields(int(pair.chosen)), fields(int(pair.rejected))
        yield {
            "prompt": chosen.get("prompt", ""),
            "chosen": chosen["response"],
            "rejected": rejected["response"],
            "chosen_id": table.rollout_ids[int(pair.chosen)],
            "rejected_id": table.rollout_ids[int(pair.rejected)],
            "margin": plain(pair.margin),
            "weight": plain(pair.weight),
            "label": plain(pair.label),
        }


def _requests(
    signal: Signal, table: ScoreTable, feedback: Callable[[int], Mapping[str, Any]]
) -> Iterator[dict[str, Any]]:
    """Requests, each with what its rollout's verdicts tell the policy, such as guidance that a trainer passes on."""
    for request in signal.requests or ():
        details = {
            name: table.rollout_ids[value] if name in _ROWS and value is not None else plain(value)
            for name, value in request.details.items()
        }
        row = int(request.row)
        given_feedback = feedback(row)
        yield {
            "rollout_id": table.rollout_ids[row],
            "group_id": table.group_ids[row],
            "kind": request.kind,
            "details": details,
            **({"feedback": given_feedback} if given_feedback else {}),
        }
