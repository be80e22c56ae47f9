"""Lines of docs/trainers.md, so that tests run what the page tells its readers to write."""

from __future__ import annotations

import re
from pathlib import Path

_PAGE = Path(__file__).parents[2] / "docs" / "trainers.md"


def lines_of(heading: str, holds: str) -> str:
    """The one block of lines under a heading (of level 2 or 3) that holds a text."""
    section = re.search(rf"^##+ {re.escape(heading)}\n(.*?)(?=^##+ |\Z)", _PAGE.read_text(), re.MULTILINE | re.DOTALL)
    assert section is not None, f"no {heading!r} in {_PAGE.name}"
    blocks = re.findall(r"^```\w*\n(.*?)^```$", section[1], re.MULTILINE | re.DOTALL)
    found: list[str] = [block for block in blocks if holds in block]
    assert len(found) == 1, f"{len(found)} blocks under {heading!r} hold {holds!r}"
    return found[0]
