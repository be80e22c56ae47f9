"""Batches, signals, methods and pipelines: the shape that all methods share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from tests.signals._known import known
from trainer_client.signals import (
    Estimator,
    InputError,
    MissingInputError,
    OptionError,
    SignalBatch,
    UnknownMethodError,
    WholeBatchError,
    advantages,
    method,
    methods,
    resolve,
)


def test_a_method_by_name_and_with_options() -> None:
    batch = SignalBatch([1, 0, 0, 1], ["p", "q", "p", "q"])
    assert known(method("dr_grpo")(batch).advantages).tolist() == [0.5, -0.5, -0.5, 0.5]
    assert known(method("grpo", eps=1.0, ddof=0)(batch).advantages).tolist() == pytest.approx(
        [1 / 3, -1 / 3, -1 / 3, 1 / 3]
    )
    assert advantages("rloo", [1, 0], groups=[0, 0]).tolist() == [1.0, -1.0]


def test_masked_rows_have_weight_zero() -> None:
    signal = method("grpo")(SignalBatch([1, 0, np.nan], [0, 0, 0], [True, True, False]))
    assert signal.valid.tolist() == [True, True, False]
    assert signal.weights.tolist() == [1.0, 1.0, 0.0]
    assert known(signal.advantages)[2] == 0.0


def test_unknown_names_and_options_say_what_there_is() -> None:
    with pytest.raises(UnknownMethodError, match="did you mean grpo"):
        method("grpoo")
    with pytest.raises(OptionError, match=r"no option 'epss'; did you mean eps\? it has scale, ddof, eps, singleton"):
        method("grpo", epss=1)
    with pytest.raises(OptionError, match="singleton = 'keep' is not one of 'zero', 'raw', 'error'"):
        method("grpo", singleton="keep")
    with pytest.raises(OptionError, match="eps = True is not float"):
        method("grpo", eps=True)
    with pytest.raises(OptionError, match="overlong: cache must be given"):
        method("overlong", max_length=10)
    assert method("weighted_sum", weights=[0.5, 1]).options["weights"] == [0.5, 1], "a TOML list is a tuple"
    with pytest.raises(OptionError, match="weights = 'a' is not"):
        method("weighted_sum", weights="a")


def test_missing_input_is_named() -> None:
    with pytest.raises(MissingInputError, match="grpo: needs groups"):
        method("grpo")(SignalBatch([1, 0]))


def test_batches_refuse_what_does_not_fit() -> None:
    with pytest.raises(InputError, match="groups: axis N has length 1 where rewards has 2"):
        SignalBatch([1, 0], [0])
    with pytest.raises(InputError, match="rewards: row 1 holds nan"):
        SignalBatch([1, np.nan], [0, 0])
    with pytest.raises(InputError, match="lenghts: not an input"):
        SignalBatch([1, 0], [0, 0], lenghts=[3, 4])
    with pytest.raises(InputError, match="old_logprobs: axis T has length 3 where mask has 2"):
        SignalBatch([1.0], [0], mask=[[1, 1]], old_logprobs=[[0.0, 0, 0]])
    with pytest.raises(InputError, match="old_logprobs: row 0, column 1 holds -inf"):
        SignalBatch([1.0], [0], mask=[[1, 1]], old_logprobs=[[0.0, -np.inf]])


def test_padding_may_hold_anything() -> None:
    batch = SignalBatch([1.0], [0], mask=[[1, 0]], old_logprobs=[[-0.5, np.nan]])
    assert batch["old_logprobs"].tolist() == [[-0.5, 0.0]]


def test_reward_stands_on_the_last_generated_token() -> None:
    batch = SignalBatch([1.0, 2.0, 3.0], [0, 0, 0], mask=[[1, 0, 1, 0], [1, 1, 1, 1], [0, 0, 0, 0]])
    assert batch.token_rewards.tolist() == [[0, 0, 1, 0], [0, 0, 0, 2], [0, 0, 0, 0]]
    assert batch.lengths.tolist() == [2, 4, 0]


def test_a_shard_is_refused_or_reduced() -> None:
    shard = SignalBatch([1, 0], [0, 0], sharded=True)
    assert method("grpo")(shard).advantages is not None, "whole groups are enough"
    with pytest.raises(WholeBatchError, match="reduce="):
        method("grpo", scale="batch")(shard)
    reduced = SignalBatch([1, 0], [0, 0], sharded=True, reduce=lambda a: 2 * a)
    assert method("grpo", scale="batch", ddof=0)(reduced).advantages == pytest.approx([1, -1], abs=1e-5)


def options_of(setting: str | dict[str, Any]) -> Mapping[str, Any]:
    """Options of a setting that names one method."""
    estimator = resolve(setting)
    assert isinstance(estimator, Estimator)
    return estimator.options


def test_resolve_reads_what_a_recipe_writes() -> None:
    assert options_of("grpo")["eps"] == 1e-6
    assert options_of({"name": "grpo", "eps": 1e-4})["eps"] == 1e-4
    with pytest.raises(OptionError, match="needs name"):
        resolve({"eps": 1e-4})
    with pytest.raises(OptionError, match="a stage is a name or a table"):
        resolve([["grpo"]])  # type: ignore[list-item]
    with pytest.raises(OptionError, match="no stages"):
        resolve([])


def test_every_method_says_what_it_is() -> None:
    for spec in methods():
        assert spec.summary.endswith("."), spec.name
        assert spec.source, spec.name
        assert spec.formula, spec.name
