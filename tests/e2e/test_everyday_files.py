"""Each everyday verifier, from a recipe, over a file in the shape in which its users have it: no row is rewritten."""

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
from tests.e2e.data_sets import SHAPES

ELSEWHERE = {
    *("judge", "pairwise", "best_of", "panel", "rubric", "citation_support", "faithfulness", "carr", "meaning"),
    *("preference", "process", "similarity", "likelihood", "comparison", "value", "image_text"),
    *("typed_answer", "grit", "surrogate", "code_format", "decision", "mutation", "prefixes"),
}
"""Verifiers that ask a judge or a model, and those of one paper, which have their recipes."""


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


@pytest.mark.parametrize("name", SHAPES)
def test_a_data_set_is_scored_as_it_is(
    name: str, server: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shape = SHAPES[name]
    file, recipe, out = (tmp_path / one for one in (f"data.{shape.kind}", "recipe.toml", "out.jsonl"))
    columns = {"response": "output", **shape.columns}
    recipe.write_text(
        f'[servers.all]\nverifiers = ["{shape.verifier}"]\n\n[columns]\n'
        + "".join(f"{field} = {json.dumps(column)}\n" for field, column in columns.items())
        + f'\n[rewards.score]\nverifier = "{shape.verifier}"\noptions = {toml(shape.options)}\n'
    )
    with file.open("w", newline="") as written:
        if shape.kind == "csv":
            table = csv.DictWriter(written, list(shape.rows[0]))
            table.writeheader()
            table.writerows(shape.rows)
        else:
            written.writelines(json.dumps(row) + "\n" for row in shape.rows)
    code = run(["score", str(file), "-r", str(recipe), "-o", str(out), "--endpoints-file", str(server)])
    said = capsys.readouterr()
    assert code == 0, f"{said.out}\n{said.err}"
    rows = [json.loads(line) for line in out.read_text("utf-8").splitlines()]
    assert [row["scores"].get("score") for row in rows] == pytest.approx(shape.scores), rows


def test_every_everyday_verifier_has_a_data_set() -> None:
    ours = {name for name, entry in installed().items() if entry.path.startswith("reward_servers.verifiers.")}
    assert ours - ELSEWHERE == {shape.verifier for shape in SHAPES.values()}
