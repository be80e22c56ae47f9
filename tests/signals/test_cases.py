"""Every case from public reports, and the runner against itself."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.signals_cases.__main__ import main


def test_every_case_is_as_worked_out_by_hand(capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("torch")
    assert main([]) == 0, capsys.readouterr().out


def test_a_difference_is_shown_and_fails(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    case = {"preset": "dr_grpo", "inputs": {"rewards": [1, 0], "groups": [0, 0]}, "options": {}}
    lines = [
        {"id": "right", **case, "expected": [0.5, -0.5]},
        {"id": "wrong", **case, "expected": [0.5, -0.4]},
        {"id": "no error", **case, "expected": "an error: groups"},
        {
            "id": "unnamed",
            **case,
            "inputs": {"rewards": [1, None], "groups": [0, 0]},
            "expected": "an error: baselines",
        },
    ]
    path = tmp_path / "cases.jsonl"
    path.write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    assert main([str(path)]) == 1
    said = capsys.readouterr().out.splitlines()
    assert said[-1] == "1/4"
    assert "wrong: gave [0.5, -0.5] where [0.5, -0.4] is expected (entry 1)" in said
    assert any(line.startswith("unnamed: raised") and "does not name baselines" in line for line in said)
    assert main([str(tmp_path / "nowhere.jsonl")]) == 2
