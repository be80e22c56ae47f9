"""The report on one answer."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from typing import NamedTuple

from reward_servers.engines.citations._abstaining import says_not_found
from reward_servers.engines.citations._assertions import code_line_states, entry_states
from reward_servers.engines.citations._context import Context
from reward_servers.engines.citations._layout import Layout, lay_out
from reward_servers.engines.citations._markers import Marker, find_markers
from reward_servers.engines.citations._quotes import Quote, QuotedDocuments, find_quotes, holds_quotes
from reward_servers.engines.citations._sources import Index, Source
from reward_servers.engines.citations._statements import needs_citation, split_statements
from reward_servers.engines.citations._urls import URL
from reward_servers.engines.text import Marks, visible


class Statement(NamedTuple):
    """A sentence or a table row.

    Attributes:
        text: Its words and markers.
        needs_citation: Whether it asserts something.
        citations: Ids of the documents that it cites, each once.
        unresolved: Its markers' targets that name no document, each once.
        prose: Its words without markers, completed by words before it: see `Context`.
    """

    text: str
    needs_citation: bool
    citations: tuple[str, ...]
    unresolved: tuple[str, ...]
    prose: str = ""


@dataclass(frozen=True)
class Report:
    """What an answer cites.

    Attributes:
        statements: All statements, in order.
        cited: Ids of the documents that are cited anywhere, in the order of first use.
        fabricated: Targets that name no document of the rollout, in the order of first use.
        own_memory: Those targets that name the model itself as the source.
        quotes: Quotations in statements that need a citation.
    """

    statements: tuple[Statement, ...]
    cited: tuple[str, ...]
    fabricated: tuple[str, ...]
    own_memory: tuple[str, ...]
    quotes: tuple[Quote, ...]

    @cached_property
    def claims(self) -> list[Statement]:
        """The statements that need a citation; one that says the same words again is none."""
        by_prose: dict[str, Statement] = {}
        for statement in self.statements:
            if statement.needs_citation:
                by_prose.setdefault(" ".join(statement.prose.casefold().split()).strip(" .!"), statement)
        return list(by_prose.values())

    @cached_property
    def abstains(self) -> bool:
        """Whether the answer only says that nothing was found."""
        return not self.claims and any(says_not_found(statement.prose) for statement in self.statements)

    @property
    def coverage(self) -> float:
        """Share of the statements that need a citation and have one that resolves; 0 when there are none."""
        claims = self.claims
        return sum(bool(claim.citations) for claim in claims) / len(claims) if claims else 0.0

    @property
    def fabrication_rate(self) -> float:
        """Unresolved targets as a share of all targets, over the statements that need a citation."""
        resolved = sum(len(claim.citations) for claim in self.claims)
        unresolved = sum(len(claim.unresolved) for claim in self.claims)
        return unresolved / (resolved + unresolved) if unresolved else 0.0

    @property
    def flags(self) -> tuple[str, ...]:
        """The flags of the answer, in alphabetical order."""
        claims = self.claims
        holds_by_flag = {
            "altered_quote": any(quote.grounding == "altered" for quote in self.quotes),
            "fabricated_citation": bool(self.fabricated),
            "misplaced_quote": any(quote.grounding == "misplaced" for quote in self.quotes),
            "no_citations": not self.cited and not self.fabricated,
            "no_statements": not claims,
            "uncited_fact": any(not claim.citations and not claim.unresolved for claim in claims),
        }
        return tuple(sorted(name for name, holds in holds_by_flag.items() if holds))


def _unique(groups: Sequence[Sequence[str]]) -> tuple[str, ...]:
    return tuple(groups[0]) if len(groups) == 1 else tuple(dict.fromkeys(chain.from_iterable(groups)))


def check_citations(
    answer: str, sources: Sequence[Source], *, by_position: bool = True, marks: Marks = (), question: str = ""
) -> Report:
    """Find and resolve the citations of an answer.

    Args:
        answer: The answer. Reasoning and code in it are ignored.
        sources: The documents that its author could read. Citations of anything else do not resolve.
        by_position: Whether ``[k]`` may mean the k-th document, for an answer without a reference list.
        marks: Pairs of marks around reasoning, in addition to the built-in ones.
        question: What the answer answers. Repeating it states nothing.

    Returns:
        The report.
    """
    layout = lay_out(visible(answer, marks).text)
    index = Index(sources, by_position=by_position)
    index.use_list(layout.references)
    markers = find_markers(layout.text, index)
    grounds = QuotedDocuments({source.id: source.text for source in sources})
    starts = [marker.start for marker in markers]
    statements: list[Statement] = []
    quotes: list[Quote] = []
    context, may_quote = Context(question), holds_quotes(layout.text)
    for start, end in split_statements(layout, markers):
        own = markers[bisect_left(starts, start) : bisect_left(starts, end)]
        statement = _statement(layout.text, start, end, own, context, is_head=start in layout.heads, question=question)
        statements.append(statement)
        if may_quote and statement.needs_citation:
            quotes += find_quotes(layout.text, start, end, own, grounds)
    statements += _asides(layout, index)
    return Report(
        tuple(statements),
        _unique([marker.documents for marker in markers]),
        _unique([marker.unresolved for marker in markers]),
        _unique([marker.unresolved for marker in markers if marker.own_memory]),
        tuple(quotes),
    )


def _asides(layout: Layout, index: Index) -> Iterator[Statement]:
    """Facts that are put into code, the text of a picture, or into the list of references or behind it."""
    for line in layout.asides.values():
        if code_line_states(line):
            yield Statement(line.strip(), True, (), (), line)
    for entry in layout.references.values():
        source, remark = index.beside_source(entry)
        # The text beside an address may be the title of a page that is none of the sources.
        if entry_states(remark) and (source is not None or URL.search(entry) is None):
            yield Statement(entry.strip(), True, (source,) if source is not None else (), (), remark)


def _statement(
    text: str, start: int, end: int, markers: Sequence[Marker], context: Context, *, is_head: bool, question: str
) -> Statement:
    parts, at = [], start
    for marker in markers:
        parts.append(text[at : marker.start])
        at = max(at, marker.end)
    prose, shown_text = "".join([*parts, text[at:end]]), text[start:end].strip()
    return Statement(
        shown_text,
        needs_citation(shown_text, prose, is_head=is_head, question=question),
        _unique([marker.documents for marker in markers]),
        _unique([marker.unresolved for marker in markers]),
        context.complete(prose, is_head=is_head),
    )
