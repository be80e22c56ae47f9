"""Compares the citation engine with labelled files.

``python -m tests.citation_cases FILE...`` prints each difference and ``passed/total`` last, and ends with 1 when a
label is missed. A file holds labels of everything, with entities and support judged by hand, or in ``expected`` only
what each case is about; `difference` reads both.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np

from reward_servers.engines.citations import Evidence, Measures, Report, Source, Statement, check_citations, measured_by
from reward_servers.engines.published import connected_rubrics
from trainer_client.signals.combination.c_grpo import mix_rubric

_NEAR = 1e-6
_FROM_JUDGEMENTS = {"entity_missing", "disconnected_chain", "wrong_answer", "unneeded_citation", "citation_stuffing"}
_FROM_TEXT = {
    *("altered_quote", "fabricated_citation", "misplaced_quote", "no_citations", "no_statements", "uncited_fact"),
}


def report_of(case: dict[str, Any]) -> Report:
    """What the engine says of a case's answer."""
    sources = [Source(name, text) for name, text in case["documents"].items()]
    return check_citations(case["answer_with_citations"], sources, question=case.get("question", ""))


def difference(case: dict[str, Any]) -> str:
    """What a labelled case differs in; empty when the engine agrees."""
    report = report_of(case)
    said = _of_all(case, report) if "statements" in case["expected"] else _of_some(case, report)
    accepted = case.get("also_accept") or case["expected"].get("also_accept") or {}
    problems = []
    for name, (found, wanted) in said.items():
        if not _same(found, wanted) and not any(_same(found, other) for other in _listed(accepted, name)):
            problems.append(f"{name} {found!r}, not {wanted!r}")
    return "; ".join(problems)


def _listed(accepted: Any, name: str) -> list[Any]:
    """Other values that a case accepts: by name, one or several, or in several partial expectations."""
    several = accepted if isinstance(accepted, list) else [accepted]
    found = [one[name] for one in several if isinstance(one, dict) and name in one]
    return [*found, *(value for one in found if isinstance(one, list) for value in one)]


def _same(found: Any, wanted: Any) -> bool:
    if isinstance(wanted, float) and isinstance(found, int | float):
        return abs(found - wanted) <= _NEAR
    return bool(found == wanted)


def _of_some(case: dict[str, Any], report: Report) -> dict[str, tuple[Any, Any]]:
    """What a case is about, found and wanted; support is what the words of the documents allow."""
    expected = case["expected"]
    found: dict[str, Any] = {
        "cited_ids": list(report.cited),
        "fabricated": list(report.fabricated),
        "claims": len(report.claims),
        "marker": bool(report.cited or report.fabricated),
    }
    said = {name: (value, expected[name]) for name, value in found.items() if name in expected}
    if "flag" in expected:
        said["flag"] = (expected["flag"] in report.flags, True)
    if "precision_strict_below" in expected:
        strict = possible(case, report).precision_strict
        said["precision_strict_below"] = (strict < expected["precision_strict_below"], True)
    unknown = set(expected) - set(said) - {"also_accept"}
    assert not unknown, f"{case['id']}: this program does not know {', '.join(sorted(unknown))}"
    return said


def possible(case: dict[str, Any], report: Report) -> Measures:
    """Figures of a report where support is what the words of the documents allow."""
    evidence = Evidence(case["documents"])
    return measured_by(report, lambda names, claim: evidence.may_support(names, claim.prose), case["documents"])


def _of_all(case: dict[str, Any], report: Report) -> dict[str, tuple[Any, Any]]:
    expected = case["expected"]
    wanted = [one for one in expected["statements"] if one["needs_citation"]]
    sets = {one["text"]: one["minimal_support_sets"] for one in wanted}

    def supports(names: Collection[str], claim: Statement) -> bool:
        return any(set(needed) <= set(names) for needed in sets.get(claim.text, ()))

    measures = measured_by(report, supports, case["documents"])
    said: dict[str, tuple[Any, Any]] = {
        "cited_ids": (list(report.cited), expected["cited_ids"]),
        "fabricated": (list(report.fabricated), expected["fabricated"]),
        "claims": (
            [(one.text, list(one.citations), list(one.unresolved)) for one in report.claims],
            [(one["text"], one["citations"], one["unresolved"]) for one in wanted],
        ),
        "citation_coverage": (report.coverage, expected["citation_coverage"]),
        "citation_recall": (measures.recall, expected["citation_recall"]),
        "citation_precision_alce": (measures.precision_alce, expected["citation_precision_alce"]),
        "citation_precision_strict": (measures.precision_strict, expected["citation_precision_strict"]),
    }
    said |= _rubrics(case)
    said["quotes"] = _quotes(report, expected["quotes"])
    flags = set(report.flags) | _judged_flags(case, report, measures)
    said["flags"] = (sorted(flags), sorted(set(expected["flags"]) & (_FROM_TEXT | _FROM_JUDGEMENTS)))
    return said


def _quotes(report: Report, listed: list[dict[str, Any]]) -> tuple[Any, Any]:
    found = {(quote.text, quote.document, quote.grounding == "exact") for quote in report.quotes}
    wanted = {(one["quote"], one["doc"], one["grounded_exactly"]) for one in listed}
    return sorted(one for one in found if one in wanted or not one[2]), sorted(wanted)


def _rubrics(case: dict[str, Any]) -> dict[str, tuple[Any, Any]]:
    """Rubric rewards, given which rubrics the cited documents support and which entities are named."""
    expected, texts = case["expected"], [one["text"] for one in case["rubrics"]]
    if not texts:
        return {}
    labels = [expected["rubrics"][one["id"]] for one in case["rubrics"]]
    supported = [one["supported_by_cited_docs"] for one in labels]
    entities = expected["identified_entities"]
    graph = connected_rubrics(texts, entities, supported)
    loose = connected_rubrics(texts, entities, supported, connected=False)
    outcome = np.array([float(expected["outcome"])])
    mixed = mix_rubric(outcome, np.array([graph.reward]), ratio=0.3, use="right_only")
    return {
        "entities_identified": (list(graph.identified), [one["entities_identified"] for one in labels]),
        "connected_to_answer": (list(graph.reached), [one["connected_to_answer"] for one in labels]),
        "carr_rubric_reward": (graph.reward, expected["carr_rubric_reward"]),
        "carr_without_connectivity": (loose.reward, expected["carr_without_connectivity"]),
        "c_grpo_positive_only_alpha_0_3": (float(mixed[0]), expected["c_grpo_positive_only_alpha_0_3"]),
    }


def _judged_flags(case: dict[str, Any], report: Report, measures: Measures) -> set[str]:
    expected = case["expected"]
    labels = list(expected["rubrics"].values())
    found = {
        "entity_missing": any(name is None for name in expected["identified_entities"].values()),
        "disconnected_chain": any(one["supported_by_cited_docs"] and not one["connected_to_answer"] for one in labels),
        "wrong_answer": expected["outcome"] == 0 and bool(report.claims),
        "unneeded_citation": measures.unneeded_citation,
        "citation_stuffing": measures.stuffed,
    }
    return {name for name, holds in found.items() if holds}


def cases_of(file: Path) -> list[dict[str, Any]]:
    """The cases of a file."""
    return [json.loads(line) for line in file.read_text("utf-8").splitlines() if line.strip()]


def main(files: list[str]) -> int:
    """Compare the engine with files; the exit code."""
    passed = total = 0
    for case in (case for file in files for case in cases_of(Path(file))):
        found = difference(case)
        total += 1
        passed += not found
        if found:
            print(f"{case['id']}: {found}")
    print(f"{passed}/{total}")
    return 0 if passed == total and total else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
