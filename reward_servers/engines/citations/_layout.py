"""Takes an answer apart into lines: prose, tables, headings, code, and the reference list."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from reward_servers.engines.citations._assertions import is_note
from reward_servers.engines.citations._html import as_lines

_FENCE = re.compile(r"^ {0,3}(`{3,}|~{3,})")
_HEADING = re.compile(r"^\s{0,3}#{1,6}(?:\s|$)|^\s*(\*\*|__)[^*_]+?[^.!?*_]\1:?\s*$")
_UNDERLINE = re.compile(r"^ {0,3}(?:=+|-+)\s*$")
_LIST_HEADING = re.compile(
    r"^[\s#*_]*(?:references?|sources?|bibliography|works\s+cited|citations?|footnotes?|endnotes?)[\s*_]*:?[\s*_]*(?P<rest>.*)$",
    re.IGNORECASE,
)
_DIGITS = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹", "0123456789")
_ENTRY = re.compile(
    r"^\s*(?:[-*•+]\s+)?(?:\[\[?\^?(?P<bracket>[^\[\]\s]{1,40})\]\]?[:.]?|(?P<number>\d{1,3})[.):]|(?P<raised>[⁰¹²³⁴⁵⁶⁷⁸⁹]+))\s*(?P<rest>\S.*)$"
)
_FOOTNOTE = re.compile(r"^\s*\[\^(?P<label>[^\]\s]{1,40})\]:\s*(?P<rest>\S.*)$")
_MARK = re.compile(r"\[\^(?P<label>[^\]\s]{1,40})\]")
_IMAGE = re.compile(
    r"!\[(?P<alt>[^\]\n]{0,500})\](?:\([^()\n]{0,2000}(?:\([^()\n]{0,200}\)[^()\n]{0,2000})?\)|\[[^\]\n]{0,100}\])|<img\b[^>]{0,2000}>"
)
_RULE = re.compile(r"(?=[^-=]*[-=])[\s|:+=-]+")
_NO_LINE_END = re.compile(r"[^\n]")
_ADDRESS_ONLY = re.compile(r"^[(<]?(?:view-source:)?https?://\S+[)>]?\s*$", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Layout:
    """An answer without its code and its reference list.

    Attributes:
        text: The answer. Parts that were left out are blank, so that positions stay the same.
        heads: Lines, by their first place, that are headings, table heads or table rules.
        references: Entries of the reference list by label.
        asides: Lines that were left out, by their first position: code, text of pictures, words behind the list.
    """

    text: str
    heads: frozenset[int]
    references: Mapping[str, str]
    asides: Mapping[int, str]


def blanked(text: str, spans: Iterable[tuple[int, int]], mark: str) -> str:
    """The text with spans replaced by marks, line ends kept."""
    parts: list[str] = []
    at = 0
    for start, end in sorted(spans):
        if end <= at:
            continue
        covered = text[max(start, at) : end]
        parts += [text[at:start], _NO_LINE_END.sub(mark, covered) if "\n" in covered else mark * len(covered)]
        at = end
    return "".join([*parts, text[at:]])


def _is_rule(line: str) -> bool:
    return _RULE.fullmatch(line) is not None and ("|" in line or "+" in line)


def _is_head(lines: Sequence[str], number: int) -> bool:
    """Whether a line is a heading or the line under it, a table's rule, or the table's head above it."""
    line, following = lines[number], "".join(lines[number + 1 : number + 2])
    if _HEADING.match(line) is not None or _UNDERLINE.match(line) is not None or _is_rule(line):
        return True
    if _UNDERLINE.match(following) is not None:
        # A sentence above a line that only separates it from what follows is no heading.
        return bool(line.strip()) and not line.rstrip(" *_\n").endswith((".", "!", "?", "]", ")"))
    if "|" not in line or not _is_rule(following):
        return False
    if not following.lstrip().startswith("+") or "=" in following:
        return True
    # A grid has rules between all its rows: without a double one, the first row is its head if others follow.
    above, below = "".join(lines[max(0, number - 2) : number]), "".join(lines[number + 2 : number + 3])
    return "|" not in above and "|" in below


def lay_out(answer: str) -> Layout:
    """Find the parts of an answer whose reasoning has been removed."""
    asides: dict[int, str] = {}
    answer = _without_pictures(answer, asides)
    lines = _without_code(answer, asides).splitlines(keepends=True)
    lines_out: list[str] = []
    heads: set[int] = set()
    references: dict[str, str] = {}
    notes: set[str] = set()
    in_list, at = False, 0
    for number, line in enumerate(lines):
        note = _FOOTNOTE.match(line)
        if note is not None and is_note(note["rest"]):
            notes.add(note["label"])
            lines_out.append("-".ljust(note.start("rest")) + line[note.start("rest") :])
            at += len(line)
            continue
        listed = len(references)
        was_in_list = in_list
        in_list, keep = _take_reference(line, in_list, references)
        if was_in_list and not keep and len(references) == listed and _ENTRY.match(line) is None:
            asides[at] = line
        if keep and _is_head(lines, number):
            heads.add(at)
        lines_out.append(line if keep else re.sub(r"[^\n]", " ", line))
        at += len(line)
    text = "".join(lines_out)
    if notes:
        # A footnote that says something and names no source is part of the text, and its marks cite nothing.
        text = _MARK.sub(lambda mark: " " * len(mark[0]) if mark["label"] in notes else mark[0], text)
    return Layout(text, frozenset(heads), references, asides)


def _without_code(answer: str, asides: dict[int, str]) -> str:
    """The answer with its blocks of code blank, their lines as asides, and HTML elsewhere as lines."""
    parts: list[str] = []
    prose: list[str] = []
    fence, at = "", 0
    for line in answer.splitlines(keepends=True):
        mark = _FENCE.match(line)
        if not fence and mark is None:
            prose.append(line)
            at += len(line)
            continue
        if prose:
            parts.append(as_lines("".join(prose)))
            prose = []
        if not fence and mark is not None:
            fence = mark[1]
        elif mark is not None and mark[1].startswith(fence) and not line[mark.end() :].strip():
            fence = ""
        else:
            asides[at] = line
        parts.append(re.sub(r"[^\n]", " ", line))
        at += len(line)
    parts.append(as_lines("".join(prose)))
    return "".join(parts)


def _without_pictures(answer: str, asides: dict[int, str]) -> str:
    """The answer without pictures, whose words become asides."""
    spans = []
    for match in _IMAGE.finditer(answer):
        spans.append(match.span())
        if match["alt"]:
            asides[match.start()] = match["alt"]
    return blanked(answer, spans, " ") if spans else answer


def _take_reference(line: str, in_list: bool, references: dict[str, str]) -> tuple[bool, bool]:
    """Read a line of a reference list, if it is one.

    Returns:
        Whether the list goes on, and whether the line is part of the answer's text.
    """
    heading = _LIST_HEADING.match(line)
    if heading is not None and (not heading["rest"].strip() or _ENTRY.match(heading["rest"])):
        _add(heading["rest"], references)
        return True, False
    if in_list:
        if line.lstrip().startswith("#"):
            return False, True
        _add(line, references)
        return True, False
    footnote = _FOOTNOTE.match(line)
    if footnote is not None:
        references.setdefault(footnote["label"], footnote["rest"])
        return False, False
    entry = _ENTRY.match(line)
    if entry is not None and _ADDRESS_ONLY.match(entry["rest"]):
        _add(line, references)
        return False, False
    return False, True


def _add(line: str, references: dict[str, str]) -> None:
    entry = _ENTRY.match(line)
    if entry is not None:
        label = entry["bracket"] or entry["number"] or entry["raised"].translate(_DIGITS)
        references.setdefault(label, entry["rest"])
