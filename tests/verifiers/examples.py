"""Writes the examples that the package has of its verifiers: ``python -m tests.verifiers.examples``.

Of each case file the first plain right rollout that is short, and a wrong one for the same task where there is one; of
a verifier of groups the first groups that hold both.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from reward_servers.core import find
from tests.client.conftest import ROOT
from tests.verifiers.cases import FOLDER, rows_of

FILE = ROOT / "reward_servers" / "verifiers" / "examples.jsonl"
SHORT = 300
Row = dict[str, Any]


def examples() -> str:
    """The file."""
    lines = []
    for name in sorted(file.stem for file in FOLDER.glob("*.jsonl")):
        chosen = (_of_groups if find(name).scope == "group" else _of_rollouts)(rows_of(name))
        assert chosen, f"{name}: no case is fit to be an example"
        lines += [json.dumps({"verifier": name, **row}, ensure_ascii=False) for row in chosen]
    return "\n".join(lines) + "\n"


def _of_rollouts(rows: Sequence[Row]) -> list[Row]:
    plain = [row for row in rows if not row.get("hostile") and row["expected"]["score"] is not None]
    short = [row for row in plain if len(json.dumps(row)) <= SHORT] or sorted(plain, key=lambda row: len(str(row)))
    right = next((row for row in short if row["expected"]["score"] == 1), short[0])
    low = [
        row for row in rows if row["expected"]["score"] == 0 and isinstance(row["response"], str) and row["response"]
    ]
    alike = [row for row in low if _task(row) == _task(right)]
    wrong = min(alike or low, key=lambda row: (bool(row.get("hostile")), len(str(row))), default=None)
    return [right] if wrong is None else [right, wrong]


def _of_groups(rows: Sequence[Row]) -> list[Row]:
    groups: dict[str, list[Row]] = {}
    for row in rows:
        groups.setdefault(row["group_id"], []).append(row)
    scored = [
        one for one in groups.values() if len(one) > 1 and all(row["expected"]["score"] is not None for row in one)
    ]
    plain = [one for one in scored if not any(row.get("hostile") for row in one)]
    found: list[Row] = []
    for label in (1, 0):
        fit = [one for one in plain or scored if any(row["expected"]["score"] == label for row in one)]
        found += [row for row in (fit or plain or scored)[0] if row not in found]
    return found


def _task(row: Row) -> tuple[Any, Any, Any]:
    return row.get("reference"), row.get("options"), row.get("documents")


if __name__ == "__main__":
    FILE.write_text(examples(), "utf-8")
