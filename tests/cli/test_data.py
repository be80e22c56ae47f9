"""``assay data``: what each step makes, and what it says of rows that it cannot use."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from reward_servers.cli import run
from reward_servers.engines.instructions import read_instruction
from reward_servers.preparing import STEPS
from trainer_client.rollout.files import read_rollouts

Made = Callable[..., list[dict[str, Any]]]


@pytest.fixture
def make(tmp_path: Path) -> Made:
    """Run a step on rows, and read what it wrote."""

    def made(step: str, *rows: Any, code: int = 0, **options: Any) -> list[dict[str, Any]]:
        (tmp_path / "in.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        command = ["data", step, f"{tmp_path}/in.jsonl", "-o", f"{tmp_path}/out.jsonl"]
        assert run([*command, "--options", json.dumps(options)]) == code
        return [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]

    return made


TASK = {"id": "film", "prompt": "Recommend a film that everybody could watch together.", "reference": {"answer": "Up"}}


def test_noise_leaves_a_clean_row_and_slips_in_the_others(make: Made, tmp_path: Path) -> None:
    clean, *noisy = make("noise", TASK, copies=3, rate=1.0)
    assert clean["prompt"] == TASK["prompt"]
    assert [row["metadata"]["noisy"] for row in (clean, *noisy)] == [False, True, True, True]
    assert {row["metadata"]["question"] for row in (clean, *noisy)} == {"film"}
    assert len({row["prompt"] for row in (clean, *noisy)}) == 4
    assert all(row["reference"] == TASK["reference"] for row in noisy)
    assert not [row for row in read_rollouts(tmp_path / "out.jsonl").rollouts if not row.prompt]


def test_draws_depend_on_the_row_and_the_seed_alone(make: Made) -> None:
    other = {"id": "book", "prompt": "Recommend something different, if possible with pictures."}
    alone = make("noise", TASK, rate=1.0)
    assert make("noise", other, TASK, rate=1.0)[2:] == alone
    assert make("noise", TASK, rate=1.0, seed=1) != alone


PROGRAM = "def clamp(x, low, high):\n    if x < low:\n        return low\n    return min(x, high)\n"


def test_mutants_are_programs_with_one_fault_each(make: Made) -> None:
    (row,) = make("mutants", {"reference": {"program": PROGRAM}}, count=4)
    assert len(row["faults"]) == len(set(row["reference"]["mutants"])) == 4
    right: dict[str, Any] = {}
    exec(PROGRAM, right)
    points = [(x, 1, 3) for x in range(5)]
    wrong = 0
    for text in row["reference"]["mutants"]:
        other: dict[str, Any] = {}
        exec(text, other)
        wrong += any(other["clamp"](*point) != right["clamp"](*point) for point in points)
    assert wrong >= 3


@pytest.mark.parametrize(
    "tests",
    [
        [{"input": "1", "output": "1"}, {"input": "2", "output": "4"}, {"input": "3", "output": "4"}],
        {"kind": "call", "entry": "f", "cases": [{"args": [1], "returns": [1]}, {"args": [2], "returns": None}]},
    ],
)
def test_swapped_tests_have_the_same_outputs_elsewhere(make: Made, tests: Any) -> None:
    (row,) = make("swap-tests", {"id": "t", "reference": {"tests": tests}})
    changed = row["reference"]["tests"]
    before, after = (cases_of(one) for one in (tests, changed))
    assert sum(one != other for one, other in zip(before, after, strict=True)) == 2
    assert sorted(map(outputs, before)) == sorted(map(outputs, after))


def cases_of(tests: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = tests["cases"] if isinstance(tests, dict) else tests
    return found


def outputs(case: dict[str, Any]) -> str:
    return json.dumps(case.get("output", case.get("returns")))


def test_exits_are_prefixes_in_their_order_and_the_whole_path(make: Made) -> None:
    made = make("exits", {"id": "p", "prompt": "q", "token_ids": list(range(20))}, exits=3)
    assert [row["metadata"]["exit"] for row in made] == [0, 1, 2, 3]
    lengths = [len(row["token_ids"]) for row in made]
    assert lengths == sorted(set(lengths))
    assert lengths[-1] == 20
    assert {row["group_id"] for row in made} == {"p"}


def test_fused_ranks_grade_what_both_rankers_like(make: Made) -> None:
    row = {"point_ranks": {"a": 1, "b": 2, "c": 3}, "list_ranks": {"a": 1, "b": 3, "c": 2}}
    (made,) = make("fuse-ranks", row, beta=1.0, grades=4)
    # ln 1, ln 2 and ln 3: 4, 4 * (1 - 0.6309), 0.
    assert made["reference"]["relevance"] == {"a": 4, "b": 1, "c": 0}


def test_comparisons_are_gathered_by_response(make: Made, capsys: pytest.CaptureFixture[str]) -> None:
    named = json.dumps({"winner": "Image 2", "categories": [{"name": "style", "cat_winner": "Image 1"}]})
    replies = ["<answer>Image 1 is better</answer>", named, "I cannot say."]
    rows = [{"first": "a", "second": "b", "reply": reply} for reply in replies]
    one, two = make("comparisons", *rows, code=1)
    assert (one["comparisons"], two["comparisons"]) == ([1.0, 0.0], [0.0, 1.0])
    assert (one["dimension_comparisons"], two["dimension_comparisons"]) == ({"style": [1.0]}, {"style": [0.0]})
    assert "row 3: reply: names no winner" in capsys.readouterr().err


@pytest.mark.parametrize("seed", range(12))
def test_an_answer_follows_one_instruction_and_misses_some_of_the_other(make: Made, seed: int) -> None:
    response = "Alien is a thrilling film, though it frightens children."
    followed, missed = make("instructions", {"id": "a", "prompt": "A film?", "response": response}, seed=seed)
    assert all(held(followed, response))
    assert sum(held(missed, response)) == 1
    assert followed["prompt"] != missed["prompt"]
    assert followed["metadata"]["answer"] == missed["metadata"]["answer"] == "a"
    arguments = missed["reference"]["kwargs"]
    words = [word for one in arguments for value in one.values() if isinstance(value, list) for word in value]
    assert len(words) == len(set(words)), "the two constraints contradict each other"


def held(row: dict[str, Any], response: str) -> Sequence[bool]:
    asked = row["reference"]
    pairs = zip(asked["instruction_id_list"], asked["kwargs"], strict=True)
    return [read_instruction(name, kwargs).followed(response) for name, kwargs in pairs]


@pytest.mark.parametrize("step", sorted(set(STEPS) - {"comparisons"}))
def test_a_row_that_cannot_be_used_costs_no_other(step: str, make: Made, capsys: pytest.CaptureFixture[str]) -> None:
    assert make(step, {"id": 1}, {"reference": [1], "prompt": 3, "token_ids": "x"}, code=1) == []
    said = capsys.readouterr().err
    assert "row 1: " in said
    assert "row 2: " in said


def test_mistakes_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "in.jsonl"
    file.write_text("{}\n")
    for command, message in (
        (["nois"], "STEP 'nois' is not known; known are comparisons"),
        (["noise", str(file)], "give --out FILE for the rows"),
        (["noise", str(file), "-o", str(file)], "that is the input"),
        (["noise", str(file), "-o", f"{tmp_path}/o", "--options", '{"rat": 1}'], "--options: rat"),
        (["noise", f"{tmp_path}/none", "-o", f"{tmp_path}/o"], "No such file"),
    ):
        assert run(["data", *command]) == 2, command
        assert message in capsys.readouterr().err


def test_steps_and_their_options_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["data"]) == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == sorted(STEPS)
    assert run(["data", "noise"]) == 0
    assert "  rate = 0.3: Share of the words" in capsys.readouterr().out


def test_a_reasoning_is_rewritten_better_and_worse_and_becomes_pairs(make: Made) -> None:
    row = {"id": "sum", "prompt": "2 + 3?", "response": "<think>Two and three are five.</think>5"}
    asked = make("rewrites", row, respects=["rigour", "clarity"])
    assert [(one["metadata"]["respect"], one["metadata"]["kind"]) for one in asked] == [
        ("rigour", "optimised"), ("rigour", "degraded"), ("clarity", "optimised"), ("clarity", "degraded"),
    ]  # fmt: skip
    assert all("2 + 3?" in one["prompt"] and "Two and three are five." in one["prompt"] for one in asked)
    answers = ["Counting on from two: five.", "It is five, of course.", " Two and three are five.\n", "Five?"]
    pairs = make("reasoning-pairs", *({**one, "response": text} for one, text in zip(asked, answers, strict=True)))
    base = "Two and three are five."
    assert [(one["chosen"], one["rejected"]) for one in pairs] == [
        (answers[0], base), (answers[0], answers[1]), (base, answers[1]), (base, "Five?"), (base, "Five?"),
    ]  # fmt: skip
    assert {one["prompt"] for one in pairs} == {"2 + 3?"}


@pytest.mark.parametrize("response", ["5", "<think> </think>5", ""])
def test_what_has_no_reasoning_is_not_rewritten(make: Made, response: str) -> None:
    assert make("rewrites", {"id": "sum", "prompt": "2 + 3?", "response": response}, code=1) == []


def test_a_request_without_an_answer_makes_no_pair(make: Made) -> None:
    row = {"id": "sum", "prompt": "2 + 3?", "response": "<think>Two and three are five.</think>5"}
    better, worse = make("rewrites", row, respects=["rigour"])
    pairs = make("reasoning-pairs", better, {**worse, "response": "Six."}, {"response": "Six."}, code=1)
    assert [(one["metadata"]["better"], one["metadata"]["worse"]) for one in pairs] == [("base", "degraded")]


def test_earlier_iterations_are_replayed_less_and_less(make: Made) -> None:
    rows = [{"iteration": iteration, "place": place} for iteration in (1, 2, 3) for place in range(20)]
    kept = [row["iteration"] for row in make("replay", *rows)]
    assert {iteration: kept.count(iteration) for iteration in (1, 2, 3)} == {3: 20, 2: 6, 1: 3}
    assert make("replay", *rows, seed=1) != make("replay", *rows)
    assert make("replay", {"iteration": "last"}, code=1) == []
    assert make("replay", {"iteration": 4}, share=0.0) == [{"iteration": 4}]
