"""State that is saved with the run, and preference pairs."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.signals.laws import LAWS, make
from trainer_client.signals import (
    Groups,
    InputError,
    SignalBatch,
    StateMismatchError,
    method,
    method_of,
    resolve,
)
from trainer_client.signals.parts import RunningMoments, best_worst_pairs, ranked_pairs, unsolved_groups
from trainer_client.signals.selection.dynamic_sampling import groups_in_range
from trainer_client.signals.selection.knapsack_rl import RecentSuccess

batches = st.lists(st.lists(st.floats(-1e3, 1e3), max_size=6), max_size=5)


@given(batches)
def test_running_moments_are_those_of_all_values(parts: list[list[float]]) -> None:
    tracker = RunningMoments()
    for part in parts:
        tracker.update(part)
    values = np.array([x for part in parts for x in part])
    assert tracker.count == values.size
    if values.size:
        assert tracker.mean == pytest.approx(values.mean(), abs=1e-9)
    if values.size > 1:
        assert tracker.deviation() == pytest.approx(values.std(ddof=1), abs=1e-6)


@given(batches, batches)
def test_running_moments_resume_exactly(before: list[list[float]], after: list[list[float]]) -> None:
    first, second = RunningMoments(), RunningMoments()
    for part in before:
        first.update(part)
    second.load_state_dict(json.loads(json.dumps(first.state_dict())))
    for part in after:
        first.update(part)
        second.update(part)
    assert first.state_dict() == second.state_dict()


def test_running_moments_refuse_what_is_no_number() -> None:
    with pytest.raises(InputError, match="row 1 holds nan"):
        RunningMoments().update([0.0, np.nan])


def test_states_of_others_are_refused() -> None:
    with pytest.raises(StateMismatchError, match="of 'recent_success', version 1"):
        RunningMoments().load_state_dict(RecentSuccess().state_dict())
    with pytest.raises(StateMismatchError, match="damaged"):
        RunningMoments().load_state_dict({"kind": "running_moments", "version": 1})
    with pytest.raises(StateMismatchError, match="keeps no state"):
        method("grpo").load_state_dict({"method": "spo"})
    with pytest.raises(StateMismatchError, match="2 stages, but the state holds 0"):
        resolve(["overlong_filter", "grpo"]).load_state_dict({})


def test_a_group_of_unknown_outcome_is_neither_kept_nor_unsolved() -> None:
    groups = Groups.of([0, 0, 1, 1, 2])
    rewards = np.array([0.0, 0, 0, 1, 0])
    valid = np.array([True, True, False, True, False])
    assert unsolved_groups(rewards, groups, valid).tolist() == [True, False, False]
    assert groups_in_range(rewards, groups, valid, low=-1, high=0.5).tolist() == [True, True, False, False, False]


def test_pairs_name_rows_of_one_prompt_and_never_tie() -> None:
    groups = Groups.of(["p", "q", "p", "q", "p", "r"])
    rewards, valid = np.array([1.0, 2, 0, 2, 1, 5]), np.ones(6, bool)
    assert [(p.chosen, p.rejected, p.margin) for p in best_worst_pairs(rewards, groups, valid)] == [(0, 2, 1.0)]
    assert [(p.chosen, p.rejected) for p in ranked_pairs(rewards, groups, valid)] == [(0, 2), (4, 2)]
    valid[2] = False
    assert best_worst_pairs(rewards, groups, valid) == []


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 2), st.booleans()), max_size=12), st.floats(0, 1.5))
def test_best_worst_pair_is_one_of_the_ranked_pairs(rows: list[tuple[int, int, bool]], margin: float) -> None:
    groups = Groups.of([g for g, _, _ in rows])
    rewards, valid = np.array([float(r) for _, r, _ in rows]), np.array([v for _, _, v in rows], bool)
    every = set(ranked_pairs(rewards, groups, valid, min_margin=margin))
    best = best_worst_pairs(rewards, groups, valid, min_margin=margin)
    assert set(best) <= every
    assert {groups.index[p.chosen] for p in best} == {groups.index[p.chosen] for p in every}
    for pair in every:
        assert valid[pair.chosen]
        assert valid[pair.rejected]
        assert pair.margin == rewards[pair.chosen] - rewards[pair.rejected] > margin


@pytest.mark.parametrize("name", ["spo", "knapsack_rl", "v_0", "hapo", "xrpo_seeds"])
def test_an_id_that_json_would_change_is_refused_before_it_is_kept(name: str) -> None:
    ids = [("book", 1), ("book", 1)]
    inputs: dict[str, Any] = {
        "correct": [True, False],
        "lengths": [3, 4],
        "embeddings": [[1.0], [1.0]],
        "texts": ["a", "b"],
    }
    reads = method_of(name).reads
    inputs = {key: value for key, value in {"rewards": [1.0, 0.0], **inputs}.items() if key in reads}
    batch = SignalBatch(groups=ids, **inputs)
    with pytest.raises(InputError, match=r"\('book', 1\) is neither an integer nor a string"):
        method(name)(batch)


@pytest.mark.parametrize("name", [name for name, laws in LAWS.items() if make(name, laws).needs == "state"])
def test_a_state_of_another_method_or_a_damaged_one_is_refused(name: str) -> None:
    estimator = make(name, LAWS[name])
    saved = json.loads(json.dumps(estimator.state_dict()))
    assert saved["method"] == name
    with pytest.raises(StateMismatchError, match="somebody"):
        estimator.load_state_dict({**saved, "method": "somebody's"})
    with pytest.raises(StateMismatchError, match="version"):
        estimator.load_state_dict({**saved, "state": {**saved["state"], "version": 99}})
    bare = {key: value for key, value in saved["state"].items() if key in ("kind", "version")}
    with pytest.raises(StateMismatchError, match="damaged"):
        estimator.load_state_dict({**saved, "state": bare})
    estimator.load_state_dict(saved)
