r"""The choice that a response states.

Only explicit statements count: ``<answer>B</answer>``, ``\boxed{B}``, "the answer is B", "Answer: (B) Paris", "option B
is correct", "I choose B", or a last line that is nothing but a choice. The last statement is the response's answer,
whatever its form, and it names exactly one choice or none: letters in prose, lists of letters and a letter next to
another option's text are no answer. One statement is graded, so naming every letter wins nothing.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple

from reward_servers.engines.text._boxes import OPENING, every_box
from reward_servers.engines.text._composed import composed
from reward_servers.engines.text._hypotheticals import is_supposed
from reward_servers.engines.text._normal import Form
from reward_servers.engines.text._parts import last_line

_OPTION_FORM = Form(punctuation=False)
_EXACT_FORM = Form()
_GROUPED = re.compile(r"[-+]?[0-9]{1,3}(?:,[0-9]{3})+(?:\.[0-9]+)?")
_OF_SENTENCES = re.compile(r"[.,;:!?](?=\s)|[.,;:?]+$|[\"“”]")
_LONGEST = 1_000
"""Characters of a statement that are read: no option is longer."""

_TAIL = 16_384
"""Characters at the end of a text that are searched: an answer is stated at the end."""

_MOST = 64
"""Statements that are read, from the last one back: no honest text needs more."""

_BLANKED = str.maketrans("*`", "  ")
_GAP = r"[ \t*_\"'`]{0,8}"
_IS = r"(?:is|was|would\ be|should\ be|must\ be|:|=)"
_ADVERB = (
    r"(?:definitely|clearly|certainly|obviously|indeed|therefore|thus|hence|then|actually|simply"
    r"|(?:most\s+|very\s+)?likely|probably)"
)
_STATEMENT = re.compile(
    rf"""
      <answer>(?P<tag>[^<]{{0,1000}})</answer>
    | (?: (?<![^\W_])(?:answer|choice|option|letter){_GAP}(?:,\s{_ADVERB},\s)?(?:{_IS}{_GAP}){{1,4}}
        | 答案{_GAP}(?:是|为|選|选|:)
        | (?<!\w)I(?:\ would|\ will|['’]d|['’]ll)?\ (?:choose|pick|select|go\ with)\s
      )
      (?P<prose>(?:(?!{OPENING}|<answer>|(?:answer|choice|option){_GAP}{_IS})[^\n]){{0,1000}})
    """,
    re.IGNORECASE | re.VERBOSE,
)
_CALLED_RIGHT = re.compile(
    rf"""
    (?:^[ ]{{0,4}}|[.;:,!?]\s{{1,4}}
      |\b(?i:so|thus|hence|therefore|then|that|and|but|only|think|believe|conclude|option|choice|answer)\s+)
    (?:(?i:option|choice|answer)\s+)?
    (?P<choice>[(\[]?[A-Z][)\]]?)(?:\s\([^()\n]{{1,80}}\))?\s{{1,4}}
    (?:is|was|must\s+be|should\s+be)\s+(?:{_ADVERB}\s+)?
    (?:(?:the\s+)?(?:only\s+)?(?:correct|right|best)(?:\s+(?:answer|choice|option|one))?|the\s+(?:answer|choice))\b
    (?!\s+(?:only|if|when|that|about|in)\b)(?![^.\n]{{0,40}}\?)
    """,
    re.VERBOSE | re.MULTILINE,
)
_DOUBTED = re.compile(
    r"(?:\b(?:if|whether|unless|not|never|nor|neither|cannot|doubt|suppos\w+|assum\w+)\b|n['’]t\b)[^.;!?\n]*$",
    re.IGNORECASE,
)
_EMPHASIS = re.compile(r"[*_`$]+|\\(?:text|mathrm|mathbf|textbf|textit)\s*\{|[{}]|\\[()\[\]]")
_LEAD = re.compile(
    rf"(?:the\s+)?(?:(?:final|correct|best|right)\s+)?(?:option|choice|answer)\s+(?:-\s+)?|{_ADVERB}\s+|[:\s\"'“”‘’]+"
    r"|not\s+[(\[]?[A-Za-z][)\]]?,?\s+but\s+",
    re.IGNORECASE,
)
_SEVERAL = re.compile(
    r"[(\[]?(?P<first>[A-Za-z])[)\]]?(?P<others>(?:\s*(?:,\s*(?:and|or)\b|,|/|&|and/or\b|and\b|or\b(?:\s+(?:maybe|perhaps|possibly)\b)?|nor\b)\s*"
    r"[(\[]?[A-Za-z][)\]]?(?![^\W_])){1,30})"
)
_ONE = re.compile(r"[(\[]?\s{0,4}([A-Za-z])\s{0,4}(?P<close>[)\].:,;!–—、-]|[\"'”’](?!\w)|(?=\s|$|[^\x00-\x7f]))")
_GOES_ON = re.compile(r"(?:is|was|and|but|which|because|since|as|with|for)\b|[(\[.;,!–—-]", re.IGNORECASE)
_OPERATOR = re.compile(
    r"[+=^_/&|<>→⇒↔⟶∪∩×·≤≥≠∈]|[-*]\s*[A-Za-z0-9(\\](?![A-Za-z])|\\(?:cup|cap|times|cdot|pm|in|leq?|geq?|neq?|to|lor|land|wedge|vee)(?![A-Za-z])"
)
"""What makes a formula of the letter before it."""
_CORRECTED = re.compile(
    r"(?<![^\W_])(?i:no|wait|actually|sorry|oops|hmm+|correction)\b[\s,.;:!…—–-]+"
    r"(?i:(?:no|wait|actually|it\s+is|it['’]s|I\s+mean|make\s+that|(?:the\s+)?answer\s+is)\b[\s,.:;!…]*)*"
    r"[(\[]?(?P<label>[A-Z])(?![^\W_])(?!\s+(?:is|was)\s+(?:not|wrong|incorrect|false))"
    r"(?=[)\]]|\s*(?:[.,;:!?(—–-]|$|(?:is|because|since)\b))"
)
_DASHES = frozenset("-–—")
_LINKED = re.compile(r">|[A-Za-z](?![A-Za-z])")
_EXPLAINED = re.compile(
    r"\b(?:because|since|as|not|than|unlike|while|whereas|option|choice|answer|both|that|if|neither|nor|are|is)\s+$",
    re.I,
)
"""What stands before a letter that is spoken about and not offered."""
_OFFERED_TOO = re.compile(
    r"[\s(,]*\b(?:or|and/or)\s+(?:maybe\s+|perhaps\s+|possibly\s+|even\s+)?[(\[]?(?P<label>[A-Za-z])(?![^\W_])"
)
_ROMAN = re.compile(r"[IVX](?:\s*,\s*(?:and\s+)?|\s+and\s+)[IVX]{2,}\b")
_BRACKETED = re.compile(r"(?<![\w)\]])[(\[](?P<label>[A-Za-z])[)\]]")
_CLOSED = re.compile(r"(?<=[\s,;])(?P<label>[A-Za-z])\)(?=\s)")
_POINTED = re.compile(r"[,;]\s{0,4}(?:and\s)?(?P<label>[A-Za-z])[.:](?=\s)")
_SENTENCE_END = re.compile(r"[.;!?](?:\s|$)|\s(?:because|since|as)\s", re.IGNORECASE)
_NAMED_AFTER = re.compile(r"(?P<text>.{1,300}?)\s*[(\[](?P<letter>[A-Z])[)\]]")
_BULLET = re.compile(r"(?:#{1,6}|>|[-•+])\s+")
_BARE = re.compile(r"[(\[]?([A-Za-z])[)\]]?[.!]?[\"'”’]?")
_BARE_WITH_TEXT = re.compile(r"[(\[]?([A-Za-z])(?:[)\]]|[.:、]|\s[-–—](?=\s))\s*(\S.*)")


@dataclass(frozen=True, slots=True)
class Choice:
    """What a response stated.

    Attributes:
        label: The choice; None when there is none.
        status: ``"stated"``; ``"ambiguous"`` when the last statement names several or contradicts itself;
            ``"missing"`` when nothing was stated.
        quote: The last statement, at most 200 characters.
    """

    label: str | None
    status: Literal["stated", "ambiguous", "missing"]
    quote: str = ""


def _plain(text: str) -> str:
    """The text without Markdown emphasis and the LaTeX that wraps words."""
    return _EMPHASIS.sub("", text[:_LONGEST]).strip()


def _option_key(text: str, *, exact: bool = False) -> str:
    """The form in which an option and what a response says are compared.

    Signs between words are dropped. Beside digits, or with ``exact``, only signs that end a clause are dropped.
    """
    plain = _plain(text)
    if not exact and not any(map(str.isdigit, plain)):
        return _OPTION_FORM.of(plain)
    key = _EXACT_FORM.of(_OF_SENTENCES.sub("", plain))
    return key.replace(",", "") if _GROUPED.fullmatch(key) else key


class _Reader:
    """Reads statements about one list of options."""

    def __init__(self, options: Mapping[str, str]) -> None:
        self._labels = frozenset(options)
        self._exact = False
        self._keys = {label: self._key(text) for label, text in options.items()}
        if len(set(self._keys.values())) < len(options):
            self._exact = True  # `p - q` and `pq` differ by a sign alone
            self._keys = {label: self._key(text) for label, text in options.items()}
        times = Counter(self._keys.values())
        self._by_key = {key: label for label, key in self._keys.items() if key and times[key] == 1}

    def _key(self, text: str) -> str:
        return _option_key(text, exact=self._exact)

    def statement(self, statement: str) -> set[str]:
        """The choices that a statement names; two or more if it contradicts itself."""
        text = _plain(statement)
        while (lead := _LEAD.match(text)) is not None:
            text = text[lead.end() :]
        label = self._by_key.get(self._key(text))
        if label is not None:
            return {label}
        labels = self._several(text)
        if labels:
            return labels
        match = _ONE.match(text)
        if match is None or match[1].upper() not in self._labels:
            return self._named_after(text) or self._quoted(text)
        following = text[match.end() :].strip()
        corrected = _CORRECTED.search(following)
        if corrected is not None and corrected["label"] in self._labels:
            return {corrected["label"]}
        if (_OPERATOR.match(following) and not match["close"]) or (
            match["close"] in _DASHES and _LINKED.match(following)
        ):
            return set()
        if _ROMAN.match(text):
            return set()  # "I, II" are statements
        quoted = self._quoted(following)
        others_beside = set() if quoted else self._beside(match, text)
        if others_beside:
            return {match[1].upper()} | others_beside
        # "A" and "I" are words too: as a choice they need a mark, an end or a word that goes on from a choice.
        word = match[1] in "AI" or match[1].islower()
        if match["close"] or quoted or not following or not word or _GOES_ON.match(following):
            return {match[1].upper()} | quoted
        return set()

    def line(self, line: str) -> set[str]:
        """The choices of a line that is nothing but a choice, perhaps with its text."""
        text = _plain(line)
        for opening in (_BULLET, _LEAD):
            begins = opening.match(text)
            text = text[begins.end() :] if begins is not None else text
        bare = _BARE.fullmatch(text)
        if bare is not None and bare[1].upper() in self._labels:
            return {bare[1].upper()}
        labels = self._several(text)
        if labels and _SEVERAL.fullmatch(text):
            return labels
        full = _BARE_WITH_TEXT.match(text)
        if full is not None and full[1].upper() in self._labels:
            return self._with_text(full[1].upper(), full[2])
        quoted = self._by_key.get(self._key(text))
        return {quoted} if quoted is not None else set()

    def _with_text(self, label: str, text: str) -> set[str]:
        """A letter and the text behind it, which is that of its option, of another one, or of none."""
        quoted = self._by_key.get(self._key(text))
        if quoted is not None:
            return {label, quoted}
        own = self._keys[label]
        return {label} if not own or self._key(text).startswith(f"{own} ") else set()

    def _several(self, text: str) -> set[str]:
        match = _SEVERAL.match(text)
        if match is None:
            return set()
        # "A, a common mistake" names one choice: the letters of a list are written alike.
        same_case = str.isupper if match["first"].isupper() else str.islower
        letters = [match["first"], *re.findall(r"(?<![^\W_])[A-Za-z](?![^\W_])", match["others"])]
        labels = {letter.upper() for letter in letters if same_case(letter)} & self._labels
        return labels if len(labels) > 1 else set()

    def _beside(self, match: re.Match[str], text: str) -> set[str]:
        """The letters offered beside the first one: in the labels of several parts, or behind "or"."""
        following = text[match.end() :]
        labels = [] if (too := _OFFERED_TOO.match(following)) is None else [too["label"]]
        if not _GOES_ON.match(following.lstrip()):
            for label in _label_like(match).finditer(following):
                if _EXPLAINED.search(following, 0, label.start("label")) is None:
                    labels.append(label["label"])
        same_case = str.isupper if match[1].isupper() else str.islower
        return {letter.upper() for letter in labels if same_case(letter)} & self._labels - {match[1].upper()}

    def _quoted(self, text: str) -> set[str]:
        """The option whose text stands alone, or alone in the first sentence."""
        end = _SENTENCE_END.search(text)
        for part in (text, text if end is None else text[: end.start()]):
            label = self._by_key.get(self._key(part))
            if label is not None:
                return {label}
        return set()

    def _named_after(self, text: str) -> set[str]:
        """The option whose text stands before its letter: "Paris (B)"."""
        match = _NAMED_AFTER.match(text)
        if match is None or match["letter"] not in self._labels:
            return set()
        quoted = self._by_key.get(self._key(match["text"]))
        return {match["letter"], quoted} if quoted is not None else set()


def _label_like(match: re.Match[str]) -> re.Pattern[str]:
    """The pattern of labels written like the first one."""
    if match[0][0] in "([":
        return _BRACKETED
    return _CLOSED if match["close"] == ")" else _POINTED


class _Boxed(NamedTuple):
    """A box of a text: where it begins and ends, and what is in it."""

    start: int
    end: int
    content: str


def _statements(text: str) -> Iterator[re.Match[str] | _Boxed]:
    """Boxes, tags and phrases from left to right. One that begins inside another belongs to the other."""
    boxes = (_Boxed(place, box.after, text[box.start : box.end]) for place, box in every_box(text, _LONGEST))
    box, match, at = next(boxes, None), _STATEMENT.search(text), 0
    while box is not None or match is not None:
        if match is None or (box is not None and box.start < match.start()):
            assert box is not None
            yield box
            at = box.end
        else:
            yield match
            at = match.end()
        while box is not None and box.start < at:
            box = next(boxes, None)
        if match is not None and match.start() < at:
            match = _STATEMENT.search(text, at)


def _last_statement(text: str, reader: _Reader) -> tuple[int, str, set[str]]:
    """The end, the words and the choices of the last statement that names a choice; (0, "", empty) if there is none."""
    emphasised = text.translate(_BLANKED)
    statements = [
        (found.start, found.end, found) if isinstance(found, _Boxed) else (found.start(), found.end(), found)
        for found in (*_statements(text), *_CALLED_RIGHT.finditer(emphasised))
    ]
    for start, end, statement in sorted(statements, key=lambda s: s[1])[: -_MOST - 1 : -1]:
        if isinstance(statement, re.Match) and statement.re is _CALLED_RIGHT:
            quote = statement[0]
            labels = set() if _doubted(statement) else reader.statement(statement["choice"])
        elif is_supposed(text, start):
            continue
        elif isinstance(statement, _Boxed):
            quote, labels = text[start:end], reader.statement(statement.content)
        else:
            quote, labels = _read(statement, text, reader)
        if labels:
            return end, quote.strip(), labels
    return 0, "", set()


def _doubted(match: re.Match[str]) -> bool:
    """Whether the words before a choice that is called right doubt or deny it."""
    return _DOUBTED.search(match.string[max(0, match.start() - 80) : match.start("choice")]) is not None


def named_choices(statement: str, options: Mapping[str, str]) -> frozenset[str]:
    """The choices that one statement names: none, one, or several where it offers them or contradicts itself.

    Args:
        statement: What a box, a tag or a phrase states.
        options: The option texts by label, as for `stated_choice`.
    """
    return frozenset(_Reader(options).statement(composed("NFKC", statement)))


def called_right(text: str) -> tuple[str, int] | None:
    """The last letter that the text calls right, as in "so B is correct", and its position; None for none."""
    for match in reversed(list(_CALLED_RIGHT.finditer(text.translate(_BLANKED)))):
        if not _doubted(match):
            start = match.start("choice") + (not match["choice"][0].isalpha())
            return text[start], start
    return None


def _read(match: re.Match[str], text: str, reader: _Reader) -> tuple[str, set[str]]:
    """The words of a tag or a phrase, and the choices that it names."""
    if match["tag"] is not None:
        return match[0], _last_statement(match["tag"], reader)[2] or reader.statement(match["tag"])
    if match["prose"].strip(" \t*_"):
        return match[0], reader.statement(match["prose"])
    # "The answer is:" and the choice on a line of its own.
    below = text[match.end() :].lstrip().partition("\n")[0]
    return f"{match[0]} {below}", reader.line(below)


def _last_lines(text: str, reader: _Reader) -> tuple[str, set[str]]:
    """The last line, if it is only a choice. Lines above it count too if each of them is only a choice."""
    lines = text.rstrip().split("\n")
    labels = reader.line(lines[-1])
    if not labels:
        return "", labels
    for line in reversed(lines[:-1]):
        above = reader.line(line)
        if len(above) != 1:
            break
        labels = labels | above
    return lines[-1].strip(), labels


def stated_choice(text: str, options: Mapping[str, str]) -> Choice:
    """Find the choice that a response states.

    Args:
        text: The visible text of the response; statements are looked for in its last 16,384 characters.
        options: The option texts by label, labels being single upper-case letters; a text may be empty when not known.

    Returns:
        The choice of the last statement that names one.
    """
    reader = _Reader(options)
    text = composed("NFKC", text[-_TAIL:])
    end, quote, labels = _last_statement(text, reader)
    line = last_line(text)
    if line and text.rstrip().rfind(line) >= end:
        statement_line, line_labels = _last_lines(text, reader)
        if line_labels:
            quote, labels = statement_line, line_labels
    if not labels:
        return Choice(None, "missing")
    if len(labels) > 1:
        return Choice(None, "ambiguous", quote[:200])
    return Choice(next(iter(labels)), "stated", quote[:200])
