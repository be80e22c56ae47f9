"""Rubrics, preference heads, bounded penalties, and predictions of one's own rollouts."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from tests.signals._known import known
from trainer_client.signals import Estimator, InputError, OptionError, Signal, SignalBatch, method
from trainer_client.signals.advantage.masa import meta_prediction_score, predicted_notions, read_prediction, singular


def test_a_rubric_pays_the_share_of_its_criteria() -> None:
    batch = SignalBatch(
        components=[[1, 0, 1], [1, 1, 1], [0, np.nan, 0], [np.nan] * 3],
        components_valid=[[1, 1, 1], [1, 1, 1], [1, 0, 1], [0, 0, 0]],
        criterion_weights=[[2, 1, 1], [2, 1, -4], [1, 3, 0], [1, 1, 1]],
    )
    signal = method("rubric_reward")(batch)
    assert signal.rewards == pytest.approx([0.75, 0, 0, 0])
    assert signal.weights.tolist() == [1, 1, 1, 0], "the last was not judged"
    assert signal.report["rubric/partly_judged"] == 0.5
    assert signal.report["rubric/hit_rates"] == pytest.approx([2 / 3, 1 / 2, 1])
    partly = known(method("rubric_reward")(SignalBatch(components=[[1, 0]], components_valid=[[1, 0]])).rewards)
    assert partly.tolist() == [1.0], "what was not judged is in neither sum"
    with pytest.raises(InputError, match="row 1 has no criterion"):
        method("rubric_reward")(SignalBatch(components=[[1], [1]], criterion_weights=[[1], [-1]]))


def test_the_order_decides_whether_a_wide_head_drowns_the_others() -> None:
    wide = SignalBatch(None, [0, 0, 0], components=[[10.0, 0.0], [0.0, 1.0], [5.0, 0.5]])
    summed = known(method("multi_objective_grpo")(wide).advantages)
    apart = method("multi_objective_grpo", order="normalise_first")(wide).advantages
    assert summed[0] > 0.9
    assert apart == pytest.approx([0, 0, 0], abs=1e-5)
    frozen = method("multi_objective_grpo", means=(5.0, 0.5), deviations=(10.0, 1.0))(wide)
    assert frozen.rewards == pytest.approx([0, 0, 0])
    held = method("multi_objective_grpo", high=1.0)(wide)
    assert held.rewards == pytest.approx([0.5, 0.5, 0.75])
    with pytest.raises(OptionError, match="deviations above 0"):
        method("multi_objective_grpo", deviations=(0.0, 1.0))(wide)


def test_a_missing_head_moves_its_row_neither_way() -> None:
    batch = SignalBatch(
        None, [0, 0, 0], components=[[1, 1], [0, 0], [0.5, np.nan]], components_valid=[[1, 1], [1, 1], [1, 0]]
    )
    for order in ("sum_first", "normalise_first"):
        assert known(method("multi_objective_grpo", order=order)(batch).advantages)[2] == pytest.approx(0)


def applicants(**options: Any) -> tuple[Estimator, Signal]:
    estimator = method("job_application", **options)
    batch = SignalBatch(
        components=[[1.0, 0.5], [1, 1], [0, 0], [1, 1], [0.6, np.nan]],
        components_valid=[[1, 1]] * 4 + [[1, 0]],
        decisions=[1, 1, 0, -1, 0],
        labels=[1, 0, 1, 1, 0],
    )
    return estimator, estimator(batch)


def test_a_penalty_is_bounded_and_what_cannot_be_read_costs_all() -> None:
    _, signal = applicants()
    assert signal.rewards == pytest.approx([0.75, 0.9, -0.1, -0.1, 0.6])
    _, lenient = applicants(false_accept=0.0, weights=(3.0, 1.0))
    assert lenient.rewards == pytest.approx([0.875, 1, -0.1, -0.1, 0.6])


def test_a_large_penalty_is_warned_of_and_a_drift_reported() -> None:
    with pytest.warns(UserWarning, match="outweighs a criterion of weight 0.25"):
        applicants(weights=(3.0, 1.0), penalty=0.3)
    estimator, first = applicants()
    assert first.report["job_application/accepted"] == pytest.approx(0.4)
    assert first.report["job_application/drift"] is False
    reject = SignalBatch(components=[[1.0, 1]] * 2, decisions=[0, 0], labels=[0, 0])
    assert estimator(reject).report["job_application/drift"] is True
    with pytest.raises(InputError, match="decisions: row 0 holds 5"):
        estimator(SignalBatch(components=[[1.0]], decisions=[5], labels=[0]))


def test_singulars() -> None:
    words = ["identities", "boxes", "cosines", "glass", "series", "Series", "medians", "angle"]
    assert [singular(w) for w in words] == ["identity", "box", "cosine", "glass", "series", "Series", "median", "angle"]


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("[angles, medians]", ["angle", "median"]),
        ("angle", ["angle"]),
        (["boxes", "box"], ["box"]),
        ([1, "box"], []),
        (None, []),
        ({"a": 1}, []),
    ],
)
def test_notions_are_read_strictly(said: object, expected: list[str]) -> None:
    assert predicted_notions({"math_notion": said}) == expected


def test_a_prediction_is_scored_in_three_parts() -> None:
    truth = (["an angle", "an angle, a median", "a median", "a median"], [1, 1, 0, 0], [10, 20, 5, 50])
    said = {"math_notion": "angles, medians, circle", "solution_length": 15, "pass_rate": 4}
    found = meta_prediction_score(said, "draw a circle", *truth)
    assert (found.notion, found.length, found.difficulty) == (0.5, 1.0, 1.0)
    assert found.score == pytest.approx(2.5 / 3)
    edge = meta_prediction_score({"solution_length": 20, "pass_rate": True}, "", *truth)
    assert edge.score == 0, "at the longest is not within, and a truth value is no number"
    assert meta_prediction_score({"pass_rate": 16}, "", *truth, pass_rate_scale=32).difficulty == 1
    assert meta_prediction_score(said, "", [], [], []).score == 0


def predicted(name: str = "masa", **options: Any) -> Signal:
    guess = {"math_notion": ["angle"], "solution_length": 15, "pass_rate": 4}
    batch = SignalBatch(
        [1.0, 1, 0, 0, 0, 0, 0],
        [0] * 6 + [1],
        lengths=[10, 20, 5, 50, 1, 1, 1],
        predictions=[None] * 4 + [guess, {}, guess],
        texts=["an angle", "an angle", "a median", "-", "", "", ""],
        questions=["find x"] * 7,
    )
    return method(name, **options)(batch)


def test_predictions_are_rewarded_among_themselves() -> None:
    signal = predicted(eps=0.0)
    assert known(signal.rewards)[:6] == pytest.approx([1, 1, 0, 0, 1, 0])
    advantages = known(signal.advantages)
    assert advantages[4:6] == pytest.approx([2**-0.5, -(2**-0.5)])
    assert advantages[:4] == pytest.approx(np.array([1, 1, -1, -1]) * 3**0.5 / 2)
    assert signal.weights[6] == 0, "nothing to hold this prediction against"
    (shown,) = known(signal.requests)
    assert (shown.row, shown.kind) == (4, "demonstrate")
    assert shown.details == {"math_notion": ["angle"], "solution_length": 15, "pass_rate": 4}
    (released,) = known(predicted("release/masa").requests)
    assert released.details["solution_length"] == 8, "30 tokens of right rollouts over all four"
    with pytest.raises(InputError, match="row 0 holds str"):
        method("masa")(SignalBatch([1.0], [0], lengths=[1], predictions=["eight"], texts=[""], questions=[""]))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('I say {"pass_rate": 4}.', {"pass_rate": 4}),
        ('```json\n{"math_notion": ["a"], "solution_length": 3}\n```', {"math_notion": ["a"], "solution_length": 3}),
        ('<think>{"pass_rate": 1}</think>{"pass_rate": 2} {"x": 1}', {"pass_rate": 2}),
        ('{"pass_rate": 1} or {"pass_rate": 2}', {"pass_rate": 2}),
        ('<think>{"pass_rate": 1}', {}),
        ('<think>{"pass_rate": 1}</think>none', {}),
        ("{" * 10_000, {}),
        ('{"pass_rate": ', {}),
        ("", {}),
    ],
)
def test_a_prediction_is_read_of_a_text(text: str, expected: dict[str, Any]) -> None:
    assert read_prediction(text) == expected


def test_rows_that_predict_may_say_so_in_their_text() -> None:
    def rewards(predictions: list[Any], last: str) -> list[float]:
        batch = SignalBatch(
            [1.0, 1, 0], [0] * 3, lengths=[10, 20, 1], predictions=predictions,
            texts=["an angle", "an angle", last], questions=["find x"] * 3,
        )  # fmt: skip
        found: list[float] = known(method("masa")(batch).rewards).tolist()
        return found

    table = {"math_notion": ["angle"], "solution_length": 15}
    assert rewards([False, None, True], json.dumps(table)) == rewards([None, None, table], "")
    assert rewards([False, False, True], "angle, 15")[2] == 0
    with pytest.raises(InputError, match="give texts"):
        method("masa_gate")(SignalBatch(groups=[0], predictions=[True]))


def test_gates_by_prediction() -> None:
    gate = method("masa_gate")
    planned = SignalBatch(
        groups=["a", "b", "c"],
        predictions=[{"pass_rate": 0}, {"pass_rate": 4, "solution_length": 101}, {"pass_rate": 8}],
    )
    assert [(r.row, r.kind) for r in known(gate(planned).requests)] == [(0, "skip"), (2, "skip")], "not trusted yet"
    gate(SignalBatch([1.0, 1, 0], ["z"] * 3, lengths=[10, 20, 1], predictions=[None, None, {"solution_length": 15}]))
    limits = [r for r in known(gate(planned).requests) if r.kind == "limit"]
    assert [(r.row, r.details) for r in limits] == [(1, {"max_tokens": 152})]
