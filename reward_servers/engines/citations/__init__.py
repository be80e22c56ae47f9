"""Citations in an answer, resolved to the documents that the answer's author could read. No model, no network.

Nouns: a *marker* is a place where an answer cites, such as ``[1]``, ``[doc_3]`` or ``(https://...)``; it *resolves* to
a document or to nothing; a *statement* is a sentence or table row, and most of them need a citation: those are the
*claims*; a *report* holds all this for one answer. *Evidence* is the documents, which can refute a claim; *measures*
are the figures over a report, given which documents support which claim.
"""

from reward_servers.engines.citations._echoes import without_echo
from reward_servers.engines.citations._excerpts import excerpt
from reward_servers.engines.citations._measures import (
    Measures,
    Question,
    first_questions,
    further_questions,
    measure,
    measured_by,
)
from reward_servers.engines.citations._quotes import Quote, quotes_words
from reward_servers.engines.citations._refuting import Evidence
from reward_servers.engines.citations._report import Report, Statement, check_citations
from reward_servers.engines.citations._sources import Source
from reward_servers.engines.citations._urls import same_page

__all__ = [
    "Evidence",
    "Measures",
    "Question",
    "Quote",
    "Report",
    "Source",
    "Statement",
    "check_citations",
    "excerpt",
    "first_questions",
    "further_questions",
    "measure",
    "measured_by",
    "quotes_words",
    "same_page",
    "without_echo",
]
