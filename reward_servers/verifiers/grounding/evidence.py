"""Which of the documents that matter a rollout found, and which it cites (EARL, WebDetective)."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from reward_servers import ItemLimits, Options, Reference, Rollout, Score, verifier
from reward_servers.engines.citations import Source, check_citations, same_page
from reward_servers.engines.text import visible
from reward_servers.verifiers._named import Point, ways_of
from reward_servers.verifiers.citation import sources_of


class EvidenceReference(Reference):
    """What the answer rests on."""

    evidence: tuple[Point, ...] = Field(
        max_length=100,
        description="Ids or addresses of the documents that matter, each one or several that serve as well; none where "
        "the prompt needs no document.",
    )


class EvidenceOptions(Options):
    """Which documents are compared, and how."""

    of: Literal["cited", "found"] = Field(
        "cited", description="Documents that a statement of the response cites, or that the rollout has at all."
    )
    measure: Literal["iou", "recall", "precision"] = Field("iou", description="What the score is.")
    by_position: bool = Field(
        True, description="Whether [k] may mean the k-th document when the response has no reference list."
    )


def _is(document: Source, name: str) -> bool:
    return document.id == name or (bool(document.uri) and same_page(document.uri) == same_page(name))


@verifier(
    "evidence",
    version="5",
    limits=ItemLimits(response_bytes=1 << 20),
    aspects=dict.fromkeys(("iou", "recall", "precision", "found", "sufficient", "cited", "attempted"), 0.0),
)
def evidence(rollout: Rollout, ref: EvidenceReference, options: EvidenceOptions) -> Score:
    """How well the documents that a response cites, or that its search found, match the evidence.

    Sources: EARL (intersection over union of selected and right evidence), WebDetective (arXiv 2510.05137; whether all
    evidence was found, whether an answer was tried at all). A citation counts in a statement that asserts something;
    one behind a title, or in a line of markers, selects nothing.
    """
    if not any(map(str.isalnum, visible(rollout.response, rollout.reasoning_marks).text)):
        return Score.floor("no_answer", "there is no text")
    sources = sources_of(rollout)
    report = check_citations(
        rollout.response,
        sources,
        by_position=options.by_position,
        marks=rollout.reasoning_marks,
        question=rollout.prompt,
    )
    cited = {name for claim in report.claims for name in claim.citations}
    invented = {name for claim in report.claims for name in claim.unresolved}
    chosen = [source for source in sources if options.of == "found" or source.id in cited]
    hits = [any(_is(c, way) for c in chosen for way in ways_of(point)) for point in ref.evidence]
    available = [any(_is(source, way) for source in sources for way in ways_of(point)) for point in ref.evidence]
    ways = [way for point in ref.evidence for way in ways_of(point)]
    wrong = sum(not any(_is(c, way) for way in ways) for c in chosen)
    # A name that fits no document counts as a selected document that does not exist.
    wrong += len(invented) if options.of == "cited" else 0
    hit, total = sum(hits), len(ref.evidence)
    measures = {
        "iou": hit / (total + wrong) if total + wrong else 1.0,
        "recall": hit / total if total else 1.0,
        "precision": hit / (hit + wrong) if hit + wrong else float(not total),
    }
    aspects = {
        **measures,
        "found": sum(available) / total if total else 1.0,
        "sufficient": float(all(available)),
        "cited": float(len(cited)),
        "attempted": float(not report.abstains),
    }
    missing = [point for point, is_there in zip(ref.evidence, available, strict=True) if not is_there]
    return Score(measures[options.measure], aspects=aspects, evidence={"cited": sorted(cited), "not_found": missing})
