"""Every method against the laws it should have."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tests.signals.laws import LAWS, assert_close, batch_of, draw_inputs, make, outputs, resume, rows_of
from trainer_client.signals import INPUTS, InputError

EVERY = pytest.mark.parametrize("name", LAWS)
TRIED = settings(max_examples=25, deadline=None)
seeds = st.integers(0, 2**32 - 1)


def having(law: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("name", [name for name, laws in LAWS.items() if getattr(laws, law)])


def nearly_constant(inputs: dict[str, np.ndarray], rewards: np.ndarray) -> bool:
    """Whether rewards of some prompt differ by so little that a shift decides whether they count as constant."""
    groups = inputs.get("groups", np.zeros(rewards.size))
    spreads = [np.ptp(rewards[groups == group]) for group in np.unique(groups)]
    return any(0.0 < spread < 1e-4 * np.abs(rewards).max(initial=1.0) for spread in spreads)


def size(inputs: dict[str, np.ndarray]) -> float:
    return float(np.abs(inputs.get("rewards", np.ones(1))).max(initial=1.0))


@EVERY
@TRIED
@given(seeds)
def test_masked_rows_weigh_nothing_and_their_content_changes_nothing(name: str, seed: int) -> None:
    laws, inputs = LAWS[name], draw_inputs(name, LAWS[name], seed)
    valid = inputs["valid"]
    found = outputs(make(name, laws)(batch_of(inputs)))
    for field in ("advantages", "token_advantages", "weights", "token_weights"):
        if field in found:
            assert not found[field][~valid].any(), field
    if name.startswith("release/"):
        return
    spoiled = dict(inputs)
    for key, value in inputs.items():
        if key != "valid" and INPUTS[key].kind == "float":
            spoiled[key] = value.copy()
            spoiled[key][~valid] = np.nan
    again = outputs(make(name, laws)(batch_of(spoiled)))
    live = {key: array[valid] for key, array in found.items()}
    assert_close(live, {key: array[valid] for key, array in again.items()})


@having("removal")
@TRIED
@given(seeds)
def test_a_masked_row_might_as_well_not_be_there(name: str, seed: int) -> None:
    laws, inputs = LAWS[name], draw_inputs(name, LAWS[name], seed)
    valid = inputs["valid"]
    if not valid.any():
        return
    whole = outputs(make(name, laws)(batch_of(inputs)))
    part = outputs(make(name, laws)(batch_of(rows_of(inputs, valid))))
    assert_close({key: array[valid] for key, array in whole.items()}, part, size(inputs))


@having("permutation")
@TRIED
@given(seeds)
def test_reordered_rows_give_reordered_results(name: str, seed: int) -> None:
    laws, inputs = LAWS[name], draw_inputs(name, LAWS[name], seed)
    order = np.random.default_rng(seed).permutation(len(inputs["valid"]))
    straight = outputs(make(name, laws)(batch_of(inputs)))
    mixed = outputs(make(name, laws)(batch_of(rows_of(inputs, order))))
    assert_close({key: array[order] for key, array in straight.items()}, mixed, size(inputs))


@having("shift")
@TRIED
@given(seeds, st.sampled_from([-3.0, 0.25, 100.0]))
def test_a_shift_of_all_rewards_changes_nothing(name: str, seed: int, shift: float) -> None:
    laws, inputs = LAWS[name], draw_inputs(name, LAWS[name], seed)
    moved_rewards = inputs["rewards"] + shift
    assume(not nearly_constant(inputs, moved_rewards))
    plain = make(name, laws)(batch_of(inputs))
    moved = make(name, laws)(batch_of({**inputs, "rewards": moved_rewards}))
    for field in ("advantages", "token_advantages"):
        left, right = getattr(plain, field), getattr(moved, field)
        if left is not None:
            np.testing.assert_allclose(left, right, rtol=1e-6, atol=1e-7 * size(inputs))


@having("scale")
@TRIED
@given(seeds, st.sampled_from([0.5, 4.0, 1000.0]))
def test_a_scaling_of_all_rewards(name: str, seed: int, factor: float) -> None:
    laws, inputs = LAWS[name], draw_inputs(name, LAWS[name], seed)
    plain = make(name, laws)(batch_of(inputs))
    scaled = make(name, laws)(batch_of({**inputs, "rewards": inputs["rewards"] * factor}))
    expected = factor if laws.scale == "equivariant" else 1.0
    for field in ("advantages", "token_advantages"):
        left, right = getattr(plain, field), getattr(scaled, field)
        if left is not None:
            np.testing.assert_allclose(left * expected, right, rtol=1e-7, atol=1e-9 * factor * size(inputs))


@having("constant")
@TRIED
@given(seeds, st.floats(-1e3, 1e3))
def test_equal_rewards_give_exactly_nothing(name: str, seed: int, value: float) -> None:
    laws, inputs = LAWS[name], draw_inputs(name, LAWS[name], seed)
    value = float(value > 0) if laws.rewards == "binary" else value
    first = inputs["groups"] == inputs["groups"][0]
    inputs["rewards"] = np.where(first, value, inputs["rewards"])
    advantages = make(name, laws)(batch_of(inputs)).advantages
    assert advantages is not None
    assert not advantages[first].any()


@having("zero_sum")
@TRIED
@given(seeds)
def test_a_groups_advantages_cancel(name: str, seed: int) -> None:
    laws, inputs = LAWS[name], draw_inputs(name, LAWS[name], seed)
    batch = batch_of(inputs)
    advantages = make(name, laws)(batch).advantages
    assert advantages is not None
    np.testing.assert_allclose(batch.groups.sum(advantages), 0.0, atol=1e-8 * size(inputs))


@having("finite")
@TRIED
@given(seeds)
def test_results_are_finite(name: str, seed: int) -> None:
    found = outputs(make(name, LAWS[name])(batch_of(draw_inputs(name, LAWS[name], seed))))
    for field, array in found.items():
        assert np.isfinite(array.astype(float)).all(), field


@EVERY
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_number_that_is_none_is_refused_by_name_and_row(name: str, bad: float) -> None:
    laws = LAWS[name]
    unbounded = dict.fromkeys(
        {"valid", "mask", *(INPUTS[key].beside for key in draw_inputs(name, laws, 11) if key != "valid")} - {""}
    )
    inputs = draw_inputs(name, laws, 11)
    inputs = {key: unbounded.get(key, value) for key, value in inputs.items()}
    for key, value in inputs.items():
        if key == "valid" or INPUTS[key].kind != "float":
            continue
        spoiled = {**inputs, key: value.copy()}
        spoiled[key][(-1,) * value.ndim] = bad
        with pytest.raises(InputError, match=rf"{key}: row {len(value) - 1}.* holds {bad}"):
            batch_of(spoiled)


@EVERY
def test_empty_and_fully_masked_batches(name: str) -> None:
    laws = LAWS[name]
    for seed in range(3):
        inputs = draw_inputs(name, laws, seed)
        nothing = {**inputs, "valid": np.zeros_like(inputs["valid"])}
        for given_inputs in (nothing, rows_of(inputs, np.zeros(0, int))):
            signal = make(name, laws)(batch_of(given_inputs))
            assert not signal.weights.any()


@EVERY
def test_state_resumes_exactly(name: str) -> None:
    resume(name, LAWS[name], 5)
