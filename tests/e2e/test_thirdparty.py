"""A package of somebody else's, in an environment of its own: installed, tested, listed, checked, served and scored."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import PATIENCE, read_line
from tests.client.conftest import ROOT


class Environment:
    """A virtual environment with assay and the package, installed as their users do, and the packages they need."""

    def __init__(self, folder: Path) -> None:
        self.home = folder
        self.folder = folder / "env"
        self.package = folder / "acme-books"
        shutil.copytree(ROOT / "examples" / "thirdparty", self.package)
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(self.folder)], check=True, timeout=PATIENCE)
        (site,) = (self.folder / "lib").glob("python*/site-packages")
        # What they depend on is taken from here: nothing is downloaded.
        (site / "needed.pth").write_text("\n".join(path for path in sys.path if path.endswith("site-packages")))
        self.env = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        pip = [sys.executable, "-m", "pip", "--python", str(self.folder / "bin" / "python"), "install", "--quiet"]
        offline = ["--no-deps", "--no-build-isolation", "--no-index", "--ignore-installed"]
        subprocess.run([*pip, *offline, str(ROOT), str(self.package)], check=True, env=self.env, timeout=300)

    def run(self, command: str, *arguments: object) -> str:
        done = subprocess.run(
            [str(self.folder / "bin" / command), *map(str, arguments)],
            cwd=self.package,
            env=self.env,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
        )
        assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
        return done.stdout


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Environment:
    return Environment(tmp_path_factory.mktemp("elsewhere"))


def test_it_runs_what_is_installed(installed: Environment) -> None:
    said = installed.run("python", "-c", "import acme_books, reward_servers; print(reward_servers.__file__)")
    assert said.startswith(str(installed.folder))


def test_its_own_tests_pass(installed: Environment) -> None:
    said = installed.run("python", "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests")
    assert "passed" in said
    assert "skipped" not in said


def test_it_is_listed_with_its_origin(installed: Environment) -> None:
    rows = {row["name"]: row for row in json.loads(installed.run("assay", "list", "--json"))}
    assert rows["acme/isbn"]["origin"] == "acme-books 0.1.0, acme_books:isbn"
    assert rows["acme/brief"]["origin"] == "acme-books 0.1.0, acme_books:brief"
    assert "acme/isbn" in installed.run("assay", "list")


def test_its_labels_are_checked(installed: Environment) -> None:
    installed.run("assay", "check", "acme/isbn", "--cases", "cases.jsonl", "--hacks", "--fail-under", "1")
    installed.run("assay", "check", "acme/brief", "--cases", "groups.jsonl", "--with", "acme/isbn", "--fail-under", "1")


def scores_in(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "rollouts.jsonl").read_text("utf-8").splitlines()]


def test_its_recipe_scores(installed: Environment) -> None:
    """Right 1 1 0 0, brief 1 0.65 0 0: rewards 1.5, 1.325, 0, 0; mean 0.70625, deviation 0.8186."""
    out = installed.home / "out"
    installed.run("assay", "score", "rollouts.jsonl", "-r", "recipe.toml", "-o", f"{out}/")
    rows = scores_in(out)
    assert [row["scores"] for row in rows] == [
        {"right": 1, "brief": 1},
        {"right": 1, "brief": 0.65},
        {"right": 0, "brief": 0},
        {"right": 0, "brief": 0},
    ]
    assert [row["advantage"] for row in rows] == pytest.approx([0.9696, 0.7558, -0.8627, -0.8627], abs=1e-4)


def test_it_is_served(installed: Environment) -> None:
    assay = str(installed.folder / "bin" / "assay")
    command = [assay, "serve", "acme/isbn", "acme/brief", "--workers", "1"]
    with (installed.home / "log").open("w") as log:
        server = subprocess.Popen(
            command, cwd=installed.home, env=installed.env, stdout=subprocess.PIPE, stderr=log, text=True
        )
        try:
            address = read_line(server.stdout).split()[2]
            where, out = installed.home / "endpoints.json", installed.home / "served"
            where.write_text(json.dumps({"books": [address]}))
            arguments = ("rollouts.jsonl", "-r", "recipe.toml", "-o", f"{out}/", "--endpoints-file", where)
            installed.run("assay", "score", *arguments)
            assert [row["scores"]["right"] for row in scores_in(out)] == [1, 1, 0, 0]
        finally:
            server.terminate()
            server.communicate(timeout=PATIENCE)
