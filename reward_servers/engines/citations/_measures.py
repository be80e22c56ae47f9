"""Figures over the citations of an answer, given which documents support which statement.

Recall and precision are those of ALCE (Gao et al., arXiv 2305.14627; eval.py of its repository); the strict precision
and misattribution are ours. A share of nothing is 0, and `no_statements` tells that case apart.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass

from reward_servers.engines.citations._report import Report, Statement

Supports = Callable[[Collection[str], Statement], bool]
"""Whether documents together support a statement."""
Question = tuple[int, frozenset[str]]
"""A claim's place among the claims, and documents that may support it together."""


@dataclass(frozen=True, slots=True)
class Measures:
    """The figures of one answer.

    Attributes:
        recall: Claims that their citations support together, and that cite nothing unresolved, of all claims.
        precision_alce: Citations that count, of all in sentences without an unresolved one.
        precision_strict: The same over all sentences; an unresolved citation is one that does not count.
        f1: Harmonic mean of recall and strict precision.
        unneeded: Citations of supported claims that neither support alone nor are missed, of all that resolve.
        misattributed: Claims whose citations do not support them while another document does, of all claims.
        unneeded_citation: Whether there is a citation of that kind.
        stuffed: Whether there is one in a claim that cites every document.
    """

    recall: float
    precision_alce: float
    precision_strict: float
    f1: float
    unneeded: float
    misattributed: float
    unneeded_citation: bool
    stuffed: bool


def first_questions(report: Report) -> Iterator[Question]:
    """The first question about each claim: whether its citations support it together."""
    for place, claim in enumerate(report.claims):
        if claim.citations:
            yield place, frozenset(claim.citations)


def further_questions(report: Report, verdicts: Mapping[Question, bool]) -> Iterator[Question]:
    """Questions that follow: whether each of several citations supports the claim alone, and whether the others do."""
    for place, claim in enumerate(report.claims):
        if len(claim.citations) > 1 and verdicts[place, (cited := frozenset(claim.citations))]:
            for name in claim.citations:
                yield place, frozenset((name,))
                yield place, cited - {name}


def measure(
    report: Report, verdicts: Mapping[Question, bool], elsewhere: Collection[int] = (), documents: int = 0
) -> Measures:
    """Figures of a report.

    Args:
        report: The citations.
        verdicts: The answers to `first_questions` and `further_questions`.
        elsewhere: Places of claims that a document which they do not cite supports.
        documents: How many documents there are.
    """
    claims = report.claims
    recalled = counted = counted_clean = cited = cited_clean = unresolved = unneeded = misattributed = 0
    stuffed = False
    for place, claim in enumerate(claims):
        names = frozenset(claim.citations)
        supported = bool(names) and verdicts[place, names]
        good = spare = 0
        for name in claim.citations if supported else ():
            alone = len(names) == 1 or verdicts[place, frozenset((name,))]
            missed = len(names) == 1 or not verdicts[place, names - {name}]
            good += alone or missed
            spare += not alone and not missed
        recalled += supported and not claim.unresolved
        misattributed += not supported and place in elsewhere
        cited, counted, unneeded = cited + len(names), counted + good, unneeded + spare
        unresolved += len(claim.unresolved)
        stuffed = stuffed or (spare > 0 and len(names) == documents)
        if not claim.unresolved:
            cited_clean, counted_clean = cited_clean + len(names), counted_clean + good
    recall, strict = _share(recalled, len(claims)), _share(counted, cited + unresolved)
    return Measures(
        recall,
        _share(counted_clean, cited_clean),
        strict,
        2 * recall * strict / (recall + strict) if recall + strict else 0.0,
        _share(unneeded, cited),
        _share(misattributed, len(claims)),
        unneeded > 0,
        stuffed,
    )


def measured_by(report: Report, supports: Supports, documents: Collection[str]) -> Measures:
    """Figures of a report where support can be asked for at once.

    Args:
        report: The citations.
        supports: Whether documents together support a claim.
        documents: Ids of all documents.
    """
    claims = report.claims
    verdicts = {question: supports(question[1], claims[question[0]]) for question in first_questions(report)}
    wrong = [place for (place, _), supported in verdicts.items() if not supported]
    for place, names in further_questions(report, verdicts):
        verdicts[place, names] = supports(names, claims[place])
    elsewhere = {
        place
        for place in wrong
        if any(supports((name,), claims[place]) for name in documents if name not in claims[place].citations)
    }
    return measure(report, verdicts, elsewhere, len(documents))


def _share(part: int, whole: int) -> float:
    return part / whole if whole else 0.0
