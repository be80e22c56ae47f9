"""Whether words outside of plain sentences state a fact: in a heading, a question, a line of code, a remark.

A fact does not become free of citation by where it is written. In such places most lines state nothing, so one counts
only where it has the form of a statement and something in it that could be wrong: a figure or, in a remark, a name.
The rules are made for English.
"""

from __future__ import annotations

import re

from reward_servers.engines.citations._figures import figures

_WORD = re.compile(r"[^\W\d_]+(?:['’-][^\W\d_]+)*")
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
_ASKS = re.compile(r"^\W*(?:how|why|what|when|where|who|whom|whose|which|whether)\b", re.IGNORECASE)
_TELLS = re.compile(
    r"\b(?:did|do|don['’]t|didn['’]t)\s+you\s+(?:know|realise|realize|remember|see)\b|\b(?:is|isn['’]t|was|wasn['’]t)\s+it\s+(?:true|clear|obvious|known|a\s+fact)\b"
    r"|\bwho\s+(?:knew|would\s+have|could\s+have|does\s*n['’]t\s+know)\b|\b(?:are\s+you\s+aware|surpris\w+\s+to\s+(?:learn|hear))\b"
    r"|[,;–—-]\s*(?:is|isn|was|wasn|are|aren|were|weren|did|didn|does|doesn|do|don|has|hasn|have|haven|had|hadn|wo|would|wouldn)(?:['’]t)?\s+"
    r"(?:it|he|she|they|that|this|you)\s*\?|[,;–—-]\s*(?:right|correct|no|yes|eh|true)\s*\?",
    re.IGNORECASE,
)
_CODE = re.compile(r"[{};=<>\\|]|\w\(|\)\s*$|\w\.\w+\(|^\s*(?:import|from|def|class|return|for|if|while|print)\b")
_COMMENT = re.compile(r"^\s*(?:#+|//+|/?\*+|--|%|;+|<!--|\"\"\"|''')\s*")
_STRING = re.compile(r"\"([^\"\n]{20,2000})\"|'([^'\n]{20,2000})'")
_DATED = re.compile(r"\((?:c\.\s*)?(?:1[5-9]|20)\d\d[a-z]?\)|https?://|\bwww\.|\b(?:doi|isbn|arxiv)\b", re.IGNORECASE)
_REMARK_ENDS = re.compile(
    r"[:;—–]\s+|,?\s+(?:but|however|although|though|yet|while|whereas|still)\b,?\s*|,\s+", re.IGNORECASE
)


def _figured(text: str, question: str) -> bool:
    """Whether a text has a figure of two digits or more, or with a unit, that the question does not have."""
    asked = {one.value for one in figures(question)} if question else ()
    return any((one.value >= 10 or one.unit) and one.value not in asked for one in figures(text))


def _named(text: str) -> bool:
    """Whether a text has a capitalised word behind its first word, and is not in title case."""
    words = _WORD.findall(text)[1:]
    capital = len([word for word in words if word[0].isupper()])
    return bool(0 < 2 * capital <= len(words))


def heading_states(text: str, question: str = "") -> bool:
    """Whether a heading, or a cell of a table's head, is a statement and no title."""
    if len(_WORD.findall(text)) < 4 or _ASKS.match(text) or text.rstrip(" *_#").endswith("?"):
        return False
    if _AUXILIARY.search(text) is not None:
        return _figured(text, question) or _named(text)
    return _VERB.search(text) is not None and _figured(text, question)


def question_states(text: str, question: str = "") -> bool:
    """Whether a question tells more than it asks.

    Args:
        text: The question in the answer.
        question: What the answer answers; repeating it tells nothing.
    """
    if len(_WORD.findall(text)) < 5:
        return False
    return _TELLS.search(text) is not None or (len(_WORD.findall(text)) > 6 and _figured(text, question))


def lead_in_states(text: str, question: str = "") -> bool:
    """Whether a line that ends with a colon states a fact beside what it introduces."""
    return len(_WORD.findall(text)) >= 5 and _VERB.search(text) is not None and _figured(text, question)


def code_states(line: str) -> bool:
    """Whether a line of code, or one behind the list of references, is a sentence of prose that states a fact."""
    said = _COMMENT.sub("", line).strip()
    if len(_WORD.findall(said)) < 5 or _CODE.search(said) is not None:
        return False
    return _VERB.search(said) is not None and (_figured(said, "") or _named(said))


def code_line_states(line: str) -> bool:
    """Whether a line of code, as a whole or in a text that it holds, is a sentence of prose that states a fact."""
    return code_states(line) or any(code_states(one or other) for one, other in _STRING.findall(line))


def is_note(entry: str) -> bool:
    """Whether an entry under a text is a sentence of its own, and not the name of a source.

    Titles of sources may be sentences too: an address, a year in parentheses or the lack of an end speak for one.
    """
    said = entry.strip()
    if len(_WORD.findall(said)) < 4 or not said.rstrip(" *_)]0123456789[").endswith((".", "!")):
        return False
    return _AUXILIARY.search(said) is not None and _DATED.search(said) is None


def entry_states(entry: str) -> bool:
    """Whether what an entry of a list of references says beside its source states a fact."""
    return is_note(entry.rstrip(" .!") + ".") and code_states(entry)


def remark_states(text: str, exempt: re.Pattern[str], question: str = "") -> bool:
    """Whether a sentence that is no statement as a whole goes on to state a fact.

    Args:
        text: The sentence.
        exempt: What makes it no statement; a part that it matches states nothing.
        question: What the answer answers.
    """
    parts = _REMARK_ENDS.split(text)
    if len(parts) < 2:
        return False
    rest = [part for part in parts if exempt.search(part) is None]
    return any(
        len(_WORD.findall(part)) >= 4
        and _VERB.search(part) is not None
        and (_figured(part, question) or (_named(part) and _AUXILIARY.search(part) is not None))
        for part in rest
    )
