r"""The choice that a response states.

Only explicit statements count: ``<answer>B</answer>``, ``\boxed{B}``, "the answer is B", "Answer: (B) Paris", or a last
line that is nothing but a choice. The last statement is the response's answer, whatever its form, and it names exactly
one choice or none: letters in prose, lists of letters and a letter next to another option's text are no answer. One
statement is graded, so naming every letter wins nothing.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from reward_servers.engines.text._normal import Form
from reward_servers.engines.text._visible import last_line

__all__ = ["Choice", "stated_choice"]

_OPTION_FORM = Form(punctuation=False)
_LONGEST = 1_000
"""Characters of a statement that are read: no option is longer."""

_TAIL = 16_384
"""Characters at the end of a text that are searched: an answer is stated at the end."""

_STATEMENT = re.compile(
    r"""
      <answer>(?P<tag>[^<]{0,1000})</answer>
    | \\f?boxed\s*\{(?P<box>(?:[^{}\n]|\{[^{}\n]{0,400}\}){0,400})\}
    | (?<![^\W_])(?:answer|choice|option)[ \t*_]{0,8}
      (?:(?:is|was|would\ be|should\ be|must\ be|:|=|：)[ \t*_]{0,8}){1,4}
      (?P<prose>(?:(?!\\f?boxed|<answer>|(?:answer|choice|option)[ \t*_]{0,8}(?:is|was|:|=))[^\n]){0,1000})
    """,
    re.IGNORECASE | re.VERBOSE,
)
_EMPHASIS = re.compile(r"[*_`$]+|\\(?:text|mathrm|mathbf|textbf)\s*\{|[{}]|\\[()\[\]]")
_LEAD = re.compile(r"(?:the\s+)?(?:correct\s+)?(?:option|choice|answer)\s+|[:\s\"'“”‘’]+", re.IGNORECASE)
_SEVERAL = re.compile(
    r"[(\[]?(?P<first>[A-Za-z])[)\]]?(?P<others>(?:\s*(?:,\s*(?:and|or)\b|,|/|&|and/or\b|and\b|or\b|nor\b)\s*"
    r"[(\[]?[A-Za-z][)\]]?(?![^\W_])){1,30})"
)
_ONE = re.compile(r"[(\[]?\s{0,4}([A-Za-z])\s{0,4}(?P<close>[)\].:,;–—-]|(?=\s|$))")
_GOES_ON = re.compile(r"(?:is|was|and|but|which|because|since|as|with|for)\b|[(\[.;,!–—-]", re.IGNORECASE)
_SENTENCE_END = re.compile(r"[.;!?](?:\s|$)|\s(?:because|since|as)\s", re.IGNORECASE)
_BARE = re.compile(r"[(\[]?([A-Za-z])[)\]]?[.]?")
_BARE_WITH_TEXT = re.compile(r"[(\[]?([A-Za-z])(?:[)\]]|[.:])\s*(\S.*)")


@dataclass(frozen=True, slots=True)
class Choice:
    """What a response stated.

    Attributes:
        label: The choice; None when there is none.
        status: ``"stated"``; ``"ambiguous"`` when the last statement names several or contradicts itself;
            ``"missing"`` when nothing was stated.
        quote: The last statement as it was written, at most 200 characters.
    """

    label: str | None
    status: Literal["stated", "ambiguous", "missing"]
    quote: str = ""


class _Reader:
    """Reads statements about one list of options."""

    def __init__(self, options: Mapping[str, str]) -> None:
        self._labels = frozenset(options)
        self._by_text = {_OPTION_FORM.of(text): label for label, text in options.items() if text}

    def statement(self, statement: str) -> set[str]:
        """The choices that a statement names; two of them when it contradicts itself."""
        text = _EMPHASIS.sub("", statement[:_LONGEST]).strip()
        while (lead := _LEAD.match(text)) is not None:
            text = text[lead.end() :]
        whole = self._by_text.get(_OPTION_FORM.of(text))
        if whole is not None:
            return {whole}
        several = self._several(text)
        if several:
            return several
        one = _ONE.match(text)
        if one is None or one[1].upper() not in self._labels:
            return self._quoted(text)
        rest = text[one.end() :].strip()
        quoted = self._quoted(rest)
        # "A" and "I" are words too: as a choice they need a mark, an end or a word that goes on from a choice.
        word = one[1] in "AI" or one[1].islower()
        if one["close"] or quoted or not rest or not word or _GOES_ON.match(rest):
            return {one[1].upper()} | quoted
        return set()

    def line(self, line: str) -> set[str]:
        """The choices of a line that is nothing but a choice, perhaps with its text."""
        text = _EMPHASIS.sub("", line[:_LONGEST]).strip()
        bare = _BARE.fullmatch(text)
        if bare is not None and bare[1].upper() in self._labels:
            return {bare[1].upper()}
        several = self._several(text)
        if several and _SEVERAL.fullmatch(text):
            return several
        full = _BARE_WITH_TEXT.match(text)
        if full is not None and full[1].upper() in self._labels:
            quoted = self._by_text.get(_OPTION_FORM.of(full[2]))
            return {full[1].upper(), quoted} if quoted is not None else set()
        quoted = self._by_text.get(_OPTION_FORM.of(text))
        return {quoted} if quoted is not None else set()

    def _several(self, text: str) -> set[str]:
        found = _SEVERAL.match(text)
        if found is None:
            return set()
        # "A, a common mistake" names one choice: the letters of a list are written alike.
        same_case = str.isupper if found["first"].isupper() else str.islower
        letters = [found["first"], *re.findall(r"(?<![^\W_])[A-Za-z](?![^\W_])", found["others"])]
        labels = {letter.upper() for letter in letters if same_case(letter)} & self._labels
        return labels if len(labels) > 1 else set()

    def _quoted(self, text: str) -> set[str]:
        """The option whose text stands alone, or alone in the first sentence."""
        end = _SENTENCE_END.search(text)
        for part in (text, text if end is None else text[: end.start()]):
            label = self._by_text.get(_OPTION_FORM.of(part))
            if label is not None:
                return {label}
        return set()


def stated_choice(text: str, options: Mapping[str, str]) -> Choice:
    """Finds the choice that a response states.

    Args:
        text: The visible text of the response; statements are looked for in its last 16,384 characters.
        options: The option texts by label, labels being single upper-case letters; a text may be empty when not known.

    Returns:
        The choice of the last statement that names one.
    """
    reader = _Reader(options)
    text = text[-_TAIL:]
    quote, labels, end = "", set[str](), 0
    for match in _STATEMENT.finditer(text):
        named = reader.statement(match["tag"] or match["box"] or match["prose"] or "")
        if named:
            quote, labels, end = match[0], named, match.end()
    line = last_line(text)
    if line and text.rstrip().rfind(line) >= end and (named := reader.line(line)):
        quote, labels = line, named
    if not labels:
        return Choice(None, "missing")
    if len(labels) > 1:
        return Choice(None, "ambiguous", quote[:200])
    return Choice(next(iter(labels)), "stated", quote[:200])
