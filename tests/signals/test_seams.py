"""Where methods meet what trainers hand over: ids of any library, turns, rounding, filters, inputs nothing reads."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Any

import numpy as np
import pytest

import trainer_client
from tests.signals._known import known
from trainer_client.signals import (
    Gate,
    Groups,
    InputError,
    MissingInputError,
    OptionError,
    SignalBatch,
    Term,
    advantages,
    combine,
    method,
    methods,
    resolve,
)


class Boxed:
    """A number that only numpy's protocol opens, as a tensor of another library is."""

    def __init__(self, value: Any) -> None:
        self.value = value

    def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
        return np.asarray(self.value, dtype)


class Kind(Enum):
    EASY = 1
    HARD = 2


@dataclass
class Prompt:
    """Not frozen, so not hashable."""

    text: str


@pytest.mark.parametrize(
    "ids",
    [
        Boxed([0, 0, 1, 1]),
        [Boxed(0), Boxed(0), Boxed(1), Boxed(1)],
        [np.int64(0), 0, np.int32(1), 1],
        [Kind.EASY, Kind.EASY, Kind.HARD, Kind.HARD],
        [("a", 1), ("a", 1), ("b", 1), ("b", 1)],
        [2**63 + 1, 2**63 + 1, -1, -1],
        np.array(["p", "p", "q", "q"], object),
    ],
)
def test_ids_are_compared_by_value_whatever_holds_them(ids: Any) -> None:
    half = np.sqrt(0.5)
    found = advantages("grpo", [1.0, 0, 1, 0], groups=ids)
    np.testing.assert_allclose(found, [half, -half, half, -half], rtol=1e-5)


def test_torch_tensors_are_ids() -> None:
    torch = pytest.importorskip("torch")
    ids = torch.tensor([0, 0, 1, 1])
    for each in (ids, list(ids), ids.to(torch.int32)):
        assert Groups.of(each).sizes.tolist() == [2, 2]
        assert not method("dynamic_sampling")(SignalBatch([1, 1, 0, 0], each)).keep.any()
    dropped = combine(
        np.ones((4, 1)),
        [[1], [0], [1], [1]],
        [Term("a", on_missing={"default": "drop_group"})],
        groups=ids,
        max_missing=1,
    )
    assert dropped.valid.tolist() == [False, False, True, True]
    with pytest.raises(InputError, match="BFloat16"):
        advantages("grpo", torch.ones(2, dtype=torch.bfloat16), groups=[0, 0])
    with pytest.raises(InputError, match=r"rewards: .*detach"):
        advantages("grpo", torch.ones(2, requires_grad=True), groups=[0, 0])


@pytest.mark.parametrize(
    ("ids", "message"),
    [
        ([object(), object()], "row 0 holds a object, which is equal only to itself"),
        ([1, None], r"row 1 holds no id \(None\)"),
        ([1.0, 2.0], "floating-point ids"),
        ([Boxed(1.5), Boxed(1.5)], "floating-point ids"),
        ([Prompt("a"), Prompt("a")], "unhashable"),
        ([Boxed([1, 2]), Boxed([1, 2])], "unhashable"),
    ],
)
def test_ids_without_a_value_are_refused(ids: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        Groups.of(ids)
    with pytest.raises(InputError, match=r"^trajectories: "):
        SignalBatch([1.0, 0.0], [0, 0], trajectories=ids)


ULP = float(np.nextafter(np.float32(1.0), np.float32(0.0)))


@pytest.mark.parametrize("rewards", [[1.0, ULP, 1.0, 1.0], [0.3, 0.1 + 0.2, 0.3, 0.3], [-7.0, -7.0 * ULP, -7.0, -7.0]])
def test_constant_means_the_same_to_filters_and_estimators(rewards: list[float]) -> None:
    mixed = [*rewards, 1.0, 0.0]
    groups = [0, 0, 0, 0, 1, 1]
    for name in ("grpo", "grpo_openrlhf", "grpo_dance", "grpo_trl", "grpo_verl", "dr_grpo", "rloo", "mc_grpo", "gpg"):
        assert not advantages(name, mixed, groups=groups)[:4].any(), name
    assert method("dynamic_sampling")(SignalBatch(mixed, groups)).keep.tolist() == [False] * 4 + [True] * 2
    assert method("gpg")(SignalBatch(mixed, groups)).report["gpg/alpha"] == 2.0
    dapo = method("dapo", max_length=10, cache=2)(SignalBatch(mixed, groups, lengths=[1] * 6))
    assert dapo.keep.tolist() == [False] * 4 + [True] * 2


def test_a_small_but_real_difference_is_a_signal() -> None:
    assert advantages("grpo", [0.5, 0.5001], groups=[0, 0]).any()
    assert method("dynamic_sampling")(SignalBatch([0.5, 0.5001], [0, 0])).keep.all()
    assert advantages("grpo", [0.0, 1e-9], groups=[0, 0], eps=0.0).any(), "what is small is not therefore constant"


def test_a_filter_looks_at_what_the_estimator_reads() -> None:
    columns = [[1, 0], [0, 1], [1, 0], [0, 1]]
    batch = SignalBatch([1.0, 1.0, 1.0, 1.0], [0] * 4, components=columns)
    taken_apart = resolve(["dynamic_sampling", {"name": "gdpo", "weights": [1, 0.5]}])(batch)
    np.testing.assert_allclose(known(taken_apart.advantages), [0.8656, -0.8656, 0.8656, -0.8656], atol=2e-3)
    assert taken_apart.keep.all()
    summed = resolve(["dynamic_sampling", "grpo"])(batch.replace(components=None))
    assert not summed.keep.any()


def test_rows_that_are_turns_count_their_trajectory_once() -> None:
    rewards, turns = [1, 1, 0, 1, 1, 0], [1, 1, 2, 3, 3, 4]
    batch = SignalBatch(rewards, [0] * 6, trajectories=turns)
    for name, options in (("grpo", {"scale": "none"}), ("dr_grpo", {}), ("grpo_verl", {"scale": "none"})):
        assert known(method(name, **options)(batch).advantages).tolist() == [0.5, 0.5, -0.5, 0.5, 0.5, -0.5], name
    rloo = known(method("rloo")(batch).advantages)
    np.testing.assert_allclose(rloo, [2 / 3, 2 / 3, -2 / 3, 2 / 3, 2 / 3, -2 / 3])
    # Tokens of all turns are the trajectory's: 4, 1, 2 and 1, so that the baseline is (4 + 2) / 8.
    opo = advantages("opo", rewards, groups=[0] * 6, trajectories=turns, lengths=[1, 3, 1, 1, 1, 1])
    np.testing.assert_allclose(opo, [0.25, 0.25, -0.75, 0.25, 0.25, -0.75])


def test_equal_ids_of_trajectories_in_two_groups_are_two_trajectories() -> None:
    found = advantages("dr_grpo", [1, 0, 1, 1, 0], groups=[0, 0, 1, 1, 1], trajectories=[0, 1, 0, 0, 1])
    assert found.tolist() == [0.5, -0.5, 0.5, 0.5, -0.5]


def test_turns_in_a_pipeline_and_without_a_verdict() -> None:
    batch = SignalBatch(
        [1, np.nan, 0, 1, 1, 0],
        [0] * 6,
        [1, 0, 1, 1, 1, 1],
        trajectories=[1, 1, 2, 3, 3, 4],
        truncated=[0, 1, 0, 0, 0, 0],
    )
    found = resolve(["dr_grpo", "overlong_filter"])(batch)
    assert known(found.advantages).tolist() == [0.5, 0.0, -0.5, 0.5, 0.5, -0.5]
    assert found.weights.tolist() == [1.0, 0.0, 1.0, 1.0, 1.0, 1.0]


def test_turns_that_disagree_or_read_tokens_are_refused() -> None:
    with pytest.raises(InputError, match="rewards: rows 0 and 1 are of one trajectory and differ"):
        advantages("grpo", [0, 1, 0], groups=[0] * 3, trajectories=[1, 1, 2])
    with pytest.raises(OptionError, match="gives one value a token"):
        method("reinforce_plus_plus")(SignalBatch([1, 1, 0], [0] * 3, trajectories=[1, 1, 2], lengths=[1, 2, 1]))
    with pytest.raises(OptionError, match="unlikeliness: reads old_logprobs of each row"):
        method("unlikeliness")(
            SignalBatch([1, 1, 0], [0] * 3, trajectories=[1, 1, 2], lengths=[1, 1, 1], old_logprobs=-np.ones((3, 1)))
        )
    alike = advantages("grpo", [0, 1, 0], groups=[0] * 3, trajectories=[1, 2, 3])
    np.testing.assert_array_equal(alike, advantages("grpo", [0, 1, 0], groups=[0] * 3))


def test_an_input_that_is_given_and_not_read_is_refused() -> None:
    batch = SignalBatch([1.0, 0.0], [0, 0], baselines=[0.5, 0.5])
    with pytest.raises(InputError, match=r"baselines: grpo does not read it; it reads groups, rewards"):
        method("grpo")(batch)
    with pytest.raises(InputError, match="baselines: overlong_filter > grpo does not read it"):
        resolve(["overlong_filter", "grpo"])(batch.replace(truncated=[False, False]))
    assert known(method("grpo")(batch.replace(baselines=None)).advantages).any()
    shaped = SignalBatch([1.0, 0.0], [0, 0], lengths=[1, 2], mask=[[1, 0], [1, 1]])
    assert known(method("grpo")(shaped).advantages).any(), "what says how rows are shaped is no wish"


def test_a_reward_on_a_token_that_was_not_generated_is_refused() -> None:
    mask = [[1, 0, 1], [1, 1, 0]]
    with pytest.raises(InputError, match=r"token_rewards: row 0, column 1 holds 1.0 outside the mask \(1 such"):
        SignalBatch(groups=[0, 0], token_rewards=[[0, 1, 0], [0, 0, 0]], mask=mask)
    padded = SignalBatch(groups=[0, 0], token_rewards=[[0, np.nan, 1], [0, 0, np.nan]], mask=mask)
    assert padded.token_rewards.tolist() == [[0, 0, 1], [0, 0, 0]]
    masked = SignalBatch(None, [0, 0], [True, False], token_rewards=[[0, 0, 1], [0, 0, 5]], mask=mask)
    assert masked.token_rewards.tolist() == [[0, 0, 1], [0, 0, 0]]


def test_lengths_imply_the_mask_of_what_they_cover() -> None:
    logprobs = [[-1.0, np.nan], [-1.0, -2.0]]
    found = method("unlikeliness")(SignalBatch([1, 1], [0, 0], lengths=[1, 2], old_logprobs=logprobs))
    assert np.isfinite(known(found.rewards)).all()
    with pytest.raises(InputError, match="row 1, column 1 holds nan"):
        SignalBatch([1, 1], [0, 0], lengths=[1, 2], old_logprobs=[[-1.0, np.nan], [-1.0, np.nan]])


def test_a_value_outside_the_range_of_its_input_is_refused() -> None:
    with pytest.raises(InputError, match=r"prior_values: row 1 holds 1.5 .*between 0 and 1"):
        SignalBatch([1.0, 0.0], [0, 0], prior_values=[0.5, 1.5])
    assert SignalBatch([1.0, 0.0], [0, 0], [True, False], prior_values=[0.5, 1.5])["prior_values"][1] == 0.0


def test_a_reward_beyond_what_a_shaping_is_made_for_is_not_clipped() -> None:
    cases: dict[str, dict[str, Any]] = {
        "asymmetric_shaping": {},
        "tempsamp_r1": {"groups": [0, 0], "helped": [False, True]},
    }
    for name, more in cases.items():
        with pytest.raises(InputError, match=r"rewards: 3.0 \(row 1\) lies outside \[0, 1\]"):
            method(name)(SignalBatch([1.0, 3.0], **more))
        assert method(name)(SignalBatch([1.0, np.nan], valid=[True, False], **more)).rewards is not None


def test_the_limits_of_dapo_have_to_be_said() -> None:
    with pytest.raises(OptionError, match="dapo: max_length, cache must be given"):
        method("dapo")


def test_advantages_from_arrays_say_what_is_missing() -> None:
    assert trainer_client.advantages is advantages
    with pytest.raises(MissingInputError, match="grpo: needs groups"):
        advantages("grpo", [1.0, 0.0])
    with pytest.raises(MissingInputError, match="opo: needs lengths or mask"):
        advantages("opo", [1.0, 0.0], groups=[0, 0])
    with pytest.raises(InputError, match="epss: not an input of a batch; did you mean"):
        advantages("grpo", [1.0, 0.0], groups=[0, 0], epss=1.0)
    with pytest.raises(OptionError, match="gives no advantage per rollout"):
        advantages("preference_pairs", [1.0, 0.0], groups=[0, 0])
    found = advantages(["overlong_filter", "grpo"], [1.0, 0.0], groups=[0, 0], truncated=[True, False])
    assert found.tolist() == [0.0, 0.0]
    halved = advantages("grpo", [1.0, 0.0], groups=[0, 0], ddof=0, eps=0.5)
    assert halved.tolist() == [0.5, -0.5]


def test_no_input_and_option_of_a_method_share_a_name() -> None:
    """`advantages` takes both as keywords; a name of both would be an input where it is meant as an option."""
    for each in methods():
        assert not each.reads & {*each.required, *each.defaults}, each.name


def test_weights_that_a_recipe_does_not_set_do_not_replace_those_of_a_paper() -> None:
    columns = SignalBatch(components=[[1.0, 0.0], [1.0, 1.0]])
    assert known(resolve("m_grpo_reward")(columns).rewards).tolist() == [0.1, 1.0]
    assert known(resolve("m_grpo_reward", [1.0, 1.0])(columns).rewards).tolist() == [1.0, 2.0]
    assert known(resolve("m_grpo_reward", [1.0, 2.0])(columns).rewards).tolist() == [1.0, 3.0]
    named = resolve({"name": "m_grpo_reward", "weights": [1.0, 1.0]}, [1.0, 1.0])
    assert known(named(columns).rewards).tolist() == [1.0, 2.0]
    five = SignalBatch(groups=[0, 0], components=[[0.5] * 5, [1.0] * 5])
    assert (
        known(resolve("searchllm", [1.0] * 5)(five).rewards).tolist()
        == known(resolve("searchllm")(five).rewards).tolist()
    )


def test_a_floor_and_a_closed_gate_reach_methods_that_take_rewards_apart() -> None:
    floored = combine(
        np.array([[1], [1], [1], [np.nan]]),
        [[1], [1], [1], [0]],
        [Term("a", floor=-5.0, on_missing={"default": "floor"})],
        max_missing=1,
    )
    assert floored.components[:, 0].tolist() == [1, 1, 1, -5]
    assert floored.components_valid.all()

    tags = Term("tags", 0.0, gate=Gate(1.0, closed=-1.0))
    scores = [[1, 1.0], [1, 0.0], [0, 1.0], [1, 1.0]]
    gated = combine(scores, None, [tags, Term("correct")])
    assert gated.rewards.tolist() == [1, 0, -1, 1]
    assert gated.components[:, 1].tolist() == [1, 0, -1, 1]

    shared = combine([[0, 1.0, 1.0], [1, 0.5, 1.0]], None, [tags, Term("b", 1.0), Term("c", 3.0)])
    assert (shared.components @ [0.0, 1.0, 3.0]).tolist() == shared.rewards.tolist() == [-1.0, 3.5]
    weighted = combine([[0, 1.0]], None, [Term("tags", 0.5, gate=Gate(1.0, closed=-1.0)), Term("b")])
    assert weighted.components.tolist() == [[-2.0, 0.0]]
