"""`group_normalise` and `Groups` against plain loops over groups."""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainer_client.signals import Groups, InputError, OptionError, group_normalise

rewards_and_groups = st.lists(
    st.tuples(st.floats(-10, 10).map(lambda x: round(x, 3)), st.integers(0, 4), st.booleans()), max_size=30
)


def reference(rows: list[tuple[float, int, bool]], scale: str, ddof: int, eps: float) -> list[float]:
    members: dict[int, list[float]] = defaultdict(list)
    for reward, group, valid in rows:
        if valid:
            members[group].append(reward)
    batch = [r for r, _, v in rows if v]
    out = []
    for reward, group, valid in rows:
        peers = members[group]
        if not valid or len(peers) < 2 or max(peers) == min(peers):
            out.append(0.0)
            continue
        centre = statistics.fmean(peers)
        spread: dict[str, Callable[[list[float]], float]] = {
            "std": lambda p: statistics.stdev(p) if ddof else statistics.pstdev(p),
            "batch": lambda _: statistics.stdev(batch) if ddof else statistics.pstdev(batch),
        }
        out.append((reward - centre) / (spread[scale](peers) + eps if scale in spread else 1.0))
    return out


@given(rewards_and_groups, st.sampled_from(["std", "batch", "none"]), st.sampled_from([0, 1]))
def test_agrees_with_a_loop(rows: list[tuple[float, int, bool]], scale: Any, ddof: int) -> None:
    rewards = [r if v else float("nan") for r, _, v in rows]
    result = group_normalise(
        rewards, [g for _, g, _ in rows], [v for _, _, v in rows], scale=scale, ddof=ddof, eps=1e-6
    )
    assert result == pytest.approx(reference(rows, scale, ddof, 1e-6), rel=1e-9, abs=1e-9)


@given(st.floats(-1e6, 1e6), st.integers(1, 16), st.sampled_from(["mean", "median", "leave_one_out", "quantile"]))
def test_constant_group_is_exactly_zero(value: float, size: int, centre: Any) -> None:
    for scale in ("std", "mad", "batch", "none"):
        assert not group_normalise([value] * size, [0] * size, centre=centre, scale=scale, eps=0.0).any()


def test_constant_up_to_rounding_is_zero_too() -> None:
    assert not group_normalise([0.7, 0.1 * 7, 0.7], [0, 0, 0], eps=0.0).any()


def test_leave_one_out() -> None:
    assert group_normalise([3, 1, 2], [0, 0, 0], centre="leave_one_out", scale="none").tolist() == [
        1.5,
        -1.5,
        0.0,
    ]


def test_median_is_a_member_and_mad_scales() -> None:
    result = group_normalise([0, 1, 2, 10], [0] * 4, centre="median", scale="mad", eps=0.0)
    assert result.tolist() == [-1.0, 0.0, 1.0, 9.0]


def test_value_centre_keeps_the_signal_of_a_constant_group() -> None:
    result = group_normalise([0, 0, 1], ["a", "a", "b"], centre="value", scale="none", values=[0.25, 0.25, 0.75])
    assert result.tolist() == [-0.25, -0.25, 0.25]


@pytest.mark.parametrize(("singleton", "expected"), [("zero", 0.0), ("raw", 3.0)])
def test_singletons(singleton: Any, expected: float) -> None:
    result = group_normalise([3.0, 1.0, 0.0], ["solo", "q", "q"], singleton=singleton, eps=0.0)
    assert result[0] == expected
    assert result[1:].tolist() == pytest.approx([0.5**0.5, -(0.5**0.5)])
    with pytest.raises(InputError, match="'solo' has one valid member"):
        group_normalise([3.0, 1.0, 0.0], ["solo", "q", "q"], singleton="error")


def test_a_row_made_invalid_leaves_a_singleton() -> None:
    assert group_normalise([1, 0], [0, 0], [True, False]).tolist() == [0.0, 0.0]


def test_non_finite_rewards_are_refused_by_row() -> None:
    with pytest.raises(InputError, match="row 1 holds nan"):
        group_normalise([1, np.nan], [0, 0])
    with pytest.raises(InputError, match="row 2 holds inf"):
        group_normalise([1, np.nan, np.inf], [0, 0, 0], [True, False, True])


@pytest.mark.parametrize(
    "options", [{"ddof": 2}, {"eps": -1.0}, {"centre": "mode"}, {"scale": "iqr"}, {"centre": "value"}]
)
def test_bad_options(options: dict[str, Any]) -> None:
    with pytest.raises(OptionError):
        group_normalise([1, 0], [0, 0], **options)


def adding(others: Iterator[np.ndarray]) -> Callable[[np.ndarray], np.ndarray]:
    """A sum over two ranks, where those of the other are known beforehand."""
    return lambda mine: mine + next(others)


def test_reduce_makes_shards_agree_with_the_whole() -> None:
    rewards = np.array([1.0, 0, 2, 5, 1, 1, 0, 3])
    groups = np.repeat([0, 1, 2, 3], 2)
    whole = group_normalise(rewards, groups, scale="batch")
    halves = [slice(0, 4), slice(4, 8)]
    first = [np.array([4, rewards[h].sum()]) for h in halves]
    mean = rewards.mean()
    second = [np.array([((rewards[h] - mean) ** 2).sum()]) for h in halves]
    for mine, half in enumerate(halves):
        others = adding(iter([first[1 - mine], second[1 - mine]]))
        part = group_normalise(rewards[half], groups[half], scale="batch", reduce=others)
        assert part == pytest.approx(whole[half])


ids = st.one_of(
    st.lists(st.integers(-3, 3), max_size=20),
    st.lists(st.sampled_from(["p", "q", "rr"]), max_size=20),
    st.lists(st.sampled_from(["p", "q"]), max_size=20).map(np.array),
    st.lists(st.sampled_from([("a", 1), ("b", 2), 3, "x"]), max_size=20),
)


@given(ids, st.data())
def test_groups_agree_with_a_dictionary(labels: Any, data: st.DataObject) -> None:
    groups = Groups.of(labels)
    listed = [x.item() if isinstance(x, np.generic) else x for x in labels]
    members: dict[Any, list[int]] = defaultdict(list)
    for row, label in enumerate(listed):
        members[label].append(row)
    assert list(groups.labels) == list(members), "numbered by first appearance"
    values = np.array(data.draw(st.lists(st.integers(-5, 5), min_size=len(listed), max_size=len(listed))), float)
    for number, rows in enumerate(members.values()):
        own = values[rows]
        assert groups.sizes[number] == len(rows)
        assert (groups.index[rows] == number).all()
        assert groups.sum(values)[number] == own.sum()
        assert groups.sum(values[:, None] * [1, 2])[number].tolist() == [own.sum(), 2 * own.sum()]
        assert groups.max(values)[number] == own.max()
        assert groups.min(values)[number] == own.min()
        assert groups.first(values)[number] == own[0]
        assert groups.median(values)[number] == np.median(own)
        assert groups.deviation(values)[number] == pytest.approx(own.std())
        assert groups.quantile(values, 0.3)[number] == pytest.approx(np.quantile(own, 0.3))
        assert groups.position[rows].tolist() == list(range(len(rows)))
        assert groups.rank(values)[rows].tolist() == np.argsort(np.argsort(own, kind="stable")).tolist()


@given(st.lists(st.tuples(st.integers(0, 3), st.booleans()), max_size=20))
def test_taken_rows_are_grouped_as_if_the_others_were_not_there(rows: list[tuple[int, bool]]) -> None:
    groups = Groups.of([g for g, _ in rows])
    keep = np.array([k for _, k in rows], bool)
    kept = groups.take(keep)
    alone = Groups.of([g for g, k in rows if k])
    assert kept.index.tolist() == alone.index.tolist()
    assert kept.labels.tolist() == alone.labels.tolist()
    assert kept.sizes.tolist() == alone.sizes.tolist()


@pytest.mark.parametrize("scale", ["std", "mad", "batch", "none"])
@pytest.mark.parametrize("sizes", ["equal", "ragged"])
def test_large_batches_are_cut_without_a_trace(scale: Any, sizes: str) -> None:
    rng = np.random.default_rng(3)
    count = 20_000
    size = np.full(count, 5) if sizes == "equal" else rng.integers(1, 10, count)
    groups = np.repeat(np.arange(count), size)
    rewards, valid = rng.normal(size=groups.size), rng.random(groups.size) < 0.9
    order = rng.permutation(groups.size)
    whole = group_normalise(rewards, groups, valid, scale=scale)
    mixed = group_normalise(rewards[order], groups[order], valid[order], scale=scale)
    np.testing.assert_allclose(whole[order], mixed, rtol=1e-9, atol=1e-12)
    parts = list(Groups.of(groups).blocks(1000))
    assert [p.start for p, _ in parts] == [0, *(p.stop for p, _ in parts[:-1])]
    assert parts[-1][0].stop == groups.size
    assert sum(len(g) for _, g in parts) == count


def test_bad_groups() -> None:
    with pytest.raises(InputError, match="floating-point"):
        Groups.of(np.array([0.5]))
    with pytest.raises(InputError, match="hashable"):
        Groups.of([["a"]])
    with pytest.raises(InputError, match="2 rows where the batch has 1"):
        group_normalise([1.0], [0, 0])
