"""The label files, through the command that judges them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from reward_servers.engines.code import Slots, _plan
from reward_servers.engines.code._constants import NotConvertibleError
from reward_servers.engines.code._convert import Converted
from tests.code_cases.__main__ import main
from tests.code_cases._lines import judge_line, read_lines

DATA = Path(__file__).parents[2] / "data" / "code"


LABELS = [
    ("code_cases.jsonl", 82),
    ("code_cases_more.jsonl", 255),
    ("code_cases_public.jsonl", 121),
    ("code_cases_output.jsonl", 22),
    ("code_cases_kinds.jsonl", 116),
    ("code_extraction.jsonl", 16),
]


@pytest.mark.parametrize(("name", "lines"), LABELS)
def test_every_labelled_program(name: str, lines: int, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(DATA / name)]) == 0
    said = capsys.readouterr().out.splitlines()
    judged = lines - sum(line.startswith("SKIP ") for line in said)
    assert judged > 0.9 * lines
    assert said[-1] == f"{judged}/{judged}"


# The tests of these tasks run as code, loop, or compare with a tolerance; the others are plain lists of assertions.
@pytest.mark.parametrize("task", ["HumanEval-4-", "HumanEval-32-", "HumanEval-38-", "HumanEval-44-", "HumanEval-162-"])
def test_every_variant_of_a_rollout(task: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(DATA / "humaneval_rollouts.jsonl"), "--only", task, "--cpu-s", "0.5"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "7/7"


def test_a_wrong_label_is_reported(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    line = json.loads((DATA / "code_cases.jsonl").read_text().splitlines()[0])
    line["expect"]["verdict"] = "runtime_error"
    file = tmp_path / "cases.jsonl"
    file.write_text(json.dumps(line) + "\n")
    assert main([str(file)]) == 1
    output = capsys.readouterr().out
    assert "FAIL sum-ok" in output
    assert output.splitlines()[-1] == "0/1"


def test_loads_are_compared(capsys: pytest.CaptureFixture[str]) -> None:
    file = str(DATA / "code_cases.jsonl")
    assert main([file, "--only", "slow-but-in-time", "--oversubscribe", "1,4", "--repeat", "2"]) == 0
    assert "0 judgements differ" in capsys.readouterr().out


def test_a_file_without_lines_fails(tmp_path: Path) -> None:
    (tmp_path / "empty.jsonl").write_text("\n")
    assert main([str(tmp_path / "empty.jsonl")]) == 1


@pytest.mark.parametrize("task", ["HumanEval-0-", "HumanEval-4-", "HumanEval-8-", "HumanEval-52-", "HumanEval-90-"])
def test_both_ways_of_judging_assertions_agree(task: str, slots: Slots, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is decided outside from results of calls is what the test code itself finds in a second sandbox."""

    def never(found: object, provided: object) -> Converted:
        raise NotConvertibleError("not to be converted")

    lines = [line for line in read_lines(DATA / "humaneval_rollouts.jsonl") if line.name.startswith(task)]
    lines = [line for line in lines if not line.name.endswith(("infinite_loop", "syntax_error"))]
    outside = [judge_line(line, slots) for line in lines]
    monkeypatch.setattr(_plan, "convert", never)
    _plan.plan_tests.cache_clear()
    inside = [judge_line(line, slots) for line in lines]
    _plan.plan_tests.cache_clear()
    assert [outcome.said for outcome in outside] == [outcome.said for outcome in inside]
    assert not any(outcome.problem for outcome in inside)
