"""The page of what supplies the inputs of each paper says what the recipes say."""

from __future__ import annotations

from pathlib import Path

import pytest

from examples.papers.__main__ import HERE, page, recipes_of
from trainer_client.signals.catalogue import papers

PAGE = (HERE.parents[1] / "docs" / "papers.md").read_text()


def _rows(text: str) -> dict[str, str]:
    """Rows by the recipe that they name."""
    rows = [line for line in text.splitlines() if line.startswith("| ") and ".toml](" in line]
    return {row.partition("| [")[2].partition("]")[0]: row for row in rows}


def test_each_row_is_what_its_recipe_says() -> None:
    now = _rows(page())
    for name, row in _rows(PAGE).items():
        assert row == now[name], "run: python -m examples.papers > docs/papers.md"


@pytest.mark.parametrize("key", [paper.key for paper in papers()])
def test_every_paper_has_a_row_with_its_inputs_or_the_reason_why_not(key: str) -> None:
    paper = next(one for one in papers() if one.key == key)
    rows = [line for line in PAGE.splitlines() if line.startswith(f"| {paper.title} |")]
    assert rows
    assert all(len(row.split(" | ")[-1].strip(" |")) > 3 for row in rows)
    assert bool(paper.outside) == rows[0].rpartition("| | |")[2].strip().startswith("outside: ")


def test_a_papers_recipes_are_not_those_of_another() -> None:
    found = [path for paper in papers() if not paper.outside for path in recipes_of(paper.key)]
    assert len(found) == len(set(found)) > 60
    assert all(isinstance(path, Path) for path in found)
