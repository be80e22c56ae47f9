"""Parts of a text: inside a tag, its last line."""

from __future__ import annotations


def tagged(text: str, tag: str) -> list[str]:
    """The contents of ``<tag>...</tag>``, in order; an opening tag that never closes has none."""
    spans: list[str] = []
    opening, closing = f"<{tag}>", f"</{tag}>"
    at = text.find(opening)
    while at >= 0:
        start = at + len(opening)
        end = text.find(closing, start)
        if end < 0:
            break
        spans.append(text[start:end])
        at = text.find(opening, end)
    return spans


def last_line(text: str) -> str:
    """The last line that is not blank, stripped; empty when there is none."""
    return text.rstrip().rpartition("\n")[2].strip()
