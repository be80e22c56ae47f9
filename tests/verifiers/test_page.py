"""The page of verifiers is what their declarations say."""

from __future__ import annotations

from reward_servers.verifiers.__main__ import page
from tests.client.conftest import ROOT

PAGE = ROOT / "docs" / "verifiers" / "README.md"


def test_the_page_is_current() -> None:
    assert PAGE.read_text("utf-8") == page(ROOT), "run python -m reward_servers.verifiers > docs/verifiers/README.md"
