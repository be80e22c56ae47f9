"""What the methods of the papers do at their edges, and where they depart from their releases on purpose."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from trainer_client.signals import InputError, OptionError, SignalBatch, WholeBatchError, method_of
from trainer_client.signals import method as estimator_of
from trainer_client.signals.advantage.v0_5 import shrinkage_baseline


def method(name: str, **options: Any) -> Any:
    """An estimator whose signals are read without asking which of their fields are there."""
    return estimator_of(name, **options)


def run(name: str, rewards: Any = None, groups: Any = None, valid: Any = None, **rest: Any) -> Any:
    """One call; keywords that are no option of the method are inputs."""
    spec = method_of(name)
    options = {key: rest.pop(key) for key in (*spec.required, *spec.defaults) if key in rest}
    return method(name, **options)(SignalBatch(rewards, groups, valid, **rest))


def test_mc_grpo_keeps_binary_rewards_in_bounds_where_the_release_reaches_a_thousand() -> None:
    rewards, groups = [0.0, 0.0, 1.0], [0, 0, 0]
    released = run("release/mc_grpo", rewards, groups).advantages
    ours = run("mc_grpo", rewards, groups).advantages
    assert released == pytest.approx([0, 0, 1000])
    assert ours == pytest.approx([0, 0, 1 / (3**-0.5 + 1e-3)])


def test_mc_grpo_leaves_out_one_median_row_of_each_group_but_never_the_only_row() -> None:
    signal = run("mc_grpo", [3.0, 1.0, 2.0, 2.0, 7.0], ["a", "a", "a", "b", "c"], [True, True, True, True, False])
    assert signal.keep.tolist() == [True, True, False, True, True]
    assert signal.weights.tolist() == [1, 1, 0, 1, 0]


def test_bnpo_has_a_weight_where_the_release_breaks() -> None:
    same = SignalBatch([1.0, 0.0, 1.0, 0.0], [0, 0, 1, 1])
    assert np.isnan(method("release/bnpo")(same).advantages).all()
    assert method("bnpo")(same).advantages == pytest.approx([0.5, -0.5, 0.5, -0.5])
    solved = SignalBatch([1.0, 1.0, 1.0, 1.0], [0, 0, 1, 1])
    with pytest.raises(InputError, match="no parameters"):
        method("release/bnpo")(solved)
    assert not method("bnpo")(solved).advantages.any()


def test_bnpo_refuses_rewards_outside_its_range() -> None:
    with pytest.raises(InputError, match=r"rewards: 2\.0 .* outside of 0\.0 to 1\.0"):
        run("bnpo", [2.0, 0.0], [0, 0])
    assert run("bnpo", [2.0, 0.0], [0, 0], high=2.0).advantages == pytest.approx([0.5, -0.5])


def test_bnpo_on_shards_is_bnpo_on_the_whole() -> None:
    rng = np.random.default_rng(3)
    rewards, groups = rng.integers(0, 2, 24).astype(float), np.repeat(np.arange(6), 4)
    whole = run("bnpo", rewards, groups).advantages
    halves = [slice(0, 8), slice(8, 24)]
    # Two passes, two sums: each rank's share of the second is taken around the mean of all.
    rates = rewards.reshape(6, 4).mean(1)
    sums = iter([[6.0, rates.sum()], [((rates - rates.mean()) ** 2).sum()]] * 2)
    for part in halves:
        batch = SignalBatch(rewards[part], groups[part], sharded=True, reduce=lambda _: np.array(next(sums)))
        assert method("bnpo")(batch).advantages == pytest.approx(whole[part])
    with pytest.raises(WholeBatchError):
        method("bnpo")(SignalBatch(rewards, groups, sharded=True))


def test_shrinkage_trusts_the_prior_within_noise_and_the_sample_beyond_it() -> None:
    near = shrinkage_baseline(np.array([0.5]), np.array([0.6]), np.array([4]))
    far = shrinkage_baseline(np.array([0.0]), np.array([0.9]), np.array([16]))
    assert (near.weight[0], near.baseline[0]) == (0.0, 0.6)
    assert far.weight[0] > 0.9
    assert far.baseline[0] < 0.1


def test_v0_5_gives_an_all_wrong_group_a_signal_and_asks_for_more_rollouts_in_doubt() -> None:
    signal = run("v0_5", [0.0] * 4 + [1.0, 0.0], [0] * 4 + [1, 1], prior_values=[0.9] * 4 + [0.5] * 2, scale="none")
    assert (signal.advantages[:4] < 0).all()
    assert signal.budget.tolist() == [1, 1, 1, 1, 2, 2]


def test_spo_remembers_and_counts_a_prompt_twice_where_the_release_loses_one() -> None:
    batch = SignalBatch([1.0, 0.0, 1.0], ["p", "q", "p"])
    ours, released = method("spo"), method("release/spo")
    assert ours(batch).advantages == pytest.approx(released(batch).advantages)
    assert ours.tracker.counts("p")[0] == pytest.approx((0.5 * 0.875 + 1) * 0.875 + 1)
    assert released.tracker.counts("p")[0] == pytest.approx(0.5 * 0.875 + 1)


def test_spo_with_one_row_keeps_its_raw_advantage() -> None:
    estimator = method("spo")
    estimator.tracker.start("p", 6, 8)
    assert estimator(SignalBatch([1.0], ["p"])).advantages == pytest.approx([1 - 6.5 / 9])
    assert np.isnan(method("release/spo")(SignalBatch([1.0], ["p"])).advantages).all()


def test_spo_state_survives_json_for_both_kinds_of_ids_and_refuses_others() -> None:
    for ids in ([3, 5], ["x", "y"]):
        estimator = method("spo")
        estimator(SignalBatch([1.0, 0.0], ids))
        again = method("spo")
        again.load_state_dict(json.loads(json.dumps(estimator.state_dict())))
        assert again.tracker.rates(ids).tolist() == estimator.tracker.rates(ids).tolist()
    with pytest.raises(InputError, match="could not be saved"):
        method("spo")(SignalBatch([1.0], [("a", 1)]))
    with pytest.raises(InputError, match=r"rewards: row 0 holds -1\.0"):
        method("spo")(SignalBatch([-1.0], ["p"]))


def test_rank_ema_says_nothing_of_equal_rewards_but_their_distance_from_the_past() -> None:
    batch = SignalBatch([0.5] * 4, [0] * 4)
    assert len(set(method("rank_ema")(batch).advantages.tolist())) == 1
    assert len(set(method("release/rank_ema")(batch).advantages.tolist())) == 4


def test_c_grpo_normalises_where_the_release_forgets_to() -> None:
    table = {"rewards": [1.0, 1.0, 0.0], "groups": [0, 0, 0], "rubric_rewards": [0.5, 0.25, 0.5]}
    assert run("c_grpo", **table).rewards == pytest.approx([1.0, 0.85, 0.0])
    assert run("release/c_grpo", **table).rewards == pytest.approx([0.85, 0.775, 0.0])
    assert run("c_grpo", **table, use="wrong_only").rewards == pytest.approx([1.0, 1.0, 0.3])


def test_posterior_grpo_needs_the_reasoning_model_only_where_the_outcome_is_right() -> None:
    components = [[1.0, 1.0, 0.6], [1.0, 0.0, np.nan], [1.0, 1.0, np.nan]]
    signal = run("posterior_grpo", None, [0, 0, 0], components=components, components_valid=np.isfinite(components))
    assert signal.rewards[:2] == pytest.approx([2.6, 1.0])
    assert signal.keep.tolist() == [True, True, False]
    assert signal.advantages[2] == 0


def test_progressive_reward_stops_at_the_first_stage_that_is_not_passed() -> None:
    components = [[1, 1, 0.5], [1, 0.4, np.nan], [0, np.nan, np.nan], [1, 1, np.nan]]
    signal = run("progressive_reward", None, [0] * 4, components=components, components_valid=np.isfinite(components))
    assert signal.rewards[:3] == pytest.approx([0.6, 0.14, 0.0])
    assert signal.keep.tolist() == [True, True, True, False]


def test_grpo_smu_counts_mutants_and_equal_variants_only_if_there_are_any() -> None:
    signal = run(
        "grpo_smu", None, [0] * 4, golden_passed=[True, True, False, True], mutants=[4, 0, 4, 4],
        killed=[2, 0, 4, 4], equivalents=[0, 0, 0, 2], equivalents_rejected=[0, 0, 0, 1],
    )  # fmt: skip
    assert signal.rewards == pytest.approx([0.75, 1.0, 0.0, 0.5])
    with pytest.raises(InputError, match="killed: row 0 holds 5 of 4"):
        run("grpo_smu", None, [0], golden_passed=[True], mutants=[4], killed=[5])


def test_grit_does_not_train_on_a_judge_that_failed() -> None:
    components = [[0.3, 0.5], [0.0, 0.5], [np.nan, 0.5]]
    signal = run("grit", None, [0] * 3, components=components, components_valid=np.isfinite(components))
    assert signal.rewards[:2] == pytest.approx([1.5, 0.5])
    assert signal.weights.tolist() == [1, 1, 0]


def test_g2rpo_makes_up_for_a_missing_view_only_on_request() -> None:
    components = np.array([[1.0, 1.0], [0.0, 0.0], [1.0, np.nan]])
    given = np.isfinite(components)
    plain = run("g2rpo", None, [0] * 3, components=components, components_valid=given).advantages
    scaled = run("g2rpo", None, [0] * 3, components=components, components_valid=given, rescale_missing=True).advantages
    assert scaled[2] == pytest.approx(2 * plain[2])
    assert scaled[:2] == pytest.approx(plain[:2])


def test_fgrpo_prices_a_violated_constraint_and_leaves_one_that_was_not_checked() -> None:
    estimator = method("fgrpo", targets=(0.9, 0.9), rate=0.5)
    components = np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
    given = np.array([[True, True, False], [True, True, False]])
    batch = SignalBatch(None, [0, 0], components=components, components_valid=given)
    first, second = estimator(batch), estimator(batch)
    assert first.report["fgrpo/lambda"] == [0.0, 0.0]
    assert second.report["fgrpo/lambda"] == pytest.approx([0.2, 0.0])
    assert second.advantages[0] == pytest.approx(0.8 * first.advantages[0])


def test_autorule_reads_a_rule_that_was_not_judged_as_not_there() -> None:
    components = [[1.0, np.nan], [1.0, 0.0], [np.nan, np.nan]]
    signal = run("autorule", [0.0, 0.0, 0.0], [0] * 3, components=components, components_valid=np.isfinite(components))
    assert signal.rewards.tolist() == [1.0, 0.5, 0.0]
    assert signal.weights.tolist() == [1, 1, 0]
    assert signal.report["autorule/coverage"] == 0.5


def test_win_rate_leaves_out_a_rollout_that_nobody_met() -> None:
    comparisons = [[1.0, 1 / 3], [], [0.0]]
    signal = run("win_rate", comparisons=comparisons)
    assert signal.keep.tolist() == [True, False, True]
    assert signal.rewards == pytest.approx([2 / 3, 0, 0])
    assert run("release/win_rate", comparisons=comparisons).rewards.tolist() == [0.667, 0.0, 0.0]


def test_dimension_win_rate_uses_the_weight_that_was_asked_for() -> None:
    by_respect = [{"style": [0.0]}, {"style": [1.0]}]
    inputs: dict[str, Any] = {"comparisons": [[1.0], [0.0]], "dimension_comparisons": by_respect}
    assert method("dimension_win_rate", dimension_weight=0.0)(SignalBatch(**inputs)).rewards.tolist() == [1.0, 0.0]
    released = method("release/dimension_win_rate", dimension_weight=0.0)(SignalBatch(**inputs))
    assert released.rewards.tolist() == [0.5, 0.5]
    named = method("dimension_win_rate", weights={"style": 0.0})(SignalBatch(**inputs))
    assert named.rewards.tolist() == [1.0, 0.0]


def test_w_grpo_weights_before_the_normalisation_cancel_unless_nothing_is_divided() -> None:
    rewards, groups = [1.0, 0.0, 0.0, 1.0], [0] * 4
    plain = run("grpo", rewards, groups).advantages
    assert run("w_grpo", rewards, groups, negative=3.0, apply="before").advantages == pytest.approx(plain, rel=1e-5)
    after = run("w_grpo", rewards, groups, negative=3.0).advantages
    assert after == pytest.approx(np.where(plain > 0, plain, 3 * plain))
    undivided = run("w_grpo", rewards, groups, negative=3.0, apply="before", divide_by_std=False).advantages
    assert undivided == pytest.approx([2, -2, -2, 2])
    with pytest.raises(OptionError, match="negative must be given"):
        method("w_grpo")


def test_w_grpo_over_a_pair_tells_the_easy_prompt_from_the_hard_one() -> None:
    outcomes, groups, pair = [1.0, 0.0, 0.0, 1.0, 1.0, 0.0], [0, 0, 0, 1, 1, 1], {"pairings": [7] * 6}
    options = {"negative": 1.0, "apply": "before", "scope": "pair"}
    even = run("w_grpo", outcomes, groups, **pair, **options).advantages
    odd = run("w_grpo", outcomes, groups, **pair, **options, easy_negative=3.0).advantages
    assert even[1] == even[5]
    assert odd[5] < odd[1]
    with pytest.raises(OptionError, match="must not be negative"):
        run("w_grpo", outcomes, groups, negative=-1.0)
