"""What a method says of its needs: how much of a step it has to see, and which inputs it reads."""

from __future__ import annotations

from collections.abc import Sequence
from threading import Barrier, Thread
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from tests.signals.laws import LAWS, assert_close, batch_of, draw_inputs, make, outputs, rows_of
from trainer_client.signals import SignalBatch, WholeBatchError, method_of
from trainer_client.signals.authoring import Laws

TRIED = settings(max_examples=15, deadline=None)
seeds = st.integers(0, 2**32 - 1)
LOCAL = [name for name, laws in LAWS.items() if make(name, laws).needs in ("row", "group")]
REDUCED = [name for name, laws in LAWS.items() if make(name, laws).needs == "batch" and method_of(name).reducible]
REFUSED = [name for name in LAWS if name not in LOCAL]


def split(inputs: dict[str, Any], seed: int, *, groups: bool) -> list[NDArray[Any]]:
    """Row numbers of two ranks' shares of a step; no group is torn if ``groups``."""
    rows = len(inputs["valid"])
    rng = np.random.default_rng(seed + 1)
    labels = inputs["groups"] if groups else np.arange(rows)
    first = np.isin(labels, [label for label in np.unique(labels) if rng.random() < 0.5])
    return [np.flatnonzero(first), np.flatnonzero(~first)]


def joined(parts: Sequence[dict[str, NDArray[Any]]], shares: Sequence[NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """The ranks' results as one step."""
    order = np.argsort(np.concatenate(list(shares)))
    return {name: np.concatenate([part[name] for part in parts])[order] for name in parts[0]}


def on_ranks(name: str, laws: Laws, shares: Sequence[dict[str, Any]]) -> list[dict[str, NDArray[Any]]]:
    """Each share through its own estimator in a thread of its own, with a sum over the threads as the hook."""
    barrier, sent = Barrier(len(shares), timeout=60), [np.zeros(0)] * len(shares)
    found: list[dict[str, NDArray[Any]]] = [{}] * len(shares)

    def work(rank: int) -> None:
        def reduce(values: NDArray[Any]) -> NDArray[Any]:
            sent[rank] = values
            barrier.wait()
            total: NDArray[Any] = np.sum(sent, axis=0)
            barrier.wait()
            return total

        found[rank] = outputs(make(name, laws)(SignalBatch(step=7, sharded=True, reduce=reduce, **shares[rank])))

    threads = [Thread(target=work, args=(rank,)) for rank in range(len(shares))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found


@pytest.mark.parametrize("name", LOCAL)
@TRIED
@given(seeds)
def test_a_share_with_whole_groups_is_enough(name: str, seed: int) -> None:
    laws, inputs = LAWS[name], draw_inputs(name, LAWS[name], seed)
    in_groups = make(name, laws).needs == "group" and "groups" in inputs
    shares = split(inputs, seed, groups=in_groups)
    parts = []
    for share in shares:
        parts.append(outputs(make(name, laws)(SignalBatch(step=7, sharded=True, **rows_of(inputs, share)))))
    size = float(np.abs(inputs.get("rewards", np.ones(1))).max(initial=1.0))
    assert_close(outputs(make(name, laws)(batch_of(inputs))), joined(parts, shares), size)


@pytest.mark.parametrize("name", REDUCED)
@TRIED
@given(seeds)
def test_a_sum_over_ranks_makes_up_for_the_rest_of_the_step(name: str, seed: int) -> None:
    laws, inputs = LAWS[name], draw_inputs(name, LAWS[name], seed)
    shares = split(inputs, seed, groups="groups" in inputs)
    parts = on_ranks(name, laws, [rows_of(inputs, share) for share in shares])
    size = float(np.abs(inputs.get("rewards", np.ones(1))).max(initial=1.0))
    assert_close(outputs(make(name, laws)(batch_of(inputs))), joined(parts, shares), size)


@pytest.mark.parametrize("name", REFUSED)
def test_a_share_of_a_step_is_refused_where_it_would_give_a_wrong_number(name: str) -> None:
    inputs = draw_inputs(name, LAWS[name], 3)
    with pytest.raises(WholeBatchError, match=name):
        make(name, LAWS[name])(SignalBatch(sharded=True, **inputs))
    if not method_of(name).reducible:
        with pytest.raises(WholeBatchError, match="whole step"):
            make(name, LAWS[name])(SignalBatch(sharded=True, reduce=lambda values: values, **inputs))


@pytest.mark.parametrize("name", LAWS)
def test_only_declared_inputs_are_read(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The mask may replace lengths and the other way round, and ``beside`` inputs belong to their partners."""
    spec, looked_at = method_of(name), set[str]()
    batches = [batch_of(draw_inputs(name, LAWS[name], seed)) for seed in range(12)]
    estimators = [make(name, LAWS[name]) for _ in batches]
    contains = SignalBatch.__contains__

    def watched(batch: SignalBatch, wanted: str) -> bool:
        looked_at.add(wanted)
        return contains(batch, wanted)

    monkeypatch.setattr(SignalBatch, "__contains__", watched)
    for estimator, batch in zip(estimators, batches, strict=True):
        estimator(batch)
    declared = {name for wish in spec.inputs for name in wish.split("|")}
    helpers = {"mask", "lengths", "token_rewards", "components_valid"}
    assert looked_at <= declared | set(spec.optional) | helpers
    assert not declared & set(spec.optional)
