"""Find the answer in a response: the last box, a tag, `####`, or a stated phrase."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable

from reward_servers.engines.math.errors import LimitExceededError
from reward_servers.engines.math.extraction import phrases, retraction, stated
from reward_servers.engines.math.policy import Policy
from reward_servers.engines.math.result import Extraction
from reward_servers.engines.math.vocabulary.units import is_noun
from reward_servers.engines.text import Marks, box_before, may_be_marked, read_box, visible

NONE = Extraction(None, -1, -1, "none")

_GAP_FILL = r"(?:[\s$.:)(\]\[*]|\\[()\[\],;:! ]|\\quad|\\qquad|[A-Za-z]\w*\s*(?:=|:)|\\text\s*\{\s*\}|&)"
_JOIN = (
    r"(?:[,;\uff0c\u3001\uff1b和及与或と]|\b(?:and|or|und|oder|et|ou|y)\b|\\text\s*\{[\s,]*(?:and|or|und|oder|et|ou|y)\s*\}"
    r"|\\(?:text|mathrm)\s*\{[^{}]*part \([a-z]\) and[^{}]*\})"
)
_GAP = re.compile(rf"{_GAP_FILL}*(?:{_JOIN}{_GAP_FILL}*)+")
_COUNTED = re.compile(r"[$\\)]*\s+([a-z]{3,})[, ]+and\s+[$\\(]*")
_OR = re.compile(r"\b(?:or|oder|ou|o)\b|或|または")
_MAX_HIDDEN = 40
_OR_AFTER = re.compile(
    r"[\s$.)\\\]*]*,?\s*\(?or\s+(?:maybe\s+|perhaps\s+|possibly\s+)?(?:\$|\\\()?\s*(-?[0-9][0-9,.]*)"
)
_STRUCK = re.compile(r"(?:\\(?:h?phantom|vphantom|[bx]?cancel|sout|st)\s*\{|~~)\s*\$?\s*$")
_COMMENT = re.compile(r"(?:^|[}$])[ \t]*%[^\n]*$")
_MINUS = re.compile(r"(?:=|\$|\\\[|\\\()\s*-\s*$")
_DECIMAL_COMMA = re.compile(r"(?P<before>-?[0-9]+),(?P<after>[0-9]+)\s?(?:[$€£%]|\\\$)?")
_MINERVA = re.compile(r"Final Answer: The final answer is(.{0,400}?). I hope it is correct\.")
_LINE = re.compile(r"answer\s*:\s*([^\n]+)", re.I)
_ANSWER_TAG = re.compile(r"<answer>(.*?)</answer>", re.S | re.I)


def extract(response: str, policy: Policy, marks: Marks = ()) -> Extraction:
    """Find the answer of a response under a policy.

    Args:
        response: The whole text of the candidate.
        policy: How an answer is found.
        marks: Pairs of marks around reasoning, in addition to those that are known.

    Returns:
        The answer, with its place in the response.

    Raises:
        LimitExceededError: The response is longer than the policy's bound.
    """
    if len(response) > policy.limits.response_chars:
        raise LimitExceededError("response_chars", f"{len(response)} > {policy.limits.response_chars}")
    hides = policy.think and may_be_marked(response, marks)
    if not (hides or policy.require_think_end):
        return _first_extraction(response, policy)
    visible_text = visible(response, marks)
    if policy.require_think_end and not visible_text.closed:
        return Extraction(None, -1, -1, "no closed think section")
    if not policy.think:
        return _first_extraction(response, policy)
    extraction = _first_extraction(visible_text.text, policy)
    if extraction.start >= 0 and visible_text.text is not response:
        start, end = visible_text.origin(extraction.start, extraction.end)
        extraction = extraction._replace(start=start, end=end)
    return extraction


def _first_extraction(text: str, policy: Policy) -> Extraction:
    if policy.window:
        text = " " * max(0, len(text) - policy.window) + text[-policy.window :]
    for rule in policy.extraction:
        extraction = _RULES[rule](text, policy)
        if extraction.rule != "none":
            if policy.decimal_comma and extraction.text is not None and extraction.rule in ("whole", "last number"):
                extraction = extraction._replace(text=decimal_comma(extraction.text))
            return extraction
    return NONE


def decimal_comma(text: str) -> str:
    """`1000,99` as `1000.99` where the text is that number alone and the comma groups no thousands."""
    match = _DECIMAL_COMMA.fullmatch(text.strip())
    if match is None or (len(match["after"]) == 3 and match["before"].lstrip("-")[:1] != "0"):
        return text
    return f"{match['before']}.{match['after']}"


# Boxes ----------------------------------------------------------------------------------------


def _box(text: str, policy: Policy, limit: int | None = None, hidden: int = 0) -> Extraction:
    at = box_before(text, limit)
    if at < 0:
        return NONE
    if hidden > _MAX_HIDDEN:
        raise LimitExceededError("boxes", f"more than {_MAX_HIDDEN} boxes that do not count")
    tag = text.rfind("<answer>") if "<" in text else -1
    if tag > at and "tag" in policy.extraction:
        return NONE
    box = read_box(text, at)
    if box is None:
        return Extraction(None, at, len(text), "truncated")
    start, end, after = box
    if "%" in text[max(0, at - 200) : at] and _COMMENT.search(text, max(text.rfind("\n", 0, at), 0, at - 200), at):
        return _box(text, policy, at, hidden + 1)
    rival = None
    if policy.hedges:
        doubt, rival = _doubt(text, at, start, end, after)
        if doubt is not None:
            return doubt
    outer = text.rfind("\\boxed", 0, at)
    if outer >= 0 and (around := _around(text, outer, after)) >= 0:
        return _box(text, policy, around + len("\\boxed"), hidden + 1)  # a box inside a box is part of it
    if policy.joined_boxes and outer >= 0:
        joined = _joined(text, at, start, end)
        if joined is not None:
            return joined
    content = text[start:end]
    before = text[max(0, at - 12) : at].rstrip()
    if before[-1:] == "-" and _MINUS.search(before):
        content = f"-({content})"
    if policy.hedges and text.startswith((" or", ", or", "$ or", "$, or", " (or", "$ (or"), after):
        alternative = _OR_AFTER.match(text, after)
        if alternative is not None:
            content = f"{content} or {alternative[1].rstrip('.,')}"
    return Extraction(content, start, end, "box", rival=rival)


def _latest(text: str, policy: Policy) -> Extraction:
    """The last box or the last `final answer is`, whichever stands later."""
    box = _box(text, policy)
    at = text.lower().rfind("final answer is")
    return _phrase(text, policy) if at > max(box.start, 0) else box


def _around(text: str, candidate: int, after: int) -> int:
    """The start of a box that reaches beyond `after`, looking back from `candidate`; -1 for none."""
    for _ in range(8):
        if candidate < 0:
            break
        box = read_box(text, candidate)
        if box is not None and box[2] >= after:
            return candidate
        candidate = text.rfind("\\boxed", 0, candidate)
    return -1


def _doubt(text: str, at: int, start: int, end: int, after: int) -> tuple[Extraction | None, str | None]:
    """What becomes of a box that is not asserted, taken back or corrected, None where it stands; and a rival of it."""
    if _struck_out(text, at):
        return Extraction(None, start, end, "struck out"), None
    if retraction.is_mentioned_only(text, at):
        return Extraction(None, start, end, "negated"), None
    later = retraction.afterwards(text, after)
    if later.corrected is not None:
        return later.corrected._replace(rule="corrected"), None
    if later.retracted:
        return Extraction(None, start, end, "negated"), None
    return None, None if later.rival is None else later.rival.text


def _struck_out(text: str, at: int) -> bool:
    before = text[max(0, at - 40) : at]
    return ("{" in before or "~" in before) and _STRUCK.search(before) is not None


def _joined(text: str, at: int, start: int, end: int) -> Extraction | None:
    """Boxes joined by and, or, comma, read as one list."""
    contents = [text[start:end]]
    joint = ", "
    first, limit = at, start
    while len(contents) < 200:
        previous = text.rfind("\\boxed", 0, first)
        if previous < 0:
            break
        box = read_box(text, previous)
        if box is None or box[2] > first or first - box[2] > 120 or not _joins(text, box[2], first):
            break
        contents.append(text[box[0] : box[1]])
        if _OR.search(text, box[2], first):
            joint = " or "
        first, limit = previous, box[0]
    if len(contents) == 1:
        return None
    unique = list(dict.fromkeys(c.strip() for c in reversed(contents)))
    return Extraction(joint.join(unique), limit, end, "joined boxes")


def _joins(text: str, start: int, end: int) -> bool:
    """Whether the text between two boxes makes them one answer."""
    if start == end or _GAP.fullmatch(text, start, end):
        return True
    counted = _COUNTED.fullmatch(text, start, end)
    return counted is not None and is_noun(counted[1]) and counted[1] not in ("first", "then", "so", "finally")


# Tags and signs -------------------------------------------------------------------------------


def _tag(text: str, policy: Policy) -> Extraction:
    at = text.rfind("<answer>")
    if at < 0:
        return NONE
    match = _ANSWER_TAG.match(text, at)
    if match is None:
        return Extraction(None, at, len(text), "truncated")
    content = match[1]
    start = match.start(1)
    for reader in (_box, _hash, _phrase):
        inner = reader(content, policy)
        if inner.rule != "none":
            return inner._replace(start=inner.start + start, end=inner.end + start, rule="tag, " + inner.rule)
    stripped = content.strip()
    offset = start + len(content) - len(content.lstrip())
    return Extraction(stripped, offset, offset + len(stripped), "tag")


def _hash(text: str, policy: Policy) -> Extraction:
    at = text.rfind("####")
    if at < 0:
        return NONE
    start = at + 4
    while start < len(text) and text[start] in " \t":
        start += 1
    end = text.find("\n", start)
    end = len(text) if end < 0 else end
    content = text[start:end].strip().strip("*`")
    start = text.index(content, start)
    # A heading of this depth is no answer line.
    if not content or (content[0].isalpha() and len(content.split()) > 4):
        return NONE
    return Extraction(content, start, start + len(content), "hash")


def _phrase(text: str, policy: Policy) -> Extraction:
    extraction = phrases.find(text)
    if not policy.hedges or extraction.text is None:
        return extraction
    if phrases.is_asked(text, extraction):
        return Extraction(None, extraction.start, extraction.end, "asked")
    before = text[max(0, extraction.start - 8) : extraction.start]
    if (
        '"' in before
        and before.rstrip().endswith('"')
        and (letter := phrases.letter_before(text, extraction.start)) is not None
    ):
        return extraction._replace(rival=letter)
    if retraction.is_mentioned_only(text, extraction.start):
        return Extraction(None, extraction.start, extraction.end, "negated")
    later = retraction.afterwards(text, extraction.end)
    if later.corrected is not None:
        return later.corrected._replace(rule="corrected")
    return Extraction(None, extraction.start, extraction.end, "negated") if later.retracted else extraction


def _minerva(text: str, policy: Policy) -> Extraction:
    """The sentence that the few-shot prompt of Minerva teaches; the first, as its harness takes it."""
    match = _MINERVA.search(text + "I hope it is correct.")
    return NONE if match is None else _trimmed(match, "minerva")


def _answer_line(text: str, policy: Policy) -> Extraction:
    """All that follows the last `Answer:` on its line."""
    last = deque(_LINE.finditer(text), maxlen=1)
    return _trimmed(last[0], "answer line") if last else NONE


def _trimmed(match: re.Match[str], rule: str) -> Extraction:
    content = match[1].strip()
    start = match.start(1) + len(match[1]) - len(match[1].lstrip())
    return Extraction(content, start, start + len(content), rule)


_RULES: dict[str, Callable[[str, Policy], Extraction]] = {
    "box": _box,
    "latest": _latest,
    "tag": _tag,
    "hash": _hash,
    "phrase": _phrase,
    "alone": lambda text, policy: stated.alone(text),
    "emphasis": lambda text, policy: stated.emphasis(text),
    "sentence": lambda text, policy: stated.last_sentence(text),
    "minerva": _minerva,
    "answer_line": _answer_line,
    "last_math": lambda text, policy: phrases.last_math(text),
    "last_value": lambda text, policy: phrases.last_value(text),
    "whole": lambda text, policy: phrases.bare(text),
}
