"""How models mark their reasoning: one table of formats. A caller may add pairs of marks."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from typing import Literal

Marks = Sequence[tuple[str, str]]
"""Further pairs of an opening and a closing mark, each taken literally and in any case."""

_TAGS = (
    "think",
    "thinking",
    "thought",
    "thoughts",
    "reasoning",
    "analysis",
    "scratchpad",
    "reflection",
    "seed:think",
    "longcat_think",
)
"""Names of tags: ``<name>`` opens and ``</name>`` closes."""

_ALIASES = {"thinking": "think", "thoughts": "thought"}
"""Tags that models close by another name."""

_PAIRS = (
    ("[THINK]", "[/THINK]"),
    ("◁think▷", "◁/think▷"),
    ("<|begin_of_thought|>", "<|end_of_thought|>"),
    ("<|START_THINKING|>", "<|END_THINKING|>"),
    ("<|inner_prefix|>", "<|inner_suffix|>"),
)
"""Pairs of literal marks: Magistral, Kimi, Sky-T1, Command, Apertus."""

_HARMONY = r"""
    <\|(?P<harmony>channel)\|>\s{0,4}(?P<channel>[A-Za-z_]{0,40})[^<]{0,200}(?:<\|constrain\|>[^<]{0,200})?(?P<begins><\|message\|>)?
  | <\|(?P<start>start)\|>[^<]{0,200}
  | <\|(?P<end>end|return|call)\|>
  | <\|(?P<message>message)\|>
"""
"""The messages of Harmony: ``<|start|>role<|channel|>name<|message|>content<|end|>``; ``final`` is shown."""

Kind = Literal["opens", "closes", "empty", "shows", "control", "comment", "uncomment"]


@dataclass(frozen=True, slots=True)
class Token:
    """A mark in a text.

    Attributes:
        kind: ``"opens"`` or ``"closes"`` reasoning; ``"empty"``: both at once; ``"shows"``: what follows is the answer,
            whatever stood before; ``"control"``: a mark that is never shown and changes nothing; ``"comment"`` and
            ``"uncomment"``: the ends of a comment.
        format: Format of the reasoning; a mark closes spans of its own format only.
        start: Its first position.
        end: The position behind it.
    """

    kind: Kind
    format: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class _Scanner:
    """Finds marks.

    Attributes:
        pattern: Matches any mark; its last group tells which.
        begins: First characters of marks, and how marks go on from there: in every text with a mark one of them finds a
            place.  A first character is empty where its case is uncertain.  The end of a comment is left out: it counts
            only after its start.
    """

    pattern: re.Pattern[str]
    begins: tuple[tuple[str, re.Pattern[str]], ...]

    def may_match(self, text: str) -> bool:
        """Whether a text may contain a mark; False is certain."""
        for first, pattern in self.begins:  # noqa: SIM110 - a generator costs more than the searches
            if first in text and pattern.search(text) is not None:
                return True
        return False


@lru_cache(maxsize=64)
def _scanner(marks: tuple[tuple[str, str], ...]) -> _Scanner:
    pairs = (*marks, *_PAIRS)
    literal = [(opening, f"opens{place}") for place, (opening, _) in enumerate(pairs)]
    literal += [(closing, f"closes{place}") for place, (_, closing) in enumerate(pairs)]
    literal.sort(key=lambda pair: -len(pair[0]))
    # The first character is outside of the group, so that the search skips at once to possible marks.
    alternatives = "|".join(f"{re.escape(mark[0])}(?P<{group}>{re.escape(mark[1:])})" for mark, group in literal)
    tag = rf"<\s{{0,4}}(?P<slash>/\s{{0,4}})?(?P<tag>{'|'.join(_TAGS)})(?:\s[^<>]{{0,200}}?)?(?P<empty>/)?\s{{0,4}}>"
    pattern = re.compile(rf"{alternatives}|{tag}|<(?P<comment>!--)|-(?P<uncomment>->)|{_HARMONY}", re.I | re.X)
    initials = "".join(sorted({name[0] for name in _TAGS}))
    rests = {"<": ["!--", r"\|", rf"(?=[\s/{initials}])\s{{0,4}}(?:/\s{{0,4}})?(?:{'|'.join(_TAGS)})"]}
    for mark, _ in literal:
        rests.setdefault(mark[0], []).append(re.escape(mark[1:]))
    begins = [
        (
            "" if first.lower() != first.upper() else first,
            re.compile(f"{re.escape(first)}(?:{'|'.join(endings)})", re.I),
        )
        for first, endings in rests.items()
    ]
    return _Scanner(pattern, tuple(begins))


_KNOWN = _scanner(())


def _scanner_of(marks: Marks) -> _Scanner:
    return _scanner(tuple((opening, closing) for opening, closing in marks)) if marks else _KNOWN


def may_be_marked(text: str, marks: Marks = ()) -> bool:
    """Whether a text may contain a mark; without one all of it is visible."""
    return _scanner_of(marks).may_match(text)


def tokens_of(text: str, marks: Marks = (), most: int = 10_000) -> list[Token]:
    """The marks in a text, in order; of more than ``most``, one more than that."""
    scanner = _scanner_of(marks)
    if not scanner.may_match(text):
        return []
    return [_token(match) for match in islice(scanner.pattern.finditer(text), most + 1)]


def _token(match: re.Match[str]) -> Token:
    group = match.lastgroup or ""
    start, end = match.span()
    if match["tag"] is not None:
        kind: Kind = "closes" if match["slash"] else "empty" if match["empty"] else "opens"
        tag = match["tag"].lower()
        return Token(kind, _ALIASES.get(tag, tag), start, end)
    if match["harmony"] is not None:
        final = match["begins"] is not None and match["channel"].lower() == "final"
        return Token("shows" if final else "opens", "harmony", start, end)
    if match["start"] is not None or match["message"] is not None:
        return Token("control", "harmony", start, end)
    if match["end"] is not None:
        return Token("closes", "harmony", start, end)
    if group == "comment":
        return Token("comment", "comment", start, end)
    if group == "uncomment":
        return Token("uncomment", "comment", start, end)
    kind = "opens" if group.startswith("opens") else "closes"
    return Token(kind, group.removeprefix(kind), start, end)
