"""Answers that no box and no phrase marks: a response that is the answer, a last emphasis, a last sentence.

Each rule takes one value or none: where a candidate of the same rank says something else, nothing was stated.
"""

from __future__ import annotations

import re

from reward_servers.engines.math.extraction import phrases, sentences
from reward_servers.engines.math.result import Extraction
from reward_servers.engines.math.vocabulary.words import CJK, polarity

NONE = Extraction(None, -1, -1, "none")

_REACH = 1500
_SHORT = 240
_EMPHASIS = re.compile(r"\*\*(?!\s)(?P<star>[^*\n]{1,200}?)(?<!\s)\*\*|__(?!\s)(?P<line>[^_\n]{1,200}?)(?<!\s)__")
_AT_THE_END = re.compile(r"[\s.!$)\]”\"']*")
_VALUE = re.compile(
    r"[-+−]?\\?[$€£]?\s?[0-9][^\s]*(?:\s+\S+){0,3}|[A-Z]|\([A-Ja-j]\)|[A-Za-z]\w*\s*=.*|[^A-Za-z]*[0-9=\\].*", re.S
)
_HEADING = re.compile(r".*[:：]$|(?:step|case|part|method|option|schritt|étape)\b.*|\d+[.)]\s+[A-Za-z].*", re.I | re.S)
_BOUNDARY = re.compile(r"(?<=[.!?。！？])(?:\s+|(?=[" + CJK + r"]))|(?<![:：])\n\s*")
_FORMULA_ONLY = re.compile(
    r"(?:(?:so|thus|therefore|hence|then|finally|and|we\s+(?:get|have|obtain|find)|this\s+gives|which\s+gives)\b[\s,:]*)*"
    r"(?P<formula>\S.*?)[\s.]*",
    re.I | re.S,
)
_NUMBER = r"[-+−]?\$?[0-9][0-9.,/]*%?"
_COUNTED = re.compile(rf"{_NUMBER}(?:\s+[A-Za-z]+){{1,3}}")
_CALLED_THE_ANSWER = re.compile(
    r"(?:(?:so|thus|therefore|hence|then|and)\b[\s,]*)?(?:"
    rf"(?:\$([^$]+)\$|({_NUMBER}))\s+is\s+(?:the|our|my)\s+(?:final\s+|correct\s+)?answer"
    rf"|(?:(?:the|our|final)\s+)*(?:result|solution|output|total|sum|value)\s*:\s*(?:\$([^$]+)\$|({_NUMBER}))"
    r")[\s.!]*",
    re.I,
)
_FOREIGN = re.compile(
    r"(?P<lead>.*?(?:是|为|為|等于|等於|得到?|\b(?:ist|beträgt|est|vaut|es|é|è|равн[оаы]|равен|составляет)\b(?:\s+(?:(?:die|der|das)\s+\w+|donc|alors|also|somit|damit|entonces))?|は|은|는))\s*[:：]?\s*"
    r"(?P<core>(?:\$|\\\[|\\\(|[-−+]?[0-9]|[A-J](?![A-Za-z])).*)",
    re.S,
)
_FOREIGN_DENIAL = re.compile(
    r"不|没|未|nicht|kein|n'est|pas\b|\bno\b|не\b|아니|ない|可能|如果|若|wenn\b|\bsi\b|если"
    r"|也许|或许|大概|恐怕|おそらく|たぶん|もし|아마|만약|\b(?:vielleicht|möglicherweise|vermutlich|wohl|falls|peut-être|probablement|quizás?"
    r"|tal\s+vez|probablemente|возможно|наверное|может|вероятно)\b",
    re.I,
)
_CONCLUDING = re.compile(
    r"(?:so|thus|therefore|hence|then|finally|in\s+total|altogether|overall|in\s+conclusion|as\s+a\s+result|consequently"
    r"|it\s+follows|this\s+means|因此|所以|故|综上|also|damit|donc|ainsi|por\s+lo\s+tanto|поэтому|따라서|したがって|よって)(?!\w)",
    re.I,
)


def alone(text: str) -> Extraction:
    """A response that is nothing but one answer, on one line or in one formula."""
    extraction = phrases.bare(text)
    if (
        extraction.text is None
        or not any(map(str.isalnum, extraction.text))
        or ("\n" in extraction.text and not _one_formula(extraction.text))
    ):
        return NONE
    if (foreign := _FOREIGN.fullmatch(extraction.text.rstrip("。.！! "))) is not None and len(
        foreign["lead"].strip()
    ) > 1:
        return last_sentence(text)
    inner = _EMPHASIS.fullmatch(extraction.text.rstrip(".。"))
    if inner is not None:
        return _at(text, extraction.start + 2, extraction.start + inner.end() - 2, "alone")
    return extraction._replace(rule="alone")


def emphasis(text: str) -> Extraction:
    """The emphasised value at the end, where no other emphasised value differs from it."""
    spans = [m for m in _EMPHASIS.finditer(text) if _is_value(m["star"] or m["line"])]
    if not spans or not _AT_THE_END.fullmatch(text, spans[-1].end()):
        return NONE
    last = spans[-1]["star"] or spans[-1]["line"]
    if any(_folded(m["star"] or m["line"]) != _folded(last) for m in spans):
        return NONE
    return _at(text, spans[-1].start() + 2, spans[-1].end() - 2, "emphasis")


def last_sentence(text: str) -> Extraction:
    """The value that the last sentence states by a verb or an equals sign."""
    end = len(text.rstrip())
    if end == 0 or text.endswith(("?", "？", ":", "：", ","), 0, end):
        return NONE
    if not text.endswith((".", "。", "!", "！", "$", "\\]", "\\)", "*", ")"), 0, end) and len(text.strip()) > _SHORT:
        return NONE  # the response may have been cut off
    start = _sentence_start(text, end)
    sentence = text[start:end]
    if not sentence or len(sentence) > 400:
        return NONE
    core = _core(sentence)
    if core is None and polarity(sentence) is not None:
        return Extraction(sentence, start, end, "sentence")
    if core is None or not any(map(str.isalnum, core)):
        return NONE
    before = text[:start].rstrip()
    if _is_parallel(before[_sentence_start(before, len(before)) :], sentence):
        return NONE
    at = text.rfind(core, start, end)
    if at < 0:  # emphasis cuts it: "**6** ways"
        return Extraction(core, start, end, "sentence") if _COUNTED.fullmatch(core) else NONE
    return Extraction(core, at, at + len(core), "sentence")


def _is_parallel(previous: str, sentence: str) -> bool:
    """Whether two sentences enumerate: mostly the same words, other values, and no word that concludes."""
    if _CONCLUDING.match(sentence.lstrip(" *_")):
        return False
    words_here, words_before = (set(re.findall(r"[^\W\d_]+", s.lower())) for s in (sentence, previous))
    values, others_values = (set(re.findall(r"\d+", s)) for s in (sentence, previous))
    shared = len(words_here & words_before)
    return (
        bool(values and others_values)
        and values != others_values
        and 2 * shared >= max(len(words_here), len(words_before))
    )


def _core(sentence: str) -> str | None:
    plain = sentence.replace("**", "").strip()
    formulas = phrases.formulas(plain)
    if len(formulas) == 1:
        match = _FORMULA_ONLY.fullmatch(plain)
        if match is not None and match["formula"].strip(" .,:$\\[]()") == formulas[0].strip(" .,:$\\[]()"):
            return formulas[0] if "=" in formulas[0] else None
    called = _CALLED_THE_ANSWER.fullmatch(plain)
    if called is not None:
        return next(group for group in called.groups() if group is not None)
    value = sentences.stated_value(plain)
    if value is not None:
        return value if _short(value) else None
    foreign = _FOREIGN.fullmatch(plain.rstrip("。.！! "))
    if foreign is not None and not _FOREIGN_DENIAL.search(foreign["lead"]):
        inner = phrases.formulas(foreign["core"])
        return inner[0].strip() if len(inner) == 1 else foreign["core"].strip() if not inner else None
    return None


def _short(core: str) -> bool:
    """Whether what a sentence states is a value and not a further clause."""
    return any(c.isdigit() or c in "\\$" for c in core) or len(core.split()) <= 4


def _sentence_start(text: str, end: int) -> int:
    """Where the last sentence begins: formulas are not cut, and a formula on its own line belongs to its sentence."""
    low = max(0, end - _REACH)
    spans = [(m.start() + low, m.end() + low) for m in phrases.MATH.finditer(text[low:end])]
    start = low
    for match in _BOUNDARY.finditer(text, low, end):
        inside = any(a < match.end() and match.start() < b for a, b in spans)
        displayed = any(a == match.end() and text[a : a + 2] in ("$$", "\\[") for a, _ in spans)
        if not inside and not displayed and text[match.end() : end].strip():
            start = match.end()
    return start


def _one_formula(text: str) -> bool:
    match = phrases.MATH.match(text)
    return match is not None and match.end() == len(text)


def _is_value(text: str) -> bool:
    return _VALUE.fullmatch(text.strip()) is not None and _HEADING.fullmatch(text.strip()) is None


def _folded(text: str) -> str:
    return "".join(text.split()).strip("$.")


def _at(text: str, start: int, end: int, rule: str) -> Extraction:
    return Extraction(text[start:end], start, end, rule)
