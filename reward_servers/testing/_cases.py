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
        fields = {"rollout_id": name, "group_id": name, "expected": None, **changes}
        if "response" in changes:
            count = len(changes["response"]) // 4 + 1 if len(self.rollout.token_ids) else 0
            fields["token_ids"] = tuple(range(count))
        return Case(replace(self.rollout, **fields), self.options)


def read_cases(path: str | os.PathLike[str]) -> list[Case]:
    """Read a file of one JSON object a line: a rollout, ``expected``, and ``options`` where they differ.

    Raises:
        ValueError: A line cannot be used, or there is none.
    """
    file = read_rollouts(path)
    if file.problems:
        raise ValueError(f"{os.fspath(path)}: {'; '.join(map(str, file.problems[:_SHOWN]))}")
    if not file.rollouts:
        raise ValueError(f"{os.fspath(path)}: no rollouts; write one JSON object per line, with expected.score")
    options = options_of_lines(path)
    return [Case(rollout, json.dumps(options.get(rollout.rollout_id, {}), sort_keys=True)) for rollout in file.rollouts]


def options_of_lines(path: str | os.PathLike[str]) -> dict[str, dict[str, Any]]:
    """Read the ``options`` of the lines of a case file, by rollout id; lines without any are left out.

    Raises:
        ValueError: The options of a line are no object, or belong to a line without ``rollout_id``.
    """
    by_rollout: dict[str, dict[str, Any]] = {}
    with open(path, encoding="utf-8") as file:
        for number, line in enumerate(file, start=1):
            row = json.loads(line) if '"options"' in line else {}
            options = row.get("options")
            if options is None:
                continue
            where = f"{os.fspath(path)}, line {number}"
            if not isinstance(options, dict):
                raise ValueError(f"{where}: options: expected an object, found {options!r}")
            name = row.get("rollout_id")
            if name is None:
                raise ValueError(f"{where}: options of a line need its `rollout_id`")
            by_rollout[str(name)] = options
    return by_rollout
