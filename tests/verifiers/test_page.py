"""The page of verifiers is what their declarations say."""

from __future__ import annotations

import tomllib

from reward_servers.core import installed
from reward_servers.testing import example_rows
from reward_servers.verifiers.__main__ import page
from tests.client.conftest import ROOT
from tests.verifiers import examples

PAGE = ROOT / "docs" / "verifiers" / "README.md"


def test_the_page_is_current() -> None:
    assert PAGE.read_text("utf-8") == page(ROOT), "run python -m reward_servers.verifiers > docs/verifiers/README.md"


def test_what_is_announced_is_installed() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    announced = set(project["entry-points"]["assay.verifiers"])
    assert announced <= set(installed()), "a new entry point needs .venv/bin/python -m pip install -e ."


def test_the_examples_are_the_labelled_cases() -> None:
    assert examples.FILE.read_text("utf-8") == examples.examples(), "run python -m tests.verifiers.examples"


def test_every_verifier_has_an_example() -> None:
    ours = [entry.load() for entry in installed().values() if entry.path.startswith("reward_servers.verifiers.")]
    assert [one.name for one in ours if not example_rows(one)] == []
    sections = PAGE.read_text("utf-8").split("\n### ")[1:]
    assert len(sections) == len(ours)
    assert [one.partition("\n")[0] for one in sections if "```json" not in one] == []


def test_every_verifier_says_where_its_measure_is_from() -> None:
    ours = [entry.load() for entry in installed().values() if entry.path.startswith("reward_servers.verifiers.")]
    silent = [one.name for one in ours if "ource" not in (one.target.__doc__ or "")]
    assert silent == []
