"""Which parts of a response may hold the answer: thinking and comments are blanked out."""

from __future__ import annotations

import re

_NAMES = "think|thinking|thought|thoughts|reasoning|scratchpad|reflection|analysis"
_TAG = re.compile(
    rf"<(?P<close>/)?(?:{_NAMES})>|<\|(?P<of>begin|end)_of_thought\|>|(?P<comment><!--)|(?P<uncomment>-->)", re.I
)


def needs_masking(text: str) -> bool:
    """A cheap test that lets plain responses pass untouched."""
    return "<" in text and ("</" in text or "<think" in text or "_of_thought" in text or "<!--" in text)


def visible(text: str) -> tuple[str, bool]:
    """Blank out think sections, keeping every position.

    Returns:
        The text with hidden characters replaced by spaces, and whether a section was closed.  A closing tag
        without an opening one hides everything before it (the opening tag stood in the prompt); an opening
        tag without a closing one hides everything after it.
    """
    hidden: list[tuple[int, int]] = []
    depth, opened, closed = 0, 0, False
    comment = -1
    for match in _TAG.finditer(text):
        if match["comment"]:
            comment = match.start() if comment < 0 else comment
        elif match["uncomment"]:
            if comment >= 0:
                hidden.append((comment, match.end()))
            comment = -1
        elif match["close"] or match["of"] == "end":
            if depth == 0:
                hidden = [(0, match.end())]
            else:
                depth -= 1
                if depth == 0:
                    hidden.append((opened, match.end()))
            closed = True
        else:
            if depth == 0:
                opened = match.start()
            depth += 1
    if depth:
        hidden.append((opened, len(text)))
    if comment >= 0:
        hidden.append((comment, len(text)))
    parts, last = [], 0
    for start, end in sorted(hidden):
        if end <= last:
            continue
        start = max(start, last)
        parts += [text[last:start], " " * (end - start)]
        last = end
    parts.append(text[last:])
    return "".join(parts), closed


def closing_tag(text: str) -> bool:
    """Whether a think section is closed anywhere."""
    return any(m["close"] or m["of"] == "end" for m in _TAG.finditer(text))
