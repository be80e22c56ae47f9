"""Answers stated in a sentence: `the answer is 42`, `Answer: (B)`, `B is correct`."""

from __future__ import annotations

import re

from reward_servers.engines.math.result import Extraction
from reward_servers.engines.math.vocabulary.number_words import number_from_foreign_words
from reward_servers.engines.math.vocabulary.units import changes_meaning
from reward_servers.engines.text import called_right, is_supposed

NONE = Extraction(None, -1, -1, "none")

_LINK = (
    r"(?:\s*(?:\([^()\n]{0,40}\)|to (?:the|this) (?:question|problem)|for [A-Za-z ]{1,40}))?\s*[*_]*\s*"
    r"(?:is|are|was|will be|would be|must be|should be|becomes|equals|comes (?:out )?to(?: be)?|:|=)"
    r"(?!\s*(?:not|n't)\b)\s*(?:therefore|thus|simply|just|equal to|given by|option|choice|indeed|exactly|then|:)?\s*"
)
_AFTER_ANSWER = re.compile(r"answers?(?![A-Za-z])[\"\']?" + _LINK, re.I)
_AFTER_OPTION = re.compile(r"(?:option|choice)(?![A-Za-z])" + _LINK, re.I)
_ASCII_KEYS = ("antwort", "puesta", "posta")
_OTHER_KEYS = ("答", "选", "選", "正解", "답", "réponse", "ответ", *_ASCII_KEYS)
"""Every match of `_OTHERS` contains one of these."""
_ASKED = ("?", "？", "吗", "か", "ですか", "でしょうか", "입니까")
_SUPPOSING_ELSEWHERE = ("如果", "若", "假设", "假如", "假定", "もし", "만약")
_OTHERS = re.compile(
    r"答案?(?:应该|应当|应)?(?:\s*(?:是|为|為)\s*[:：]?|\s*[:：])|(?:故|应|應|所以|因此)?(?:选|選)(?:择|擇)?(?:\s*[:：])?(?=\s*[(（]?[A-J])"
    r"|(?:答え|解答|正解|答)\s*(?:は|[:：])|(?:정답|해답|답)\s*(?:은|는|[:：])"
    r"|\bantwort\s*(?:ist|lautet|[:：])(?!\s*(?:nicht|kein))|\bréponse(?:\s+(?:finale|correcte))?\s*(?:est|[:：])(?!\s*pas\b)"
    r"|\brespuesta(?:\s+(?:final|correcta))?\s*(?:es|[:：])|\bresposta(?:\s+(?:final|correta))?\s*(?:é|[:：])"
    r"|\brisposta(?:\s+(?:finale|corretta))?\s*(?:è|[:：])|\bответ\s*(?:[:：—–-]|равен|есть)(?!\s*не\b)",
    re.I,
)
_OPTION_NAMED = re.compile(r"(?:option\s+)?\(?(?P<letter>[A-J])(?:[).:]|\s*$)", re.I)
_CORRECT_BEFORE = re.compile(r"(?:correct|right|best|final)\s+$", re.I)
_HEADING = re.compile(r"answer\s*[*_:#]*\s*\n", re.I)
_LINE_A = re.compile(r"(?:^|\n)[ \t]*(?:\*\*)?A(?:ns)?(?:\*\*)?:(?:\*\*)?[ \t]*", re.I)
_LEAD = re.compile(r"(?:[\s*_`\"“]|\\\")*(?:(?:approximately|about)\s+)?")
MATH = re.compile(r"\$\$(.+?)\$\$|\\\[(.+?)\\\]|\\\((.+?)\\\)|\$((?:[^$\n\\]|\\.)+?)\$(?![0-9])", re.S)
_MATH_JOIN = re.compile(r"\s*(?:,|;|and|or|, and|, or)\s*(?=\$|\\\(|\\\[)")
_CUT = re.compile(
    r"[。！？]|，(?=因为|由于|所以|其中|即|故|但)|です|である|입니다|이다|이에요|예요|(?=では(?:あり|な)|じゃ(?:あり|な)|(?:이|가)\s*아[니닙닌님])|"
    r"[.!?](?=\s|$|\*|<|\")|\n|,?\s+(?:because|since|as|which|so|where|while|i\.e\.|that is|by|after)\s"
    r"|,?\s+or\s+(?:about|approximately|roughly)\s|,\s+i\.e|\s\(i\.e|"
    r"\s+(?:\(because|—|--)\s*|</|<\||\*\*(?=\s|$)|`|\"|”"
)
_SAID = re.compile(r".*(?:\bis|\bare|\bequals|=)\s+(?P<core>\S.*)", re.S)
_SENTENCE = re.compile(r"[A-Za-z]{2,}[,:]?\s+[A-Za-z]{2,}|[a-z]{2,}\s*:")
_NUMBER = re.compile(
    r"(?<![A-Za-z0-9.])-?\$?\s?(?:[0-9]{1,3}(?:[, ][0-9]{3})+(?![0-9])|[0-9]+(?:,[0-9]+)?)(?:\.[0-9]+)?(?:/[0-9]+)?%?"
    r"|-?\.[0-9]+"
)


def find(text: str) -> Extraction:
    """The answer after the last stated phrase."""
    low = text.lower()
    best = -1
    at = low.rfind("answer")
    for _ in range(60):
        if at < 0:
            break
        match = _AFTER_ANSWER.match(text, at)
        if match is None:
            match = _HEADING.match(text, at)
        if match is not None and not is_supposed(low, at):
            best = match.end()
            break
        at = low.rfind("answer", 0, at)
    foreign = _in_other_languages(text, low)
    best = max(best, _option(text, low), _line_a(text, low), foreign)
    if best >= 0:
        extraction = clause(text, best)
        return _with_number(extraction) if best == foreign and extraction.text is not None else extraction
    if "correct" in low or "right" in low or "best" in low:
        letter_at = called_right(text)
        if letter_at is not None and letter_at[0] <= "J":
            return Extraction(letter_at[0], letter_at[1], letter_at[1] + 1, "phrase")
    return NONE


def _with_number(extraction: Extraction) -> Extraction:
    """What an answer of another language comes to, where it is a number written out."""
    number = None if extraction.text is None else number_from_foreign_words(extraction.text)
    return extraction if number is None else extraction._replace(rule="phrase, number word", core=str(number))


def _in_other_languages(text: str, low: str) -> int:
    """After `答案是`, `Die Antwort ist` and the like, -1 where none of them is said."""
    for word in _ASCII_KEYS if low.isascii() else _OTHER_KEYS:
        if word in low:
            break
    else:
        return -1
    last = None
    for match in _OTHERS.finditer(text):
        if not text[: match.start()].rstrip().endswith(_SUPPOSING_ELSEWHERE):
            last = match
    return -1 if last is None else last.end()


def is_asked(text: str, extraction: Extraction) -> bool:
    """Whether a question mark or a word that asks follows an answer, or ends it."""
    return text.startswith(_ASKED, extraction.end) or (extraction.text or "").endswith("吗")


def _option(text: str, low: str) -> int:
    """After `the correct option is`, -1 where that is not said."""
    if "option" not in low and "choice" not in low:
        return -1
    for key in ("option", "choice"):
        at = low.rfind(key)
        if at >= 0 and _CORRECT_BEFORE.search(text, max(0, at - 12), at):
            match = _AFTER_OPTION.match(text, at)
            if match is not None:
                return match.end()
    return -1


def _line_a(text: str, low: str) -> int:
    """After `A:` at the start of a line, -1 where there is none."""
    at = low.rfind("a:")
    if at < 0:
        at = low.rfind("ans:")
        if at < 0:
            return -1
    match = _LINE_A.match(text, max(0, low.rfind("\n", 0, at)))
    return match.end() if match is not None else -1


def letter_before(text: str, start: int) -> str | None:
    """The option that is named before the `"answer"` of a JSON object, which often gives its value alone."""
    earlier = find(text[: max(0, text.lower().rfind("answer", 0, start))])
    match = None if earlier.text is None else _OPTION_NAMED.match(earlier.text)
    return None if match is None else match["letter"]


def formulas(text: str) -> list[str]:
    """The contents of all formulas of a text."""
    return [next(g for g in match.groups() if g is not None) for match in MATH.finditer(text)]


def clause(text: str, start: int) -> Extraction:
    """The answer that begins at `start`: formulas with their unit, or words up to the end of the clause."""
    lead = _LEAD.match(text, start)
    start = lead.end() if lead else start
    window = text[start : start + 2000]
    if not window.strip():
        return NONE
    if window[0] in "$\\" and (math := MATH.match(window)) is not None:
        return _formulas(window, math, start)
    cut = _CUT.search(window)
    end = cut.start() if cut else len(window)
    content = window[:end].strip().rstrip('*_`"”.,;: ')
    if content.endswith("}") and content.count("}") > content.count("{"):
        content = content.rstrip("} \n")  # the end of a JSON object
    if content.endswith("|") and content.count("|") == 1:
        content = content[:-1].rstrip()  # the end of a table's row
    if not content:
        return NONE
    if len(content) > 400:
        return Extraction(None, start, start + end, "no answer after the phrase")
    statement = _SAID.fullmatch(content) if " " in content else None
    return Extraction(content, start, start + len(content), "phrase", statement["core"] if statement else None)


def _formulas(window: str, math: re.Match[str], start: int) -> Extraction:
    parts = [next(g for g in math.groups() if g is not None)]
    end = math.end()
    while (joint := _MATH_JOIN.match(window, end)) is not None:
        following = MATH.match(window, joint.end())
        if following is None:
            break
        parts += [" or " if "or" in joint[0] else ", ", next(g for g in following.groups() if g is not None)]
        end = following.end()
    core = "".join(parts).strip()
    cut = _CUT.search(window, end)
    tail = window[end : cut.start() if cut else len(window)].strip(" *_,;:")
    if not tail or len(tail) > 80:
        return Extraction(core, start, start + end, "phrase")
    # "$5$ cm" needs its unit and "$5$ or more" must not lose its words; other words may be dropped.
    words = re.findall(r"[A-Za-z']+", tail)
    return Extraction(f"{core} {tail}", start, start + end, "phrase", None if changes_meaning(words) else core)


def _last(pattern: re.Pattern[str], text: str) -> re.Match[str] | None:
    last = None
    for match in pattern.finditer(text):
        last = match
    return last


def last_math(text: str) -> Extraction:
    """The last formula of the text."""
    match = _last(MATH, text)
    if match is None:
        return NONE
    content = next(g for g in match.groups() if g is not None).strip()
    return Extraction(content, match.start(), match.end(), "last formula")


def bare(text: str) -> Extraction:
    """A response that is nothing but an answer: short, and no sentence."""
    content = text.strip()
    if not content or len(content) > 200 or content.startswith(("#", "<")) or _SENTENCE.search(content):
        return NONE
    start = len(text) - len(text.lstrip())
    return Extraction(content, start, start + len(content), "whole")


def last_value(text: str) -> Extraction:
    """The last formula or number of the text, whichever ends later."""
    formula, number = last_math(text), _last_number(text)
    return number if number.end > formula.end else formula


def _last_number(text: str) -> Extraction:
    match = _last(_NUMBER, text)
    return NONE if match is None else Extraction(match[0], match.start(), match.end(), "last number")
