"""What ``assay check`` reports: counts, each disagreement with its evidence, and what could not be counted."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from typing import Any

from reward_servers.cli._console import print_note, print_table
from reward_servers.labels import Match, compare, read_labels
from trainer_client import Outcome, RolloutFile, ScoreTable

_EVIDENCE_SHOWN = 300
_REWARD = 0


def agreement_of(table: ScoreTable, found: RolloutFile) -> dict[str, Any]:
    """Compare scores with labels.

    Args:
        table: Scores of one reward.
        found: The labelled rollouts.

    Returns:
        The report, ready for JSON. ``total`` counts labelled rollouts: those that agree, the false positives and
        negatives (for a label between 0 and 1: scored too high or too low) and the unscored.
    """
    labels = read_labels(found.rollouts)
    row_of = {rollout_id: row for row, rollout_id in enumerate(table.rollout_ids)}
    counts: Counter[Match] = Counter()
    disagreements, unscored, unlabelled = [], [], []
    for rollout in found.rollouts:
        row = row_of[rollout.rollout_id]
        label = labels.scores.get(rollout.rollout_id)
        if label is None:
            unlabelled.append(_case(table, row, None, "unlabelled"))
            continue
        has_score = table.outcomes[row, _REWARD] == Outcome.VERDICT
        match = compare(float(table.scores[row, _REWARD]) if has_score else None, label)
        counts[match] += 1
        if match is Match.UNSCORED:
            unscored.append(_case(table, row, label, match.value))
        elif match is not Match.AGREE:
            disagreements.append(_case(table, row, label, match.value))
    version = table.versions[_REWARD][0] if table.versions[_REWARD] else None
    return {
        "verifier": version.name if version is not None else table.recipe.rewards[_REWARD].verifier_name,
        "version": version.version if version is not None else "",
        "total": counts.total(),
        "agree": counts[Match.AGREE],
        "false_positive": counts[Match.FALSE_POSITIVE],
        "false_negative": counts[Match.FALSE_NEGATIVE],
        "unscored": counts[Match.UNSCORED],
        "disagreements": disagreements,
        "digest": version.digest if version is not None else "",
        "unscored_cases": unscored,
        "unlabelled_cases": unlabelled,
        "lines_left_out": [{"line": problem.line, "reason": problem.reason} for problem in found.problems],
        "label_problems": labels.problems,
    }


def _case(table: ScoreTable, row: int, label: float | None, kind: str) -> dict[str, Any]:
    cell = table.cell(row, _REWARD)
    case: dict[str, Any] = {
        "rollout_id": table.rollout_ids[row],
        "kind": kind,
        "label": label,
        "score": cell.score,
        "code": cell.code,
    }
    given = {"party": cell.party, "message": cell.message, "note": cell.note, "evidence": cell.evidence}
    return case | {key: value for key, value in given.items() if value}


def print_agreement(report: Mapping[str, Any], verbose: bool) -> None:
    """Print a report for people.

    Args:
        report: See `agreement_of`.
        verbose: Whether to show evidence whole, and the rollouts without a label.
    """
    total, agree = report["total"], report["agree"]
    print(
        f"{report['verifier']}@{report['version']}: {agree} of {total} agree"
        + (f" ({agree / total:.2%})" if total else "")
    )
    names = ("agree", "false_positive", "false_negative", "unscored")
    print_table([name.replace("_", " ") for name in names], [[str(report[name]) for name in names]])
    for case in [*report["disagreements"], *report["unscored_cases"]]:
        _print_case(case, verbose)
    if report["unlabelled_cases"]:
        print(f"{len(report['unlabelled_cases'])} without a label are not counted")
        for case in report["unlabelled_cases"] if verbose else ():
            _print_case(case, verbose)
    for problem in report["label_problems"]:
        print_note(problem)
    if report["lines_left_out"]:
        print_note(f"{len(report['lines_left_out'])} lines cannot be used as rollouts and are not counted")


def _print_case(case: Mapping[str, Any], verbose: bool) -> None:
    label = "no label" if case["label"] is None else f"label {case['label']:g}"
    score = "no score" if case["score"] is None else f"score {case['score']:g}"
    print(f"{case['kind'].replace('_', ' ')}: {case['rollout_id']}: {label}, {score} ({case['code']})")
    for key in ("note", "message"):
        if case.get(key):
            print(f"    {key}: {case[key]}")
    for name, value in (case.get("evidence") or {}).items():
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        if not verbose and len(text) > _EVIDENCE_SHOWN:
            text = f"{text[:_EVIDENCE_SHOWN]} ... ({len(text)} characters; -v shows all)"
        print(f"    {name}: {text}")
