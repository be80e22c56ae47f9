"""Places that take no more, as a full disk or a limit of a file's size: the user's to mend, and no defect of ours."""

from __future__ import annotations

import json
import resource
import subprocess
from pathlib import Path
from typing import Any

import pytest

from reward_servers.cli import run
from tests.cli.conftest import COMMAND, PATIENCE, Cli

ROW = '{"response": "a", "reference": "a"}\n'
FULL = Path("/dev/full")
LIMIT = 4096


def ended(cli: Cli, *arguments: object, **how: Any) -> subprocess.CompletedProcess[str]:
    """Run a command with a standard stream of a test's own."""
    return subprocess.run(
        [*COMMAND, *map(str, arguments)],
        cwd=cli.folder,
        # Python takes a compiled module that was cut off at a limit for a whole one.
        env={**cli.env, "PYTHONDONTWRITEBYTECODE": "1"},
        text=True,
        timeout=PATIENCE,
        **{"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **how},
    )


def limit_files(size: int) -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


def test_results_that_find_no_room_are_told_with_their_place(cli: Cli) -> None:
    source = cli.write("in.jsonl", ROW)
    said = cli.error("score", source, "--verifier", "exact", "-o", FULL)
    assert said == f"error: {FULL}: No space left on device; make room there, or choose another place"


@pytest.mark.parametrize("arguments", [["list"], ["list", "--json"], ["score", "none.jsonl", "--json"]], ids=str)
def test_standard_output_that_takes_no_more_is_told(cli: Cli, arguments: list[str]) -> None:
    with FULL.open("w") as full:
        done = ended(cli, *arguments, stdout=full)
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    if arguments[0] == "list":
        assert line.startswith("error: standard output or a temporary file: No space left on device; make room there")


@pytest.mark.parametrize("arguments", [["list"], ["list", "--jsn"]], ids=str)
def test_the_exit_code_alone_tells_where_no_stream_takes_more(cli: Cli, arguments: list[str]) -> None:
    with FULL.open("w") as full:
        assert ended(cli, *arguments, stdout=full, stderr=full).returncode == 2


@pytest.mark.parametrize("resume", [False, True])
def test_a_limit_of_a_files_size_is_told_and_leaves_no_results(cli: Cli, resume: bool) -> None:
    source = cli.write("in.jsonl", ROW * 200)
    arguments = ["score", source, "--verifier", "exact", "--endpoint", cli.serve("exact"), "-o", "out.jsonl"]
    before = set(cli.folder.iterdir())
    done = ended(cli, *arguments, *["--resume"] * resume, preexec_fn=lambda: limit_files(LIMIT))
    assert done.returncode == 2, done.stderr
    place = "out.jsonl.partial" if resume else str(cli.folder)
    (line,) = done.stderr.splitlines()
    assert line == (
        f"error: {place}: File too large; raise the limit of a file's size (`ulimit -f`), or choose another place"
    )
    assert set(cli.folder.iterdir()) - before == ({cli.folder / "out.jsonl.partial"} if resume else set())


def test_a_host_without_room_for_temporary_files_is_told_how_to_name_a_place(cli: Cli) -> None:
    source = cli.write("in.jsonl", ROW)
    done = ended(cli, "score", source, "--verifier", "exact", preexec_fn=lambda: limit_files(0))
    assert done.returncode == 2, done.stderr
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: No usable temporary directory found in [")
    assert line.endswith("]; make room in one of them, or name another by the variable TMPDIR")


def test_a_state_is_kept_in_a_regular_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "in.jsonl").write_text(ROW)
    # A device has no end to read to.
    assert run(["score", f"{tmp_path}/in.jsonl", "--verifier", "exact", "--state", str(FULL), "--json"]) == 2
    assert f"--state {FULL}: " in json.loads(capsys.readouterr().out)["error"]
