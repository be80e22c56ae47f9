"""What ``assay check`` reports: counts, each disagreement with its evidence, and what could not be counted."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from typing import Any

from reward_servers.cli._console import print_line, print_note, print_table
from reward_servers.labels import Match, compare, read_labels
from trainer_client import Cell, RolloutFile, VerifierId

_EVIDENCE_SHOWN = 300
OTHER_CODE = "other_code"
KINDS = (Match.AGREE.value, Match.FALSE_POSITIVE.value, Match.FALSE_NEGATIVE.value, OTHER_CODE, Match.UNSCORED.value)


def agreement_of(cells: Mapping[str, Cell], verifier: VerifierId, file: RolloutFile) -> dict[str, Any]:
    """Compare scores with labels, and codes with those that are expected.

    Args:
        cells: What came of each rollout, by its id.
        verifier: Which verifier answered.
        file: The labelled rollouts.

    Returns:
        The report, ready for JSON. ``total`` counts labelled rollouts: those that agree, the false positives and
        negatives (for a label between 0 and 1: scored too high or too low), those whose code is another one than
        expected, and the unscored.
    """
    labels = read_labels(file.rollouts)
    counts: Counter[str] = Counter()
    disagreements, unscored, unlabelled = [], [], []
    for rollout in file.rollouts:
        cell = cells[rollout.rollout_id]
        label = labels.scores.get(rollout.rollout_id)
        if label is None:
            unlabelled.append(_case(rollout.rollout_id, cell, None, "unlabelled"))
            continue
        kind = str(compare(cell.score, label))
        if kind == Match.AGREE and (rollout.expected or {}).get("code") not in (None, cell.code):
            kind = OTHER_CODE
        counts[kind] += 1
        case = _case(rollout.rollout_id, cell, label, kind)
        if kind == OTHER_CODE:
            case["expected_code"] = (rollout.expected or {})["code"]
        if kind == Match.UNSCORED:
            unscored.append(case)
        elif kind != Match.AGREE:
            disagreements.append(case)
    return {
        "verifier": verifier.name,
        "version": verifier.version,
        "total": counts.total(),
        **{kind: counts[kind] for kind in KINDS},
        "disagreements": disagreements,
        "digest": verifier.digest,
        "unscored_cases": unscored,
        "unlabelled_cases": unlabelled,
        "lines_left_out": [{"line": problem.line, "reason": problem.reason} for problem in file.problems],
        "label_problems": labels.problems,
    }


def _case(rollout_id: str, cell: Cell, label: float | None, kind: str) -> dict[str, Any]:
    case: dict[str, Any] = {
        "rollout_id": rollout_id,
        "kind": kind,
        "label": label,
        "score": cell.score,
        "code": cell.code,
    }
    details = {"party": cell.party, "message": cell.message, "note": cell.note, "evidence": cell.evidence}
    return case | {key: value for key, value in details.items() if value}


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
    print_table([name.replace("_", " ") for name in KINDS], [[str(report[name]) for name in KINDS]])
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
    code = f"({case['code']}; expected {case['expected_code']})" if "expected_code" in case else f"({case['code']})"
    print_line(f"{case['kind'].replace('_', ' ')}: {case['rollout_id']}: {label}, {score} {code}")
    for key in ("note", "message"):
        if case.get(key):
            print_line(f"    {key}: {case[key]}")
    for name, value in (case.get("evidence") or {}).items():
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        if not verbose and len(text) > _EVIDENCE_SHOWN:
            text = f"{text[:_EVIDENCE_SHOWN]} ... ({len(text)} characters; -v shows all)"
        print_line(f"    {name}: {text}")
