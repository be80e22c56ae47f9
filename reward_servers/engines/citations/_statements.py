"""Cuts an answer into statements, and says which of them need a citation."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from reward_servers.engines.citations._abstaining import ABSTAINING
from reward_servers.engines.citations._assertions import (
    heading_states,
    lead_in_states,
    question_states,
    remark_states,
)
from reward_servers.engines.citations._layout import Layout, blanked
from reward_servers.engines.citations._markers import Marker
from reward_servers.engines.citations._words import Rule, spelt, words_of_statement

_M = "\ue000"
"""Written in place of each character of a marker while sentences are cut."""

_FOLLOWING = re.compile(r"\s+[$€£(\"“'«]?(\w+)")
_WORD_BEFORE = re.compile(r"[\w.]+$")
_BEHIND_AL = re.compile(rf"\s*(?:[\[(,;]|{_M})")
_INITIAL = re.compile(r"(?:[A-Z]\.)*[A-Z]")
_LETTER = re.compile(r"[^\W_]")
_BULLET = re.compile(r"\s*(?:>\s*)*(?:(?:[-*•+]|\d{1,3}[.)])\s+)?")
_END = re.compile(r"(?:[.!?؟]+[\"'”’)\]*_]*(?=\s|$|" + _M + r")|[。！？।۔]+[”’」』）]*)")
_CUT = re.compile(rf"{_END.pattern}|{_M}[ \t]*\n")
_BEFORE = re.compile(r"[ \t\n*_(\[]*")
_TAIL = re.compile(rf"[ \t]*(?:{_M}+[ \t]*[,;]?[ \t]*)+[.!?]?")
_ABBREVIATIONS = frozenset(
    [
        "dr",
        "mr",
        "mrs",
        "ms",
        "prof",
        "st",
        "vs",
        "no",
        "nos",
        "vol",
        "fig",
        "figs",
        "eq",
        "pp",
        "ca",
        "approx",
        "jr",
        "sr",
        "inc",
        "ltd",
        "co",
        "corp",
        "al",
        "cf",
        "eg",
        "ie",
        "e.g",
        "i.e",
        "etc",
        "dept",
        "est",
        "gen",
        "gov",
        "sen",
        "rep",
        "rev",
        "hon",
        "capt",
        "col",
        "lt",
        "sgt",
        "mt",
        "ft",
        "jan",
        "feb",
        "mar",
        "apr",
        "jun",
        "jul",
        "aug",
        "sep",
        "sept",
        "oct",
        "nov",
        "dec",
        "u.s",
        "u.k",
        "a.m",
        "p.m",
        *[
            "bzw",
            "usw",
            "vgl",
            "nr",
            "abs",
            "evtl",
            "ggf",
            "inkl",
            "sog",
            "str",
            "bspw",
            "zzgl",
            "hrsg",
            "aufl",
            "jh",
            "mio",
            "mrd",
        ],
        *[
            "ej",
            "pág",
            "págs",
            "sr",
            "sra",
            "ud",
            "núm",
            "art",
            "cap",
            "env",
            "av",
            "bd",
            "éd",
            "mme",
            "mlle",
            "num",
            "p.ex",
            "janv",
            "févr",
            "avr",
            "juill",
            "déc",
            "ee",
            "pct",
            "ул",
            "им",
            "рис",
            "стр",
            "см",
            "n.b",
            "approx",
            "resp",
        ],
    ]
)
_BEFORE_A_NUMBER = frozenset(["sec", "sect", "ch", "chap", "para", "tab", "app", "s", "p", "n", "v"])
"""What is an abbreviation where a number follows."""
_MONTH = re.compile(
    r"(?:jan|feb|fév|mär[zt]|apr|avr|mai|maj|jun|jui|jul|aug|aoû|sep|oct|okt|nov|dec|dez|déc)\w*", re.IGNORECASE
)
"""Without May and March: English writes no full stop behind a day, and a sentence may begin with these."""
_SECOND_LETTER = re.compile(r"\b\w\.\s\w$|\b[vn]\.\s(?:Chr)$")
_STARTERS = frozenset(
    [
        "the",
        "it",
        "he",
        "she",
        "they",
        "we",
        "this",
        "that",
        "these",
        "those",
        "in",
        "on",
        "at",
        "a",
        "an",
        "its",
        "his",
        "her",
        "their",
        "there",
    ]
)

_TO_THE_GRADER = re.compile(
    r"\b(?:grader|grading|evaluator|rubrics?|full\s+marks|(?:this|my)\s+(?:answer|response|reply)\s+(?:deserves|should|must|is\s+to)"
    r"|(?:award|give|assign|grant)\s+(?:this|my|the|it|me)\b[^.]{0,40}\b(?:marks?|points?|score|credit|reward))\b"
    r"|^\W*(?:dear|attention|note\s+to)\s+(?:judge|reviewer|grader|evaluator)",
    re.IGNORECASE,
)
_ON_NOTATION = re.compile(
    r"^\W*(?:notation|legend|abbreviations?|conventions?|a?\s*note\s+on\s+notation|key)\s*[:：—-]"
    r"|\b(?:citations?|references?|markers?|numbers?|brackets?|superscripts?)\s+(?:\w+\s+){0,3}(?:refer|point|denote|index|follow|mark)\w*\b"
    r"|^\W*(?:here|below|above|throughout)?,?\s*(?:\S+\s+){1,2}(?:denotes?|stands\s+for|abbreviates?)\s",
    re.IGNORECASE,
)
_LEAD_IN = re.compile(
    r"^\W*(?:sure|certainly|of\s+course|okay|ok|hello|hi|thanks?(?:\s+you)?|you(?:'re|’re)\s+welcome|i\s+hope\s+this\s+helps)\b[^.]{0,40}[.!:]?\W*$"
    r"|^\W*(?:here(?:\s+is|\s+are|['’]s)|below\s+(?:is|are)|the\s+following)\b[^.]{0,120}[.:]?\W*$",
    re.IGNORECASE,
)


def split_statements(layout: Layout, markers: Sequence[Marker]) -> Iterator[tuple[int, int]]:
    """Spans of the statements of an answer: table rows, and the sentences of its paragraphs and list items."""
    text = blanked(layout.text, [(marker.start, marker.end) for marker in markers], _M)
    start = at = 0
    for line in text.splitlines(keepends=True):
        alone = at in layout.heads or line.lstrip().startswith("|")
        bullet = _BULLET.match(line)
        opens = bullet is not None and bullet[0].strip() not in ("", *">" * 9)
        if alone or opens or not line.strip():
            yield from _sentences(text, start, at)
            start = at + (bullet.end() if bullet is not None and opens else 0)
        if alone:
            yield at, at + len(line.rstrip("\n"))
            start = at + len(line)
        at += len(line)
    yield from _sentences(text, start, at)


def _sentences(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    """Spans of the sentences of a paragraph."""
    at = start
    while at < end:
        cut = _next_cut(text, at, end)
        if text[at:cut].strip():
            yield at, cut
        at = cut


def _next_cut(text: str, start: int, end: int) -> int:
    for match in _CUT.finditer(text, start, end):
        if match[0].endswith("\n"):
            return match.end()
        cut = match.end()
        if match[0][0] == "." and _is_abbreviation(text, start, match.start(), cut, end):
            continue
        tail = _TAIL.match(text, cut, end)
        if tail is not None and (text[cut] == _M or _opens_sentence(text, tail.end(), end)):
            # Markers behind the full stop belong to the sentence before it, unless the next one begins with them.
            cut = tail.end()
        elif tail is None and not _opens_sentence(text, cut, end):
            continue
        return cut
    return end


def _opens_sentence(text: str, at: int, end: int) -> bool:
    skipped = _BEFORE.match(text, at, end)
    at = skipped.end() if skipped is not None else at
    return at >= end or not text[at].islower()


def _is_abbreviation(text: str, start: int, dot: int, cut: int, end: int) -> bool:
    word = _word_before(text, max(start, dot - 20), dot)
    if not word:
        return False
    if word.casefold() == "al" and _BEHIND_AL.match(text, cut, min(end, cut + 4)):
        return True
    following = _FOLLOWING.match(text, cut, min(end, cut + 40))
    if following is None:
        return False
    if len(word) == 1 and re.match(r"\s?(?:\w\.|Chr\b)", text[cut : min(end, cut + 5)]):
        # Two single letters with a full stop each, as in "z. B.", "d. h." or "p. m.".
        return True
    if word.islower() and len(word) == 1 and re.search(r"\b\w\.\s?\w$", text[max(start, dot - 4) : dot]):
        return True
    if _SECOND_LETTER.search(text[max(start, dot - 5) : dot]):
        return following[1].casefold() not in _STARTERS
    folded, number = word.casefold().strip("."), following[1][0].isdigit()
    if folded in _ABBREVIATIONS or (number and folded in _BEFORE_A_NUMBER):
        return True
    if len(word) <= 2 and word.isdecimal() and _MONTH.fullmatch(following[1]):
        # A day with the full stop of an ordinal number, as in "3. Mai".
        return True
    initial = _INITIAL.fullmatch(word) is not None
    return initial and following[1][0].isupper() and following[1].casefold() not in _STARTERS


def _word_before(text: str, start: int, end: int) -> str:
    """The word that ends at a place, full stops within it included."""
    last = text[start:end].split()[-1:] if end > start and not text[end - 1].isspace() else []
    if not last or last[0].isalnum():
        return last[0] if last else ""
    before = _WORD_BEFORE.search(last[0])
    return before[0] if before is not None else ""


EXEMPT = (
    *ABSTAINING,
    Rule(
        _TO_THE_GRADER,
        (
            spelt(
                "grader grading evaluator rubric rubrics mark marks answer response reply point points score "
                "credit reward dear attention note"
            ),
        ),
    ),
    Rule(
        _ON_NOTATION,
        (
            spelt(
                "notation legend abbreviation abbreviations convention conventions key citation citations "
                "reference references marker markers number numbers bracket brackets superscript superscripts "
                "denote denotes stands abbreviate abbreviates"
            ),
        ),
    ),
    Rule(
        _LEAD_IN,
        (spelt("sure certainly course okay ok hello hi thank thanks welcome helps here below following"),),
    ),
)
"""What makes a sentence no statement."""
_EXEMPTING = frozenset().union(*(rule.words[0] for rule in EXEMPT))


def needs_citation(statement: str, prose: str, *, is_head: bool, question: str = "") -> bool:
    """Whether a statement asserts something about its subject.

    Args:
        statement: The statement.
        prose: The same without its markers.
        is_head: Whether it is a heading, or the head or the rule of a table.
        question: What the answer answers.
    """
    if _LETTER.search(prose) is None:
        return False
    if is_head:
        return heading_states(prose, question)
    ended = prose.rstrip(" \n*_\"”'»)")
    if ended.endswith(("?", "？", "؟")):
        return question_states(prose, question)
    if ended.endswith((":", "：")):
        return lead_in_states(prose, question)
    if prose.isascii() and _EXEMPTING.isdisjoint(words_of_statement(prose)[1]):
        return True
    exempt = next((rule.pattern for rule in EXEMPT if rule.matches(prose)), None)
    return exempt is None or remark_states(prose, exempt, question)
