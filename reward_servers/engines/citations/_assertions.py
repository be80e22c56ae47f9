"""Whether words outside of plain sentences state a fact: in a heading, a question, a line of code, a remark.

A fact needs a citation wherever it is written. In such places most lines state nothing, so one counts
only where it has the form of a statement and something in it that could be wrong: a figure or, in a remark, a name.
The rules are made for English; verbs that make a statement are known in some other languages too, so that a fact with a
figure cannot hide there. What only asks is told from what tells by English words alone.
"""

from __future__ import annotations

import re

from reward_servers.engines.citations._figures import figures

_WORD = re.compile(r"[^\W\d_]+(?:['’-][^\W\d_]+)*")
_UNSPACED = re.compile(r"[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\u0e00-\u0e7f]")
_CHARACTERS = 2
"""Characters of a script without spaces that count as a word."""
_BE = (
    r"is|are|was|were|has|had|have|been|isn['’]t|wasn['’]t|aren['’]t|weren['’]t|does|did|didn['’]t|doesn['’]t|"
    r"will|would|can|could"
)
_AUXILIARY = re.compile(rf"\b(?:{_BE})\b", re.IGNORECASE)
_VERB = re.compile(
    rf"\b(?:{_BE}|became|becomes|began|begins|built|won|wins|wrote|writes|made|makes|led|leads|lies|lay|stands|stood|rose|rises|died|dies|born|took|takes|"
    r"gave|gives|held|holds|lost|loses|founded|found|grew|grows|fell|falls|came|comes|went|goes|ran|runs|saw|sees|sold|sells|sent|set|sits|spent|"
    r"taught|told|says|said|cost|costs|contains|weighs|measures|reached|reaches|remains|opens|shows|[a-z]{3,}ed)\b",
    re.IGNORECASE,
)
_VERB_ELSEWHERE = re.compile(
    # German, Dutch; French, Spanish, Portuguese, Italian. None of these is a word of English.
    r"\b(?:ist|sind|waren|wurden?|hatten?|haben|wird|werden|liegt|steht|gewann|erhielt|starb|kam|schrieb|baute|lebte|"
    r"werd|zijn|heeft|hebben|kreeg|staat|ligt|sont|était|étaient|fut|furent|a\s+été|ont|avait|avaient|fue|fueron|está|"
    r"están|tiene|tenía|ganó|nació|murió|recibió|são|foi|foram|tinha|ganhou|nasceu|morreu|è|sono|furono|vinse|nacque|"
    r"hanno|aveva|ha\s+sido|[^\W\d_]{3,}(?:tete|ierte|aient|èrent|ieron))\b"
    # Russian, Chinese, Japanese, Korean.
    r"|\b(?:был[аои]?|[а-яё]{3,}(?:лся|лась|лось|лись)|(?:по|со|за)?[а-яё]{2,}(?:роен|нован|здан|ложен)[аоы]?)\b"
    r"|是|[建位生卒成始]于|于\s*\d|被|了|成立|获得|した|された|られた|である|だった|です|ました|했다|었다|였다|이다|습니다",
    re.IGNORECASE,
)
_VERB_IN_CONTEXT = re.compile(
    r"(?=.*\b(?:der|das|und|des|dem|von|im|el|los|las|il|lo|les|du|del|della|que|une?|y|et)\b)"
    r".*\b(?:war|hat|lag|stand|gab|gilt|era|son|ha|fu|est|tem)\b",
    re.IGNORECASE | re.DOTALL,
)
"""Verbs of other languages that are also words of English, beside a word that is none."""
_ASKS = re.compile(r"^\W*(?:how|why|what|when|where|who|whom|whose|which|whether)\b", re.IGNORECASE)
_TELLS = re.compile(
    r"\b(?:did|do|don['’]t|didn['’]t)\s+you\s+(?:know|realise|realize|remember|see)\b|\b(?:is|isn['’]t|was|wasn['’]t)\s+it\s+(?:true|clear|obvious|known|a\s+fact)\b"
    r"|\bwho\s+(?:knew|would\s+have|could\s+have|does\s*n['’]t\s+know)\b|\b(?:are\s+you\s+aware|surpris\w+\s+to\s+(?:learn|hear))\b"
    r"|[,;–—-]\s*(?:is|isn|was|wasn|are|aren|were|weren|did|didn|does|doesn|do|don|has|hasn|have|haven|had|hadn|wo|would|wouldn)(?:['’]t)?\s+"
    r"(?:it|he|she|they|that|this|you)\s*\?|[,;–—-]\s*(?:right|correct|no|yes|eh|true)\s*\?",
    re.IGNORECASE,
)
_ASSERTS = re.compile(
    # "Who else but ...", "who if not ...": the answer stands in the question.
    r"\b(?:who|whom|what|where|which\s+\w+)\s+(?:else\s+)?(?:but|than|if\s+not|other\s+than|except)\b|\belse\s+(?:but|than)\b"
    # "Wasn't it Varga who ...": asked to be agreed with.
    r"|^\W*(?:is|was|are|were|did|does|do|has|have|had)n['’]?t\s+(?!you\b|i\b|we\b)"
    r"|^\W*(?:is|was|are|were|did|does|do|has|have|had)\s+(?:it|he|she|they|this|that)\s+not\b",
    re.IGNORECASE,
)
_TOLD_BESIDE = re.compile(r"[,(–—]\s*(?:who|whose|whom|which|where)\s[^,?)–—]*", re.IGNORECASE)
_BESIDE = re.compile(r"[,(–—][^?]*")
_CHOICE = re.compile(r"\bor\b", re.IGNORECASE)
_CODE = re.compile(r"[{};=<>\\|]|\w\(|\)\s*$|\w\.\w+\(|^\s*(?:import|from|def|class|return|for|if|while|print)\b")
_COMMENT = re.compile(r"^\s*(?:#+|//+|/?\*+|--|%|;+|<!--|\"\"\"|''')\s*")
_STRING = re.compile(r"\"([^\"\n]{20,2000})\"|'([^'\n]{20,2000})'")
_DATED = re.compile(r"\((?:c\.\s*)?(?:1[5-9]|20)\d\d[a-z]?\)|https?://|\bwww\.|\b(?:doi|isbn|arxiv)\b", re.IGNORECASE)
_REMARK_ENDS = re.compile(
    r"[:;—–]\s+|[，、；：]|,?\s+(?:but|however|although|though|yet|while|whereas|still)\b,?\s*|,\s+", re.IGNORECASE
)


def has_figure(text: str, question: str) -> bool:
    """Whether a text has a figure of two digits or more, or with a unit, that the question does not have."""
    question_values = {figure.value for figure in figures(question)} if question else ()
    return any((figure.value >= 10 or figure.unit) and figure.value not in question_values for figure in figures(text))


def _has_name(text: str) -> bool:
    """Whether a text has a capitalised word behind its first word, and is not in title case."""
    words = _WORD.findall(text)[1:]
    capital = len([word for word in words if word[0].isupper()])
    return bool(0 < 2 * capital <= len(words))


def _size(text: str) -> float:
    """How many words a text has, by the number of characters where a script puts no space between words."""
    unspaced = len(_UNSPACED.findall(text)) if not text.isascii() else 0
    return len(_WORD.findall(_UNSPACED.sub(" ", text) if unspaced else text)) + unspaced / _CHARACTERS


def has_verb(text: str) -> bool:
    """Whether a text has a verb that states something, in one of the supported languages."""
    rules = (_VERB, _VERB_ELSEWHERE, _VERB_IN_CONTEXT)
    return any(rule.search(text) is not None for rule in rules)


def _is_new(text: str, question: str) -> bool:
    """Whether a text has a figure, or a capitalised word behind its first word, that the question does not have."""
    if has_figure(text, question):
        return True
    question_words = {word.casefold() for word in _WORD.findall(question)}
    return any(
        word[0].isupper() and word.casefold() not in question_words for word in _WORD.findall(text)[1:] if word != "I"
    )


def heading_states(text: str, question: str = "") -> bool:
    """Whether a heading, or a cell of a table's head, is a statement and no title."""
    if text.rstrip(" *_#").endswith(("?", "？", "؟")):
        return question_states(text, question, is_head=True)
    if _size(text) < 4 or _ASKS.match(text):
        return False
    if _AUXILIARY.search(text) is not None:
        return has_figure(text, question) or _has_name(text)
    return has_verb(text) and has_figure(text, question)


def question_states(text: str, question: str = "", *, is_head: bool = False) -> bool:
    """Whether a question tells more than it asks.

    Args:
        text: The question in the answer.
        question: What the answer answers; repeating it tells nothing.
        is_head: Whether it is a heading: a figure in one is mostly its subject.
    """
    size = _size(text)
    if size < 5:
        return False
    if _TELLS.search(text) is not None or (size > 6 and not is_head and has_figure(text, question)):
        return True
    if _ASSERTS.search(text) is not None and _is_new(text, question):
        return True
    if any(_is_new(match[0], question) for match in _TOLD_BESIDE.finditer(text)):
        return True
    # Words that are set off from the question state a figure, unless the question asks about these words.
    aside = _BESIDE.search(text) if _ASKS.match(text) else None
    return aside is not None and _CHOICE.search(aside[0]) is None and has_figure(aside[0], question)


def lead_in_states(text: str, question: str = "") -> bool:
    """Whether a line that ends with a colon states a fact beside what it introduces."""
    return _size(text) >= 5 and has_verb(text) and has_figure(text, question)


def code_states(line: str) -> bool:
    """Whether a line of code, or one behind the list of references, is a sentence of prose that states a fact."""
    code = _COMMENT.sub("", line).strip()
    if _size(code) < 5 or _CODE.search(code) is not None:
        return False
    return (_VERB.search(code) is not None and (has_figure(code, "") or _has_name(code))) or (
        has_verb(code) and has_figure(code, "")
    )


def code_line_states(line: str) -> bool:
    """Whether a line of code, as a whole or in a text that it holds, is a sentence of prose that states a fact."""
    return code_states(line) or any(
        code_states(literal or double_quoted) for literal, double_quoted in _STRING.findall(line)
    )


def is_note(entry: str) -> bool:
    """Whether an entry under a text is a sentence of its own, and not the name of a source.

    Titles of sources may be sentences too. Signs of a title: an address, a year in parentheses, no full stop.
    """
    text = entry.strip()
    if _size(text) < 4 or not text.rstrip(" *_)]0123456789[").endswith((".", "!", "。", "！")):
        return False
    states = any(rule.search(text) is not None for rule in (_AUXILIARY, _VERB_ELSEWHERE, _VERB_IN_CONTEXT))
    return states and _DATED.search(text) is None


def entry_states(entry: str) -> bool:
    """Whether what an entry of a list of references says beside its source states a fact."""
    return is_note(entry.rstrip(" .!。！") + ".") and code_states(entry)


def remark_states(text: str, exempt: re.Pattern[str], question: str = "") -> bool:
    """Whether a sentence that is no statement as a whole goes on to state a fact.

    Args:
        text: The sentence.
        exempt: Pattern of parts that state nothing.
        question: What the answer answers.
    """
    parts = _REMARK_ENDS.split(text)
    if len(parts) < 2:
        return False
    remaining = [part for part in parts if exempt.search(part) is None]
    return any(
        _size(part) >= 4
        and has_verb(part)
        and (has_figure(part, question) or (_has_name(part) and _AUXILIARY.search(part) is not None))
        for part in remaining
    )
