"""The example of the judge's page: with its endpoint, from a recording, and with a local model."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.engines.models.causal import causal

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "judge"
ENDPOINT = "http://127.0.0.1:8911/v1"


def assay(*arguments: Any) -> list[str]:
    return [sys.executable, "-m", "reward_servers", *map(str, arguments)]


@contextmanager
def endpoint(module: str = "examples.judge.endpoint") -> Iterator[str]:
    """The endpoint of the example, or of another one, on a free port."""
    command = [sys.executable, "-m", module, "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        try:
            assert process.stdout is not None
            yield process.stdout.readline().strip()
        finally:
            process.kill()


@contextmanager
def brought_up(folder: Path, **more: Any) -> Iterator[Path]:
    """The servers of a folder's recipe, started by ``assay up``: the file with their addresses."""
    addresses = folder / "endpoints.json"
    up = subprocess.Popen(assay("up", folder / "recipe.toml", "--workers", 1, "--endpoints-file", addresses), **more)
    try:
        waited_until = time.monotonic() + 240
        while not addresses.exists():
            assert up.poll() is None
            assert time.monotonic() < waited_until, "the servers did not come up"
            time.sleep(0.1)
        yield addresses
    finally:
        up.terminate()
        up.wait(240)


def scored(folder: Path, settings: str, recipe: str | None = None, example: Path = EXAMPLE) -> list[dict[str, Any]]:
    """What the servers of the recipe, started by ``assay up``, say of the example's rollouts."""
    (folder / "recipe.toml").write_text(recipe or (example / "recipe.toml").read_text())
    (folder / "server.toml").write_text(settings)
    out = folder / "judged.jsonl"
    out.unlink(missing_ok=True)
    with brought_up(folder) as addresses:
        source = example / "rollouts.jsonl"
        named = ("--recipe", folder / "recipe.toml", "--endpoints-file", addresses, "-o", out, "--evidence")
        done = subprocess.run(assay("score", source, *named), capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in out.read_text().splitlines()]


def check_that_it_decides(folder: Path, model: Path, min_mass: float) -> None:
    """Score the example with a local model: what is checked is that it decides, not what it thinks."""
    mass = f"min_mass = {min_mass}"
    recipe = (EXAMPLE / "recipe.toml").read_text().replace("options = {", f"options = {{ {mass},")
    recipe = recipe.replace('verifier = "pairwise"', f'verifier = "pairwise"\noptions = {{ {mass} }}')
    rows = scored(folder, f'[verifiers.judge]\npath = "{model}"\n', recipe)
    assert len(rows) == 4
    for row in rows:
        assert row["reward"] == pytest.approx(row["scores"]["judged"] + 0.5 * row["scores"]["ranked"])
    assert sum(row["scores"]["ranked"] for row in rows) == pytest.approx(2.0)


def test_with_the_endpoint_and_again_from_a_recording_without_it(tmp_path: Path) -> None:
    recording = f'[verifiers.judge.recording]\npath = "{tmp_path / "judge.jsonl"}"\nmode = "MODE"\n'
    settings = (EXAMPLE / "server.toml").read_text() + recording
    with endpoint() as url:
        live = scored(tmp_path, settings.replace(ENDPOINT, url).replace("MODE", "record"))
    replayed = scored(tmp_path, settings.replace(ENDPOINT, "http://127.0.0.1:9/v1").replace("MODE", "replay"))
    assert replayed == live
    assert [row["reward"] for row in live] == [1.5, 0.5 * 1 / 3, 0.5 * 1 / 3, 0.5 * 1 / 3]
    assert live[0]["advantage"] > 0 > live[1]["advantage"]
    assert '"channel": "signed"' in json.dumps(live)


def test_with_a_local_model_and_no_network(tmp_path: Path) -> None:
    # A random model would rather write something else than a verdict.
    check_that_it_decides(tmp_path, causal(tmp_path / "model"), 0.0)
