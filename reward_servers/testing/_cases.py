"""Case files: rollouts with labels, each line with options of its own where it needs some."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, replace
from typing import Any

from trainer_client import Rollout, read_rollouts

_SHOWN = 20


@dataclass(frozen=True, slots=True)
class Case:
    """One line of a case file.

    Attributes:
        rollout: The rollout; ``expected`` holds the label.
        options: Options of the verifier, as JSON.
    """

    rollout: Rollout
    options: str = "{}"

    @property
    def name(self) -> str:
        """Id of the rollout."""
        return self.rollout.rollout_id

    @property
    def label(self) -> float | None:
        """The expected score, where there is one."""
        value = (self.rollout.expected or {}).get("score")
        return float(value) if isinstance(value, int | float) else None

    def altered(self, name: str, **changes: Any) -> Case:
        """A case with something else in it and no label, in a group of its own.

        Where the rollout has token ids, another response has some as well: one for each four characters.
        """
        given = {"rollout_id": name, "group_id": name, "expected": None, **changes}
        if "response" in changes:
            count = len(changes["response"]) // 4 + 1 if len(self.rollout.token_ids) else 0
            given["token_ids"] = tuple(range(count))
        return Case(replace(self.rollout, **given), self.options)


def read_cases(path: str | os.PathLike[str]) -> list[Case]:
    """Read a file of one JSON object a line: a rollout, ``expected``, and ``options`` where they differ.

    Raises:
        ValueError: A line cannot be used, or there is none.
    """
    found = read_rollouts(path)
    if found.problems:
        raise ValueError(f"{os.fspath(path)}: {'; '.join(map(str, found.problems[:_SHOWN]))}")
    if not found.rollouts:
        raise ValueError(f"{os.fspath(path)}: no rollouts; write one JSON object a line, with expected.score")
    with open(path, encoding="utf-8") as file:
        lines = [json.loads(line) for line in file if line.strip()]
    given = [line.get("options", {}) for line in lines]
    for number, options in enumerate(given, start=1):
        if not isinstance(options, dict):
            raise ValueError(f"{os.fspath(path)}, line {number}: options: expected an object, found {options!r}")
    return [
        Case(rollout, json.dumps(options, sort_keys=True))
        for rollout, options in zip(found.rollouts, given, strict=True)
    ]
