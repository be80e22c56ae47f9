"""Checks the citations of a response against the rollout's own documents, without a model."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from reward_servers import ItemLimits, Options, Rollout, Score, verifier
from reward_servers.engines.citations import Report, Source, check_citations

_SHOWN = 200

Gate = Literal["fabricated_citation", "altered_quote", "misplaced_quote", "uncited_fact"]


class CitationOptions(Options):
    """What numbers mean, and what brings the score to the floor."""

    by_position: bool = Field(
        True, description="Whether [k] may mean the k-th document when the response has no reference list."
    )
    gates: tuple[Gate, ...] = Field(
        ("fabricated_citation",), description="Findings that give the floor score whatever the coverage."
    )


def _aspects(report: Report) -> dict[str, float | None]:
    claims = report.claims
    exact = sum(quote.grounding == "exact" for quote in report.quotes)
    valid = sum(bool(claim.citations) and not claim.unresolved for claim in claims)
    return {
        "coverage": report.coverage,
        "valid": valid / len(claims) if claims else 0.0,
        "fabrication_rate": report.fabrication_rate,
        "fabricated": float(len(report.fabricated)),
        "cited": float(len(report.cited)),
        "statements": float(len(claims)),
        "quotes": float(len(report.quotes)),
        "quotes_exact": exact / len(report.quotes) if report.quotes else None,
    }


def _evidence(report: Report) -> dict[str, Any]:
    return {
        "support": "not checked",
        "flags": report.flags,
        "cited": report.cited,
        "own_memory": report.own_memory,
        "quotes": [(quote.text[:_SHOWN], quote.document, quote.grounding) for quote in report.quotes],
        "statements": [
            {"text": claim.text[:_SHOWN], "citations": claim.citations, "unresolved": claim.unresolved}
            for claim in report.claims
        ],
    }


@verifier(
    "citation",
    version="2",
    limits=ItemLimits(response=1 << 20),
    aspects=(
        "coverage",
        "valid",
        "fabrication_rate",
        "fabricated",
        "cited",
        "statements",
        "quotes",
        "quotes_exact",
    ),
)
def citation(rollout: Rollout, options: CitationOptions) -> Score:
    """Share of the response's statements that cite a document of the rollout; invented citations give nothing."""
    sources = [Source(one.id, one.text, one.uri, one.title) for one in rollout.documents]
    report = check_citations(rollout.response, sources, by_position=options.by_position, marks=rollout.reasoning_marks)
    stopped = [gate for gate in options.gates if gate in report.flags]
    if not report.claims:
        value, code = None, "no_answer" if not rollout.response.strip() else "no_statements"
    elif stopped:
        value, code = None, stopped[0]
    elif "no_citations" in report.flags:
        value, code = None, "no_citations"
    else:
        value, code = report.coverage, ""
    uncited = [claim.text[:_SHOWN] for claim in report.claims if not claim.citations]
    return Score(
        value,
        code,
        aspects=_aspects(report),
        note=", ".join(report.flags),
        evidence=_evidence(report),
        feedback={"fabricated": report.fabricated, "without_citation": uncited},
    )
