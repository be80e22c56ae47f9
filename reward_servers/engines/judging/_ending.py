"""How a reply ended, and which part of one may be read: what is cut off may have gone on to say something else."""

from __future__ import annotations

import html
import re
from enum import Enum

from reward_servers.engines.text import Marks, visible

_LONGEST = 1 << 20
_LONGEST_SHOWN = 50_000
_AROUND_TOKEN = 16
"""Characters of brackets and emphasis around a token at most."""
_CLOSERS = "]})>\"'”’»`"
_CUT = re.compile(
    r"length|max_?(?:output_?|new_?|completion_?)?tokens|token_limit|abort(?:ed)?|cancel(?:l?ed)?|error|timeout"
    r"|incomplete|interrupted",
    re.IGNORECASE,
)
_OVERFLOWED = re.compile(
    r"model_length|(?:model_)?context_(?:length|window|window_length)(?:_exceeded)?", re.IGNORECASE
)
_FILTERED = re.compile(
    r"content_filter(?:ed)?|safety|refusal|recitation|blocked|blocklist|prohibited_content|sensitive|spii|guardrail.*",
    re.IGNORECASE,
)
_ENDED = re.compile(
    r"stop|stop_sequence|stopped|end|end_turn|end_of_turn|eos|eos_token|complete[d]?|finish(?:ed)?|tool_calls?|function_call",
    re.IGNORECASE,
)


class Ending(Enum):
    """What a finish reason says.

    The text ended, was cut off (at a bound of its own, or at the end of the model's context) or filtered; or nothing
    that is known.
    """

    ENDED = "ended"
    CUT = "cut"
    OVERFLOWED = "overflowed"
    FILTERED = "filtered"
    UNKNOWN = "unknown"

    @classmethod
    def of(cls, finish_reason: str | None) -> Ending:
        """The meaning of an endpoint's word for it."""
        reason = (finish_reason or "").strip().replace("-", "_")
        patterns = ((_ENDED, cls.ENDED), (_CUT, cls.CUT), (_OVERFLOWED, cls.OVERFLOWED), (_FILTERED, cls.FILTERED))
        for pattern, ending in patterns:
            if pattern.fullmatch(reason):
                return ending
        return cls.UNKNOWN


def shown_of(raw: str, marks: Marks = ()) -> str | None:
    """The visible text of a reply; None where reasoning never ends in it, or where it is endless itself."""
    if len(raw) > _LONGEST:
        return None
    visible_text = visible(raw, marks)
    if "&" in visible_text.text and not visible_text.open:
        # A mark that is written as an HTML entity is the same mark.
        unescaped = html.unescape(visible_text.text)
        visible_text = visible(unescaped, marks) if unescaped != visible_text.text else visible_text
    return None if visible_text.open else visible_text.text


def read_part(text: str) -> str:
    """What of a visible text is read: its end, where a verdict stands."""
    return text[-_LONGEST_SHOWN:]


def closed_part(text: str, token: str) -> str:
    """What of a text stays the same however it would have gone on: all but a last line without a mark of its end.

    Of a last line that holds the token, what stands before the last such mark stays as well.
    """
    begin = text.rfind("\n") + 1
    last = text[begin:].rstrip()
    if not last or last[-1] in _CLOSERS:
        return text
    length = 0
    if token and token.casefold() in last.casefold():
        length = max(last.rfind(mark) for mark in _CLOSERS) + 1
    # What is left must not look as if nothing had stood behind it.
    return f"{text[: begin + length]} …" if length else text[:begin]


def cut_in_token(text: str, token: str) -> bool:
    """Whether a text ends within the signature: with a bracket, or with the beginning of the token."""
    last = text.rstrip()[-len(token) - _AROUND_TOKEN :]
    match = re.search(r"(?P<open>[\[(<{]+)?[ *`]*(?P<begun>\w*)[ *`]*\Z", last)
    if not token or match is None:
        return False
    begun = match["begun"].casefold()
    least = 0 if match["open"] else 4
    return least <= len(begun) < len(token) and token.casefold().startswith(begun)
