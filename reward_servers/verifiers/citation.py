"""Checks the citations of a response against the rollout's own documents, without a model."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal

from pydantic import Field

from reward_servers import ItemLimits, Options, Reference, Rollout, Score, verifier
from reward_servers.engines.citations import (
    Evidence,
    Measures,
    Report,
    Source,
    Statement,
    check_citations,
    measured_by,
    without_echo,
)
from reward_servers.verifiers._named import Point, named_in

_SHOWN = 200

Gate = Literal[
    "fabricated_citation",
    "altered_quote",
    "misplaced_quote",
    "uncited_fact",
    "citation_stuffing",
    "unneeded_citation",
    "misattribution",
]


class CitationReference(Reference):
    """What a complete response says.

    Attributes:
        short_answers: Points that a complete response names; each is one text or several ways to write it.
    """

    short_answers: tuple[Point, ...] = Field((), max_length=100)


class CitationOptions(Options):
    """How numbers in markers are read, and which flags make the score the floor."""

    by_position: bool = Field(
        True, description="Whether [k] may mean the k-th document when the response has no reference list."
    )
    gates: tuple[Gate, ...] = Field(
        ("fabricated_citation",), description="Findings that give the floor score whatever the rest."
    )
    full_evidence: bool = Field(
        False, description="Whether the evidence has every statement in full and what speaks against it."
    )


def completeness(prose: str, ref: CitationReference) -> float | None:
    """Share of the points of a complete response that are named (ALCE's STR-EM); None where none are given."""
    if not ref.short_answers:
        return None
    names = named_in(ref.short_answers, prose)
    return sum(name is not None for name in names) / len(names)


def sources_of(rollout: Rollout) -> list[Source]:
    """The rollout's documents as sources, without text that only repeats their addresses."""
    sources = []
    for document in rollout.documents:
        address = document.uri or document.id
        text, title = without_echo(document.text, address), without_echo(document.title, address)
        sources.append(Source(document.id, text, document.uri, title))
    return sources


def texts_of(sources: Iterable[Source]) -> dict[str, str]:
    """Titles and texts of documents by id: the texts that can support statements."""
    return {source.id: f"{source.title}\n{source.text}".strip() for source in sources}


def _aspects(report: Report, measures: Measures, refuted: int, complete: float | None) -> dict[str, float | None]:
    claims = report.claims
    exact = sum(quote.grounding == "exact" for quote in report.quotes)
    valid = sum(bool(claim.citations) and not claim.unresolved for claim in claims)
    return {
        "recall": measures.recall,
        "precision": measures.precision_strict,
        "precision_alce": measures.precision_alce,
        "completeness": complete,
        "refuted": refuted / len(claims) if claims else 0.0,
        "misattributed": measures.misattributed,
        "unneeded": measures.unneeded,
        "coverage": report.coverage,
        "valid": valid / len(claims) if claims else 0.0,
        "fabrication_rate": report.fabrication_rate,
        "fabricated": float(len(report.fabricated)),
        "cited": float(len(report.cited)),
        "statements": float(len(claims)),
        "quotes": float(len(report.quotes)),
        "quotes_exact": exact / len(report.quotes) if report.quotes else None,
    }


def flags_of(labels: Iterable[str], measures: Measures) -> list[str]:
    """The flags of a response, in alphabetical order.

    Args:
        labels: The flags of the report.
        measures: Its figures.
    """
    flags = set(labels) - {"unneeded_citation", "citation_stuffing", "misattribution"}
    flags |= {"unneeded_citation"} if measures.unneeded_citation else set()
    flags |= {"citation_stuffing"} if measures.stuffed else set()
    flags |= {"misattribution"} if measures.misattributed else set()
    return sorted(flags)


def _evidence(
    report: Report, evidence: Evidence, against: list[str], flags: list[str], options: CitationOptions
) -> dict[str, Any]:
    length = None if options.full_evidence else _SHOWN
    statements = []
    for claim, refuted in zip(report.claims, against, strict=True):
        entry: dict[str, Any] = {
            "text": claim.text[:length],
            "citations": claim.citations,
            "unresolved": claim.unresolved,
        }
        if refuted and claim.citations:
            entry["refuted"] = refuted
        if options.full_evidence:
            entry["prose"] = claim.prose
            entry["elsewhere"] = [name for name in evidence.holders(claim.prose) if name not in claim.citations][:3]
        statements.append(entry)
    return {
        "support": "by words",
        "meaning": "not checked",
        "flags": flags,
        "cited": report.cited,
        "fabricated": report.fabricated,
        "own_memory": report.own_memory,
        "abstains": report.abstains,
        "quotes": [(quote.text[:_SHOWN], quote.document, quote.grounding) for quote in report.quotes],
        "statements": statements,
    }


@verifier(
    "citation",
    version="7",
    limits=ItemLimits(response_bytes=1 << 20),
    aspects=dict.fromkeys(
        (
            "recall",
            "precision",
            "precision_alce",
            "completeness",
            "refuted",
            "misattributed",
            "unneeded",
            "coverage",
            "valid",
            "fabricated",
            "cited",
            "statements",
            "quotes",
            "quotes_exact",
        ),
        0.0,
    )
    | {"fabrication_rate": 1.0},
)
def citation(rollout: Rollout, ref: CitationReference, options: CitationOptions) -> Score:
    """Whether the response's statements cite their sources, as far as the words of its documents show.

    Source: recall and precision of citations as in ALCE (arXiv 2305.14627), told by words alone; what words refute
    is ours.
    """
    sources = sources_of(rollout)
    report = check_citations(
        rollout.response,
        sources,
        by_position=options.by_position,
        marks=rollout.reasoning_marks,
        question=rollout.prompt,
    )
    texts = texts_of(sources)
    evidence = Evidence(texts)

    def supports(names: Any, claim: Statement) -> bool:
        return evidence.may_support(names, claim.prose)

    measures = measured_by(report, supports, texts)
    # Words inside an address or the title of a listed source are no statement of the response.
    complete = completeness("\n".join(statement.prose for statement in report.statements), ref)
    against = [evidence.refutes(claim.citations, claim.prose) if claim.citations else "" for claim in report.claims]
    flags = flags_of(report.flags, measures)
    stopped = [gate for gate in options.gates if gate in flags]
    value: float | None = None
    if not report.claims:
        code = "no_answer" if not rollout.response.strip() else "no_statements"
    elif stopped:
        code = stopped[0]
    elif "no_citations" in flags:
        code = "no_citations"
    else:
        value, code = measures.f1 * (1.0 if complete is None else complete), ""
    uncited = [claim.text[:_SHOWN] for claim in report.claims if not claim.citations]
    refuted = [claim.text[:_SHOWN] for claim, why in zip(report.claims, against, strict=True) if why]
    return Score(
        value,
        code,
        aspects=_aspects(report, measures, len(refuted), complete),
        note=", ".join(flags),
        evidence=_evidence(report, evidence, against, flags, options),
        feedback={"fabricated": report.fabricated, "without_citation": uncited, "not_in_the_source": refuted},
    )
