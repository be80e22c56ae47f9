"""The base family against the vectors of the authors' code, and the harness against itself."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from tests.golden import GOLDEN, Case, differences, load, run
from tests.golden.__main__ import main

DATA = Path(__file__).parents[1] / "data" / "golden"


def test_every_mapped_vector_passes() -> None:
    outcomes = run(load(sorted(DATA.glob("*.jsonl"))))
    failures = {name: outcome.failures[:1] for name, outcome in outcomes.items() if outcome.failures}
    assert not failures
    assert set(GOLDEN) <= set(outcomes), "a label is mapped that no vector has"


def test_an_unmapped_label_fails_the_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    vector = tmp_path / "v.jsonl"
    vector.write_text('{"method": "nobody\'s", "inputs": {}, "params": {}, "output": 1}\n')
    assert main([str(vector)]) == 1
    assert "nobody's 0/1 unmapped" in capsys.readouterr().out


def test_a_file_that_is_not_there_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["nowhere.jsonl"]) == 2
    assert "no such file: nowhere.jsonl" in capsys.readouterr().out


def test_switches_of_a_release_in_combination() -> None:
    """What the vectors do not combine, worked out by the release's own rules."""
    carr = {"rubric_reward_ratio": 0.5, "normalize_rubric_reward": True}
    both = Case(
        "carr_group_reward",
        {"outcome_reward": [1.0, 0.0, 0.0], "rubric_reward": [0.5, 0.25, 0.5]},
        {**carr, "rubric_only_positive": True, "rubric_only_negative": True},
        [1.0, 0.25, 0.5],
    )
    gates = {"strategy": "switch", "switch_gate": 2, "switch_gate_off": 0}
    second_gate_below = Case("HPT", {"num_correct": 2, "group_size": 8}, gates, [8, 0, 1])
    weighted = Case(
        "psr_nsr",
        {"rewards": [1.0, 0.0, -1.0], "group": [0, 0, 0], "lengths": [1, 2, 3]},
        {"gamma": 1.0, "advantage": "weighted", "positive_advantage_weight": 0.1},
        [0.1, -1.0, -1.0],
    )
    equal = Case("dapo_dynamic_sampling_filter", {"metric": [0.1] * 6, "group": [0] * 6}, {}, [0, 1, 2, 3, 4, 5])
    closed = Case("grit_bleu_score_reward", {"completion": "<answer> 2 </answer>", "gt_answer": "2"}, {}, 0.05)
    zero = {"completion": "<answer>0.0</answer>", "solution": "<answer> 0 </answer>"}
    nothing = Case("video_r1_accuracy", zero, {"problem_type": "regression"}, 0.0)
    outcomes = run([both, second_gate_below, weighted, equal, closed, nothing])
    assert not [failure for outcome in outcomes.values() for failure in outcome.failures]


def test_a_wrong_number_fails_and_is_shown() -> None:
    right = Case("dr_grpo", {"rewards": [1, 0], "group": [0, 0], "lengths": [1, 1]}, _DR_GRPO, [0.5, -0.5])
    wrong = Case("dr_grpo", right.inputs, _DR_GRPO, [0.5, -0.4])
    outcome = run([right, wrong])["dr_grpo"]
    assert (outcome.passed, outcome.total) == (1, 2)
    assert "output[1]: -0.5 where -0.4 is expected" in outcome.failures[0]


_DR_GRPO = {"epsilon": 1e-6, "norm_adv_by_std_in_grpo": False}


@pytest.mark.parametrize(
    ("expected", "actual", "same"),
    [
        ("NaN", math.nan, True),
        ("NaN", 0.0, False),
        ("-inf", -math.inf, True),
        (1, 1.0, True),
        (1, True, False),
        ([1.0], [1.0, 2.0], False),
        ({"a": 1.0}, {"a": 1.000001}, True),
        ({"a": 1.0}, {"b": 1.0}, False),
        ("text", "text", True),
        (None, None, True),
        (None, 0.0, False),
    ],
)
def test_comparison(expected: object, actual: object, same: bool) -> None:
    assert (not differences(expected, actual, 1e-5, 1e-9)) is same
