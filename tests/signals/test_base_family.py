"""What the vectors do not cover: options, departures from a release, and input that makes no sense."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.signals._known import known
from trainer_client.signals import InputError, MissingInputError, OptionError, SignalBatch, method, resolve
from trainer_client.signals.credit.reinforce_plus_plus import discounted_returns
from trainer_client.signals.parts import kl_estimate, overlong_penalty, token_weights


def test_the_return_reaches_tokens_before_a_tools_output() -> None:
    batch = SignalBatch([1.0, 0.0], mask=[[1, 0, 1], [1, 1, 1]])
    ours = method("reinforce_plus_plus")(batch)
    released = method("release/reinforce_plus_plus")(batch)
    assert ours.returns is not None
    assert released.returns is not None
    assert ours.returns.tolist() == [[1, 0, 1], [0, 0, 0]]
    assert released.returns.tolist() == [[0, 1, 1], [0, 0, 0]]


def test_a_masked_token_does_not_discount() -> None:
    returns = discounted_returns(np.array([[0.0, 0, 0, 1]]), np.array([[True, False, False, True]]), 0.5)
    assert returns.tolist() == [[0.5, 0, 0, 1]]


def test_rloo_options_in_their_order() -> None:
    batch = SignalBatch(
        [5.0, 0.0, 1.0, 1.0],
        [0, 0, 1, 1],
        lengths=[2, 2, 2, 2],
        old_logprobs=[[-1.0, -1], [-1, -1], [-1, -1], [-1, -1]],
        ref_logprobs=[[-1.5, -1.5], [-1, -1], [-1, -1], [-1, -1]],
    )
    assert method("rloo", clip=(0.0, 2.0))(batch).advantages == pytest.approx([2, -2, 0, 0])
    penalised = method("rloo", clip=(0.0, 2.0), kl_coefficient=0.5)(batch).advantages
    assert penalised == pytest.approx([1.5, -1.5, 0, 0])
    normalised = method("rloo", normalise=True)(batch).advantages
    assert normalised == pytest.approx(np.array([5, -5, 0, 0]) / (np.std([5, -5, 0, 0], ddof=1) + 1e-4))
    with pytest.raises(MissingInputError, match="old_logprobs and ref_logprobs"):
        method("rloo", kl_coefficient=0.1)(SignalBatch([1, 0], [0, 0]))
    assert method("rloo", normalise=True).needs == "batch"
    assert method("rloo").needs == "group"


def test_releases_mistake_rounding_for_a_signal() -> None:
    equal = SignalBatch([0.1] * 6, [0] * 6, lengths=[2] * 6)
    assert not method("dynamic_sampling")(equal).keep.any()
    assert method("release/dynamic_sampling")(equal).keep.all()
    alone = SignalBatch([0.7], [0], lengths=[5])
    assert method("reinforce_plus_plus_baseline", singleton="raw")(alone).advantages == 0.0
    assert method("release/reinforce_plus_plus_baseline")(alone).advantages == pytest.approx(1.4e-5)


def test_gpg_scales_by_groups_that_teach() -> None:
    batch = SignalBatch([1, 0, 1, 1, 0, 0, 0, 0], [0, 0, 1, 1, 2, 2, 3, 3])
    assert method("gpg")(batch).advantages == pytest.approx([2, -2, 0, 0, 0, 0, 0, 0])


def test_pass_at_k_counts_successes_only() -> None:
    with pytest.raises(InputError, match="neither 0 nor 1"):
        method("pass_at_k")(SignalBatch([0.5, 1], [0, 0]))
    with pytest.raises(OptionError, match="at least 1"):
        method("pass_at_k", k=0)(SignalBatch([0, 1], [0, 0]))
    few = method("pass_at_k", k=3)(SignalBatch([1, 0, 1], [0, 0, 0], [True, True, False]))
    assert not known(few.advantages).any(), "a group smaller than k says nothing about k draws"


def test_gigpo_merges_similar_states_and_refuses_uneven_episodes() -> None:
    inputs: dict[str, Any] = {
        "rewards": [1.0, 0.0],
        "groups": ["p", "p"],
        "trajectories": [0, 1],
        "anchors": ["a room with a red door", "a room with a red door."],
        "step_returns": [1.0, 0.0],
    }
    assert method("gigpo")(SignalBatch(**inputs)).advantages == pytest.approx([0.5, -0.5])
    assert method("gigpo", similarity=0.9)(SignalBatch(**inputs)).advantages == pytest.approx([1, -1])
    with pytest.raises(InputError, match="row 0"):
        method("gigpo")(SignalBatch(**{**inputs, "trajectories": [0, 0]}))


def test_overlong_forms_differ_past_the_limit() -> None:
    lengths = [0, 80, 90, 100, 120]
    soft = overlong_penalty(lengths, max_length=100, cache=20)
    assert soft.tolist() == pytest.approx([0, 0, -0.5, -1, -1])
    assert overlong_penalty(lengths, max_length=100, cache=20, beyond="falling")[-1] == -2.0
    assert overlong_penalty(lengths, max_length=100, cache=0).tolist() == [0, 0, 0, 0, -1]
    with pytest.raises(OptionError, match="between 0 and max_length"):
        overlong_penalty(lengths, max_length=100, cache=101)
    with pytest.raises(OptionError, match="no slope"):
        overlong_penalty(lengths, max_length=100, cache=0, beyond="falling")


def test_dapo_is_its_stages_in_order() -> None:
    inputs: dict[str, Any] = {
        "rewards": [1.0, 0, 0, 0, 1, 1],
        "groups": [0, 0, 1, 1, 2, 2],
        "lengths": [10, 100, 10, 100, 10, 95],
    }
    whole = method("dapo", max_length=100, cache=20)(SignalBatch(**inputs))
    assert whole.keep.tolist() == [True, True, False, False, False, False]
    assert whole.advantages == pytest.approx([2**-0.5, -(2**-0.5), 0, 0, 0, 0], abs=1e-5)
    stages: list[str | dict[str, Any]] = [
        {"name": "dynamic_sampling"},
        {"name": "overlong", "max_length": 100, "cache": 20},
        {"name": "grpo"},
    ]
    piped = resolve(stages)(SignalBatch(**inputs))
    assert piped.advantages == pytest.approx(whole.advantages)
    assert piped.rewards is not None
    assert piped.rewards[:2].tolist() == [1.0, -1.0]
    assert piped.weights.tolist() == [1, 1, 0, 0, 0, 0]


def test_overlong_filter_last_keeps_the_row_in_the_statistics() -> None:
    batch = SignalBatch([1.0, 0.0, 0.0], [0, 0, 0], truncated=[False, True, False])
    last = resolve(["dr_grpo", "overlong_filter"])(batch)
    assert last.advantages == pytest.approx([2 / 3, -1 / 3, -1 / 3])
    assert last.weights.tolist() == [1, 0, 1]
    first = resolve(["overlong_filter", "dr_grpo"])(batch)
    assert first.advantages == pytest.approx([0.5, 0, -0.5])


def test_gdpo_tells_apart_what_the_sum_cannot() -> None:
    groups = [0, 0, 1, 1]
    table = [[0.0, 1.0], [0.0, 0.0], [1.0, 1.0], [0.0, 0.0]]
    summed = resolve(["weighted_sum", "grpo"])(SignalBatch(None, groups, components=table)).advantages
    apart = method("gdpo")(SignalBatch(None, groups, components=table)).advantages
    assert summed is not None
    assert apart is not None
    assert summed[0] == pytest.approx(summed[2], rel=1e-5)
    assert apart[2] == pytest.approx(2 * apart[0], rel=1e-3)


def test_missing_components_move_a_row_neither_way() -> None:
    batch = SignalBatch(
        None,
        [0, 0, 0],
        components=[[1.0, 1.0], [1.0, 0.0], [1.0, np.nan]],
        components_valid=[[1, 1], [1, 1], [1, 0]],
    )
    assert known(method("gdpo")(batch).advantages)[2] == pytest.approx(0.0)
    assert known(method("weighted_sum")(batch).rewards).tolist() == [2.0, 1.0, 1.5]
    assert known(method("weighted_sum", missing="omit")(batch).rewards).tolist() == [2.0, 1.0, 1.0]
    with pytest.raises(InputError, match="3 weights for 2 columns"):
        method("weighted_sum", weights=(1.0, 1.0, 1.0))(batch)


def test_token_weights_sum_as_their_names_say() -> None:
    mask = np.array([[1, 1, 1, 1], [1, 0, 0, 0]], bool)
    assert token_weights(mask, "token-mean").sum(1) == pytest.approx([0.8, 0.2])
    assert token_weights(mask, "seq-mean-token-mean").sum(1) == pytest.approx([0.5, 0.5])
    assert token_weights(mask, "seq-mean-token-sum").sum(1) == pytest.approx([2.0, 0.5])
    assert token_weights(mask, "seq-mean-token-sum-norm", horizon=10).sum(1) == pytest.approx([0.4, 0.1])
    assert token_weights(mask, "dr-grpo", horizon=10).sum(1) == pytest.approx([0.2, 0.05])
    with pytest.raises(OptionError, match="not one of"):
        token_weights(mask, "mean")  # type: ignore[arg-type]


def test_kl_estimates_agree_to_second_order() -> None:
    logp, ref = np.array([-1.0, -2.0]), np.array([-1.001, -1.999])
    k2, k3 = (kl_estimate(logp, ref, kind) for kind in ("k2", "k3"))
    assert k3 == pytest.approx(k2, rel=1e-2)
    assert (k3 >= 0).all()
