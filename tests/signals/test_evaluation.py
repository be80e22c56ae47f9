"""Reports, gates and panels in cases that can be worked out by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.signals._known import known
from trainer_client.signals import InputError, OptionError, SignalBatch, method
from trainer_client.signals.combination.bayesian_panel import decide, value_of_information
from trainer_client.signals.combination.earl import evidence_overlap
from trainer_client.signals.combination.hrm import levelled_reward
from trainer_client.signals.combination.mind_paraworld import fact_coverage, hit_precision
from trainer_client.signals.combination.mpo import read_item_score, written_alike
from trainer_client.signals.combination.searchllm import softly_gated
from trainer_client.signals.evaluation.alignment_gap import alignment_gap, implicit_accuracy, win_rate
from trainer_client.signals.evaluation.rag_report import faithfulness, retrieval_metrics
from trainer_client.signals.evaluation.webdetective import search_metrics
from trainer_client.signals.selection.cdrrm import read_winner, rubric_agrees
from trainer_client.signals.weights.hypo import coverage_report


def test_coverage_counts_a_fact_once() -> None:
    assert fact_coverage([["a"], ["a", "x"], ["b"]], ["a", "b"]) == [0.5, 0.5, 1.0]
    assert hit_precision([["a"], ["x"], ["b"]], ["a", "b"]) == [1.0, 0.5, pytest.approx(2 / 3)]
    assert hit_precision([], ["a"]) == []
    with pytest.raises(InputError, match="facts"):
        fact_coverage([["a"]], [])


def test_search_metrics_without_a_case_are_none() -> None:
    yes, no = np.ones(3, bool), np.zeros(3, bool)
    assert search_metrics(yes, yes, yes) == (1.0, None, 1.0, None)
    assert search_metrics(yes[:0], yes[:0], yes[:0]).knowledge is None
    assert search_metrics(no, no, no) == (0.0, 1.0, None, None)
    mixed = search_metrics(np.array([1, 1, 0, 0], bool), np.array([1, 1, 1, 0], bool), np.array([1, 0, 0, 0], bool))
    assert mixed.refusal_f1 == pytest.approx(2 / 3)
    assert mixed.use_f1 == pytest.approx(2 / 5)
    assert mixed.generation == pytest.approx((2 / 3 + 2 / 5) / 2 * 0.5)


def test_a_refusal_earns_where_evidence_lacks() -> None:
    batch = SignalBatch(None, sufficient=[1, 0, 0, 1], attempted=[0, 0, 1, 1], correct=[0, 0, 0, 1])
    assert known(method("webdetective")(batch).rewards).tolist() == [0, 0.5, 0, 1]


def test_retrieval() -> None:
    found = retrieval_metrics(["x", "a", "b"], ["a", "b", "c"], k=2)
    assert found["recall"] == pytest.approx(1 / 3)
    assert found["mrr"] == 0.5
    assert found["ndcg"] == pytest.approx((1 / np.log2(3)) / (1 + 1 / np.log2(3)))
    assert faithfulness([]) is None
    with pytest.raises(InputError, match="relevant"):
        retrieval_metrics(["x"], [])


def test_rag_report_tells_made_up_answers() -> None:
    batch = SignalBatch(
        None, claims=[2, 2, 0, 4], supported_claims=[2, 0, 0, 1], attempted=[1, 1, 1, 1], answerable=[1, 0, 0, 1]
    )
    report = method("rag_report")(batch).report
    assert report["rag/confident_unsupported"] == 0.5
    assert report["rag/faithfulness_answerable"] == pytest.approx(0.625)
    assert report["rag/faithfulness_unanswerable"] == 0


def test_estimates_come_with_errors() -> None:
    found = implicit_accuracy(np.array([1.0, 0, 0]), np.array([0.0, 0, 1]))
    assert (found.mean, found.number) == (0.5, 3)
    assert win_rate(np.array([1.0])).error is None
    assert win_rate(np.zeros(0)) == (None, None, 0)


def test_the_gap_between_telling_and_doing() -> None:
    report = alignment_gap([0.6, 0.7], [0.5, 0.4], [4.0, 1.0])
    assert report == {"curve": [(1.0, 0.4), (2.0, 0.5)], "peak": 0, "diverging": True}
    assert alignment_gap([], [], []) == {"curve": [], "peak": None, "diverging": None}
    assert coverage_report(np.array([1.0, 3]), np.array([2.0])) == {"outside": 0.5, "largest_log_ratio": 3.0}
    batch = SignalBatch(
        None,
        [0, 0],
        preferred=[1, 0],
        logprobs=[[-1.0], [-2.0]],
        ref_logprobs=[[-2.0], [-2.0]],
        lengths=[1, 1],
        comparisons=[[1, 0.5], []],
    )
    logged = method("alignment_gap")(batch).report
    assert (logged["alignment/accuracy"], logged["alignment/win_rate"]) == (1.0, 0.75)


@pytest.mark.parametrize(
    ("text", "score"), [("<score> 4/5 </score>", 0.8), ("<score>inf</score>", None), ("<score>1/0</score>", None)]
)
def test_item_scores(text: str, score: float | None) -> None:
    assert read_item_score(text) == score
    assert read_item_score(None) is None
    assert read_winner("Winner: Bob") is None


@pytest.mark.parametrize(
    ("first", "second", "same"),
    [
        (r"\frac12", r"\frac{1}{2}", True),
        (r"\sqrt2", r"\sqrt{2}", True),
        (".5", r"\frac{1}{2}", True),
        (r"\frac", r"\frac", True),
        (r"\sqrt", "2", False),
        ("abc=5", "5", False),
        ("03/4", "3/4", False),
    ],
)
def test_answers_as_written(first: str, second: str, same: bool) -> None:
    assert written_alike(first, second) is same


def test_levels_stop_at_the_first_that_fails() -> None:
    rewards, failed = levelled_reward(np.array([[1, 0.4, 1], [1, 1, 1.0]]), (0.5, 0.5, 0.5), (1.0, 1.0, 1.0))
    assert rewards.tolist() == [1.4, 3.0]
    assert failed.tolist() == [1, 3]
    with pytest.raises(OptionError, match="levels"):
        levelled_reward(np.ones((1, 2)), (0.5,), (1.0,))


def test_the_bottom_line_gates_softly() -> None:
    assert softly_gated(np.ones((1, 3)), np.full((1, 2), 0.5))[0] == pytest.approx(0.5)
    assert softly_gated(np.array([[0.0, 1, 1]]), np.ones((1, 1)))[0] == pytest.approx((0.01 / 1.01) ** (1 / 3))
    assert softly_gated(np.ones((1, 0)), np.ones((1, 1)))[0] == 1
    with pytest.raises(InputError, match="row 0, column 0"):
        softly_gated(np.full((1, 1), 2.0), np.ones((1, 1)))
    with pytest.raises(InputError, match="weights"):
        softly_gated(np.ones((1, 1)), np.ones((1, 1)), (0.0,))


def test_searchllm_leaves_out_rows_without_a_bottom_score_and_others_that_are_missing() -> None:
    batch = SignalBatch(
        None,
        components=[[1, 1, 0.5], [1, 1, np.nan], [np.nan, 1, 1]],
        components_valid=[[1, 1, 1], [1, 1, 0], [0, 1, 1]],
    )
    signal = method("searchllm", bottom=1, weights=(1.0, 3.0))(batch)
    np.testing.assert_allclose(known(signal.rewards), [(1 + 1.5) / 4, 1, 0])
    assert signal.keep.tolist() == [True, True, False]


def test_earl_wants_the_right_evidence_behind_a_right_answer() -> None:
    batch = SignalBatch(
        None,
        correct=[1, 1, 0, 1],
        selected=[[1, 2], [3], [], [1]],
        gold_evidence=[[1, 2], [1, 2], [1], None],
    )
    np.testing.assert_allclose(known(method("earl")(batch).rewards), [1 + 0.05 + 0.5, 0.5 + 0.05, -1, 1.05])
    assert evidence_overlap([], []) == 1.0
    served = SignalBatch(None, correct=[1, 1, 0], evidence_iou=[1.0, 0.25, 0.0], selections=[2, 1, 0])
    expected = [1 + 0.05 + 0.5, 0.5 + 0.05 + 0.5 * 0.25, -1]
    np.testing.assert_allclose(known(method("earl")(served).rewards), expected)
    with pytest.raises(InputError, match="gold_evidence"):
        method("earl")(SignalBatch(None, correct=[1], selected=[[1]]))


def test_rarg_gates_on_quality_and_forgives_missing_evidence() -> None:
    batch = SignalBatch(
        None,
        [0, 0],
        components=[[0.2, 1, 1, 1], [0.9, 1, 0.5, 0]],
        components_valid=[[1, 1, 1, 1], [1, 1, 1, 0]],
    )
    assert known(method("rarg")(batch).rewards).tolist() == [0.0, pytest.approx(0.5)]


def test_a_panel_takes_the_median_and_knows_when_to_ask() -> None:
    table = np.array([[[0.9, 0.1], [0.8, 0.2], [1e-9, 1.0]], [[0.5, 0.5]] * 3])
    given = np.array([[True] * 3, [False] * 3])
    costs = np.array([[0.0, 1.0], [1.0, 0.0]])
    found = decide(table, given, np.array([0.5, 0.5]), costs)
    np.testing.assert_allclose(found.posterior, [[0.8, 0.2], [0.5, 0.5]])
    assert found.action.tolist() == [0, 0]
    assert found.judges.tolist() == [3, 0]
    assert found.disagreement[0] > 1 > found.disagreement[1]
    perfect = np.eye(2)
    np.testing.assert_allclose(value_of_information(found.posterior, perfect, costs, 0.1), [0.1, 0.4])
    assert value_of_information(found.posterior, np.full((2, 2), 0.5), costs, 0.0) == pytest.approx([0, 0])
    with pytest.raises(InputError, match="prior"):
        decide(table, given, np.array([0.5, 0.6]), costs)


def test_a_panel_nobody_answered_asks() -> None:
    batch = SignalBatch(None, state_likelihoods=np.full((1, 2, 2), 0.5), judged=np.zeros((1, 2, 2)))
    signal = method("bayesian_panel", costs=((0.0, 40.0), (2.5, 2.5)))(batch)
    assert known(signal.rewards).tolist() == [-2.5]
    assert [request.kind for request in known(signal.requests)] == ["judge"]


def test_gcpo_rewards_a_behaviour_by_what_it_does() -> None:
    batch = SignalBatch(None, [0, 0, 1, 1, 2, 2], accuracy=[1, 0, 0, 1, 1, 0], behaviour=[1, 0, 1, 0, 1, 1])
    assert known(method("gcpo")(batch).rewards).tolist() == [1.2, 0, -0.2, 1, 1, 0]


def test_hpt_modes() -> None:
    rewards, groups = [0, 0, 1, 0, 1, 1], [0, 0, 1, 1, 2, 2]
    signal = method("hpt", gate_off=0.5)(SignalBatch(rewards, groups))
    assert [(r.row, r.details["loss"]) for r in known(signal.requests)] == [(0, "sft"), (2, "off_policy")]
    assert signal.keep.tolist() == [False] * 4 + [True] * 2
    none = method("hpt")(SignalBatch(rewards, groups, demonstrated=[0] * 6))
    assert not none.requests
    assert none.keep.all()
    assert none.report["hpt/without_demonstration"] == 1
    missing = method("hpt")(SignalBatch([0, 1], [0, 0], [1, 0]))
    assert len(known(missing.requests)) == 1


@pytest.mark.parametrize(("said", "winner"), [(1.0, "A"), (0.75, "A"), (0.25, "B"), (0, "B"), (0.5, "tie")])
def test_a_number_says_how_far_a_rubric_prefers_the_first(said: float, winner: str) -> None:
    assert [rubric_agrees(side, said) for side in ("A", "chosen", "B")] == [winner == "A", winner == "A", winner == "B"]
    assert rubric_agrees("", said)


def test_rafts_reports_how_far_the_order_matters() -> None:
    signal = method("rafts")(SignalBatch(None, verdict_gaps=[[0.5, 0.1], [1.0, 1.0]]))
    np.testing.assert_allclose(known(signal.rewards), [0.3, 1.0])
    assert signal.report["rafts/order_effect"] == pytest.approx(0.2)


def test_hrm_needs_no_level_behind_one_that_failed() -> None:
    batch = SignalBatch(
        None, components=[[0.2, np.nan], [0.9, np.nan], [0.9, 0.5]], components_valid=[[1, 0], [1, 0], [1, 1]]
    )
    signal = method("hrm")(batch)
    assert signal.keep.tolist() == [True, False, True]
    np.testing.assert_allclose(known(signal.rewards)[[0, 2]], [0.2, 1.4])
    assert signal.report["hrm/failed_at"] == [1, 0, 1]


def test_facts_are_counted_and_have_to_exist() -> None:
    given: dict[str, Any] = {"correct": [1, 0], "hits": [[["a"], ["a"]], []], "facts": [["a", "b"], ["c"]]}
    signal = method("mind_paraworld")(SignalBatch(None, **given))
    assert known(signal.rewards).tolist() == [1.25, 0.0]
    assert signal.report["mind_paraworld/premature"] == 2
    with pytest.raises(InputError, match="facts: row 1"):
        method("mind_paraworld")(SignalBatch(None, **{**given, "facts": [["a"], []]}))
