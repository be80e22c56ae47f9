"""``assay methods``."""

from __future__ import annotations

from tests.cli.conftest import Cli


def test_methods_lists_and_describes(cli: Cli) -> None:
    assert "\ngrpo " in cli.run("methods").stdout
    described = cli.run("methods", "grpo").stdout
    for word in ("formula", "options", "inputs", "source"):
        assert word in described
    assert "no_such_method" in cli.error("methods", "no_such_method")
