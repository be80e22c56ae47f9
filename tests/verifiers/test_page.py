"""The page of verifiers is what their declarations say."""

from __future__ import annotations

import tomllib

from reward_servers.core import installed
from reward_servers.verifiers.__main__ import page
from tests.client.conftest import ROOT

PAGE = ROOT / "docs" / "verifiers" / "README.md"


def test_the_page_is_current() -> None:
    assert PAGE.read_text("utf-8") == page(ROOT), "run python -m reward_servers.verifiers > docs/verifiers/README.md"


def test_what_is_announced_is_installed() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    announced = set(project["entry-points"]["assay.verifiers"])
    assert announced <= set(installed()), "a new entry point needs .venv/bin/python -m pip install -e ."
