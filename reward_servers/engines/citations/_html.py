"""HTML in an answer, written as the lines that it is read as."""

from __future__ import annotations

import re

_CODE_SPAN = r"`[^`\n]+`"
_BLOCK = (
    "address|article|aside|blockquote|body|br|caption|center|dd|details|div|dl|dt|fieldset|figcaption|figure|footer|form|"
    "header|hr|html|li|main|nav|ol|p|pre|section|summary|table|tbody|tfoot|thead|tr|ul"
)
_TAGS = re.compile(
    rf"{_CODE_SPAN}|<(?P<end>/?)(?P<name>{_BLOCK}|t[dh]|h[1-6])(?:\s[^<>\n]{{0,500}})?/?>", re.IGNORECASE
)


def as_lines(text: str) -> str:
    """The text with its block tags as line breaks, its headings as headings and its cells as cells, length kept.

    Args:
        text: The text outside of blocks of code.
    """
    return _TAGS.sub(_line, text) if "<" in text else text


def _line(match: re.Match[str]) -> str:
    name = match["name"]
    if name is None:
        return match[0]
    name, size = name.casefold(), len(match[0])
    if name == "td":
        return " " * size if match["end"] else "|".ljust(size)
    heads = (name == "th" or (name[0] == "h" and name[1:].isdigit())) and not match["end"]
    return ("\n# " if heads else "\n\n").ljust(size)
