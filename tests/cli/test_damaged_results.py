"""Scored files, reports and records that others wrote or damaged: what is wrong with them is said."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from reward_servers.cli import run

ROW = {"rollout_id": "a", "scores": {"e": 1.0}, "codes": {"e": "accepted"}, "reward": 1.0}
KEPT: dict[str, Any] = {
    **ROW,
    "run": "r",
    "step": 1,
    "seed": 5,
    "rollout": {"rollout_id": "a", "prompt": "", "response": "x", "reference": {"answer": "x"}},
}
TABLE = {"rollout_id": "a", "scores.e": 1, "codes.e": "accepted"}
DEEP = "[" * 100_000
RECIPE = '[rewards.e]\nverifier = "exact"\n'

# A file of results, and what is said of its second row.
ROWS: dict[str, tuple[str, str, str]] = {
    "a score that is none": (
        "a.csv",
        "rollout_id,scores.e,codes.e,others\na,1,ok,\nb,abc,ok,\n",
        "scores.e: 'abc' is no",
    ),
    "a reward that is none": (
        "a.csv",
        "rollout_id,scores.e,codes.e,reward\na,1,ok,\nb,1,ok,x\n",
        "reward: 'x' is no number",
    ),
    "others that end early": (
        "a.csv",
        "rollout_id,scores.e,codes.e,others\na,1,ok,\nb,1,ok,{bad\n",
        "others: '{bad' is no",
    ),
    "others without an end": (
        "a.csv",
        f"rollout_id,scores.e,codes.e,others\na,1,ok,\nb,1,ok,{DEEP}\n",
        "others: '[[[[",
    ),
    "others that are a list": (
        "a.csv",
        "rollout_id,scores.e,codes.e,others\na,1,ok,\nb,1,ok,[1]\n",
        "others: '[1]' is no",
    ),
    "others that are a number": (
        "a.jsonl",
        f"{json.dumps(TABLE)}\n{json.dumps({**TABLE, 'others': 5})}\n",
        "others: 5 is no JSON object",
    ),
    "a score beyond every float": (
        "a.jsonl",
        f"{json.dumps(TABLE)}\n{json.dumps({**TABLE, 'scores.e': 10**400})}\n",
        "scores.e: 1000",
    ),
    "faults beside their parts": (
        "a.jsonl",
        f"{json.dumps(TABLE)}\n{json.dumps({**TABLE, 'faults': 'x', 'faults.e.code': 'c'})}\n",
        "faults: is a column beside those of its parts",
    ),
    "scores beside their parts": (
        "a.jsonl",
        f"{json.dumps(TABLE)}\n{json.dumps({'scores': 5, **TABLE})}\n",
        "scores: is a column beside those of its parts",
    ),
    "a rollout beside its parts": (
        "a.jsonl",
        f"{json.dumps(TABLE)}\n{json.dumps({'rollout': 5, **TABLE, 'rollout.prompt': 'q'})}\n",
        "rollout: is a column beside those of its parts",
    ),
}


@pytest.mark.parametrize("case", ROWS)
def test_a_row_that_is_no_result_is_told_and_costs_no_other(
    case: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    name, text, said = ROWS[case]
    path = tmp_path / name
    path.write_text(text)
    assert run(["view", str(path)]) == 0
    shown = capsys.readouterr()
    assert "group a: 1 rollouts (group 1 of 1)" in shown.out
    assert f"line {3 if name == 'a.csv' else 2}: {said}" in shown.err
    assert run(["compare", str(path), str(path)]) == 1
    shown = capsys.readouterr()
    assert shown.out.startswith("1 rollouts in both; 0 verdicts")
    assert said in shown.err
    path.write_text("\n".join(text.split("\n")[::2] if name == "a.csv" else text.split("\n")[1:]))
    assert run(["view", str(path)]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count(str(path)) == 1
    assert run(["report", str(path), "-o", str(tmp_path / "page.html")]) == 2
    assert said in capsys.readouterr().err


def test_an_empty_column_beside_its_parts_says_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "a.csv"
    path.write_text(f"scores,rollout_id,scores.e,codes.e,evidence.e\n,a,1,ok,{DEEP}\n")
    assert run(["view", str(path)]) == 0
    assert "e: 1  ok" in capsys.readouterr().out


@pytest.mark.parametrize("text", ['rollout_id,scores.e\na,"1\n', "rollout_id,scores.e,scores.e\na,1,1\n", "a,b\n1,2\n"])
@pytest.mark.parametrize("command", ["view", "compare"])
def test_a_file_that_is_damaged_is_named_once(
    command: str, text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "a.csv"
    path.write_text(text)
    assert run([command, str(path), *([str(path)] if command == "compare" else [])]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"error: {path}: ")
    assert error.count(str(path)) == 1


REPORTS = {
    "no rewards": '{"rewards": null}',
    "a name that is none": '{"rewards": [{"name": ["e"], "versions": []}]}',
    "versions that are none": '{"rewards": [{"name": "e", "versions": 5}]}',
    "a version that is none": '{"rewards": [{"name": "e", "versions": [5]}]}',
    "no versions": '{"rewards": [{"name": "e"}]}',
    "no object": "[1]",
    "no end": DEEP,
    "no JSON": '{"rewards"',
    "a number without an end": f'{{"rewards": 1{"0" * 5000}}}',
}
STEPS = {
    "versions that are none": '{"versions": {"exact": 5}}',
    "no versions": '{"step": 1}',
    "a list of versions": '{"versions": ["exact@2"]}',
    "no end": DEEP,
    "no object": "[1]",
}


def _folder(folder: Path, about: str, is_record: bool) -> Path:
    folder.mkdir()
    (folder / ("step-1.jsonl" if is_record else "rollouts.jsonl")).write_text(json.dumps(KEPT) + "\n")
    (folder / ("steps.jsonl" if is_record else "report.json")).write_text(about + "\n")
    return folder


@pytest.mark.parametrize(
    ("about", "is_record"),
    [*((text, False) for text in REPORTS.values()), *((text, True) for text in STEPS.values())],
    ids=[*(f"a report with {name}" for name in REPORTS), *(f"a step with {name}" for name in STEPS)],
)
def test_a_report_that_cannot_be_used_is_said_to_be(
    about: str, is_record: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    good = _folder(tmp_path / "good", '{"rewards": [{"name": "e", "versions": ["exact@2"]}]}', False)
    bad = _folder(tmp_path / "bad", about, is_record)
    (tmp_path / "r.toml").write_text(RECIPE)
    name = "steps.jsonl" if is_record else "report.json"
    for command in (["compare", good, bad], ["compare", bad, good], ["replay", bad, "-r", tmp_path / "r.toml"]):
        assert run(list(map(str, command))) == 2
        said = capsys.readouterr()
        assert f"error: {bad / name}: " in said.err
        assert "score again, or remove it to go on without it" in said.err
        assert "Traceback" not in said.err
    (bad / name).unlink()
    assert run(["compare", str(good), str(good)]) == 0


def test_a_step_that_is_being_written_is_not_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The last line of a record may be cut off."""
    lines = '{"versions": {"e": ["exact@1"]}}\n{"versions": {"e": ["exact@2"]}}\n{"versio'
    first, second = (_folder(tmp_path / name, lines, True) for name in "ab")
    (first / "steps.jsonl").write_text(lines)
    (second / "steps.jsonl").write_text(lines.replace("exact@2", "exact@3"))
    changed = json.dumps({**KEPT, "scores": {"e": 0.0}})
    (second / "step-1.jsonl").write_text(changed + "\n")
    assert run(["compare", str(first), str(second)]) == 1
    assert "why: e: exact@2 -> exact@3" in capsys.readouterr().out
    (second / "steps.jsonl").write_text("{")
    assert run(["compare", str(first), str(second)]) == 1
    assert "why: versions and recipes are not known" in capsys.readouterr().out


RECORDS: dict[str, tuple[Any, str]] = {
    "an endless step": ('"step": 1e999', "step: inf is no whole number from 0 to 2**64 - 1"),
    "a step beyond those of calls": ('"step": 99999999999999999999', "step: 99999999999999999999 is no whole number"),
    "a seed below zero": ('"seed": -5', "seed: -5 is no whole number"),
    "a seed that is none": ('"seed": [1]', "int() argument must be"),
    "a rollout that is none": ('"rollout": "x"', "has no attribute"),
    "scores that are none": ('"scores": 5', "scores: is missing or of another type"),
}


@pytest.mark.parametrize("case", RECORDS)
def test_a_row_that_no_record_holds_is_not_replayed(
    case: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    change, said = RECORDS[case]
    path, recipe = tmp_path / "step-1.jsonl", tmp_path / "r.toml"
    # The later of two keys counts.
    path.write_text(f"{json.dumps(KEPT)}\n{json.dumps(KEPT)[:-1]}, {change}}}\n")
    recipe.write_text(RECIPE)
    assert run(["replay", str(path), "-r", str(recipe)]) == 2
    shown = capsys.readouterr().err
    assert f"{path}: row 2 is not from a record (" in shown
    assert said in shown
