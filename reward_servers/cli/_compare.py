"""``assay compare``: which verdicts changed between two runs over the same rollouts, and why."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from reward_servers.cli._console import print_json, print_line, print_table
from reward_servers.cli._errors import EXIT_NO, UserError
from reward_servers.cli._scored_rows import ScoredRows

if TYPE_CHECKING:
    from reward_servers.reporting import Cell, Entry

_EQUAL = 1e-9
_SHOWN = 10
_MOVES = 12


@dataclass(slots=True)
class Difference:
    """What two runs say differently.

    Attributes:
        both: Rollouts in both.
        only: Ids of rollouts in one of them: in the first, in the second.
        same: Verdicts that are the same, by reward.
        moves: Changes of a verdict by reward: ``"0 wrong -> 1 accepted"``.
        changes: The first changes, each with both verdicts.
        rewards: Rollouts whose combined reward changed.
        texts: Rollouts whose response changed.
        reasons: What is known of why.
    """

    both: int = 0
    only: tuple[list[str], list[str]] = field(default_factory=lambda: ([], []))
    same: Counter[str] = field(default_factory=Counter)
    moves: dict[str, Counter[str]] = field(default_factory=dict)
    changes: list[dict[str, Any]] = field(default_factory=list)
    rewards: int = 0
    texts: int = 0
    reasons: list[str] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return {field.name: getattr(self, field.name) for field in fields(self)} | {"changed": self.changed}

    @property
    def changed(self) -> int:
        """Verdicts that changed."""
        return sum(moves.total() for moves in self.moves.values())


def compare(
    first: Annotated[Path, typer.Argument(metavar="A", help="What `assay score -o` wrote: a file or a folder.")],
    second: Annotated[Path, typer.Argument(metavar="B", help="The other one.")],
    shown: Annotated[int, typer.Option("--show", help="Changes to show one by one.", min=0)] = _SHOWN,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")] = False,
) -> int:
    """Compare two runs over the same rollouts: which verdicts changed, and what is known of why.

    Exit code 0: all verdicts are the same; 1: some changed, or rollouts are missing or cannot be read on
    one side.
    """
    sides = ScoredRows(first), ScoredRows(second)
    difference = difference_of(*sides, shown)
    for rows, only in zip(sides, difference.only, strict=True):
        if not difference.both and not only:
            raise UserError(rows.problems[0] if rows.problems else f"{rows.source}: it has no rows")
        rows.tell_problems()
    if as_json:
        print_json(difference.to_dict())
    else:
        print_difference(difference, str(first), str(second))
    return EXIT_NO if difference.changed or any(difference.only) or any(rows.problems for rows in sides) else 0


def difference_of(first: ScoredRows, second: ScoredRows, limit: int = _SHOWN) -> Difference:
    """Compare rows by their ``rollout_id``; the first run is kept in memory."""
    difference = compare_entries(first.entries(), second.entries(), limit)
    difference.reasons = _reasons(difference, first.about(), second.about())
    return difference


def compare_entries(first: Iterable[Entry], second: Iterable[Entry], limit: int = _SHOWN) -> Difference:
    """Compare scored rollouts by their ids."""
    before = {entry.rollout_id: entry for entry in first}
    difference = Difference()
    for entry in second:
        old = before.pop(entry.rollout_id, None)
        if old is None:
            difference.only[1].append(entry.rollout_id)
            continue
        difference.both += 1
        difference.texts += old.response is not None and entry.response is not None and old.response != entry.response
        difference.rewards += not _equal(old.reward, entry.reward)
        for name in dict.fromkeys([*old.cells, *entry.cells]):
            _compare(difference, name, old, entry, limit)
    difference.only[0].extend(before)
    return difference


def _compare(difference: Difference, name: str, old: Entry, new: Entry, limit: int) -> None:
    cell, new_cell = old.cells.get(name), new.cells.get(name)
    if cell is not None and new_cell is not None and cell.code == new_cell.code and _equal(cell.score, new_cell.score):
        difference.same[name] += 1
        return
    difference.moves.setdefault(name, Counter())[f"{_cell_text(cell)} -> {_cell_text(new_cell)}"] += 1
    if len(difference.changes) < limit:
        difference.changes.append(
            {
                "rollout_id": new.rollout_id,
                "reward": name,
                "before": _cell_text(cell),
                "after": _cell_text(new_cell),
                "why": _why(cell, new_cell),
            }
        )


def _cell_text(cell: Cell | None) -> str:
    if cell is None:
        return "not asked"
    score = "no score" if cell.score is None else f"{cell.score:.4g}"
    return f"{score} {cell.code}"


def _why(first: Cell | None, second: Cell | None) -> str:
    """What the verdicts themselves say: their remarks, and what differs in their evidence."""
    if first is None or second is None:
        return "asked in one run only"
    parts = []
    reasons = [cell.note or cell.message for cell in (first, second)]
    if reasons[0] != reasons[1]:
        parts.append(f"{reasons[0] or 'no remark'} -> {reasons[1] or 'no remark'}")
    if isinstance(first.evidence, Mapping) and isinstance(second.evidence, Mapping):
        keys = [
            key for key in {**first.evidence, **second.evidence} if first.evidence.get(key) != second.evidence.get(key)
        ]
        if keys:
            parts.append(f"evidence differs in {', '.join(map(str, keys))}")
    return "; ".join(parts)


def _equal(first: float | None, second: float | None) -> bool:
    if first is None or second is None:
        return first is second
    return abs(first - second) <= _EQUAL


def _reasons(difference: Difference, first: Mapping[str, Any], second: Mapping[str, Any]) -> list[str]:
    """Versions and recipes of the runs, where both say them."""
    reasons = []
    if difference.texts:
        reasons.append(f"{difference.texts} responses differ: these are other rollouts under the same ids")
    if not (first and second):
        reasons.append("versions and recipes are not known; folders say them, as `assay score -o DIR/` writes them")
        return reasons
    if first.get("recipe_digest") != second.get("recipe_digest"):
        reasons.append(f"the recipes differ: {first.get('recipe')} and {second.get('recipe')}")
    versions = [
        {reward["name"]: reward["versions"] for reward in about.get("rewards", ())} for about in (first, second)
    ]
    for name in versions[0].keys() & versions[1].keys():
        if versions[0][name] != versions[1][name]:
            listed = (", ".join(version[name] or ["none answered"]) for version in versions)
            reasons.append(f"{name}: {' -> '.join(listed)}")
    if not reasons and difference.changed:
        reasons.append("recipe, versions and digests are the same: a verifier does not give the same verdict twice")
    return reasons


def print_difference(difference: Difference, first: str, second: str) -> None:
    """Print what changed between two runs of these names."""
    print(f"{difference.both} rollouts in both; {difference.changed} verdicts and {difference.rewards} rewards changed")
    for path, ids in zip((first, second), difference.only, strict=True):
        if ids:
            more = ", ..." if len(ids) > _SHOWN else ""
            print_line(f"only in {path}: {len(ids)} ({', '.join(ids[:_SHOWN])}{more})")
    rows = [
        [name, move, str(count)]
        for name, moves in difference.moves.items()
        for move, count in moves.most_common(_MOVES)
    ]
    if rows:
        print_table(["reward", "before -> after", "rollouts"], rows)
    for change in difference.changes:
        print_line(f"{change['rollout_id']}  {change['reward']}: {change['before']} -> {change['after']}")
        if change["why"]:
            print_line(f"    {change['why']}")
    if difference.changed or difference.reasons:
        for reason in difference.reasons:
            print_line(f"why: {reason}")
