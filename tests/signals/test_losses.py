"""Reference losses: against the vectors, and against gradients worked out by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.golden import load

pytest.importorskip("torch")

import torch

from trainer_client import losses
from trainer_client.signals import SignalBatch, method

DATA = Path(__file__).parents[1] / "data" / "golden" / "golden_B.jsonl"
CASES = [case for case in load([DATA]) if case.method in ("loss_aggregation", "kl_estimator")]


def tensor(values: object) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)


def test_aggregation_and_kl_agree_with_the_vectors() -> None:
    assert len(CASES) == 64
    found: list[Any] | float
    for case in CASES:
        if case.method == "kl_estimator":
            pair = tensor(case.inputs["logprob"]), tensor(case.inputs["ref_logprob"])
            found = losses.kl_penalty(*pair, case.params["kl_penalty"]).tolist()
        else:
            table = tensor(case.inputs["loss_matrix"])
            mask = torch.arange(table.shape[1]) < torch.tensor(case.inputs["lengths"])[:, None]
            found = losses.aggregate(table, mask, case.params["loss_agg_mode"]).item()
        assert found == pytest.approx(case.output, rel=1e-5)


def gradient(loss: torch.Tensor, at: torch.Tensor) -> list[list[float]]:
    (found,) = torch.autograd.grad(loss.sum(), at)
    rows: list[list[float]] = found.tolist()
    return rows


def test_on_policy_every_loss_has_the_policy_gradient() -> None:
    old = tensor([[-1.0, -2.0, -0.5], [-0.3, -0.1, -1.2]])
    mask = torch.ones(2, 3, dtype=torch.bool)
    signal = method("dr_grpo")(SignalBatch([1.0, 0.0], [0, 0], lengths=[3, 3]))
    advantages = torch.from_numpy(signal.over_tokens(np.ones((2, 3), bool)))
    expected = (-advantages).tolist()
    for loss in (losses.clipped_policy_loss, losses.cispo):
        logprobs = old.clone().requires_grad_()
        assert gradient(loss(logprobs, old, advantages), logprobs) == expected
    logprobs = old.clone().requires_grad_()
    per_row = torch.from_numpy(signal.advantages)
    assert gradient(losses.gspo(logprobs, old, per_row, mask), logprobs) == expected


def test_the_clip_stops_the_gradient_on_its_own_side_only() -> None:
    old = tensor([[0.0, 0.0, 0.0, 0.0]])
    logprobs = torch.log(tensor([[1.25, 1.25, 0.75, 0.75]])).requires_grad_()
    advantages = tensor([[1.0, -1.0, 1.0, -1.0]])
    found = gradient(losses.clipped_policy_loss(logprobs, old, advantages, clip_high=0.28), logprobs)
    assert found[0] == pytest.approx([-1.25, 1.25, -0.75, 0.0])
    found = gradient(losses.clipped_policy_loss(logprobs, old, advantages), logprobs)
    assert found[0] == pytest.approx([0.0, 1.25, -0.75, 0.0])


def test_dual_clip_bounds_the_loss_of_a_negative_advantage() -> None:
    loss = losses.clipped_policy_loss(tensor([[3.0]]), tensor([[0.0]]), tensor([[-1.0]]), dual_clip=3.0)
    assert loss.item() == 3.0


def test_gspo_uses_one_ratio_a_row() -> None:
    old, logprobs = tensor([[0.0, 0.0]]), tensor([[0.2, -0.2]])
    mask = torch.ones(1, 2, dtype=torch.bool)
    assert losses.gspo(logprobs, old, tensor([2.0]), mask).tolist() == [[-2.0, -2.0]]


def test_padding_does_not_reach_the_loss() -> None:
    table = tensor([[1.0, float("nan")]])
    assert losses.aggregate(table, torch.tensor([[True, False]]), "token-mean").item() == 1.0


def test_an_unknown_kl_is_refused() -> None:
    with pytest.raises(ValueError, match="not one of"):
        losses.kl_penalty(tensor([0.0]), tensor([0.0]), "k4")  # type: ignore[arg-type]


def test_item_ratios_share_a_gradient_within_the_item_and_clip_it_as_one() -> None:
    old = tensor([[-1.0, -2.0, -0.5, -0.7, -9.0]])
    segments, mask = torch.tensor([[0, 0, 1, 3, 0]]), torch.tensor([[True, True, True, True, False]])
    advantages = tensor([[1.0, 1.0, -1.0, 0.5, 7.0]])
    logprobs = old.clone().requires_grad_()
    loss = losses.segment_ratio_loss(logprobs, old, advantages, segments, mask, limit=2)
    assert gradient(loss, logprobs)[0] == pytest.approx([-1.0, -1.0, 1.0, -0.5, 0.0])
    # One token far up and one far down: the item as a whole has not moved, and is not clipped.
    moved = (old + tensor([[0.5, -0.5, 0.0, 0.0, 0.0]])).requires_grad_()
    loss = losses.segment_ratio_loss(moved, old, advantages, segments, mask, limit=2)
    assert gradient(loss, moved)[0] == pytest.approx([-1.0, -1.0, 1.0, -0.5, 0.0])
    # Both up: the item is past the clip, and its gradient stops.
    moved = (old + tensor([[0.5, 0.5, 0.0, 0.0, 0.0]])).requires_grad_()
    loss = losses.segment_ratio_loss(moved, old, advantages, segments, mask, limit=2)
    assert gradient(loss, moved)[0] == pytest.approx([0.0, 0.0, 1.0, -0.5, 0.0])
