"""Methods that change one thing about GRPO, against what their papers state."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.signals._known import known
from trainer_client.signals import InputError, OptionError, SignalBatch, method, resolve
from trainer_client.signals.shaping.length_curriculum import length_reward, token_budget


def test_ngrpo_pushes_an_all_wrong_group_by_the_closed_form() -> None:
    for n in (2, 4, 8):
        advantages = method("ngrpo", eps=0.0)(SignalBatch(np.zeros(n), np.zeros(n, int))).advantages
        assert advantages == pytest.approx(np.full(n, -1 / np.sqrt(n + 1)))
    assert not known(method("ngrpo")(SignalBatch(np.ones(4), np.zeros(4, int))).advantages).any()
    third = known(method("ngrpo", max_reward=0.3)(SignalBatch(np.full(8, 0.3), np.zeros(8, int))).advantages)
    assert not third.any(), "earning the most there is leaves nothing, whatever the rounding of 0.3"


def test_ngrpo_singletons_and_missing_rewards() -> None:
    batch = SignalBatch([0.0, 0.5, np.nan], [0, 1, 1], [True, True, False])
    assert known(method("ngrpo")(batch).advantages).tolist() == [0, 0, 0]
    assert method("ngrpo", singleton="raw")(batch).advantages == pytest.approx([0, 0.5, 0], abs=1e-5)
    with pytest.raises(InputError, match="0 has one valid member"):
        method("ngrpo", singleton="error")(batch)
    above = method("ngrpo")(SignalBatch([2.0, 0.0], [0, 0])).report
    assert above == {"ngrpo/above_max_reward": 0.5}


def test_reinforcing_one_side() -> None:
    batch = SignalBatch([1.0, 0.0, -1.0])
    assert known(method("psr_nsr", mode="positive")(batch).advantages).tolist() == [1, 0, -1]
    assert known(method("psr_nsr", mode="negative")(batch).advantages).tolist() == [0, -1, -2]
    assert method("psr_nsr")(batch).advantages == pytest.approx([0.1, -1, -1])


def test_the_accuracy_filter_counts_valid_rows_only() -> None:
    batch = SignalBatch([1, 0, 0, 0, 1, 0, 0], [0, 0, 1, 1, 2, 2, 3], [True, False, True, True, True, True, False])
    kept = {drop: method("accuracy_filter", drop=drop)(batch).keep for drop in ("all", "all_correct", "all_incorrect")}
    assert kept["all"].tolist() == [False, False, False, False, True, True, False]
    assert kept["all_correct"].tolist() == [False, False, True, True, True, True, False]
    assert kept["all_incorrect"].tolist() == [True, True, False, False, True, True, False]


def test_unlikely_right_answers_keep_their_reward() -> None:
    inputs: dict[str, Any] = {"lengths": [1, 1, 1, 1], "old_logprobs": [[-1.0], [-3.0], [-2.0], [-2.0]]}
    signal = method("unlikeliness")(SignalBatch([1.0, 1, 1, 1], [0, 0, 0, 0], **inputs))
    # Ranks from the least likely: 3, 0, 1, 2; the tie in batch order.
    assert signal.rewards == pytest.approx(1 - 0.25 * np.array([3, 0, 1, 2]) / 4)
    staged = resolve(["unlikeliness", "grpo"])(SignalBatch([1.0, 1, 1, 1], [0, 0, 0, 0], **inputs))
    advantages = known(staged.advantages)
    assert advantages[1] > 0 > advantages[0], "an all-right group teaches again"
    with pytest.raises(InputError, match="row 2 holds -1"):
        method("unlikeliness")(SignalBatch([1.0, 1, -1, 1], [0, 0, 0, 0], **inputs))
    released = method("release/unlikeliness")(SignalBatch([-1.0, 0, 0, 0], [0, 0, 0, 0], **inputs))
    assert known(released.rewards)[0] == pytest.approx(-1 + 0.25 * 3 / 4)


def test_only_leading_groups_are_asked_to_be_short() -> None:
    batch = SignalBatch(
        [1, 1, 1, 0, 0, 0, 1, 1],
        [0, 0, 1, 1, 2, 2, 3, 3],
        lengths=[10, 30, 5, 5, 5, 5, 7, 7],
    )
    signal = method("grpo_lambda", share=0.5)(batch)
    sigmoid = 1 / (1 + np.exp(-1.0))
    assert signal.rewards == pytest.approx([1 - 0.2 * (1 - sigmoid), 1 - 0.2 * sigmoid, 1, 0, 0, 0, 0.9, 0.9])
    assert signal.report == {"grpo_lambda/gated": 0.5}
    assert method("grpo_lambda", share=1.0)(batch).report["grpo_lambda/gated"] == 0.75, "solved nothing: not asked"
    assert method("grpo_lambda", gate="threshold").needs == "group"
    assert method("grpo_lambda").needs == "batch"


def test_budgets_of_the_curriculum() -> None:
    assert [round(token_budget(step)) for step in (0, 149, 150, 300, 450, 600, 9999)] == [
        256, 256, 179, 125, 87, 87, 87,
    ]  # fmt: skip
    for decays, factor in ((1, 0.340), (3, 0.698), (7, 0.857)):
        dropped = token_budget(600 // (decays + 1), decays=decays) / 256
        assert dropped == pytest.approx(factor, abs=2e-3)
    linear = [token_budget(step, decay="linear") for step in (0, 150, 300, 450)]
    assert np.diff(linear) == pytest.approx([-169 / 3] * 3)
    with pytest.raises(OptionError, match="at least 1"):
        token_budget(0, final=0)


def test_rewards_for_keeping_to_a_budget() -> None:
    lengths = [0, 50, 100, 150, 200, 300]
    assert length_reward(lengths, 100).tolist() == [0, 0.5, 1, 0.5, 0, 0]
    assert length_reward(lengths, 100, shape="band").tolist() == [1, 1, 1, 0.5, 0, 0]
    batch = SignalBatch([1.0, 0.0], lengths=[999, 999], trace_lengths=[256, 512], format_scores=[1, 0.5], step=0)
    assert method("length_curriculum")(batch).rewards == pytest.approx([1.0, 0.05]), "the trace is counted"
    with pytest.raises(InputError, match="pass step="):
        method("length_curriculum")(SignalBatch([1.0], lengths=[3], format_scores=[1]))
