"""Answers that are taken back, corrected or contradicted by the text around them.

What stands right before an answer may say that it is none (`one might think`); what follows may call it wrong, give
another value in its place (`wait, it is 6`), or state another answer without a word about the first.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from reward_servers.engines.math.extraction import phrases
from reward_servers.engines.math.result import Extraction

_REACH = 600
_CLOSING = r"(?:[\s$.)\\\]*_`\"”}]|\\[)\]])*"
_SURELY = (
    r"(?:(?:clearly|definitely|obviously|actually|in fact|simply|just|also|probably|certainly|therefore|of course)\s+)*"
)
_JUDGED = (
    r"(?:(?:wrong|incorrect|false|mistaken|invalid|impossible|erroneous|absurd|an?\s+(?:mistake|error))\b"
    r"(?!\s+(?:to|that|if|when|unless|only)\b)"
    r"|not\s+(?:quite\s+)?(?:right|correct|valid|true|possible|(?:the|our|my)\b(?:\s+\w+)?\s+(?:answer|solution|value))\b(?!\s+to\b))"
)
_BE = r"(?:is|are|was|were|seems|looks|must be|turns out to be|appears to be)\s+"
_NOT_BE = r"(?:cannot|can\s?not|can't|can’t|couldn't|could\s+not|isn't|isn’t|wasn't|is not|was not)\s+(?:be\s+)?"
_RIGHT = r"(?:right|correct|true|valid|possible|the\s+(?:\w+\s+)?(?:answer|solution))\b(?!\s+to\b)"
_WORKS_NOT = r"(?:does\s?n['’]t|does not|do not|don't|will not|won't)\s+(?:work|hold|satisfy|make sense)|fails\b"
_VERDICT = rf"(?:{_BE}{_SURELY}{_JUDGED}|{_NOT_BE}{_SURELY}{_RIGHT}|{_WORKS_NOT})"
_CONTRACTED = rf"(?:'s|’s)\s+{_SURELY}{_JUDGED}"
_FILLER = (
    r"(?:(?:wait|actually|hmm+|no|oh|oops|sorry|but|and|yet|however|although|though|hold on|well|so"
    r"|on second thoughts?|on reflection)\b[\s,.!:;…—–-]*)*"
)
_IT = r"(?:(?:that|this|it|which)(?:\s+(?:answer|result|value|one))?)"
_THE_ANSWER = (
    r"(?:(?:the|this|that|my|our)\s+(?:(?:above|boxed|final|previous|first|given|stated)\s+)*"
    r"(?:answer|result|solution|value|box)(?:\s+above|\s+in the box)?|the\s+above)"
)
_OTHER_LANGUAGES = (
    r"(?:[，,。；;\s]*(?:但|可是|不过)?(?:这|该|上面的|这个)?(?:个|是)?(?:答案|结果)?(?:是)?(?:不对|不正确|错误的?|错的|错了|有误)"
    r"|(?:das|dies)\s+ist\s+(?:aber\s+)?(?:falsch|nicht\s+(?:richtig|korrekt))|c['’]est\s+(?:faux|incorrect)"
    r"|(?:esto|eso)?\s*es\s+(?:incorrecto|falso)|это\s+(?:неверно|неправильно)"
    r"|では(?:ありません|ない|なく)|じゃ(?:ありません|ない|なく)|(?:이|가)?\s*아(?:니|닙|닌|님))"
)
_CALLED_WRONG = re.compile(
    # Of the answer just given: right behind it, or in a near sentence that names it.
    rf"{_CLOSING}[,;:—–-]?\s*{_FILLER}(?:(?:{_IT}|{_THE_ANSWER})\s*)?(?:{_VERDICT}|{_CONTRACTED}|{_OTHER_LANGUAGES})"
    rf"|{_CLOSING}[,;]?\s*but\s+{_IT}\s+(?:is\s+not|isn['’]t|was\s+not|wasn['’]t)\s*(?:[.!;\n]|$)"
    rf"|{_CLOSING}[✗✘❌✖]"
    rf"|{_CLOSING}\(\s*(?:this\s+is\s+)?{_JUDGED}\s*\)"
    rf"|(?:.*?(?:[.!?\n$\]])\s*){_FILLER}{_THE_ANSWER}(?:\s+{_VERDICT}|{_CONTRACTED})",
    re.I | re.S,
)
_ADMITTED = re.compile(
    r"(?<!\bif )\b(?:I|we)\s+(?:have\s+|just\s+|'ve\s+)?(?:(?:made|got|had)\s+(?:an?\s+|it\s+|that\s+|this\s+)"
    r"(?:\w+\s+){0,2}(?:mistake|error|wrong|slip)|messed\s+(?:(?:it|that|this)\s+)?up)\b"
    r"|\b(?:I'm|I’m|I\s+am|we\s+are|we're)\s+(?:wrong|mistaken|incorrect)\b"
    r"|\bI\s+was\s+(?:wrong|mistaken|incorrect)\b(?!\s+(?:to|about|at\s+first|before|when|if)\b)|\b(?:my\s+(?:mistake|bad|apologies)|scratch\s+that|strike\s+that|correction)\b"
    r"|\b(?:disregard|ignore|forget)\s+(?:that|this|it|the\s+above)\b"
    r"|\blet\s+me\s+(?:redo|re-do|correct|fix|recompute|recalculate|revise|reconsider)\b|更正|订正",
    re.I,
)
_MARK = (
    r"(?:\b(?:wait|actually|hmm+|no|oops|sorry|correction|hold on|rather|scratch that|my mistake|instead|on reflection"
    r"|on second thoughts?)(?![A-Za-z])"
    r"|更正|订正|不对)"
)
_NEW_VALUE = re.compile(
    rf"{_MARK}[\s,.!:;…—–-]*(?:[^.\n]{{0,60}}?[\s,.!:;…—–-])??"
    r"(?:(?:it|this|that|(?:the|my)\s+(?:\w+\s+){0,2}(?:answer|result|value|solution|option|choice)|I\s+mean(?:t)?)\s*"
    r"(?:(?:is|was|should\s+be|must\s+be|should\s+have\s+been|would\s+be|equals|becomes|comes\s+to|=|:)|'s|’s)"
    r"|I\s+mean(?:t)?|should\s+be|(?<=\bno[,:])(?=\s*[-0-9$\\])|(?:answer|答案)(?:\s+is|\s*:|是|为))\s*(?:actually\s+|really\s+|then\s+|:)?\s*",
    re.I,
)
_INSTEAD = re.compile(
    r"\b(?:no|wait|actually|oops|sorry|hmm+)\b(?:[\s,.!:;…—–-]+(?:no|wait|actually|oops|sorry)\b)*"
    r"(?:[,.!:;…—–]+\s*|(?<=wait)\s+|(?<=actually)\s+)(?=[-−0-9$\\])",
    re.I,
)
_SIGNS = (
    *("no", "n't", "wrong", "correct", "fals", "mist", "erro", "valid", "possib", "absurd", "fail", "nicht", "faux"),
    *("slip", "mess", "bad", "apolog", "scratch", "strike", "ignore", "forget", "let", "wait", "actual", "hmm"),
    *("oops", "sorry", "hold", "rather", "instead", "disregard", "reflection", "thought", "edit", "errat", "right"),
)
"""Every ASCII text that calls an answer wrong or corrects it contains one of these, in small letters."""
_CORRECTION = re.compile(
    r"\b(?:correction|corrected|edit|erratum)\s*[:—–-]\s*"
    r"|\bthe\s+(?:correct|right)\s+(?:answer|value|result|solution)\s+(?:is|was|should\s+be)\s*",
    re.I,
)
_MENTIONED_BEFORE = re.compile(
    r"(?:\b(?:one|you|we|some|many|someone|people|students?|most)\s+(?:\w+\s+)?(?:might|may|could|would)\s+(?:\w+\s+)?"
    r"(?:think|say|guess|answer|write|believe|expect|conclude|claim|(?:be\s+)?tempted\s+to\s+\w+)"
    r"|\b(?:common|frequent|typical|usual|easy|tempting|classic|naive)\s+(?:wrong\s+|incorrect\s+)?"
    r"(?:mistake|error|answer|misconception|trap|guess)(?:\s+here)?\s+(?:is|would\s+be|gives|was)"
    r"(?:\s+to\s+\w+)?"
    r"|\b(?:it\s+is|it's|it’s)\s+tempting\s+to\s+\w+|\b(?:wrong|incorrect|erroneous|false)\s+(?:answer|result|value|guess)"
    r"\s*(?:is|was|would\s+be|gives|:)?)"
    r"(?:\s+(?:that|as|it\s+is|it's|the\s+answer\s+is|the\s+answer\s+would\s+be|to\s+be))*[\s:,$\"“'*]*(?:\\\(|\\\[)?\s*$",
    re.I,
)
_MENTIONING = (
    *("ould", "might", "may", "common", "frequent", "typical", "usual", "easy", "tempting", "classic"),
    *("naive", "wrong", "incorrect", "erroneous", "false"),
)
"""Every match of `_MENTIONED_BEFORE` contains one of these."""
_LAST_WORDS = (
    *("that", "as", "is", "it's", "be", "think", "say", "guess", "answer", "write", "believe", "expect", "conclude"),
    *("claim", "gives", "was", "result", "value", "not", "n't", "never", "equal", "to", "simply", "just"),
)
"""The words in which `_MENTIONED_BEFORE` and `_NOT_BEFORE` end, if not in a word behind `to`."""
_OF_ANSWERS = frozenset({"is", "gives", "was"})
_ANSWERS = ("it", "answer", "mistake", "error", "misconception", "trap", "guess", "here", "result", "value")
"""What stands before a verb of that set, where they end in it."""
_TAIL = "".join(filter(str.isspace, map(chr, range(0x3001)))) + ":,$\"“'*\\(["
_NO_WORD = frozenset("=&+-<>~{}|.;!?/)]^")
"""Neither `_MENTIONED_BEFORE` nor `_NOT_BEFORE` matches where one of these stands before the characters of `_TAIL`."""
_NOT_BEFORE = re.compile(
    r"\b(?:not|n't|isn't|never|cannot be|can't be)\s+(?:equal(?:\s+to)?\s+|be\s+|simply\s+|just\s+)?"
    r"(?:\$|\\\(|\\\[)*\s*$",
    re.I,
)
_ONE_VALUE = re.compile(
    r"[-+−]?\$?[0-9][0-9.,/%]*(?:\s+[a-z]+)?|\(?[A-Ja-j]\)?"
    r"|(?:\\[A-Za-z]+|\\[^A-Za-z]|[^A-Za-z\\]|\b[A-Za-z]\b)*"
)


class FollowingText(NamedTuple):
    """What the text says about an answer after it.

    Attributes:
        retracted: Whether the answer is called wrong or taken back.
        corrected: The value that replaces it.
        rival: Another answer stated later without a word about the first.
    """

    retracted: bool = False
    corrected: Extraction | None = None
    rival: Extraction | None = None


_NOTHING = FollowingText()


def is_mentioned_only(text: str, at: int) -> bool:
    """Whether the words right before `at` say that what follows is not asserted."""
    before = text[max(0, at - 120) : at]
    words = before.rstrip(_TAIL)
    if words[-1:] in _NO_WORD or not _may_end_mention(words):
        return False
    before = before.lower()
    near = before[-40:]
    if ("not" in near or "n't" in near or "never" in near) and _NOT_BEFORE.search(near):
        return True
    for word in _MENTIONING:
        if word in before:
            return _MENTIONED_BEFORE.search(before) is not None
    return False


def _may_end_mention(words: str) -> bool:
    """Whether the last two words may end what `_MENTIONED_BEFORE` or `_NOT_BEFORE` matches; False is certain."""
    last_two = words.rsplit(None, 2)[-2:]
    if not last_two:
        return False
    last = last_two[-1].lower()
    if last in _OF_ANSWERS:
        return last_two[0].lower().endswith(_ANSWERS)
    return last.endswith(_LAST_WORDS) or last_two[0].lower() == "to"


def afterwards(text: str, end: int) -> FollowingText:
    """What the text after an answer says about it; `end` is the position after the answer."""
    tail = text[end : end + _REACH]
    if tail.isascii() and not any(map(str.isalpha, tail)):
        return _NOTHING  # every rule below wants a letter or a sign beyond ASCII
    if not _may_doubt(tail):
        return FollowingText(rival=_stated(text, end))
    corrected = _corrected(text, end)
    if corrected is not None:
        return FollowingText(corrected=corrected)
    if _CALLED_WRONG.match(text, end, end + _REACH // 2) or _ADMITTED.search(text, end, end + _REACH // 2):
        value = _stated(text, end)
        return FollowingText(retracted=value is None, corrected=value)
    return FollowingText(rival=_stated(text, end))


def _may_doubt(after: str) -> bool:
    """Whether what stands behind an answer may call it wrong or correct it; False is certain."""
    if not after.isascii():
        return True
    low = after.lower()
    return any(map(low.__contains__, _SIGNS))


def _corrected(text: str, end: int) -> Extraction | None:
    for pattern in (_NEW_VALUE, _CORRECTION, _INSTEAD):
        for match in reversed(list(pattern.finditer(text, end, end + _REACH))):  # the last correction holds
            if (value := _value(text, match.end())) is not None:
                return value
    return None


def _stated(text: str, end: int) -> Extraction | None:
    """The last answer that a phrase states after `end`."""
    tail = text[end:]
    if "nswer" not in tail and "NSWER" not in tail and "答案" not in tail:
        return None
    extraction = phrases.find(tail)
    if extraction.text is None or not _ONE_VALUE.fullmatch(extraction.text.strip(" *")):
        return None
    return extraction._replace(start=extraction.start + end, end=extraction.end + end)


def _value(text: str, start: int) -> Extraction | None:
    extraction = phrases.clause(text, start)
    if extraction.text is None or not _ONE_VALUE.fullmatch(extraction.text.strip(" *")):
        return None
    return extraction if any(c.isalnum() for c in extraction.text) else None
