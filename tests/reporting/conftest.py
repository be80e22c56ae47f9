"""Rows of scored files, and a browser."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.reporting.browser import Page, browser_path


def row_of(name: str, group: str = "g", **more: Any) -> dict[str, Any]:
    """A line as ``assay score --keep`` writes it."""
    score = more.pop("score", 1.0)
    return {
        "rollout_id": name,
        "group_id": group,
        "task": "",
        "scores": {"right": score},
        "codes": {"right": "accepted" if score else "wrong"},
        "reward": score,
        "advantage": 0.0,
        "rollout": {"prompt": "q", "response": f"the answer of {name}", "reference": {"answer": "4"}},
        **more,
    }


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[Page]:
    program = browser_path()
    if program is None:
        pytest.skip("needs a Chromium: apt-get install chromium")
    with Page(program, tmp_path / "profile") as page:
        yield page
