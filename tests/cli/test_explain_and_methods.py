"""``assay explain`` and ``assay methods``."""

from __future__ import annotations

from tests.cli.conftest import Cli


def test_explain_shows_both_sides_and_what_decided(cli: Cli) -> None:
    right = cli.run("explain", r"so \boxed{0.5}", r"\frac{1}{2}").stdout
    assert right.startswith("correct")
    assert "reference  \\frac{1}{2}" in right
    wrong = cli.run("explain", r"so \boxed{0.4}", "1/2", code=1).stdout
    assert "different numbers" in wrong
    assert "2/5" in wrong


def test_explain_takes_a_profile(cli: Cli) -> None:
    assert cli.run("explain", r"\boxed{2/4}", "1/2").stdout.startswith("correct")
    cli.run("explain", r"\boxed{2/4}", "1/2", "--profile", "strict", code=1)
    assert "there is no 'lax'" in cli.error("explain", "1", "1", "--profile", "lax")


def test_methods_lists_and_describes(cli: Cli) -> None:
    assert "\ngrpo " in cli.run("methods").stdout
    described = cli.run("methods", "grpo").stdout
    for word in ("formula", "options", "inputs", "source"):
        assert word in described
    assert "no_such_method" in cli.error("methods", "no_such_method")
