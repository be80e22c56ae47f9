"""The example of the pages on rubrics and citations: with its endpoint, from a recording, and with a local model."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.e2e.test_judge_example import ENDPOINT, ROOT, endpoint, scored
from tests.engines.models.causal import causal

EXAMPLE = ROOT / "examples" / "research"


def test_with_the_endpoint_and_again_from_a_recording_without_it(tmp_path: Path) -> None:
    recording = f'[verifiers.judge.recording]\npath = "{tmp_path / "judge.jsonl"}"\nmode = "MODE"\n'
    settings = (EXAMPLE / "server.toml").read_text() + recording
    with endpoint() as url:
        live = scored(tmp_path, settings.replace(ENDPOINT, url).replace("MODE", "record"), example=EXAMPLE)
    gone = settings.replace(ENDPOINT, "http://127.0.0.1:9/v1").replace("MODE", "replay")
    assert scored(tmp_path, gone, example=EXAMPLE) == live
    grounded = [row["scores"]["grounded"] for row in live]
    assert grounded[0] == 1.0
    assert max(grounded[1:]) < 1.0
    assert [row["scores"]["right"] for row in live] == [1.0] * 4
    assert [row["scores"]["rubric"] for row in live] == [1.0, 1.0, pytest.approx(0.75), 1.0]
    assert live[0]["advantage"] == max(row["advantage"] for row in live)
    assert '"refuted"' in json.dumps(live)


def test_with_a_local_model_and_no_network(tmp_path: Path) -> None:
    model = causal(tmp_path / "model")
    # A random model would rather write something else: what is checked is that it decides, not what it thinks.
    recipe = (EXAMPLE / "recipe.toml").read_text()
    for name, options in (
        ("citation_support", "ask = { min_mass = 0.0 }"),
        ("rubric", "min_mass = 0.0"),
        ("judge", "min_mass = 0.0"),
    ):
        recipe = recipe.replace(f'verifier = "{name}"', f'verifier = "{name}"\noptions = {{ {options} }}')
    rows = scored(tmp_path, f'[verifiers.judge]\npath = "{model}"\n', recipe, example=EXAMPLE)
    assert len(rows) == 4
    for row in rows:
        parts = row["scores"]
        assert row["reward"] == pytest.approx(parts["grounded"] + 0.5 * parts["rubric"] + 0.5 * parts["right"])


def test_faithful_answers_and_the_evidence_that_they_cite(tmp_path: Path) -> None:
    recipe = (EXAMPLE / "faithful.toml").read_text()
    with endpoint() as url:
        rows = scored(tmp_path, (EXAMPLE / "server.toml").read_text().replace(ENDPOINT, url), recipe, example=EXAMPLE)
    assert [row["scores"]["faithful"] for row in rows] == [1.0] * 4
    assert [row["scores"]["evidence"] for row in rows] == pytest.approx([1.0, 0.75, 0.5, 2 / 3])
