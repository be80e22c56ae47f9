"""The study runs, with a tiny encoder in place of the one that it is made for."""

from __future__ import annotations

from pathlib import Path

import pytest
from transformers import BertModel

from benchmarks.preference.study import PAIRS, main, online
from tests.engines.models import tiny


def test_every_part_of_the_study_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    base = tiny.bert(tmp_path / "base")
    BertModel.from_pretrained(base).save_pretrained(base)
    few = tmp_path / "pairs.jsonl"
    few.write_text("".join(PAIRS.read_text().splitlines(keepends=True)[:40]))
    main(["--base", str(base), "--seeds", "1", "--pairs", str(few)])
    said = capsys.readouterr().out
    for what in ("accuracy", "half of the labels", "robust objective", "ensemble, drop", "online value model"):
        assert what in said


def test_a_value_model_learns_how_hard_prompts_are() -> None:
    before, after = online(0)
    assert after < 0.08 < before
