"""Strata, sub-agents and reference answers."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from tests.signals._known import known
from trainer_client.signals import InputError, OptionError, SignalBatch, method
from trainer_client.signals.advantage.m_grpo import CountHistogram
from trainer_client.signals.combination.m_grpo_reward import joined
from trainer_client.signals.parts import weighted_normalise


def test_one_stratum_is_grpo_and_a_lone_row_keeps_its_share_of_it() -> None:
    rewards, groups = [1.0, 0.0, 0.5, 0.2], [0, 0, 0, 0]
    plain = known(method("grpo")(SignalBatch(rewards, groups)).advantages)
    assert method("stratified_grpo")(SignalBatch(rewards, groups, strata=[2] * 4)).advantages == pytest.approx(plain)
    parted = known(method("stratified_grpo")(SignalBatch(rewards, groups, strata=[0, 1, 1, 1])).advantages)
    assert parted[0] == pytest.approx(0.4 * plain[0])
    with pytest.raises(OptionError, match="alpha"):
        method("stratified_grpo", alpha=2.0)(SignalBatch(rewards, groups, strata=[2] * 4))


def _agents(**more: Any) -> SignalBatch:
    """One prompt, two trajectories with one and three sub-agent rows, and a third without any."""
    return SignalBatch(
        [1.0, 0.0, 0.5, 0.9, 0.1, 0.2, 0.3],
        [0] * 7,
        trajectories=[0, 1, 2, 0, 1, 1, 1],
        subagent=[0, 0, 0, 1, 1, 1, 1],
        step=3,
        **more,
    )


def test_sub_agents_count_alike_by_trajectory() -> None:
    signal = method("m_grpo", target=3, eps=0.0)(_agents())
    assert signal.weights.tolist() == [1, 1, 1, 3, 1, 1, 1]
    main = np.array([1.0, 0.0, 0.5])
    advantages = known(signal.advantages)
    assert advantages[:3] == pytest.approx((main - main.mean()) / main.std())
    copies = np.array([0.9] * 3 + [0.1, 0.2, 0.3])
    assert advantages[3:] == pytest.approx((np.array([0.9, 0.1, 0.2, 0.3]) - copies.mean()) / copies.std())


def test_resampling_brings_trajectories_to_the_same_number_and_repeats_itself() -> None:
    for target in (1, 2, 5):
        first, again = (method("m_grpo", target=target, align="resample")(_agents()) for _ in range(2))
        assert first.weights.tolist() == again.weights.tolist()
        assert first.weights[3] == target
        assert first.weights[4:].sum() == target
        assert set(first.weights[4:] % 1) == {0.0}
    other = [method("m_grpo", target=1, align="resample", seed=seed)(_agents()).weights.tolist() for seed in range(9)]
    assert len(set(map(tuple, other))) > 1


def test_the_number_follows_the_trajectories_seen() -> None:
    estimator = method("m_grpo", quantile=0.5)
    assert estimator(_agents()).report == {"m_grpo/rows_per_trajectory": 1}
    whole = method("m_grpo", quantile=1.0)(_agents())
    assert whole.report == {"m_grpo/rows_per_trajectory": 3}


def test_quantiles_of_a_histogram_survive_saving() -> None:
    seen = CountHistogram()
    assert seen.quantile(0.9) == 0
    seen.update([1, 1, 2, 8])
    copy = CountHistogram()
    copy.load_state_dict(json.loads(json.dumps(seen.state_dict())))
    assert [copy.quantile(q) for q in (0.5, 0.75, 0.99)] == [1, 2, 8]


def test_m_grpo_pays_for_nothing_behind_an_invalid_format() -> None:
    two = SignalBatch(components=[[1, 1], [1, 0], [0, 1]])
    assert method("m_grpo_reward")(two).rewards == pytest.approx([1.0, 0.1, 0.0])
    three = SignalBatch(
        components=[[1, 1, 0.5], [0, 1, 1], [1, 0, np.nan]], components_valid=[[1] * 3, [1] * 3, [1, 1, 0]]
    )
    signal = method("m_grpo_reward")(three)
    assert known(signal.rewards)[:2] == pytest.approx([0.75, 0.0])
    assert signal.weights.tolist() == [1, 1, 0]
    with pytest.raises(InputError, match="give weights, one for each"):
        method("m_grpo_reward")(SignalBatch(components=[[1.0]]))


def test_sub_agents_inherit_whether_the_main_agent_was_right() -> None:
    batch = _agents()
    main = ~batch["subagent"]
    values, there = joined(batch.rewards, main, batch.ids("trajectories"))
    assert values.tolist() == [1, 0, 0.5, 1, 0, 0, 0]
    assert there.all()
    unknown = np.array([True, False, True, True, True, True, True])
    assert joined(batch.rewards, main, batch.ids("trajectories"), unknown)[1].tolist() == [
        True, False, True, True, False, False, False,
    ]  # fmt: skip


def test_weighted_statistics_are_those_of_copies() -> None:
    rewards, counts = np.array([0.3, 0.7, 0.1]), np.array([2.0, 0.0, 3.0])
    groups = SignalBatch(rewards, [0, 0, 0]).groups
    copies = np.repeat(rewards, counts.astype(int))
    expected = (rewards - copies.mean()) / copies.std()
    assert weighted_normalise(rewards, groups, counts, eps=0.0) == pytest.approx(expected)
    assert not weighted_normalise(np.array([0.3, 9.0, 0.3]), groups, counts).any()


def test_grao_is_the_published_sum_collected_by_row() -> None:
    rewards, references = np.array([1.0, 0.0, 0.0, 0.5, 1.0]), np.array([0, 0, 0, 0, 1], bool)
    signal = method("grao", eps=0.0)(SignalBatch(rewards, [0] * 5, references=references, lengths=[2, 4, 1, 1, 2]))
    a = (rewards - rewards.mean()) / rewards.std()
    e = np.array([-1.0, -0.5, -2.0, -3.0, -0.1])
    beta, lam, size = 0.5, 0.6, 4
    published = (a[:4] * e[:4]).sum() / size + beta * a[4] * e[4] + lam / size * (a[:4] * (e[:4] - e[4])).sum()
    advantages = known(signal.advantages)
    assert (advantages * e).sum() == pytest.approx(published)
    assert advantages[4] == pytest.approx(a[4] * (beta + lam / size))
    assert known(signal.token_advantages).sum(1) == pytest.approx(advantages)
    assert [(pair.chosen, pair.rejected) for pair in known(signal.pairs)] == [(4, 1)]


def test_grao_without_a_reference_is_grpo_with_a_larger_factor() -> None:
    batch = SignalBatch([1.0, 0.0], [0, 0], references=[0, 0], lengths=[1, 1])
    assert method("grao", eps=0.0)(batch).advantages == pytest.approx([0.8, -0.8])
    beaten = SignalBatch([1.0, 0.0, 0.5], [0, 0, 0], references=[0, 0, 1], lengths=[1, 1, 1])
    assert not method("grao")(beaten).pairs
    rollouts = method("grao", statistics="rollouts", eps=0.0)(beaten).advantages
    assert rollouts == pytest.approx([0.8, -0.8, 0.0])
