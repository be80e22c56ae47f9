"""Hints, drafts, revisions, feedback and examples."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.signals._known import known
from trainer_client.signals import InputError, Request, Signal, SignalBatch, method
from trainer_client.signals.guidance.scaf_grpo import hint_ladder
from trainer_client.signals.parts import extreme_row, first_row


def test_rows_of_groups() -> None:
    groups = SignalBatch([0.0] * 5, [0, 1, 0, 1, 2]).groups
    where = np.array([False, True, True, True, False])
    assert first_row(groups, where).tolist() == [2, 1, -1]
    values = np.array([9.0, 1, 3, 1, 9])
    assert extreme_row(groups, values, where).tolist() == [2, 1, -1], "the first of ties"
    assert extreme_row(groups, values, where, lowest=True).tolist() == [2, 1, -1]


def test_a_ladder_of_hints() -> None:
    steps = list(hint_ladder([["a", "b"], ["c"]]))
    assert [(s.level, s.tier, s.texts) for s in steps] == [(1, 0, ["a"]), (2, 0, ["a", "b"]), (3, 1, ["c"])]
    with pytest.raises(InputError, match="tier 0 is no list"):
        list(hint_ladder(["abc"]))


def test_hints_are_asked_for_unsolved_prompts_after_the_warm_up() -> None:
    inputs: dict[str, Any] = {"rewards": [0, 0, 1, 0], "groups": [0, 0, 1, 1], "hints": [[["a", "b"]]] * 4}
    requests = known(method("scaf_grpo_hints")(SignalBatch(**inputs)).requests)
    assert [(r.row, r.kind, r.details["hints"]) for r in requests] == [(0, "hint", ["a"]), (0, "hint", ["a", "b"])]
    assert not method("scaf_grpo_hints", warmup_steps=5)(SignalBatch(step=5, **inputs)).requests
    assert method("scaf_grpo_hints", warmup_steps=5)(SignalBatch(step=6, **inputs)).requests
    with pytest.raises(InputError, match="pass step="):
        method("scaf_grpo_hints", warmup_steps=5)(SignalBatch(**inputs))


def scaffolded(**options: Any) -> Signal:
    """Eight failures, and hinted rows of which levels 2 and 3 solve."""
    return method("scaf_grpo", **options)(SignalBatch([0.0] * 9 + [1, 1], [0] * 11, hint_levels=[0] * 8 + [1, 3, 2]))


def test_the_least_hint_that_solves_takes_the_first_rows_place() -> None:
    signal = scaffolded()
    assert signal.advantages == pytest.approx([0] + [-0.3536] * 7 + [0, 0, 2.4749], abs=1e-4)
    assert signal.keep.tolist() == [False] + [True] * 7 + [False, False, True]
    assert signal.requests == [Request(10, "replace", {"replaces": 0, "level": 2, "prompt": "plain"})]


def test_two_replacements_count_twice() -> None:
    signal = scaffolded(replacements=2)
    eight = np.array([1.0, 1] + [0] * 6)
    expected = (eight - eight.mean()) / (eight.std(ddof=1) + 1e-6)
    assert known(signal.advantages)[10] == pytest.approx(expected[0])
    assert signal.weights.tolist() == [0, 0, 1, 1, 1, 1, 1, 1, 0, 0, 2]
    assert [r.details["prompt"] for r in known(signal.requests)] == ["plain", "hinted"]


def test_hints_change_nothing_where_they_are_not_needed_or_do_not_help() -> None:
    solved = method("scaf_grpo")(SignalBatch([1.0, 0, 1], [0, 0, 0], hint_levels=[0, 0, 1]))
    assert solved.advantages == pytest.approx([2**-0.5, -(2**-0.5), 0], abs=1e-5)
    hopeless = method("scaf_grpo")(SignalBatch([0.0, 0, 0], [0, 0, 0], hint_levels=[0, 0, 1]))
    assert not known(hopeless.advantages).any()
    assert hopeless.keep.tolist() == [True, True, False]


def test_the_best_draft_is_refined() -> None:
    batch = SignalBatch([0, 1, 1, 0, 0, 0], [0, 0, 0, 1, 1, 2], [True] * 5 + [False], lengths=[9, 9, 4, 7, 3, 1])
    first = method("igrpo_drafts")(batch)
    assert [r.row for r in known(first.requests)] == [1, 3]
    assert not first.weights.any(), "drafts get no gradient"
    assert [r.row for r in known(method("igrpo_drafts", ties="shortest")(batch).requests)] == [2, 4]
    assert [r.row for r in known(method("igrpo_drafts", skip_if_all_zero=True)(batch).requests)] == [1]


def test_refinements_are_compared_with_each_other_alone() -> None:
    signal = method("igrpo", eps=0.0)(SignalBatch([0.5, 1, 0, 0.2], [0] * 4, drafts=[1, 0, 0, 0]))
    three = np.array([1, 0, 0.2])
    assert known(signal.advantages)[1:] == pytest.approx((three - three.mean()) / three.std(ddof=1))
    assert known(signal.advantages)[0] == 0
    assert signal.report == {"igrpo/better_than_draft": pytest.approx(1 / 3)}


def test_the_best_imperfect_answer_is_revised_along_what_it_misses() -> None:
    batch = SignalBatch(
        [0.5, 0.2, 1.0, 0.1],
        [0, 0, 1, 1],
        components=[[1, 0, 1], [0, 0, 0], [1, 1, 0], [0, 0, 0]],
        criterion_weights=[[1, 1, -1]] * 4,
    )
    assert method("rgr_grpo_revision")(batch).requests == [Request(0, "revise", {"unmet": [1, 2]})]


def test_a_revision_has_to_beat_everyone_to_replace_the_worst() -> None:
    batch = SignalBatch([0.5, 0.2, 0.9, 0.4, 0.8, 0.7, 0.8], [0, 0, 0, 0, 1, 1, 1], helped=[0, 0, 1, 1, 0, 0, 1])
    signal = method("rgr_grpo", eps=0.0)(batch)
    assert signal.keep.tolist() == [True, False, True, False, True, True, False]
    assert known(signal.advantages)[[0, 2]] == pytest.approx([-(2**-0.5), 2**-0.5])
    assert signal.requests == [Request(2, "replace", {"replaces": 1})]
    assert signal.report == {"rgr_grpo/accepted": 0.5}


def test_feedback_goes_to_wrong_answers_first_and_the_same_on_a_retry() -> None:
    batch = SignalBatch([1, 0, 1, 0, 1, 1, 1, 1], [0] * 4 + [1] * 4, step=2)
    rows = [{r.row for r in known(method("thinktuning_feedback", gamma=0.5)(batch).requests)} for _ in range(2)]
    assert rows[0] == rows[1]
    assert rows[0] >= {1, 3}
    assert len(rows[0]) == 4
    shown = {
        frozenset(r.row for r in known(method("thinktuning_feedback", gamma=0.25, seed=seed)(batch).requests))
        for seed in range(20)
    }
    assert len(shown) > 2


def test_guided_tokens_weigh_by_their_probability() -> None:
    inputs: dict[str, Any] = {"rewards": [1.0, 0], "groups": [0, 0], "lengths": [2, 2], "guided": [[0, 1], [0, 0]]}
    plain = method("thinktuning")(SignalBatch(**inputs))
    assert known(plain.token_weights).tolist() == [[1, 1], [1, 1]]
    shaped = method("thinktuning", shaping=0.1)(SignalBatch(old_logprobs=np.log([[0.5, 0.1], [0.5, 0.5]]), **inputs))
    assert shaped.token_weights == pytest.approx(np.array([[1, 0.5], [1, 1]]))


def test_difficulty_is_relative_to_the_recent_prompts() -> None:
    estimator = method("relative_difficulty", window=2)
    assert not estimator(SignalBatch([1, 0, 1, 1], [0, 0, 1, 1])).requests
    signal = estimator(SignalBatch([0, 0, 1, 1], [2, 2, 3, 3]))
    assert [(r.row, r.kind, r.details["fraction"]) for r in known(signal.requests)] == [
        (0, "hint", 0.75),
        (2, "harden", 0.25),
    ]


def test_examples_come_from_similar_solved_prompts() -> None:
    estimator = method("xrpo_seeds", k=1, min_similarity=0.5)
    solved = SignalBatch([1, 0, 1], ["a", "a", "b"], embeddings=[[1, 0], [1, 0], [0, 1]], texts=["A", "-", "B"])
    assert not estimator(solved).requests
    failed = SignalBatch([0, 0], ["c", "d"], embeddings=[[2, 1], [-1, -1]], texts=["", ""])
    assert estimator(failed).requests == [Request(0, "seed", {"examples": [("a", "A")]})]
