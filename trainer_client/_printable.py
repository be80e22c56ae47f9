"""Text of others on a terminal: what would steer it, or reorder what is read, is shown instead of obeyed."""

from __future__ import annotations

import re

_STEERING = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028\u2029\u202a-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"
    "\ud800-\udfff\U000e0000-\U000e007f]"
)
_ENDS = re.compile("[\t\n]")


def printable(text: str, *, line: bool = False) -> str:
    r"""Write control characters, invisible ones and lone surrogates as escapes, such as ``\x1b``.

    Args:
        text: text of a rollout, a verdict, a file.
        line: whether tabs and ends of lines are escaped too, so that the text stays on one line.
    """
    shown = _STEERING.sub(_escape, text)
    return _ENDS.sub(_escape, shown) if line else shown


def _escape(match: re.Match[str]) -> str:
    return match.group().encode("unicode_escape").decode("ascii")
