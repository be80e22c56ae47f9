"""Checks the citations of a response by asking whether the cited documents support the statements."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import Field

from reward_servers import Context, ItemLimits, Rollout, Score, verifier
from reward_servers.engines.citations import Question, Report, Statement, first_questions, further_questions, measure
from reward_servers.verifiers._support import Asking, AskingOptions, citation_evidence, report_of
from reward_servers.verifiers.citation import CitationReference, Gate, flags_of

_FINAL = ("no_answer", "no_statements", "limit")


class SupportOptions(AskingOptions):
    """The model that is asked, and which flags make the score the floor."""

    by_position: bool = Field(
        True, description="Whether [k] may mean the k-th document when the response has no reference list."
    )
    gates: tuple[Gate, ...] = Field(
        ("fabricated_citation",), description="Findings that give the floor score whatever the rest."
    )
    elsewhere: bool = Field(
        True, description="Whether a document that was not cited is asked about where the cited ones do not support."
    )


# `citation` checks the words in a process of its own, so that a response cannot block the event loop.
@verifier(
    "citation_support",
    version="5",
    deterministic=False,
    concurrency=512,
    limits=ItemLimits(wall_s=3600.0, response_bytes=1 << 20),
    aspects=dict.fromkeys(
        (
            *("recall", "precision", "precision_alce", "completeness", "refuted", "misattributed", "unneeded"),
            *("coverage", "valid", "fabrication_rate", "fabricated", "cited", "statements", "quotes", "quotes_exact"),
            "asked",
        ),
        0.0,
    ),
)
async def citation_support(rollout: Rollout, ref: CitationReference, options: SupportOptions, ctx: Context) -> Score:
    """Whether the response's statements cite documents that support them, by a judge or an entailment model.

    Source: citation recall and precision of ALCE (arXiv 2305.14627), `precision_strict` after Liu et al. (arXiv
    2304.09848).
    """
    citation_options = {"by_position": options.by_position, "gates": [], "full_evidence": True}
    words = await ctx.score("citation", rollout, options=citation_options)
    if words.code in _FINAL:
        return Score.floor(words.code, words.note)
    evidence = citation_evidence(words)
    if isinstance(evidence, Score):
        return evidence
    report = report_of(evidence)
    asking = Asking(rollout, options, ctx, report.claims)
    floor = await asking.settle(first_questions(report))
    floor = floor or await asking.settle(further_questions(report, asking.known))
    if floor is not None:
        return floor
    others = _elsewhere(evidence, report, asking.known) if options.elsewhere else {}
    floor = await asking.settle(others.values())
    if floor is not None:
        return floor
    misplaced = {place for place, question in others.items() if asking.known[question]}
    measures = measure(report, asking.known, misplaced, len(rollout.documents))
    flags = flags_of(evidence["flags"], measures)
    aspects = {
        **dict(words.aspects),
        "recall": measures.recall,
        "precision": measures.precision_strict,
        "precision_alce": measures.precision_alce,
        "misattributed": measures.misattributed,
        "unneeded": measures.unneeded,
        "asked": float(asking.asked),
    }
    stopped = [gate for gate in options.gates if gate in flags]
    complete = aspects["completeness"]
    value = None if stopped else measures.f1 * (1.0 if complete is None else complete)
    return Score(
        value,
        stopped[0] if stopped else "no_citations" if "no_citations" in flags else "",
        aspects=aspects,
        note=", ".join(flags),
        evidence=_evidence(options, flags, report, asking),
        feedback={
            "fabricated": report.fabricated,
            "without_citation": [claim.text for claim in report.claims if not claim.citations],
            "not_supported": [
                claim.text for place, claim in enumerate(report.claims) if not _supported(place, claim, asking)
            ],
        },
    )


def _elsewhere(evidence: Mapping[str, Any], report: Report, holds: Mapping[Question, bool]) -> dict[int, Question]:
    """For each claim that its citations do not support, the document that comes nearest to it, if any."""
    return {
        place: (place, frozenset(statement["elsewhere"][:1]))
        for place, (claim, statement) in enumerate(zip(report.claims, evidence["statements"], strict=True))
        if claim.citations and not holds[place, frozenset(claim.citations)] and statement["elsewhere"]
    }


def _supported(place: int, claim: Statement, asking: Asking) -> bool:
    return not claim.citations or asking.known[place, frozenset(claim.citations)]


def _evidence(options: SupportOptions, flags: list[str], report: Report, asking: Asking) -> dict[str, Any]:
    questions = [
        {
            "statement": report.claims[place].text,
            "documents": sorted(names),
            "supports": supports,
            **({"refuted": asking.refuted[place, names]} if (place, names) in asking.refuted else {}),
        }
        for (place, names), supports in asking.known.items()
    ]
    return {"support": f"by {options.by}", "flags": flags, "questions": questions}
