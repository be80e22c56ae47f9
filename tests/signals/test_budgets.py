"""Budgets against brute force, and what they remember of a prompt."""

from __future__ import annotations

import itertools
import json

import numpy as np
import pytest

from tests.signals._known import known
from trainer_client.signals import Groups, InputError, OptionError, SignalBatch, method
from trainer_client.signals.selection.knapsack_rl import RecentSuccess, allocate_knapsack, mixed_group_value
from trainer_client.signals.selection.v_0 import OutcomeWindow, allocate_contrast
from trainer_client.signals.selection.xrpo_budget import allocate_uncertain, student_quantile


def contrast(rates: np.ndarray, sizes: np.ndarray) -> float:
    return float((sizes * (1 - rates) * (1 - (1 - rates) ** (sizes - 1))).sum())


def all_known(rates: np.ndarray) -> np.ndarray:
    return np.ones(rates.size, bool)


def test_the_knapsack_is_filled_best() -> None:
    rng = np.random.default_rng(3)
    for _ in range(20):
        rates = rng.uniform(0.05, 0.95, 3)
        found = allocate_knapsack(rates, all_known(rates), 18, min_n=2, max_n=9, fallback=False)
        best = max(
            mixed_group_value(rates, np.array(sizes)).sum()
            for sizes in itertools.product(range(2, 10), repeat=3)
            if sum(sizes) == 18
        )
        assert found.sum() == 18
        assert mixed_group_value(rates, found).sum() == pytest.approx(best)


def test_who_takes_the_surplus() -> None:
    rates = np.array([0.5, 0.0, 0.0, 1.0])
    # A rate of one half needs 3 rollouts; the rest goes to the prompts that always fail.
    assert allocate_knapsack(rates, all_known(rates), 32).tolist() == [5, 13, 12, 2]
    assert allocate_knapsack(rates, all_known(rates), 32, fallback=False).tolist() == [26, 2, 2, 2]
    solved = np.array([0.5, 1.0])
    assert allocate_knapsack(solved, all_known(solved), 16).tolist() == [5, 11]
    every = np.array([0.5, 0.5, 0.5])
    assert allocate_knapsack(every, all_known(every), 24, max_n=16).tolist() == [8, 8, 8]
    assert allocate_knapsack(every[:1], all_known(every[:1]), 40, max_n=16).tolist() == [40], "no other prompt is there"


def test_unknown_prompts_get_the_usual_number_and_no_surplus() -> None:
    rates = np.array([0.0, 0.0, 0.3])
    assert allocate_knapsack(rates, np.array([False, True, True]), 24).tolist() == [8, 8, 8]
    assert allocate_knapsack(rates, np.array([False, True, False]), 24, failed_n=0).tolist() == [8, 8, 8]
    assert allocate_knapsack(np.zeros(2), np.zeros(2, bool), 16).tolist() == [8, 8]
    with pytest.raises(OptionError, match="less than the 16 rollouts"):
        allocate_knapsack(np.zeros(2), np.zeros(2, bool), 15)


def test_knapsack_method_learns_from_rewards_and_plans_for_the_next_visit() -> None:
    estimator = method("knapsack_rl", known_after=4)
    rewards, prompts = [1, 0, 0, 0, 0, 0, 0, 0], ["a"] * 4 + ["b"] * 4
    budget = known(estimator(SignalBatch(rewards, prompts)).budget)
    # Four rollouts show 1 of 4 solved for a, none for b: a needs 8 of the 12 that are left.
    assert budget.tolist() == [10] * 4 + [6] * 4
    later = method("knapsack_rl", known_after=4)
    later.load_state_dict(json.loads(json.dumps(estimator.state_dict())))
    plan = SignalBatch(rewards=None, groups=["b", "a", "c"], success_rates=[0.0, 0.25, 1.0])
    assert known(later(plan).budget).sum() == 24
    with pytest.raises(InputError, match="row 1 holds 2"):
        estimator(SignalBatch([0.0, 2.0], ["a", "a"]))


def test_greedy_falls_short_of_the_best_contrast() -> None:
    rng = np.random.default_rng(0)
    shares = []
    for _ in range(10):
        rates = rng.beta(0.5, 0.8, 3)
        greedy, exact = (allocate_contrast(rates, 18, high=9, solver=solver) for solver in ("greedy", "exact"))
        best = max(
            contrast(rates, np.array(sizes)) for sizes in itertools.product(range(2, 10), repeat=3) if sum(sizes) <= 18
        )
        assert contrast(rates, exact) == pytest.approx(best)
        shares.append(contrast(rates, greedy) / best)
        assert max(greedy.sum(), exact.sum()) <= 18
    assert max(shares) <= 1 + 1e-12
    assert min(shares) < 0.95
    assert allocate_contrast(np.array([0.0, 1.0]), 100).tolist() == [2, 2], "nothing to gain, nothing spent"
    with pytest.raises(OptionError, match="less than 2 rollouts for each of 3"):
        allocate_contrast(np.zeros(3), 5)


def test_v_0_predicts_from_its_window() -> None:
    estimator = method("v_0", total=20, window=6)
    estimator(SignalBatch([1, 0, 1], ["hard", "hard", "easy"]))
    signal = estimator(SignalBatch([0, 0], ["hard", "easy"], success_rates=[0.5, 1.0]))
    assert known(signal.budget).tolist() == [18, 2]
    assert signal.report == {"v_0/unspent": 0}


def test_a_window_shrinks_to_the_nearest_prompts() -> None:
    window = OutcomeWindow(size=4, strength=2.0, neighbours=2)
    assert window.predict(["new"]).tolist() == [0.5]
    window.update(["a", "a", "b", "b", "b"], np.array([0.0, 1, 1, 0, 0]))
    assert len(window) == 4
    # Of the four kept, a has 1 of 1 and b 1 of 3; half of all succeeded.
    assert window.predict(["a", "b", "new"]) == pytest.approx([(1 + 1) / 3, (1 + 1) / 5, 0.5])
    placed = OutcomeWindow(neighbours=2)
    places = np.array([[1.0, 0], [1, 0.1], [0, 1], [0.1, 1]])
    placed.update(["a", "b", "c", "d"], np.array([1.0, 1, 0, 0]), places)
    assert placed.predict(["near a", "near c"], np.array([[2.0, 0], [0, 3]])) == pytest.approx([1, 0])


def test_recent_success_takes_the_last_visit_where_it_was_long_enough() -> None:
    seen = RecentSuccess(enough=4, known_after=3)
    seen.update(Groups.of(["a", "b", "a"]), np.array([1.0, 0, 1]))
    rates, sure = seen.rates(["a", "b", "c"])
    assert rates.tolist() == [1, 0, 0]
    assert sure.tolist() == [False, False, False]
    seen.update(Groups.of(["a", "a"]), np.array([0.0, 0]))
    assert seen.rates(["a"])[0].tolist() == [0.5], "few: the newest four over both visits"
    seen.update(Groups.of(["a"] * 4), np.array([0.0, 0, 0, 1]))
    rates, sure = seen.rates(["a"])
    assert (rates[0], sure[0]) == (0.25, True)


def test_uncertain_prompts_are_sampled_next() -> None:
    even = allocate_uncertain(np.array([4, 4]), np.array([0.5, 0.5]), 6)
    assert even.tolist() == [3, 3]
    wide = allocate_uncertain(np.array([4, 4]), np.array([0.9, 0.0]), 6, exploration=0.0)
    assert wide.tolist() == [6, 0]
    assert allocate_uncertain(np.array([1, 9]), np.array([0.0, 0.5]), 1).tolist() == [1, 0], "two before anything else"
    batch = SignalBatch([1, 0, 1, 1], ["a", "a", "b", "b"])
    assert known(method("xrpo_budget", extra=3)(batch).budget).tolist() == [2, 2, 1, 1]


@pytest.mark.parametrize(
    ("df", "expected"), [(1, 12.7062047), (2, 4.3026527), (3, 3.1824463), (8, 2.3060041), (30, 2.0422725)]
)
def test_quantiles_of_student(df: int, expected: float) -> None:
    assert student_quantile(0.95, df) == pytest.approx(expected, abs=1e-7)


def test_novel_right_answers_gain_at_most_a_share_of_their_advantage() -> None:
    batch = SignalBatch([1.0, 1, 0, 0], [0] * 4, lengths=[1] * 4, old_logprobs=[[-3.0], [-0.5], [-4.0], [-1.0]])
    plain = known(method("grpo")(batch.replace(old_logprobs=None)).advantages)
    sharpened = method("xrpo")(batch).advantages
    assert sharpened == pytest.approx(plain * [1.5, 1, 1, 1])
    mild = known(method("xrpo", lam=0.1)(batch).advantages)
    assert mild[0] == pytest.approx(plain[0] + 0.1 * (1 - np.exp(-3.0 + 8.5 / 4)))
