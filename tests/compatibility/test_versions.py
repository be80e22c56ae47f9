"""The present client and server against those of the first version that had both, in every combination."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
ASK = Path(__file__).with_name("ask.py")


def _git(*arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()


def _first(text: str, path: str) -> str:
    """The first commit with a text below a path; skips where the history is not here."""
    try:
        shallow = _git("rev-parse", "--is-shallow-repository") == "true"
        found = _git("log", "--reverse", f"-S{text}", "--format=%H", "--", path).splitlines()
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("this is no clone with git: the first versions are not here")
    if shallow or not found:
        pytest.skip("the clone is shallow: the first versions are not in it; `git fetch --unshallow`")
    return found[0]


@pytest.fixture(scope="module")
def old(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tree of the first version with a command, in which a server could end its streams."""
    folder = tmp_path_factory.mktemp("old")
    _unpack(_first("def ended(", "reward_servers/core"), folder)
    return folder


def _unpack(commit: str, folder: Path, *paths: str) -> None:
    archive = subprocess.run(["git", "archive", commit, *paths], cwd=ROOT, capture_output=True, check=True).stdout
    subprocess.run(["tar", "-x", "-C", folder], input=archive, check=True)


def _env(tree: Path) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(tree)}


@contextmanager
def _serving(tree: Path) -> Iterator[str]:
    command = [sys.executable, "-P", "-m", "reward_servers", "serve", "exact", "format", "--port", "0"]
    options = {"workers": "1"}
    arguments = [part for name, value in options.items() for part in (f"--{name}", value)]
    with subprocess.Popen(
        [*command, *arguments], stdout=subprocess.PIPE, text=True, env=_env(tree), cwd=tree
    ) as server:
        assert server.stdout is not None
        try:
            said = server.stdout.readline().split()
            assert said[:2] == ["listening", "on"], said
            yield said[2]
        finally:
            server.terminate()


def _ask(tree: Path, address: str) -> dict[str, object]:
    done = subprocess.run(
        [sys.executable, "-P", str(ASK), address],
        capture_output=True,
        text=True,
        env=_env(tree),
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, object] = json.loads(done.stdout)
    assert str(found.pop("from")).startswith(str(tree)), "the wrong client was imported"
    return found


def test_clients_and_servers_of_the_first_version_work_with_those_of_this_one(old: Path) -> None:
    with _serving(old) as before, _serving(ROOT) as now:
        expected = _ask(ROOT, now)
        assert _ask(old, now) == expected
        then = _ask(old, before)
        assert _ask(ROOT, before) == then
    # What the verifiers say may have changed since, but not for these.
    assert then["cells"] == expected["cells"]


def test_the_contract_of_the_first_commit_still_holds(tmp_path: Path) -> None:
    buf = Path(sys.executable).with_name("buf")
    if not buf.is_file():
        pytest.skip("buf is not installed")
    _unpack(_first("service RewardService", "protos"), tmp_path, "protos")
    (tmp_path / "buf.yaml").write_text((ROOT / "buf.yaml").read_text())
    done = subprocess.run(
        [str(buf), "breaking", "--against", str(tmp_path)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
