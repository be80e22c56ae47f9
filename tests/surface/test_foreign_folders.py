"""Everything works from a folder that has packages of its own called ``protos``, ``sandbox`` and ``tests``."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

RECIPE = """
advantage = "none"
[servers.rules]
verifiers = ["exact", "code"]
[rewards.correct]
verifier = "exact"
tasks = ["words"]
[rewards.tests]
verifier = "code"
tasks = ["code"]
"""
ROWS = [
    {"rollout_id": "a", "task": "words", "prompt": "p", "response": "42", "reference": {"answer": "42"}},
    {
        "rollout_id": "b",
        "task": "code",
        "prompt": "p",
        "response": "```python\nprint(int(input()) * 2)\n```",
        "reference": {"tests": [{"stdin": "21", "stdout": "42"}]},
    },
]
PATIENCE = 240.0


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A project that has such packages, each of which ends whatever imports it by mistake."""
    for name in ("protos", "sandbox", "tests"):
        package = tmp_path / name
        package.mkdir()
        (package / "__init__.py").write_text(f"raise SystemExit('the {name} of the folder was imported')\n")
    (tmp_path / "recipe.toml").write_text(RECIPE)
    (tmp_path / "rollouts.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    return tmp_path


def run(folder: Path, *command: str) -> str:
    """What a command prints, run in the folder with the folder first on the import path, as for a script in it."""
    env = {name: value for name, value in os.environ.items() if name != "PYTHONSAFEPATH"}
    done = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, timeout=PATIENCE, env={**env, "PYTHONPATH": ""}
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def script(folder: Path, text: str) -> str:
    (folder / "train.py").write_text(text)
    return run(folder, sys.executable, "train.py")


def test_the_client(folder: Path) -> None:
    text = """
from trainer_client import RewardClient, read_rollouts
from trainer_client.testing import FakeServer
rollouts = read_rollouts("rollouts.jsonl").rollouts
with RewardClient("recipe.toml", endpoints="local") as client:
    print(client.score(rollouts).rewards.tolist())
script = lambda item: item.response == "42"
with FakeServer({"exact": script, "code": script}) as server, RewardClient("recipe.toml", server.address) as client:
    print(client.score(rollouts).rewards.tolist())
"""
    assert script(folder, text).splitlines() == ["[1.0, 1.0]", "[1.0, 0.0]"]


def test_local_servers(folder: Path) -> None:
    text = """
from reward_servers.local import LocalServers
from trainer_client import RewardClient, read_rollouts
if __name__ == "__main__":
    with LocalServers("recipe.toml") as endpoints, RewardClient("recipe.toml", endpoints) as client:
        print(client.score(read_rollouts("rollouts.jsonl").rollouts).rewards.tolist())
"""
    assert script(folder, text) == "[1.0, 1.0]\n"


def test_check_verifier(folder: Path) -> None:
    (folder / "mine.py").write_text(
        "from reward_servers import Reference, Rollout, verifier\n\n\n"
        "class Answer(Reference):\n    answer: str\n\n\n"
        '@verifier("me/exact", version="1")\n'
        "def exact(rollout: Rollout, ref: Answer) -> bool:\n    return rollout.response == ref.answer\n"
    )
    labelled = [{**row, "expected": {"score": 1.0}} for row in ROWS]
    (folder / "words.jsonl").write_text(json.dumps(labelled[0]) + "\n")
    (folder / "code.jsonl").write_text(json.dumps(labelled[1]) + "\n")
    text = """
import mine
from reward_servers.testing import check_verifier
if __name__ == "__main__":
    for verifier, cases in ((mine.exact, "words.jsonl"), ("mine:exact", "words.jsonl"), ("code", "code.jsonl")):
        print(check_verifier(verifier, cases).labelled)
"""
    assert script(folder, text).split() == ["1", "1", "1"]


@pytest.mark.parametrize("as_module", [True, False], ids=["module", "script"])
def test_the_command(folder: Path, as_module: bool) -> None:
    command = (
        [sys.executable, "-P", "-m", "reward_servers"] if as_module else [str(Path(sys.executable).with_name("assay"))]
    )
    assert "code" in run(folder, *command, "list")
    run(folder, *command, "score", "rollouts.jsonl", "-r", "recipe.toml", "-o", "out.jsonl")
    rows = [json.loads(line) for line in (folder / "out.jsonl").read_text().splitlines()]
    assert [row["reward"] for row in rows] == [1.0, 1.0]
    (folder / "labelled.jsonl").write_text(json.dumps({**ROWS[1], "expected": {"score": 1.0}}) + "\n")
    report = run(folder, *command, "check", "code", "--cases", "labelled.jsonl", "--json")
    assert json.loads(report)["agree"] == 1
