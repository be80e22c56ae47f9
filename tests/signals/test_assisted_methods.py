"""Help, selection, lists, exits and other wordings: what the methods do at their edges."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from tests.signals._known import known
from tests.signals.test_group_methods import method, run
from trainer_client.signals import Groups, InputError, OptionError, SignalBatch
from trainer_client.signals.crossprompt.ps_grpo import set_overlap
from trainer_client.signals.guidance.arise import SkillLibrary, choose_skill
from trainer_client.signals.guidance.hill import hint_rewards
from trainer_client.signals.parts import max_variance_subset
from trainer_client.signals.selection.rare_event_pairs import pair_prompts
from trainer_client.signals.selection.spo_sampling import draw_prompts
from trainer_client.signals.shaping.format_length import length_surrogate
from trainer_client.signals.shaping.grouprank import fused_labels, ranking_score
from trainer_client.signals.shaping.ordinal_class import error_reward
from trainer_client.signals.shaping.pref_grpo import bradley_terry, win_rates
from trainer_client.signals.shaping.s_grpo import exit_positions


@pytest.mark.parametrize("handling", ["shape", "joint", "downscale", "anchor"])
def test_a_group_of_given_answers_alone_has_no_signal(handling: str) -> None:
    signal = run("tempsamp_r1", [1.0, 0.5, 0.2], [0, 0, 1], helped=[True, True, False], handling=handling)
    assert not signal.advantages.any()


def test_tempsamp_keeps_a_good_rollout_above_zero_beside_a_perfect_answer() -> None:
    rewards, groups, helped = [0.7, 0.6, 0.1, 1.0], [0] * 4, [False, False, False, True]
    joint = run("tempsamp_r1", rewards, groups, helped=helped, handling="joint").advantages
    shaped = run("tempsamp_r1", rewards, groups, helped=helped).advantages
    anchored = run("tempsamp_r1", rewards, groups, helped=helped, handling="anchor").advantages
    assert joint[1] < shaped[1]
    assert anchored[:3] == pytest.approx(run("grpo", rewards[:3], groups[:3]).advantages)
    assert anchored[3] == pytest.approx(1.2 * anchored[0])


def test_guide_grpo_asks_for_hints_where_all_is_wrong_and_corrects_for_them_afterwards() -> None:
    first = run("guide_grpo", [0.0, 0.0, 1.0, 0.0], ["a", "a", "b", "b"])
    assert [(request.row, request.kind) for request in first.requests] == [(0, "hint")]
    second = run(
        "guide_grpo", [0.0, 0.0, 1.0, 0.0], ["a"] * 4, helped=[False, False, True, True], mode="replace",
        old_logprobs=np.full((4, 2), -3.0), helped_logprobs=np.full((4, 2), -1.0), lengths=[2, 2, 2, 1],
    )  # fmt: skip
    assert second.requests == []
    assert second.keep.tolist() == [False, False, True, True]
    assert second.token_weights.tolist() == [[0, 0], [0, 0], [np.exp(-2)] * 2, [np.exp(-2), 0]]


def test_guide_grpo_does_not_call_a_group_unsolved_that_was_not_scored() -> None:
    assert run("guide_grpo", [0.0, 0.0], [0, 0], [False, False]).requests == []


def hinted(**more: Any) -> Any:
    rewards = [0, 0, 1, 0, 1, 1, 0, 0]
    helped = [False, False] + [True] * 6
    names = ["", "", "long", "long", "easy", "easy", "dull", "dull"]
    return run("hill", np.array(rewards, float), [0] * 8, helped=helped, candidates=names, **more)


def test_hill_adopts_the_hint_that_makes_outcomes_differ() -> None:
    signal = hinted()
    assert signal.report["hill/hint_rewards"] == {"0": {"long": 0.5, "easy": 0.0, "dull": 0.0}}
    assert [(r.kind, r.details["candidate"]) for r in signal.requests] == [("adopt", "long")]
    assert signal.keep.tolist() == [False, False, True, True] + [False] * 4


def test_hill_keeps_the_plain_rollouts_when_no_hint_helps() -> None:
    refused = [False, False, True, True, False, False, False, False]
    signal = hinted(refused=refused)
    assert signal.report["hill/hint_rewards"]["0"]["long"] == -0.2
    assert signal.requests == []
    assert signal.keep.tolist() == [True, True] + [False] * 6


def test_hint_rewards_weigh_reliance_only_downwards_and_only_where_it_is_known() -> None:
    scored = hint_rewards(np.full(3, 0.5), np.full(3, 4), np.array([-0.3, 0.4, np.nan]))
    assert scored.rewards == pytest.approx(0.875 * np.array([np.exp(-1), 1, 1]))
    beaten = hint_rewards(np.array([0.5]), np.array([4]), np.array([np.nan]), unhinted=0.9)
    assert beaten.rewards.tolist() == [0.0]


def test_arise_pays_for_skills_only_after_the_warm_up() -> None:
    estimator = method("arise")
    batch: dict[str, Any] = {"groups": [0, 0], "skill_used": [True, True]}
    assert estimator(SignalBatch([1.0, 0.0], step=500, **batch)).rewards.tolist() == [1.0, 0.0]
    assert estimator(SignalBatch([1.0, 0.0], step=501, **batch)).rewards.tolist() == [2.0, 0.0]


def test_a_skill_without_rollouts_to_compare_with_is_not_judged() -> None:
    signal = run("arise_new_skill", [1.0, 0.0], [0, 0], [True, False], helped=[True, False])
    assert signal.keep[0] == 0
    with pytest.raises(OptionError, match="rising"):
        run("arise_new_skill", [1.0], [0], helped=[True], values=(0.0, 0.0, 0.5, 1.0))


def test_skill_library_resumes_exactly_and_ignores_unknown_skills() -> None:
    rng = np.random.default_rng(0)
    first = SkillLibrary(cache_capacity=2, reservoir_capacity=3, percentile=0.5)
    for number in range(12):
        first.step(f"s{rng.integers(12)}", float(rng.random()), new=f"s{number}", utility=float(rng.random()))
    second = SkillLibrary(cache_capacity=2, reservoir_capacity=3, percentile=0.5)
    second.load_state_dict(json.loads(json.dumps(first.state_dict())))
    assert first.step("gone", 1.0, new="n", utility=0.3) == second.step("gone", 1.0, new="n", utility=0.3)
    assert first.state_dict() == second.state_dict()
    assert not first.step("never there", 1.0).updated


def test_choose_skill_with_nothing_to_choose_from_or_a_broken_score() -> None:
    assert choose_skill([]).chosen is None
    with pytest.raises(InputError, match="scores: row 1 holds nan"):
        choose_skill([0.0, np.nan])
    drawn = {choose_skill([0.0, 0.0], exploration=1.0, rng=np.random.default_rng(s)).chosen for s in range(20)}
    assert drawn == {0, 1}


def test_expo_accepts_the_explanation_that_lifts_the_answer_most() -> None:
    rewards = [0.0, 0.0, 1.0, 1.0, 0.0, 1.0]
    signal = run(
        "expo", rewards, ["a"] * 5 + ["b"], helped=[False, False, True, True, True, False],
        lift=[0, 0, 0.2, 0.9, 2.0, 0], likelihood=[-1.0, -2.0, -1.5, -1.9, -0.1, -1.0],
    )  # fmt: skip
    assert signal.keep.tolist() == [True, True, False, True, False, True]
    assert [(pair.chosen, pair.rejected) for pair in signal.pairs] == [(3, 0), (3, 1)]
    assert signal.advantages[3] == 1.0
    assert signal.requests == []


def test_expo_anneals_and_asks_again_where_nothing_was_accepted() -> None:
    batch = SignalBatch([0.0, 1.0], [0, 0], helped=[False, True], lift=[0.0, -1.0], step=5)
    signal = method("expo", anneal_steps=10)(batch)
    assert [(request.row, request.kind) for request in signal.requests] == [(0, "explain")]
    assert signal.report["expo/beta"] == 0.5


def test_max_variance_takes_the_ends_whatever_the_size_of_the_numbers() -> None:
    groups = Groups.of([0] * 6)
    values = np.array([0.5, 1.0, 0.0, 0.4, 0.6, 0.5])
    for scale in (1e-9, 1.0, 1e9):
        assert np.flatnonzero(max_variance_subset(values * scale, groups, 2)).tolist() == [1, 2]
    assert max_variance_subset(values, groups, 9).all()


def test_cobalt_trajectories_drop_what_was_easy_or_never_solved_and_say_where_to_resume() -> None:
    turns = [[0.5, 1.0, 1.0], [1.0, 1.0], [0.2, 0.4], [], [1.0], [1.0]]
    signal = run("cobalt_trajectories", None, ["a", "a", "a", "a", "b", "b"], turn_scores=turns)
    assert signal.keep.tolist() == [True] + [False] * 5
    assert [request.details for request in signal.requests] == [
        {"turn": 0, "previous_best": 0.0},
        {"turn": 1, "previous_best": 0.5},
        {"turn": 2, "previous_best": 1.0},
    ]
    with pytest.raises(InputError, match="turn_scores: row 0"):
        run("cobalt_trajectories", None, [0], turn_scores=[[1.5]])


def test_cobalt_reward_refuses_rates_that_are_none() -> None:
    with pytest.raises(InputError, match=r"pass_rates: row 1 holds 1\.5"):
        run("cobalt", [0.5, 1.5], previous_best=[0.0, 0.0])
    unanswered = run("cobalt", [0.0, 0.5], previous_best=[0.0, 1.0], answered=[False, True])
    assert unanswered.rewards == pytest.approx([-1.0, -0.15])


def test_the_filter_of_groups_without_advantage_never_empties_the_batch() -> None:
    lengths = {"lengths": [3, 3, 3, 3]}
    assert run("zero_advantage_filter", [1.0, 1.0, 0.0, 1.0], [0, 0, 1, 1], **lengths).keep.tolist() == [0, 0, 1, 1]
    assert run("zero_advantage_filter", [1.0, 1.0, 0.0, 0.0], [0, 0, 1, 1], **lengths).keep.all()


def test_vspo_fills_the_places_of_groups_without_spread() -> None:
    rewards, groups = [1.0, 1.0, 0.0, 1.0, 0.0, 0.0], [0, 0, 1, 1, 2, 2]
    signal = run("vspo", rewards, groups)
    assert signal.copies.tolist() == [0, 0, 3, 3, 0, 0]
    assert signal.weights @ signal.advantages == pytest.approx(0.0, abs=1e-12)
    assert signal.weights * signal.advantages == pytest.approx(run("grpo", rewards, groups).advantages)
    assert run("vspo", [1.0, 1.0], [0, 0]).copies.tolist() == [1, 1]


def test_rare_events_are_paired_and_prompts_without_partner_dropped() -> None:
    rates, sizes = np.array([0.125, 0.875, 0.5, 0.25, 0.0, 1.0]), np.full(6, 8)
    assert pair_prompts(rates, sizes) == [(0, 1)]
    rewards = np.concatenate([np.arange(8) < round(rate * 8) for rate in rates]).astype(float)
    signal = run("rare_event_pairs", rewards, np.repeat(list("abcdef"), 8))
    assert signal.report["rare_event_pairs"] == [("a", "b")]
    assert np.flatnonzero(signal.keep).tolist() == list(range(16))


def test_prompts_are_drawn_with_replacement_only_where_they_must_be() -> None:
    rng = np.random.default_rng(1)
    assert sorted(draw_prompts(np.ones(5), 5, rng).tolist()) == [0, 1, 2, 3, 4]
    assert set(draw_prompts(np.array([0.0, 1.0]), 3, rng).tolist()) == {1}
    with pytest.raises(OptionError):
        draw_prompts(np.zeros(2), 1, rng)


def test_versions_make_pairs_within_a_respect_and_with_the_base() -> None:
    signal = run(
        "optimized_degraded_pairs", None, [0] * 4, versions=[0, 1, -1, 1], dimensions=["-", "logic", "logic", "facts"]
    )
    assert {(pair.chosen, pair.rejected) for pair in signal.pairs} == {(0, 2), (1, 0), (1, 2), (3, 0)}


def test_rank_grpo_credits_an_item_with_what_follows_it_only() -> None:
    inputs: dict[str, Any] = {
        "item_rewards": [[1.0, 0.0], [0.0, 0.0]],
        "item_of_token": [[0, 1, 1], [0, 1, 2]],
        "lengths": [2, 3],
    }
    signal = run("rank_grpo", None, [0, 0], **inputs)
    assert signal.token_advantages[0].tolist() == pytest.approx([0.707, 0, 0], abs=1e-3)
    assert signal.token_advantages[1].tolist() == pytest.approx([-0.707, 0, 0], abs=1e-3)
    shaped = run("rank_grpo", None, [0, 0], **inputs, endings=(-0.1, 0.1, -0.1), eos=[[0, 1, 0], [0, 0, 1]])
    assert shaped.token_advantages[:, 1:].tolist() == [[-0.1, 0.0], [0.0, 0.1]]


def test_rank_grpo_does_not_take_a_newline_for_an_item() -> None:
    inputs: dict[str, Any] = {
        "item_rewards": [[0.0, 0.0], [0.0, 0.0]],
        "item_of_token": [[0, 1, -1], [0, 1, 2]],
        "eos": [[0, 1, 0], [0, 0, 1]],
        "lengths": [2, 3],
        "endings": (-0.1, 0.1, -0.1),
    }
    ours = run("rank_grpo", None, [0, 0], **inputs).token_advantages
    released = run("release/rank_grpo", None, [0, 0], **inputs).token_advantages
    assert (ours[0, 1], ours[1, 2]) == (-0.1, 0.1)
    assert (released[0, 1], released[1, 2]) == (0.1, -0.1)


def test_ospo_compares_only_agents_that_had_something_to_do() -> None:
    signal = run("ospo", [2.0, 0.0, 0.0], [0] * 3, assigned=[True, True, False], cumulative=[0.0, 2.0, 1.0])
    narrowed = np.std([0, 2, 1]) - np.std([2, 2, 1])
    assert signal.advantages == pytest.approx([1 + narrowed, -1 + narrowed, 0], rel=1e-6)
    alone = run("ospo", [2.0, 0.0], [0, 0], assigned=[True, False], cumulative=[1.0, 1.0])
    assert alone.advantages.tolist() == [-1.0, 0.0]


def test_s_grpo_by_count_and_by_position() -> None:
    inputs: dict[str, Any] = {"rewards": [0.0, 1.0, 1.0, 1.0], "groups": [0, 0, 0, 1], "exit_order": [5, 9, 7, 1]}
    assert run("s_grpo", **inputs).rewards.tolist() == [0.0, 0.5, 1.0, 1.0]
    assert run("s_grpo", **inputs, decay="position").rewards.tolist() == [0.0, 0.25, 0.5, 1.0]
    assert exit_positions(10, 3, spacing="even").tolist() == [2, 5, 8]
    assert sorted(set(exit_positions(6, 9).tolist())) == [1, 2, 3, 4, 5]
    assert exit_positions(0, 3).size == 0


@pytest.mark.parametrize("accuracy", [0.7, 1 / 3, 0.6000000000000001])
@pytest.mark.parametrize("rows", [3, 5, 6, 7, 11])
def test_grpo_care_lets_equal_accuracies_reach_their_mean(accuracy: float, rows: int) -> None:
    inputs = {"accuracy": [accuracy] * rows, "answer_likelihood": [0.5] * rows}
    signal = run("grpo_care", [accuracy] * rows, [0] * rows, **inputs)
    assert signal.rewards == pytest.approx(1.5 * accuracy)


def test_grpo_care_gives_no_bonus_for_an_answer_that_is_not_there() -> None:
    inputs: dict[str, Any] = {"accuracy": [1.0, 1.0, 0.0], "answer_likelihood": [0.5, np.nan, 0.9]}
    signal = run("grpo_care", [1.0, 1.0, 0.0], [0] * 3, **inputs, answer_found=[True, False, True])
    assert signal.rewards.tolist() == [1.5, 1.0, 0.0]


def test_ps_grpo_takes_a_mean_likeness_where_it_is_known() -> None:
    similarity = np.array([[1, 0.2, 0.6, 0], [0, 1, 0.4, 0], [0.5, 0.1, 1, 0], [0, 0, 0, 1]])
    place: dict[str, Any] = {"variants": [0, 0, 1, 0]}
    whole = run("ps_grpo", None, [0, 0, 0, 1], similarity=similarity, **place)
    given = run("ps_grpo", None, [0, 0, 0, 1], likeness=[0.6, 0.4, 0.3, 0.9], **place)
    assert known(given.advantages).tolist() == known(whole.advantages).tolist()
    assert given.keep.tolist() == whole.keep.tolist() == [True, True, True, False]
    with pytest.raises(OptionError, match="likeness is a mean"):
        method("ps_grpo", wordings=1)(SignalBatch(None, [0, 0], likeness=[0.5, 0.5], variants=[0, 1]))


def test_ps_grpo_leaves_out_a_question_in_one_wording() -> None:
    similarity = np.arange(16.0).reshape(4, 4)
    signal = run("ps_grpo", None, [0, 0, 0, 1], similarity=similarity, variants=[0, 0, 1, 0])
    assert signal.rewards.tolist() == [2.0, 6.0, 8.5, 0.0]
    assert signal.keep.tolist() == [True, True, True, False]
    sampled = method("ps_grpo", wordings=1, rollouts=1)
    batch = SignalBatch(None, [0] * 4, similarity=similarity, variants=[0, 0, 1, 1], step=3)
    assert np.array_equal(sampled(batch).rewards, sampled(batch).rewards)
    assert {float(r) % 4 for r in sampled(batch).rewards[:2]} <= {2.0, 3.0}


def test_similarity_of_masked_rows_may_be_anything() -> None:
    similarity = np.array([[1.0, 0.5, np.nan], [0.5, 1.0, np.inf], [np.nan] * 3])
    signal = run("ps_grpo", None, [0] * 3, [True, True, False], similarity=similarity, variants=[0, 1, 2])
    assert signal.rewards.tolist() == [0.5, 0.5, 0.0]


def test_information_consistency_at_its_edges() -> None:
    signal = run("information_consistency", None, [0, 0, 1], variants=[0, 1, 0], token_lists=[["a"], ["a", "b"], []])
    assert signal.rewards == pytest.approx([0.0, 0.5, 0.75])


def test_scores_from_comparisons() -> None:
    assert win_rates([(0, 1, 1.0)], 3)[:2].tolist() == [1.0, 0.0]
    assert np.isnan(win_rates([(0, 1, 1.0)], 3)[2])
    strength = bradley_terry([(0, 1, 1.0), (1, 2, 1.0)], 3)
    assert strength[0] > strength[1] > strength[2]
    assert strength.sum() == pytest.approx(0.0, abs=1e-9)
    with pytest.raises(InputError, match="number 0 is of 1 and 1"):
        win_rates([(1, 1, 1.0)], 2)
    with pytest.raises(InputError, match=r"comparisons: row 1 holds 2\.0"):
        run("win_rate", comparisons=[[1.0], [2.0]])


def test_rewards_of_lists_and_numbers_name_the_row_that_is_wrong() -> None:
    with pytest.raises(InputError, match="predicted_scores: row 1 has 1 for 2 documents"):
        run("grouprank", predicted_scores=[[1, 0], [1]], gold_scores=[[1, 0], [1, 0]])
    for bad in (np.nan, -1.0):
        with pytest.raises(InputError, match=f"gold_scores: row 2, document 1 holds {bad}"):
            run("grouprank", predicted_scores=[[1, 0]] * 3, gold_scores=[[1, 0], [1, 0], [0, bad]])
    levels = run(
        "grouprank", predicted_scores=[[3, 1], None, None], gold_scores=[[1, 0]] * 3, answered=[True, True, False]
    ).rewards
    assert levels[1:].tolist() == [-0.1, -0.5]
    apart = [ranking_score(p, g).reward for p, g in (([3, 1, 2], [0, 1, 2]), ([1], [1]), ([2, 2, 0], [1, 0, 0]))]
    together = run("grouprank", predicted_scores=[[3, 1, 2], [1], [2, 2, 0]], gold_scores=[[0, 1, 2], [1], [1, 0, 0]])
    assert together.rewards == pytest.approx(apart)
    with pytest.raises(InputError, match="row 0: prediction"):
        run("ordinal_class", predicted_values=[[1.0]], target_values=[[1.0, 2.0]])
    assert not run("ordinal_class", predicted_values=[[1.0]], target_values=[[0.0]]).keep[0]


def test_small_parts_refuse_what_they_cannot_use() -> None:
    for peak in (0.0, 1.0):
        with pytest.raises(OptionError):
            length_surrogate([1], peak=peak)
    with pytest.raises(InputError):
        fused_labels([0], [1])
    with pytest.raises(InputError):
        error_reward([-1.0])
    assert error_reward([0.0, 3.0], "clipped").tolist() == [1.0, 0.0]
    assert set_overlap([{1, 2}, {2, 3}, set()]) == pytest.approx(1 / 9)
    with pytest.raises(InputError):
        set_overlap([{1}])
    with pytest.raises(InputError, match="2 columns where the method reads 3"):
        run("posterior_grpo", None, [0], components=[[1.0, 1.0]])
