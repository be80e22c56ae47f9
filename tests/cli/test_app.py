"""The command as a whole: help, versions, mistakes of the user."""

from __future__ import annotations

import subprocess
import sys

from reward_servers import __version__
from reward_servers.cli._app import COMMANDS
from tests.cli.conftest import COMMAND, Cli

LIGHT = """
import sys
sys.argv = ["assay", "--help"]
from reward_servers.cli import main
main()
heavy = {"grpc", "numpy", "pydantic", "rich", "reward_servers.core", "trainer_client", "torch"} & set(sys.modules)
assert not heavy, heavy
"""


def test_help_names_every_command(cli: Cli) -> None:
    text = cli.run("--help").stdout
    for name, _ in COMMANDS:
        assert f"\n  {name} " in text


def test_help_imports_nothing_heavy() -> None:
    subprocess.run([sys.executable, "-c", LIGHT], check=True, capture_output=True)


def test_version(cli: Cli) -> None:
    assert cli.run("--version").stdout == f"assay {__version__}\n"


def test_mistakes_in_the_command_line_are_one_line(cli: Cli) -> None:
    assert "bogus" in cli.error("bogus")
    assert "RECIPE" in cli.error("up")
    assert "--port" in cli.error("serve", "exact", "--port", "x")


def test_a_reader_that_has_seen_enough_is_no_answer(cli: Cli) -> None:
    with subprocess.Popen(
        [*COMMAND, "--help"], env=cli.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        process.stdout.close()
        assert process.stderr is not None
        assert process.stderr.read() == ""
    assert process.returncode == 141


def test_debug_shows_the_traceback(cli: Cli) -> None:
    done = cli.run("--debug", "up", "nowhere.toml", code=2)
    assert "Traceback" in done.stderr
    assert done.stderr.splitlines()[-1] == "error: nowhere.toml: No such file or directory"


def test_without_the_server_extra_the_command_says_what_to_install() -> None:
    program = "import sys; sys.modules['typer'] = None; from reward_servers.cli import main; sys.exit(main())"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 2
    assert "pip install 'assay[server]'" in done.stderr
