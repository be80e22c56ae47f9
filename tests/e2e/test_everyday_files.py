"""Each verifier, from a recipe, over a file in the shape in which its users have it: no row is rewritten."""

from __future__ import annotations

import csv
import json
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from reward_servers.cli import run
from reward_servers.core import installed
from tests.cli.conftest import COMMAND, PATIENCE, read_line
from tests.client.conftest import ROOT
from tests.e2e.data_sets import SHAPES, Shape
from tests.e2e.model_data_sets import MODEL_SHAPES
from tests.e2e.test_judge_example import brought_up
from tests.verifiers.hosting import HOSTED

ELSEWHERE = {
    *("judge", "pairwise", "best_of", "panel", "rubric", "citation_support", "faithfulness", "carr", "meaning"),
    *("preference", "similarity", "typed_answer", "grit", "surrogate", "code_format", "decision", "mutation"),
    "prefixes",
}
"""Verifiers that ask a judge, whose pages are run, and those of the papers, which have their recipes."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """One server of all of them; the file that says where it is."""
    folder = tmp_path_factory.mktemp("everyday")
    names = sorted({shape.verifier for shape in SHAPES.values()})
    with (folder / "log").open("w") as log:
        command = [*COMMAND, "serve", *names, "--workers", "1"]
        process = subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=log, text=True)
        try:
            address = read_line(process.stdout).split()[2]
            (folder / "endpoints.json").write_text(json.dumps({"all": [address]}))
            yield folder / "endpoints.json"
        finally:
            process.terminate()
            process.communicate(timeout=PATIENCE)


def toml(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{json.dumps(key)} = {toml(one)}" for key, one in value.items()) + "}"
    return json.dumps(value)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The models, brought up from a recipe; the file that says where they are."""
    folder = tmp_path_factory.mktemp("models")
    settings = []
    for shape in MODEL_SHAPES.values():
        (folder / shape.verifier).mkdir()
        written = HOSTED[shape.verifier].written("", folder / shape.verifier)
        assert written is not None
        settings.append(written.read_text())
    (folder / "server.toml").write_text("\n".join(settings))
    (folder / "recipe.toml").write_text(recipe_of(MODEL_SHAPES["verifree"], MODEL_SHAPES))
    with brought_up(folder) as addresses:
        yield addresses


def recipe_of(shape: Shape, hosted: Mapping[str, Shape]) -> str:
    """A recipe that asks one verifier of a server of several."""
    names = json.dumps(sorted({one.verifier for one in hosted.values()}))
    config = 'config = "server.toml"\n' if hosted is MODEL_SHAPES else ""
    columns = {"response": "output", **shape.columns}
    return (
        f"[servers.all]\nverifiers = {names}\n{config}\n[columns]\n"
        + "".join(f"{field} = {json.dumps(column)}\n" for field, column in columns.items())
        + f'\n[rewards.score]\nverifier = "{shape.verifier}"\noptions = {toml(shape.options)}\n'
    )


def scores_of(shape: Shape, recipe: str, server: Path, folder: Path) -> list[float | None]:
    """What `assay score` writes for the rows of a data set.

    Raises:
        AssertionError: It refused them.
    """
    file, out = folder / f"data.{shape.kind}", folder / "out.jsonl"
    (folder / "recipe.toml").write_text(recipe)
    with file.open("w", newline="") as written:
        if shape.kind == "csv":
            table = csv.DictWriter(written, list(shape.rows[0]))
            table.writeheader()
            table.writerows(shape.rows)
        else:
            written.writelines(json.dumps(row) + "\n" for row in shape.rows)
    recipe_file = str(folder / "recipe.toml")
    assert run(["score", str(file), "-r", recipe_file, "-o", str(out), "--endpoints-file", str(server)]) == 0
    return [json.loads(line)["scores"].get("score") for line in out.read_text("utf-8").splitlines()]


@pytest.mark.parametrize("name", SHAPES)
def test_a_data_set_is_scored_as_it_is(name: str, server: Path, tmp_path: Path) -> None:
    shape = SHAPES[name]
    assert scores_of(shape, recipe_of(shape, SHAPES), server, tmp_path) == pytest.approx(shape.scores)


@pytest.mark.parametrize("name", MODEL_SHAPES)
def test_a_data_set_is_scored_by_a_model_as_its_page_shows(name: str, models: Path, tmp_path: Path) -> None:
    shape = MODEL_SHAPES[name]
    (tmp_path / "server.toml").write_text((models.parent / "server.toml").read_text())
    found = scores_of(shape, recipe_of(shape, MODEL_SHAPES), models, tmp_path)
    assert found == pytest.approx(shape.scores, abs=1e-5)
    page = (ROOT / "docs" / "verifiers" / "models.md").read_text().partition(f"\n## {shape.verifier}: ")[2]
    shown = page.partition("\n## ")[0]
    columns = [f"{field} = {json.dumps(column)}" for field, column in shape.columns.items()]
    assert "\n".join(["[columns]", *columns]) in shown


def test_every_everyday_verifier_has_a_data_set() -> None:
    ours = {name for name, entry in installed().items() if entry.path.startswith("reward_servers.verifiers.")}
    assert ours - ELSEWHERE == {shape.verifier for shape in (*SHAPES.values(), *MODEL_SHAPES.values())}
