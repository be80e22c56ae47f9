"""A formula of one's own: a module beside the recipe, named by it."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from reward_servers.cli import run
from trainer_client.signals import INPUTS
from trainer_client.signals._method import METHODS
from trainer_client.testing import FakeServer

MODULE = '''
"""Formulas of a user."""

from trainer_client.signals.authoring import Input, Signal, SignalBatch, register


@register(
    "halved_when_long",
    stage="shaping",
    needs="row",
    inputs=("rewards", Input("pages", "N", "float", "how many pages the answer has")),
    formula="r / 2 where pages > most, else r",
)
def halved(batch: SignalBatch, *, most: float = 3.0) -> Signal:
    """Half the reward of what is long."""
    return batch.signal(rewards=batch.rewards / (1 + (batch["pages"] > most)))


def plain(batch):
    return batch
'''
ROWS = [{"response": "1", "group_id": "g", "metadata": {"pages": pages}} for pages in (1, 9)]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    (tmp_path / "formulas_of_mine.py").write_text(MODULE)
    (tmp_path / "in.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    monkeypatch.setattr(sys, "path", [*sys.path])
    yield tmp_path
    sys.modules.pop("formulas_of_mine", None)
    METHODS.pop("halved_when_long", None)
    INPUTS._declared.pop("pages", None)


def recipe(folder: Path, advantage: str, inputs: str = 'pages = "metadata.pages"') -> str:
    path = folder / "r.toml"
    path.write_text(f'advantage = {advantage}\n[inputs]\n{inputs}\n[rewards.a]\nverifier = "v"\n')
    return str(path)


def test_it_runs_from_a_recipe_as_every_other_method(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = recipe(folder, '[{ name = "formulas_of_mine:halved", most = 5.0 }, { name = "grpo", scale = "none" }]')
    with FakeServer({"v": lambda item: 1.0}) as server:
        command = ["score", f"{folder}/in.jsonl", "-r", path, "--endpoint", server.address, "-o", f"{folder}/o.jsonl"]
        assert run(command) == 0, capsys.readouterr().err
    rows = [json.loads(line) for line in (folder / "o.jsonl").read_text().splitlines()]
    assert [row["advantage"] for row in rows] == [0.25, -0.25]


@pytest.mark.parametrize(
    ("advantage", "inputs", "said"),
    [
        ('"not_there:f"', "", ":1: advantage: not_there:f: not_there cannot be imported"),
        (
            '"formulas_of_mine:plain"',
            "",
            "formulas_of_mine has no method 'plain'; decorate the function with register()",
        ),
        ('[{ name = "formulas_of_mine:halved", most = "x" }, "grpo"]', 'pages = "metadata.pages"', "most"),
        (
            '["formulas_of_mine:halved", "grpo"]',
            "",
            "reads pages (how many pages the answer has), and nothing supplies",
        ),
        (
            '["formulas_of_mine:halved", "grpo"]',
            'page = "metadata.pages"',
            "inputs.page: is not an input of any method",
        ),
    ],
)
def test_what_is_wrong_with_it_is_said_at_load(
    folder: Path, capsys: pytest.CaptureFixture[str], advantage: str, inputs: str, said: str
) -> None:
    path = recipe(folder, advantage, inputs)
    assert run(["score", f"{folder}/in.jsonl", "-r", path]) == 2
    assert said in capsys.readouterr().err


def test_it_is_described(folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    assert run(["methods", "formulas_of_mine:halved"]) == 0
    said = capsys.readouterr().out
    assert "r / 2 where pages > most, else r" in said
    assert "own" in said
