"""Methods on contrast and history: what each does in cases that can be worked out by hand."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.signals._known import known
from trainer_client.signals import Groups, InputError, MissingInputError, OptionError, SignalBatch, method
from trainer_client.signals.advantage.pipo import improvement
from trainer_client.signals.advantage.riskpo import QuantileTracker, bundle_papers, paper_values, risk_advantages
from trainer_client.signals.combination.mpo import EvolvingRubric
from trainer_client.signals.credit.cepo import contrast_credit
from trainer_client.signals.credit.t_ppo import truncated_advantages
from trainer_client.signals.parts import max_variance_subset
from trainer_client.signals.selection.d3s import between, top_tokens
from trainer_client.signals.selection.dcpo import contrastive_subset
from trainer_client.signals.selection.itool_hardest import hardest
from trainer_client.signals.shaping.empo import greedy_clusters
from trainer_client.signals.shaping.grace import mean_pool
from trainer_client.signals.shaping.hapo import LengthHistory

ONE = [0, 0, 0, 0]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(-3, 3), min_size=1, max_size=9), st.integers(1, 9))
def test_no_subset_varies_more(values: list[int], keep: int) -> None:
    array = np.array(values, float)
    chosen = max_variance_subset(array, Groups.of(np.zeros(len(values), int)), keep)
    size = min(keep, len(values))
    best = max(np.var(array[list(rows)]) for rows in combinations(range(len(values)), size))
    assert chosen.sum() == size
    assert np.var(array[chosen]) == pytest.approx(best, abs=1e-12)


def test_each_group_gets_its_own_subset() -> None:
    rng = np.random.default_rng(0)
    groups = Groups.of(rng.integers(0, 4, 30))
    values = rng.normal(size=30)
    whole = max_variance_subset(values, groups, 3)
    for q in range(len(groups)):
        rows = groups.index == q
        assert (whole[rows] == max_variance_subset(values[rows], groups.take(rows), 3)).all()


def test_a_wrong_answers_tokens_lose_more_where_the_right_answer_speaks_against_them() -> None:
    mask = np.array([[True, True, False]] * 2)
    contrast = np.array([[0.1, -0.1, 9.0]] * 2)
    found = contrast_credit(np.array([[1.0] * 3, [-1.0] * 3]), contrast, mask, mix=1.0, bound=0.5)
    np.testing.assert_allclose(found, [[np.e**0.1, np.e**-0.1, 0.0], [-(np.e**-0.1), -(np.e**0.1), 0.0]])
    huge = contrast_credit(np.ones((1, 1)), np.array([[1e308]]), np.array([[True]]), mix=1.0, bound=0.2)
    assert huge == pytest.approx(1.2)


def test_cepo_falls_back_where_nobody_is_wrong() -> None:
    inputs: dict[str, Any] = {
        "evidence_logprobs": -np.ones((2, 2)),
        "counter_logprobs": -3 * np.ones((2, 2)),
        "lengths": [2, 2],
        "groups": [0, 0],
    }
    batch = SignalBatch([1.0, 0.6], **inputs)
    signal = method("cepo", decay_steps=0)(batch)
    np.testing.assert_array_equal(signal.token_advantages, np.repeat(known(signal.advantages)[:, None], 2, 1))
    with pytest.raises(MissingInputError, match="old_logprobs"):
        method("cepo", without_wrong="rlsd")(batch)
    other = method("cepo", without_wrong="rlsd", decay_steps=0)(
        SignalBatch([1.0, 0.6], old_logprobs=-2 * np.ones((2, 2)), **inputs)
    )
    assert (np.abs(known(other.token_advantages)[0]) > np.abs(known(signal.token_advantages)[0])).all()
    del inputs["counter_logprobs"]
    rlsd = method("rlsd", decay_steps=0)(SignalBatch([1.0, 0.6], old_logprobs=-2 * np.ones((2, 2)), **inputs))
    np.testing.assert_array_equal(other.token_advantages, rlsd.token_advantages)


def test_cepo_names_the_lowest_wrong_row_of_each_group() -> None:
    signal = method("cepo_references")(SignalBatch([1, 0.2, 0.1, 1, 1], [0, 0, 0, 1, 1], [1, 1, 1, 1, 0]))
    assert [request.details["wrong_row"] for request in known(signal.requests)] == [2, 2, 2, None]


def test_an_unfinished_row_ends_on_its_own_estimate() -> None:
    values, mask = np.array([[0.2, 0.5], [0.2, 0.5]]), np.ones((2, 2), bool)
    rewards = np.array([[0.0, 1.0], [0.0, 1.0]])
    found = truncated_advantages(rewards, values, mask, np.array([True, False]), gamma=0.9, lam=1.0)
    last = [1 - 0.5, (0.9 - 1) * 0.5]
    np.testing.assert_allclose(found[:, 1], last)
    np.testing.assert_allclose(found[:, 0], [0.9 * 0.5 - 0.2 + 0.9 * x for x in last])


def test_t_ppo_trains_the_policy_on_this_window_and_the_critic_on_finished_rows() -> None:
    signal = method("t_ppo")(
        SignalBatch([1.0, 0.0], lengths=[3, 3], values=np.zeros((2, 3)), finished=[True, False], window_starts=[2, 1])
    )
    np.testing.assert_array_equal(signal.token_weights, [[0, 0, 1], [0, 1, 1]])
    np.testing.assert_array_equal(signal.returns, [[1, 1, 1], [0, 0, 0]])
    assert signal.report["t_ppo/pending"] == 1


@pytest.mark.parametrize(
    ("answers", "expected"), [([1, 1, 2, 3], [0.5, 0.5, 0.25, 0.25]), ([1, 2, 3, 4], [0] * 4), ([1] * 4, [1] * 4)]
)
def test_empo_rewards_agreement(answers: list[int], expected: list[float]) -> None:
    assert known(method("empo")(SignalBatch(None, ONE, answers=answers)).rewards).tolist() == expected


def test_empo_free_form_and_verl() -> None:
    batch = SignalBatch(None, ONE, answers=[1, 1, 2, 3], answered=[1, 1, 1, 0], copied=[1, 0, 0, 0])
    assert known(method("empo_free_form")(batch).rewards).tolist() == [0, 0.5, 0.25, -0.5]
    batch = batch.replace(copied=None)
    assert known(method("empo_verl", reward="majority")(batch).rewards).tolist() == [1, 1, 0, 0]
    assert not method("empo_verl", low=0.6)(batch).keep.any()


def test_an_equivalence_that_is_not_transitive_follows_the_first_member() -> None:
    assert greedy_clusters([0, 1, 2, 3], lambda head, item: abs(head - item) <= 1).tolist() == [0, 0, 1, 1]


def test_pooling_needs_fitting_shapes_and_gives_nothing_for_an_empty_row() -> None:
    pooled = mean_pool(np.ones((2, 3, 4)), np.array([[True] * 3, [False] * 3]), skip=1)
    np.testing.assert_allclose(np.linalg.norm(pooled, axis=1), [1, 0])
    with pytest.raises(InputError, match="hidden"):
        mean_pool(np.ones((2, 3, 4)), np.ones((2, 2), bool))


def test_riskpo_gives_a_bundle_of_equal_papers_no_million() -> None:
    run, released = method("riskpo", bundle_size=2), method("release/riskpo", bundle_size=2)
    groups = [0, 0, 0, 1, 1, 1]
    for estimator in (run, released):
        estimator(SignalBatch([1, 0, 1, 0, 1, 1], groups))
    wrong = SignalBatch(np.zeros(6), groups)
    assert np.abs(known(run(wrong).advantages)).max() < 100
    assert np.abs(known(released(wrong).advantages)).max() > 1e5


def test_riskpo_leaves_out_rollouts_beyond_the_smallest_group() -> None:
    papers = bundle_papers(np.array([1.0, 2, 3, 4, 5]), Groups.of([0, 0, 0, 1, 1]), Groups.of([0] * 5))
    assert papers.scores.tolist() == [5, 7]
    assert papers.of_row.tolist() == [0, 1, -1, 0, 1]
    with pytest.raises(InputError, match="second bundle"):
        bundle_papers(np.ones(2), Groups.of([0, 0]), Groups.of([0, 1]))


def test_a_papers_advantage_is_shared_by_who_beat_their_prompts_mean() -> None:
    scores, prompts = np.array([1.0, 0, 1, 0, 0, 0]), Groups.of([0, 0, 1, 1, 2, 2])
    papers = bundle_papers(scores, prompts, Groups.of([0] * 6))
    values = paper_values(papers, np.array([0.5]), np.array([1.5]))
    parts = {
        credit: risk_advantages(values, scores, prompts, papers, divide=False, credit=credit).advantages
        for credit in ("uniform", "share")
    }
    np.testing.assert_allclose(parts["share"], parts["uniform"] * [0.5, 0.5, 0.5, 0.5, 0, 0])
    ones, apart = np.ones(2), Groups.of([0, 1])
    alone = bundle_papers(ones, apart, Groups.of([0, 0]))
    split = risk_advantages(np.array([3.0]), ones, apart, alone, divide=False, credit="share")
    assert split.advantages.tolist() == [1.5, 1.5]


def test_quantiles_start_from_the_first_batch_and_follow() -> None:
    tracker = QuantileTracker(rate=0.5)
    assert tracker.at(0.5) is None
    tracker.update(np.arange(21.0))
    assert tracker.at(0.5) == pytest.approx(10)
    tracker.update(np.full(4, 100.0))
    assert tracker.at(0.5) == pytest.approx(10 + 0.5 * 0.5)


def test_pipo_credits_the_previous_step_with_the_progress_since() -> None:
    run = method("pipo", wait=1, window=4)
    run(SignalBatch([0.0, 0.0], [0, 0], replayed=[0, 0], previous_advantages=[0, 0]))
    run(SignalBatch([0.2, 0.2], [1, 1], replayed=[0, 0], previous_advantages=[0, 0]))
    signal = run(SignalBatch([0.6, 0.4, 0, 0], [2, 2, 1, 1], replayed=[0, 0, 1, 1], previous_advantages=[0, 0, 1, -1]))
    xi = (0.5 - 0.1) / np.std([0.0, 0.2], ddof=1)
    assert signal.report["pipo/improvement"] == pytest.approx(xi)
    np.testing.assert_allclose(known(signal.advantages)[2:], [xi, -xi], rtol=1e-5)
    assert signal.keep.all()
    worse = run(SignalBatch([0, 0, 0, 0], [3, 3, 2, 2], replayed=[0, 0, 1, 1], previous_advantages=[0, 0, 1, -1]))
    assert worse.report["pipo/improvement"] < 0
    np.testing.assert_allclose(known(worse.advantages)[2], 0.1 * worse.report["pipo/improvement"], rtol=1e-5)


def test_progress_needs_a_history() -> None:
    assert improvement(0.7, []) == (0.0, 0.7, 1.0)
    assert improvement(0.7, [0.5]).improvement == pytest.approx(0.2)
    assert improvement(9.0, [0.0]).improvement == 5.0


def test_hapo_compares_with_earlier_steps_and_counts_a_step_once() -> None:
    run = method("hapo", statistic="mean", shape="linear")
    first = run(SignalBatch(None, [7, 7], correct=[1, 1], lengths=[10, 30]))
    assert known(first.rewards).tolist() == [1, 1]
    second = run(SignalBatch(None, [7, 7, 7], correct=[1, 1, 0], lengths=[10, 40, 21]))
    np.testing.assert_allclose(known(second.rewards), [1.5, 1 - 0.7, 0])
    assert run.state_dict()["state"]["history"]["known"] == [[7, 22.5, 4]]
    with pytest.raises(OptionError, match="weight"):
        method("hapo", weight=1.5)


def test_hapo_takes_what_repeats_itself_from_a_verifier_or_from_the_tokens() -> None:
    tokens = [[1, 2, 3, 1, 2, 3, 4, 5], [9, 9, 9, 9, 9, 4]]
    told: dict[str, Any] = {"correct": [1, 0], "lengths": [8, 6]}
    by_tokens = method("hapo", repetition=-0.5)(SignalBatch(None, [7, 7], **told, token_lists=tokens))
    by_verifier = method("hapo", repetition=-0.5)(SignalBatch(None, [7, 7], **told, repeated=[3 / 8, 4 / 6]))
    np.testing.assert_allclose(known(by_tokens.rewards), [1 - 0.5 * 3 / 8, -0.5 * 4 / 6])
    np.testing.assert_allclose(known(by_verifier.rewards), known(by_tokens.rewards))


def test_every_right_answer_stays_above_every_wrong_one() -> None:
    lengths = np.arange(1, 400)
    run = method("hapo")
    run(SignalBatch(None, [0], correct=[1], lengths=[50]))
    right = run(SignalBatch(None, np.zeros(399, int), [True] * 399, correct=[1] * 399, lengths=lengths))
    other = method("hapo")
    other(SignalBatch(None, [0], correct=[1], lengths=[50]))
    wrong = other(SignalBatch(None, np.zeros(399, int), correct=[0] * 399, lengths=lengths))
    assert known(right.rewards).min() == pytest.approx(0.3)
    assert known(wrong.rewards).max() == 0


def test_no_right_answer_leaves_no_history() -> None:
    history = LengthHistory()
    history.update(Groups.of([1, 1]), np.array([False, False]), np.array([3.0, 4.0]))
    assert np.isnan(history.lengths([1])).all()


def test_rewards_are_scaled_once_two_differ() -> None:
    run = method("running_reward_scale", clip=4.0)
    assert known(run(SignalBatch([3.0, 3.0])).rewards).tolist() == [3.0, 3.0]
    assert known(run(SignalBatch([2.0])).rewards)[0] == pytest.approx(2.0 / np.std([3.0, 3.0, 2.0], ddof=1))
    assert known(run(SignalBatch([50.0])).rewards)[0] == pytest.approx(50 / np.std([3.0, 3.0, 2.0, 50.0], ddof=1))
    centred = method("running_reward_scale", centre=True)(SignalBatch([1.0, 3.0])).rewards
    assert known(centred).sum() == pytest.approx(0)
    released = method("release/running_reward_scale")(SignalBatch([1.5] * 4)).rewards
    assert (known(released) > 1e12).all()


def test_choices_by_length_and_difficulty() -> None:
    groups = Groups.of(np.zeros(6, int))
    kept = contrastive_subset(np.array([1, 1, 1, 0, 0, 0.0]), np.array([9, 5, 7, 1, 3, 2]), groups, 0.5)
    assert np.flatnonzero(kept).tolist() == [1, 2, 4]
    assert contrastive_subset(np.zeros(1), np.ones(1, int), Groups.of([0]), 0.5).tolist() == [True]
    equal = contrastive_subset(np.zeros(4), np.array([4, 1, 3, 2]), Groups.of([0] * 4), 0.5)
    assert np.flatnonzero(equal).tolist() == [0, 1]
    easy = hardest(np.array([1.0, 5, 3, 9]), Groups.of(["call", "call", "talk", "talk"]), 0.5)
    assert easy.tolist() == [False, True, False, True]


def test_tokens_and_schedules() -> None:
    mask = np.array([[True, True, False], [True, False, False]])
    keys = np.array([[1.0, 3, 99], [2, 99, 99]])
    assert top_tokens(keys, mask, 0.5).tolist() == [[False, True, False], [True, False, False]]
    with pytest.raises(OptionError, match="share"):
        top_tokens(keys, mask, 0.0)
    assert [between(0.0, 1.0, step, 4) for step in (None, 2, 9)] == [0.0, 0.5, 1.0]


def test_a_rubric_grows_by_versions_and_never_for_the_worse() -> None:
    rubric = EvolvingRubric(["Is it clear?"])
    assert rubric.promote([["Is  it CLEAR?", "Is it true?"], ["Is it true?"]], agreement=0.8, before=0.7)
    assert (rubric.number, rubric.items) == (1, ("Is  it CLEAR?", "Is it true?"))
    assert not rubric.promote([["Is it long?"]], agreement=0.6, before=0.8)
    with pytest.raises(InputError, match="no item"):
        rubric.promote([[" "]])
    copy = EvolvingRubric()
    copy.load_state_dict(rubric.state_dict())
    assert copy.versions == rubric.versions


def test_mpo_asks_for_cases_from_all_thirds() -> None:
    run = method("mpo", every=2, each=1)
    batch = SignalBatch(None, components=[[float(k)] for k in range(9)])
    assert not run(batch).requests
    rows = [request.row for request in known(run(batch).requests)]
    assert [row // 3 for row in rows] == [0, 1, 2]
    scored: dict[str, Any] = {"components": [[1.0], [2.0]], "rubric_versions": [0, 1]}
    assert known(method("mpo")(SignalBatch(None, [0, 1], **scored)).rewards).tolist() == [1.0, 2.0]
    with pytest.raises(InputError, match="prompt 0 was scored by several"):
        method("mpo")(SignalBatch(None, [0, 0], **scored))
