"""Whether a text has the tags that were asked for."""

from __future__ import annotations

from collections.abc import Sequence

TAG_NAME = r"^[A-Za-z][\w.-]*$"
"""What a tag may be called, as a regular expression."""


def check_tags(text: str, tags: Sequence[str]) -> dict[str, bool]:
    """Check tags that should enclose the parts of a text one after the other.

    Args:
        text: The text.
        tags: Names of the tags, in their order.

    Returns:
        ``present``: each tag opens and closes. ``once``: each opens and closes exactly once. ``order``: they follow one
        another in the given order, none inside another. ``only``: there is only white space outside of them.
        The last two are false when ``once`` is.
    """
    opens = [f"<{tag}>" for tag in tags]
    closes = [f"</{tag}>" for tag in tags]
    counts = [text.count(mark) for mark in (*opens, *closes)]
    result = {"present": min(counts) > 0, "once": set(counts) == {1}, "order": False, "only": False}
    if result["once"]:
        spans = [(text.index(start), text.index(end), len(end)) for start, end in zip(opens, closes, strict=True)]
        edges = [edge for start, end, _ in spans for edge in (start, end)]
        result["order"] = edges == sorted(edges)
    if result["order"]:
        ends = [0, *(end + length for _, end, length in spans)]
        starts = [*(start for start, _, _ in spans), len(text)]
        result["only"] = not any(text[end:start].strip() for end, start in zip(ends, starts, strict=True))
    return result
