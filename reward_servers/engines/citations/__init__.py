"""Citations in an answer, resolved to the documents that the answer's author could read. No model, no network.

Nouns: a *marker* is a place where an answer cites, such as ``[1]``, ``[doc_3]`` or ``(https://...)``; it *resolves* to
a document or to nothing; a *statement* is a sentence or table row, and most of them need a citation; a *report* says
all this of one answer. Whether a document supports a statement is not looked at, except for quotations.
"""

from reward_servers.engines.citations._quotes import Quote
from reward_servers.engines.citations._report import Report, Statement, check_citations
from reward_servers.engines.citations._sources import Source

__all__ = ["Quote", "Report", "Source", "Statement", "check_citations"]
