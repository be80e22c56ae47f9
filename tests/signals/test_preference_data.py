"""Preference data and pair weights in cases that can be worked out by hand, and samplers against their distribution."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from tests.signals._known import known
from trainer_client.signals import Groups, InputError, OptionError, Pair, SignalBatch, method
from trainer_client.signals.crossprompt.coipo import perturb
from trainer_client.signals.parts import lambda_weights
from trainer_client.signals.preference.did import normalised_entropy, rejected_weights
from trainer_client.signals.preference.itool import tool_step_reward, tree_choice
from trainer_client.signals.preference.on_policy_pairs import replay_quotas
from trainer_client.signals.preference.rso import rejection_sample, tournament_pairs
from trainer_client.signals.preference.win_shares import win_shares


def sides(pairs: Sequence[Pair] | None) -> list[tuple[int, int]]:
    return [(pair.chosen, pair.rejected) for pair in known(pairs)]


SCORES: dict[str, Any] = {
    "model_scores": [[2.0, 4.0], [0.0, 0.0], [0.0, 1.0], [2.0, 1.0]],
    "preferred": [True, False, True, False],
    "groups": [0, 0, 1, 1],
}


def test_doubted_labels_are_softened_flipped_or_dropped() -> None:
    soft = method("secrets_ii")(SignalBatch(None, **SCORES))
    assert soft.pairs == [Pair(0, 1, 3.0, 1.0, 1.0), Pair(2, 3, -1.0, 1.0, 0.9)]
    assert soft.report["secrets_ii/flip_rate"] == 0.5
    assert known(method("secrets_ii", action="flip")(SignalBatch(None, **SCORES)).pairs)[1] == Pair(3, 2, 1.0)
    assert sides(method("secrets_ii", action="drop")(SignalBatch(None, **SCORES)).pairs) == [(0, 1)]
    alone = method("secrets_ii")(SignalBatch(None, valid=[1, 0, 1, 1], **SCORES))
    assert sides(alone.pairs) == [(2, 3)]


def test_dno_wants_good_positives_and_large_margins() -> None:
    batch = SignalBatch([6, 5, 4, 5.5], [0] * 4, references=[1, 0, 0, 0])
    assert sorted(sides(method("dno")(batch).pairs)) == [(0, 2), (1, 2), (3, 2)]
    broken = SignalBatch([6, 5, 4, 6], [0] * 4, references=[1, 0, 0, 0], defective=[0, 0, 0, 1])
    pairs = known(method("dno")(broken).pairs)
    assert sorted(sides(pairs)) == [(0, 2), (0, 3), (1, 2), (1, 3)]
    assert all(pair.margin >= 0 for pair in pairs)
    assert not method("dno")(SignalBatch([4, 1], [0, 0])).pairs


def test_win_shares_of_dno_and_of_lipo() -> None:
    wins = np.array([[9, 1, 1.0, 9], [0, 9, 0.5, 9], [0, 0.5, 9, 9], [9, 9, 9, 9]])
    groups = Groups.of([0, 0, 0, 1])
    assert win_shares(wins, groups).tolist() == [1, 0.25, 0.25, 0]
    np.testing.assert_allclose(win_shares(wins, groups, own=0.5), [2.5 / 3, 1 / 3, 1 / 3, 0.5])
    with pytest.raises(InputError, match="row 0, column 1"):
        win_shares(wins * 2, groups)


def test_fresh_pairs_and_pairs_against_all_worse_ones() -> None:
    batch = SignalBatch([1, 0, 0.5, 0], [0] * 4, step=9, sampled_at=[9, 9, 9, 2])
    signal = method("on_policy_pairs", against="worse", max_age=3)(batch)
    assert [(p.chosen, p.rejected, p.weight) for p in known(signal.pairs)] == [(0, 1, 0.5), (0, 2, 0.5)]
    assert signal.report["on_policy_pairs/fresh"] == 0.75
    assert not method("on_policy_pairs")(SignalBatch([1, 1], [0, 0])).pairs


def test_rejection_sampling_ends_between_everyone_and_the_best() -> None:
    rewards, groups = np.array([0.0, 3, 1, 2]), Groups.of([0] * 4)
    rng = np.random.default_rng(0)
    draw = lambda _round, _left: rng.random(4)  # noqa: E731
    assert rejection_sample(rewards, groups, draw, number=2, beta=1e9).tolist() == [0, 1, -1, -1]
    assert rejection_sample(rewards, groups, draw, number=2, beta=1e-9).tolist() == [-1, 0, -1, 1]
    assert (rejection_sample(rewards, groups, draw, number=9) >= 0).all()
    with pytest.raises(OptionError, match="beta"):
        rejection_sample(rewards, groups, draw, number=1, beta=0.0)


def test_the_first_pass_accepts_in_proportion_to_the_optimal_policy() -> None:
    rng, beta = np.random.default_rng(1), 0.7
    values = np.array([0.0, 0.5, 1.0])
    rewards = np.repeat(values, 4000)
    groups = Groups.of(np.zeros(rewards.size, int))
    first: list[np.ndarray] = []

    def draw(_round: int, left: np.ndarray) -> np.ndarray:
        first.append(left.copy())
        return rng.random(rewards.size)

    rejection_sample(rewards, groups, draw, number=rewards.size, beta=beta)
    accepted = ~first[1]
    share = accepted.reshape(3, -1).mean(1)
    np.testing.assert_allclose(share, np.exp((values - 1) / beta), atol=0.03)


def test_rso_draws_the_same_again_and_pairs_what_it_kept() -> None:
    rng = np.random.default_rng(2)
    batch = SignalBatch(rng.normal(size=40), np.repeat([3, 8], 20), step=4)
    one, two = method("rso", seed=5)(batch), method("rso", seed=5)(batch)
    assert sides(one.pairs) == sides(two.pairs)
    assert one.keep.sum() == 16
    assert len(known(one.pairs)) == 8
    assert all(one.keep[[p.chosen, p.rejected]].all() and p.margin > 0 for p in known(one.pairs))
    assert len(known(method("rso", ranking="tournament")(batch).pairs)) == 14


def test_a_tournament_goes_on_with_the_winners() -> None:
    pairs = tournament_pairs(np.array([1.0, 2, 3]), [0, 1, 2])
    assert sides(pairs) == [(1, 0), (2, 1)]
    assert not tournament_pairs(np.zeros(2), [0, 1])


def test_differential_information() -> None:
    groups = Groups.of([0, 0, 1])
    weights = rejected_weights(np.array([0.0, np.log(3), 5.0]), groups)
    np.testing.assert_allclose(weights, [0.75, 0.25, 1.0])
    entropy = normalised_entropy(np.array([0.5, 0.5, 1.0]), groups)
    assert entropy[0] == pytest.approx(1)
    assert np.isnan(entropy[1])
    signal = method("did", seed=1)(SignalBatch([1.0, 0.0, 0.2, 2.0, 2.0], [0, 0, 0, 1, 1]))
    assert [p.chosen for p in known(signal.pairs)] == [0]


def test_instructions_that_an_answer_meets_and_misses() -> None:
    batch = SignalBatch(None, [0, 0, 0], components=[[1, 1], [1, 0], [0, 0]], components_valid=[[1, 1], [1, 1], [0, 0]])
    assert method("mapl")(batch).pairs == [Pair(0, 1, margin=1.0)]


def test_seppo_turns_samples_the_policy_prefers_into_positives() -> None:
    batch = SignalBatch(
        None,
        [0, 0, 0, 1],
        references=[1, 0, 0, 0],
        logprobs=[[-1.0], [-2.0], [-0.5], [-1.0]],
        old_logprobs=[[-1.0], [-1.0], [-1.0], [-1.0]],
        lengths=[1, 1, 1, 1],
    )
    signal = method("seppo")(batch)
    assert known(signal.advantages).tolist()[:3] == [1, -1, 1]
    assert signal.keep.tolist() == [True, True, True, False]
    assert sides(signal.pairs) == [(0, 1)]


def test_itool() -> None:
    texts = ["[add(a=1)]", "[add(a=2)]", "[add(a=1)] now", "[add(a=1)] now"]
    pairs = method("itool_pairs")(SignalBatch([0.6, 0.1, 0.6, 0.1], [0, 0, 1, 1], texts=texts)).pairs
    assert sides(pairs) == [(0, 1)]
    assert tool_step_reward("...", "") == pytest.approx(-0.4)
    assert tool_step_reward("f()", None) == 0.1
    with pytest.raises(InputError, match="children"):
        tree_choice(np.zeros(0), np.zeros(0), np.zeros(0), 1)
    batch = SignalBatch(None, perplexities=[1.0, 2, 3, 9], calls_tool=[1, 1, 1, 0])
    assert method("itool_hardest")(batch).keep.tolist() == [False, False, True, True]


def test_one_wrong_pair_takes_the_instruction_out() -> None:
    batch = SignalBatch(
        None, [0, 0, 1, 1], expected_winners=["A", "B", "chosen", ""], predicted_winners=["A", "tie", "a", "B"]
    )
    assert method("cdrrm")(batch).keep.tolist() == [False, False, True, True]


def test_copg_is_the_gradient_of_its_pairwise_loss() -> None:
    rng = np.random.default_rng(3)
    rewards, logprobs, ref = rng.normal(size=4), -rng.exponential(size=(4, 2)), -rng.exponential(size=(4, 2))
    beta = 0.3
    inputs: dict[str, Any] = {"groups": [0] * 4, "ref_logprobs": ref, "lengths": [2, 1, 2, 2]}
    mask = np.arange(2) < np.array([2, 1, 2, 2])[:, None]

    def loss(at: np.ndarray) -> float:
        r = rewards - beta * ((at - ref) * mask).sum(1)
        return float(sum((r[i] - r[j]) ** 2 for i in range(4) for j in range(i))) / 3

    advantages = known(method("copg", beta=beta)(SignalBatch(rewards, logprobs=logprobs, **inputs)).advantages)
    step = 1e-6
    for row in range(4):
        moved = logprobs.copy()
        moved[row, 0] += step
        numeric = (loss(moved) - loss(logprobs)) / step
        assert numeric == pytest.approx(-2 * beta * advantages[row], rel=1e-4)
    pairs = known(method("copg_pairs", beta=beta)(SignalBatch(rewards, [0] * 4)).pairs)
    assert len(pairs) == 6
    assert pairs[0].margin == pytest.approx(abs(rewards[0] - rewards[1]) / beta)


def test_hypo_pulls_back_what_has_moved_most() -> None:
    batch = SignalBatch(
        None, [0, 0, 1], logprobs=[[-1.0], [-3.0], [-1.0]], ref_logprobs=[[-2.0]] * 3, lengths=[1, 1, 1]
    )
    signal = method("hypo")(batch)
    assert known(signal.advantages).tolist() == [-2.0, 2.0, -1.0]
    assert signal.report["hypo/largest_log_ratio"] == 1.0


def test_rdpo_weights_sum_to_one() -> None:
    given, turned = known(method("rdpo", flip_rate=0.2)(SignalBatch([1, 0], [0, 0])).pairs)
    assert given.weight + turned.weight == pytest.approx(1)
    assert (turned.chosen, turned.rejected) == (given.rejected, given.chosen)
    assert len(known(method("rdpo", flip_rate=0.0)(SignalBatch([1, 0], [0, 0])).pairs)) == 1
    with pytest.raises(OptionError, match="flip_rate"):
        method("rdpo", flip_rate=0.5)(SignalBatch([1, 0], [0, 0]))


def test_rpo_imitates_the_chosen_or_the_given_baseline() -> None:
    assert method("rpo")(SignalBatch([1, 0, 0.5], [0] * 3)).weights.tolist() == [0.2, 0, 0]
    given = SignalBatch([1, 0, 0.5], [0] * 3, references=[0, 0, 1])
    assert method("rpo")(given).weights.tolist() == [0, 0, 0.2]


def test_cpl_counts_ties_half() -> None:
    pairs = known(method("cpl")(SignalBatch([1, 1, 0], [0] * 3)).pairs)
    assert sorted((p.chosen, p.rejected, p.label) for p in pairs) == [(0, 1, 0.5), (0, 2, 1.0), (1, 2, 1.0)]
    assert len(known(method("cpl", ties=False)(SignalBatch([1, 1, 0], [0] * 3)).pairs)) == 2


def test_lambda_weights_are_the_change_of_dcg() -> None:
    scores, labels = np.array([0.3, -1.0, 2.0, 0.3]), np.array([0.1, 0.9, 0.4, 0.4])

    def dcg(order: np.ndarray) -> float:
        return float(((2.0 ** labels[order] - 1) / np.log2(np.arange(4) + 2)).sum())

    order = np.argsort(-scores, kind="stable")
    weights = lambda_weights(scores, labels)
    for i in range(4):
        for j in range(4):
            swapped = order.copy()
            a, b = np.flatnonzero(order == i)[0], np.flatnonzero(order == j)[0]
            swapped[[a, b]] = swapped[[b, a]]
            assert weights[i, j] == pytest.approx(abs(dcg(swapped) - dcg(order)), abs=1e-12)
    with pytest.raises(InputError, match="exponent"):
        lambda_weights(scores, labels * 1e4)


def test_coipo_pairs_clean_with_noisy_and_reports_the_cost() -> None:
    signal = method("coipo")(SignalBatch([1.0, 0.0, 0.5, 1.0], [0, 0, 0, 1], noisy=[0, 1, 1, 0]))
    assert sides(signal.pairs) == [(0, 1), (0, 2)]
    assert signal.report == {"coipo/gap": -0.75, "coipo/worst": -0.75, "coipo/families": 1}
    with pytest.raises(InputError, match="more than one clean"):
        method("coipo")(SignalBatch(None, [0, 0], noisy=[0, 0]))


def test_earlier_iterations_are_replayed_less_and_less() -> None:
    assert replay_quotas([100, 100, 10]) == [30, 15, 0]
    with pytest.raises(OptionError, match="share"):
        replay_quotas([1], share=2.0)


def test_noise_keeps_words_and_numbers_recognisable() -> None:
    text = "Determine the number 12345 of apples"
    noisy = perturb(text, 1.0, np.random.default_rng(0))
    assert noisy != text
    assert noisy == perturb(text, 1.0, np.random.default_rng(0))
    assert perturb(text, 0.0, np.random.default_rng(0)) == text
    for old, new in zip(text.split(), noisy.split(), strict=True):
        assert (old[0], old[-1]) == (new[0], new[-1])
        assert abs(len(old) - len(new)) <= 1
    assert "12345" in noisy
