"""Finds the places where an answer cites.

Each grammar takes its markers out of the text before the next one looks, from the most explicit to the least. What is
written like a marker and names no document is kept, unresolved; brackets that hold anything else are no markers.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from reward_servers.engines.citations._layout import blanked
from reward_servers.engines.citations._notation import is_notation, math_spans
from reward_servers.engines.citations._sources import Index
from reward_servers.engines.citations._urls import URL, trimmed_url

_WIDEST_RANGE = 100
_RAISED = "⁰¹²³⁴⁵⁶⁷⁸⁹"
_DIGITS = str.maketrans(_RAISED, "0123456789")
_CITE_TAG = re.compile(
    r"<(?:cite|citation|ref)\b(?P<attributes>[^<>]{0,500}?)(?:/\s*>|>(?:(?P<content>[^<]{0,300})</(?:cite|citation|ref)\s*>)?)",
    re.IGNORECASE,
)
_ATTRIBUTE = re.compile(
    r"\b(?:src|href|url|id|ids|ref|doc|source|index|name|cite)\s*=\s*(?:\"([^\"]*)\"|'([^']*)'|([^\s\"'/>]+))",
    re.IGNORECASE,
)
_LATEX = re.compile(
    r"\\(?:[Tt]ext|[Pp]aren|[Aa]uto|[Ff]oot|[Ss]mart)?[Cc]ite[a-z]{0,10}\*?(?:\[[^\]\n]{0,100}\]){0,2}\{([^{}\n]{1,300})\}"
)
_LINK = re.compile(r"(?<![!\\])\[((?:[^\[\]\n]|\[[^\[\]\n]{0,100}\]){0,300})\]\(")
_SOURCE = re.compile(
    r"[(\[]\s*(?:sources?|refs?\.?|references?|citations?|cited\s+from|document|doc)\s*[:：]\s*", re.IGNORECASE
)
_BRACKETS = re.compile(r"\[([^\[\]\n]{1,200})\]|【([^【】\n]{1,200})】|［([^［］\n]{1,200})］|〔([^〔〕\n]{1,200})〕")
_PARENTHESES = re.compile(r"\(([^()\n]{1,120})\)")
_RAISED_RUN = re.compile(
    rf"[{_RAISED}]+(?:[,’˒⁻–-]+[{_RAISED}]+)*|<sup>\s*\[?(\d[\d,\s–-]*)\]?\s*</sup>", re.IGNORECASE
)
_BLANKS = " \t\n\r\f\v\u00a0\u202f\u3000\u200b\u200c\u200d\u2060\ufeff"
"""What is not seen between a bracket and what it holds, signs of no width included."""
_ESCAPED = re.compile(r"\\\[(\s*\d{1,3}(?:\s*[,;–-]\s*\d{1,3})*\s*)\\\]")
_SEPARATOR = re.compile(r"\s*[,;，；、]\s*|\s+(?:and|&)\s+")
_INDICES = re.compile(r"\s*\d+\s*(?:[,:–-]\s*\d+\s*)*")
_SUBSCRIPTED = re.compile(r"[A-Za-z]|\w*_\w*[A-Za-z]\w*")
_NO_WORD = re.compile(r"^[^\w]+")
_PLACE_IN_RECORD = re.compile(r"\d{1,4}:\d{1,4}")
_AUTHOR = r"(?P<author>[A-ZÀ-ÖØ-Þ][\w'’-]+)(?P<others>\s+et\s+al\.?|\s+(?:and|&)\s+[A-ZÀ-ÖØ-Þ][\w'’-]+)?"
_AUTHOR_YEAR = re.compile(
    rf"(?:see\s+|e\.g\.,?\s+|cf\.\s+)?{_AUTHOR},?\s+(?P<year>(?:1[5-9]|20)\d\d)[a-z]?(?:,\s*pp?\.?\s*[\d–-]+)?"
)
_AND_OTHERS = re.compile(r"et(?<!\wet)\s+al\b")
_YEAR_BEHIND = re.compile(rf"{_AUTHOR}\s+[(\[](?P<year>(?:1[5-9]|20)\d\d)[a-z]?[)\]]")
_SPACED = re.compile(r"\^?\d{1,3}(?:\s+\^?\d{1,3})+")
_RANGE = re.compile(r"\^?(?P<prefix>[^\W\d][\w.-]*?)?(?P<first>\d{1,6})\s*[-–—−‒]\s*\^?(?P=prefix)?(?P<last>\d{1,6})")
_NUMBER_RANGE = re.compile(r"\^?(?P<first>\d{1,3})\s*[-–—−‒]\s*\^?(?P<last>\d{1,3})")
_NUMBERED = re.compile(
    r"(?:source|src|doc(?:ument)?|ref(?:erence)?|passage|result|page|citation|cite|web|snippet)s?\s*[.:#_-]?\s*(\d{1,4})",
    re.IGNORECASE,
)
_LOCATOR = re.compile(r"(?:pp?|pages?|sec|section|ch|chapter|para|line|lines|§+|fig|table)\.?\s*[\d–-]+", re.IGNORECASE)


class Marker(NamedTuple):
    """One citation.

    Attributes:
        start: Its first place in the text.
        end: The place after it.
        documents: Ids of the documents that it resolves to.
        unresolved: Its targets that name no document, as written.
        own_memory: Whether the model names itself or its memory as the source.
    """

    start: int
    end: int
    documents: tuple[str, ...] = ()
    unresolved: tuple[str, ...] = ()
    own_memory: bool = False


def _settle(start: int, end: int, targets: list[tuple[str, str | None]], index: Index) -> Marker:
    return Marker(start, end, *_settled(targets, index))


def _settled(targets: list[tuple[str, str | None]], index: Index) -> tuple[tuple[str, ...], tuple[str, ...], bool]:
    """The documents of the targets, the targets without a document, and whether one is the model's own memory."""
    documents = tuple(dict.fromkeys([document for _, document in targets if document is not None]))
    missing = tuple(dict.fromkeys([name for name, document in targets if document is None]))
    return documents, missing, any(index.is_own_memory(name) for name in missing)


def _expanded(part: str, index: Index) -> list[tuple[str, str | None]] | None:
    """The targets of a range such as 1-3 or d1-d3; None when it is none."""
    for pattern in (_NUMBER_RANGE, _RANGE):
        match = pattern.fullmatch(part)
        if match is None:
            continue
        prefix = match.groupdict().get("prefix") or ""
        first, last = int(match["first"]), int(match["last"])
        if first <= last <= first + _WIDEST_RANGE and (not prefix or index.looks_like_id(prefix + match["first"])):
            names = [f"{prefix}{number}" for number in range(first, last + 1)]
            return [(name, index.by_label(name) if not prefix else index.by_id(name)) for name in names]
    return None


def _target(part: str, index: Index) -> list[tuple[str, str | None]] | None:
    """The targets that one part of a bracket names; None when it names none."""
    if part.isdecimal() and len(part) <= 4:
        document = index.by_label(part)
        return [(part, document)] if document is not None or len(part) < 4 else None
    document = index.by_id(part)
    if document is not None and not part.isdecimal():
        return [(part, document)]
    if index.lists(part):
        return [(part, index.by_label(part))]
    if URL.match(part):
        url = trimmed_url(part)
        return [(url, index.by_url(url))]
    expanded = _expanded(part, index)
    if expanded is not None:
        return expanded
    if part.startswith("@") and ((document := index.by_id(part[1:])) is not None or index.looks_like_id(part[1:])):
        return [(part[1:], document)]
    label = part.removeprefix("^").removesuffix("^")
    if re.fullmatch(r"\d{1,4}", label):
        document = index.by_label(label)
        return [(label, document)] if document is not None or len(label) < 4 else None
    if part != label:
        return [(label, index.by_label(label))]
    if index.looks_like_id(part):
        return [(part, None)]
    numbered = _NUMBERED.fullmatch(part)
    if numbered is not None:
        return [(part, index.by_label(numbered[1]))]
    return [(part, None)] if index.is_own_memory(part) else None


def _targets(content: str, index: Index) -> list[tuple[str, str | None]] | None:
    """All targets of a bracket; None when it is no marker."""
    content, dagger, behind = content.strip(_BLANKS).partition("†")
    content = content.strip(_BLANKS)
    if dagger and _PLACE_IN_RECORD.fullmatch(content):
        # A search tool's own record: message and source, and the file's name. Only a document with such an id or title
        # is known to be meant.
        return [(content, index.by_id(content) or index.by_name(behind))]
    target = _target(content, index)
    if target is not None:
        return target
    targets: list[tuple[str, str | None]] = []
    for part in content.split() if _SPACED.fullmatch(content) else _SEPARATOR.split(content):
        if not part or _LOCATOR.fullmatch(part):
            continue
        part_targets = _target(part.strip(), index)
        if part_targets is None:
            return None
        targets += part_targets
    return targets or None


def _closings(text: str) -> dict[int, int]:
    """For each parenthesis and bracket that closes on its line, the place after the one that closes it."""
    ends: dict[int, int] = {}
    stacks: dict[str, list[int]] = {")": [], "]": []}
    for match in re.finditer(r"[()\[\]\n]", text):
        mark = match[0]
        if mark == "(":
            stacks[")"].append(match.start())
        elif mark == "[":
            stacks["]"].append(match.start())
        elif mark == "\n":
            stacks[")"].clear()
            stacks["]"].clear()
        elif stacks[mark]:
            ends[stacks[mark].pop()] = match.end()
    return ends


def _inline_code(text: str) -> list[tuple[int, int]]:
    """Spans of inline code (CommonMark, section 6.1): from a run of backticks to the next run as long, on its line."""
    spans: list[tuple[int, int]] = []
    at = 0
    for line in text.splitlines(keepends=True) if "`" in text else ():
        runs = [(at + run.start(), at + run.end()) for run in re.finditer(r"`+", line)]
        waiting: dict[int, list[int]] = {}
        for number in range(len(runs) - 1, -1, -1):
            waiting.setdefault(runs[number][1] - runs[number][0], []).append(number)
        number = 0
        while number < len(runs):
            openings = waiting[runs[number][1] - runs[number][0]]
            while openings and openings[-1] <= number:
                openings.pop()
            if openings:
                spans.append((runs[number][0], runs[openings[-1]][1]))
                number = openings[-1]
            number += 1
        at += len(line)
    return spans


def _tags(text: str, index: Index) -> Iterator[Marker]:
    for match in _CITE_TAG.finditer(text):
        names = [name for groups in _ATTRIBUTE.findall(match["attributes"]) for name in groups if name]
        content = (match["content"] or "").strip()
        if names:
            # If the source is in an attribute, the content is part of the statement, and the closing tag is the marker.
            start = match.end("content") if content else match.start()
            targets = [target for name in names for target in _targets(name, index) or [(name, None)]]
            if content:
                yield Marker(match.start(), match.start("content"))
            yield _settle(start, match.end(), targets, index)
        elif content:
            yield _settle(match.start(), match.end(), _listed(content, index), index)
    for match in _LATEX.finditer(text):
        yield _settle(match.start(), match.end(), _targets(match[1], index) or [(match[1], None)], index)


def _listed(content: str, index: Index) -> list[tuple[str, str | None]]:
    """The targets of a tag's content, which may be written in brackets of their own, such as ``[1-3][5-5]``."""
    inner = re.findall(r"\[([^\[\]]+)\]", content) or [content]
    return [target for name in inner for target in _targets(name, index) or [(name, None)]]


def _links(text: str, index: Index) -> Iterator[Marker]:
    if "](" not in text:
        return
    closings = _closings(text)
    for match in _LINK.finditer(text):
        end = closings.get(match.end() - 1)
        if end is None:
            continue
        target = text[match.end() : end - 1].strip().split(' "')[0].strip("<> ")
        if URL.match(target):
            document = index.by_url(target)
        else:
            document = index.by_id(target)
            if document is None and not index.looks_like_id(target):
                continue
        start = match.start()
        label = match[1].strip().strip("[]^")
        if not (label.isdecimal() or _targets(label, index) or URL.match(label)):
            # The words of the link are part of the statement.
            start = match.end() - 2
        elif start and text[start - 1] == "[" and text[end : end + 1] == "]":
            start, end = start - 1, end + 1
        label_targets = _targets(label, index) if not URL.match(label) and index.looks_like_id(label) else None
        if label_targets is not None and all(document is None for _, document in label_targets):
            # An address does not make a document of an id that none has.
            link_targets = [(target, document)] if document is not None else []
            yield _settle(start, end, [*link_targets, *label_targets], index)
            continue
        yield _settle(start, end, [(target, document)], index)


def _sources(text: str, index: Index) -> Iterator[Marker]:
    matches = list(_SOURCE.finditer(text))
    closings = _closings(text) if matches else {}
    for match in matches:
        end = closings.get(match.start())
        if end is not None and (content := text[match.end() : end - 1].strip()):
            yield _settle(match.start(), end, _targets(content, index) or [(content, None)], index)


def _addresses(text: str, index: Index) -> Iterator[Marker]:
    for match in URL.finditer(text) if "://" in text else ():
        url = trimmed_url(match[0])
        start, end = match.start(), match.start() + len(url)
        while start and end < len(text) and text[start - 1] + text[end] in ("()", "[]", "<>", "【】"):
            start, end = start - 1, end + 1
        yield _settle(start, end, [(url, index.by_url(url))], index)


def _is_subscript(text: str, start: int, subscripts: set[int]) -> bool:
    """Whether a number in brackets is an index: it touches a single letter, a program's name, or such a bracket."""
    if start in subscripts:
        return True
    if not start or text[start - 1].isspace():
        return False
    before = text[max(0, start - 60) : start]
    return _SUBSCRIPTED.fullmatch(_NO_WORD.sub("", before.split()[-1])) is not None


def _brackets(text: str, index: Index) -> Iterator[Marker]:
    subscripts: set[int] = set()
    by_content: dict[str, tuple[tuple[str, ...], tuple[str, ...], bool] | None] = {}
    for match in _BRACKETS.finditer(text):
        (start, end), content = match.span(), _content(match)
        numeric = text[start] == "[" and _INDICES.fullmatch(content) is not None
        if numeric and _is_subscript(text, start, subscripts):
            subscripts.add(end)
            continue
        if content not in by_content:
            targets = _targets(content, index)
            by_content[content] = _settled(targets, index) if targets is not None else None
        settled = by_content[content]
        resolves = settled is not None and not settled[1]
        if numeric and is_notation(text, start, end, content, resolves):
            continue
        if settled is not None:
            yield Marker(start, end, *settled)
        elif content.isidentifier() and _is_subscript(text, start, subscripts):
            subscripts.add(end)


def _content(match: re.Match[str]) -> str:
    """The content of a bracket of any form."""
    return match[match.lastindex or 0]


def _authors(text: str, index: Index) -> Iterator[Marker]:
    """Author and year: ``(Lewis et al., 2020)``, ``[Smith and Jones, 2019; Lewis, 2020]``, ``Lewis et al. (2020)``."""
    if not index.may_name_authors and _AND_OTHERS.search(text) is None:
        return
    for match in _YEAR_BEHIND.finditer(text):
        document = index.by_author(match["author"], match["year"])
        if document is not None:
            # The name is part of the statement.
            start = match.start("year") - 1
            yield _settle(start, match.end(), [(match[0], document)], index)
    for pattern in (_BRACKETS, _PARENTHESES):
        for match in pattern.finditer(text):
            parts = [_AUTHOR_YEAR.fullmatch(part.strip()) for part in _content(match).split(";")]
            targets = []
            for part in parts:
                if part is None:
                    break
                document = index.by_author(part["author"], part["year"])
                if document is None and (not part["others"] or index.mentions(part["author"], part["year"])):
                    # A place and a year may be an aside, and a document may be quoted with its own citations.
                    break
                targets.append((part[0], document))
            else:
                yield _settle(match.start(), match.end(), targets, index)


def _parentheses(text: str, index: Index) -> Iterator[Marker]:
    for match in _PARENTHESES.finditer(text):
        parts = [part for part in _SEPARATOR.split(match[1].strip()) if part and not _LOCATOR.fullmatch(part)]
        names = [re.sub(r"^(?:see|cf\.?|via)\s+", "", part, flags=re.IGNORECASE) for part in parts]
        # A number in parentheses is an aside; only names of documents cite here.
        if names and all(not name.isdecimal() and (index.by_id(name) or index.looks_like_id(name)) for name in names):
            yield _settle(match.start(), match.end(), [(name, index.by_id(name)) for name in names], index)


def _raised(text: str, index: Index) -> Iterator[Marker]:
    for match in _RAISED_RUN.finditer(text) if "<" in text or not text.isascii() else ():
        before = re.search(r"[^\s]*$", text[max(0, match.start() - 60) : match.start()])
        word = before[0] if before is not None else ""
        if word and re.fullmatch(r".*?(?:\d|(?<![^\W\d_])[^\W\d_]{1,2})", word):
            continue  # an exponent: a number, a symbol or a unit stands before it
        content = (match[1] or match[0]).translate(_DIGITS).replace("⁻", "-").replace("’", ",").replace("˒", ",")
        targets = _targets(content, index)
        if targets is not None:
            yield _settle(match.start(), match.end(), targets, index)


def find_markers(text: str, index: Index) -> list[Marker]:
    """Every marker of a text, in order.

    Args:
        text: The answer without reasoning, code blocks and reference list.
        index: The documents.
    """
    working = blanked(text, _inline_code(text), "\0")
    # Markdown needs no backslash there, and no formula is a number alone.
    working = _ESCAPED.sub(r" [\1] ", working) if "\\[" in working else working
    working = blanked(working, math_spans(working), "\0")
    markers: list[Marker] = []
    for grammar in (_tags, _links, _sources, _addresses, _authors, _brackets, _parentheses, _raised):
        grammar_markers = list(grammar(working, index))
        if grammar_markers:
            working = blanked(working, [(marker.start, marker.end) for marker in grammar_markers], "\0")
        markers += [marker for marker in grammar_markers if marker.documents or marker.unresolved]
    return sorted(markers, key=lambda marker: marker.start)
