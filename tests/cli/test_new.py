"""``assay new``: the package that it writes is installed, tested, listed, served and scored."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from reward_servers.cli._errors import UserError
from reward_servers.cli._new import KINDS, _names_for
from tests.cli.conftest import PATIENCE, Cli


def test_a_new_verifier_is_installed_tested_listed_served_and_scored(cli: Cli, tmp_path: Path) -> None:
    cli.run("new", "acme/last-line")
    package = tmp_path / "acme-last-line"
    installed = tmp_path / "installed"
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    subprocess.run([*pip, "--target", str(installed), str(package)], check=True, timeout=PATIENCE)
    cli.env["PYTHONPATH"] += f":{installed}"

    tested = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"],
        cwd=package,
        env=cli.env,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    assert tested.returncode == 0, tested.stdout
    assert "4 passed" in tested.stdout

    rows = {row["name"]: row for row in json.loads(cli.run("list", "--json").stdout)}
    assert rows["acme/last-line"]["origin"] == "acme-last-line 0.1.0, acme_last_line:last_line"

    address = cli.serve("acme/last-line")
    recipe = cli.write("r.toml", '[servers.mine]\nverifiers = ["acme/last-line"]\n'
                       f'endpoints = ["{address}"]\n[rewards.last]\nverifier = "acme/last-line"\n')  # fmt: skip
    out = tmp_path / "out.jsonl"
    cli.run("score", package / "cases.jsonl", "-r", recipe, "-o", out)
    scores = [json.loads(line)["scores"]["last"] for line in out.read_text().splitlines()]
    assert scores == [1.0, 0.0, 0.0, 0.0]
    assert "already" in cli.error("new", "acme/last-line", "--dir", tmp_path / "again")


@pytest.mark.timeout(900)
@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "function"])
def test_each_kind_is_installed_tested_and_listed(kind: str, cli: Cli, tmp_path: Path) -> None:
    cli.run("new", "acme/one", "--kind", kind)
    package, installed = tmp_path / "acme-one", tmp_path / "installed"
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    subprocess.run([*pip, "--target", str(installed), str(package)], check=True, timeout=PATIENCE)
    cli.env["PYTHONPATH"] += f":{installed}"
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    # A check of programs starts a sandbox for each of some hundred: it takes as long as the machine is busy.
    tested = subprocess.run(command, cwd=package, env=cli.env, capture_output=True, text=True, timeout=5 * PATIENCE)
    assert tested.returncode == 0, tested.stdout
    rows = {row["name"]: row for row in json.loads(cli.run("list", "--json").stdout)}
    assert rows["acme/one"]["origin"].startswith("acme-one 0.1.0, acme_one:")


def test_a_kind_that_is_not_known_is_refused(cli: Cli) -> None:
    said = cli.error("new", "acme/one", "--kind", "klass")
    assert "'klass' is not known; known are function, async, batch, group, sandbox" in said


def test_files_are_named_after_the_verifier(cli: Cli) -> None:
    cli.run("new", "polite")
    files = {str(path.relative_to(cli.folder / "assay-polite")) for path in (cli.folder / "assay-polite").rglob("*.*")}
    assert files == {
        "pyproject.toml",
        "README.md",
        "cases.jsonl",
        "src/assay_polite/__init__.py",
        "tests/test_assay_polite.py",
    }


def test_what_is_written_is_clean_and_typed_whatever_the_kind(cli: Cli) -> None:
    """All kinds at once: most of the time goes into what each of them imports."""
    for kind in KINDS:
        cli.run("new", f"acme/{kind}-one", "--kind", kind)
    folders = [f"acme-{kind}-one" for kind in KINDS]
    tools = Path(sys.executable).parent
    settings = Path(__file__).parents[2] / "pyproject.toml"
    rules = [str(tools / "ruff"), "check", "--config", str(settings), "--no-cache", *folders]
    layout = [str(tools / "ruff"), "format", "--check", "--config", str(settings), "--no-cache", *folders]
    sources = [f"{folder}/src" for folder in folders]
    types = [sys.executable, "-m", "mypy", "--strict", "--no-incremental", *sources]
    for command in (rules, layout, types):
        done = subprocess.run(command, cwd=cli.folder, capture_output=True, text=True, timeout=PATIENCE)
        assert done.returncode == 0, done.stdout + done.stderr


def test_the_guide_shows_what_is_written(cli: Cli) -> None:
    cli.run("new", "acme/last-line")
    module = (cli.folder / "acme-last-line" / "src" / "acme_last_line" / "__init__.py").read_text()
    guide = (Path(__file__).parents[2] / "docs" / "writing-a-verifier.md").read_text()
    assert module.partition("\n\n")[2].strip() in guide


def test_nothing_is_overwritten(cli: Cli) -> None:
    cli.write("notes.txt", "mine")
    assert "not empty" in cli.error("new", "acme/x", "--dir", ".")
    assert "notes.txt" in cli.error("new", "acme/x", "--dir", "notes.txt")
    assert sorted(path.name for path in cli.folder.iterdir()) == ["notes.txt"]


@pytest.mark.parametrize(
    "name", ["", "Acme/x", "a/b/c", "../x", "/x", "x/", "a b", "3d/x", "acme/3d", "a\nb", "é", "x" * 80, "-x"]
)
def test_names_that_cannot_be_are_refused(name: str) -> None:
    with pytest.raises(UserError, match="NAME"):
        _names_for(name)


@pytest.mark.parametrize("name", ["exact", "reward/servers", "trainer/client"])
def test_names_that_are_taken_are_refused(name: str) -> None:
    with pytest.raises(UserError, match="choose another"):
        _names_for(name)


@pytest.mark.parametrize("name", ["acme/class", "acme/verifier", "acme/float"])
def test_words_of_python_become_names(name: str) -> None:
    assert _names_for(name).function.endswith("_")
