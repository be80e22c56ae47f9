"""Lines of docs/trainers.md, so that tests run what the page tells its readers to write."""

from __future__ import annotations

import re
from pathlib import Path

from tests.adapters.surviving import recipe

_PAGE = Path(__file__).parents[2] / "docs" / "trainers.md"


SCORER = "Trainers that need no adapter"
"""The heading under which `my_scorer.py` stands."""


def write_scorer(folder: Path, server: str) -> None:
    """Write the page's `my_scorer.py`, with a recipe beside it, for a server of a test."""
    (folder / "recipe.toml").write_text(recipe())
    scorer = lines_of(SCORER, "my_scorer.py")
    asked = 'SingleScorer("recipe.toml", {"math": ["10.0.0.1:50051"]})'
    assert asked in scorer
    ours = f'SingleScorer({str(folder / "recipe.toml")!r}, {{"all": {server!r}}}, max_missing=1.0)'
    (folder / "my_scorer.py").write_text(scorer.replace(asked, ours))


def lines_of(heading: str, holds: str) -> str:
    """The one block of lines under a heading (of level 2 or 3) that holds a text."""
    section = re.search(rf"^##+ {re.escape(heading)}\n(.*?)(?=^##+ |\Z)", _PAGE.read_text(), re.MULTILINE | re.DOTALL)
    assert section is not None, f"no {heading!r} in {_PAGE.name}"
    blocks = re.findall(r"^```\w*\n(.*?)^```$", section[1], re.MULTILINE | re.DOTALL)
    found: list[str] = [block for block in blocks if holds in block]
    assert len(found) == 1, f"{len(found)} blocks under {heading!r} hold {holds!r}"
    return found[0]
