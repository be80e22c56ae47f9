"""Reference losses: against the vectors, and against gradients worked out by hand."""

from __future__ import annotations

import inspect
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.golden import load

pytest.importorskip("torch")

import torch

from trainer_client import losses
from trainer_client.signals import OptionError, SignalBatch, method

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
            found = losses.kl_penalty(*pair, torch.ones_like(pair[0]), case.params["kl_penalty"]).tolist()
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
        assert gradient(loss(logprobs, old, advantages, mask), logprobs) == expected
    logprobs = old.clone().requires_grad_()
    per_row = torch.from_numpy(signal.advantages)
    assert gradient(losses.gspo(logprobs, old, per_row, mask), logprobs) == expected


def test_the_clip_stops_the_gradient_on_its_own_side_only() -> None:
    old = tensor([[0.0, 0.0, 0.0, 0.0]])
    logprobs = torch.log(tensor([[1.25, 1.25, 0.75, 0.75]])).requires_grad_()
    advantages, every = tensor([[1.0, -1.0, 1.0, -1.0]]), torch.ones(1, 4, dtype=torch.bool)
    found = gradient(losses.clipped_policy_loss(logprobs, old, advantages, every, clip_high=0.28), logprobs)
    assert found[0] == pytest.approx([-1.25, 1.25, -0.75, 0.0])
    found = gradient(losses.clipped_policy_loss(logprobs, old, advantages, every), logprobs)
    assert found[0] == pytest.approx([0.0, 1.25, -0.75, 0.0])


def test_dual_clip_bounds_the_loss_of_a_negative_advantage() -> None:
    one = torch.ones(1, 1, dtype=torch.bool)
    loss = losses.clipped_policy_loss(tensor([[3.0]]), tensor([[0.0]]), tensor([[-1.0]]), one, dual_clip=3.0)
    assert loss.item() == 3.0


def test_gspo_uses_one_ratio_a_row() -> None:
    old, logprobs = tensor([[0.0, 0.0]]), tensor([[0.2, -0.2]])
    mask = torch.ones(1, 2, dtype=torch.bool)
    assert losses.gspo(logprobs, old, tensor([2.0]), mask).tolist() == [[-2.0, -2.0]]


def test_padding_does_not_reach_the_loss() -> None:
    table = tensor([[1.0, float("nan")]])
    assert losses.aggregate(table, torch.tensor([[True, False]]), "token-mean").item() == 1.0


def masked_loss(name: str, logprobs: torch.Tensor, old: torch.Tensor, advantages: torch.Tensor) -> torch.Tensor:
    """A loss of which only the first token counts."""
    mask = torch.tensor([[True, False]])
    if name == "perception":
        return losses.perception_loss(logprobs, old, mask.double())
    if name == "cispo":
        tokens = losses.cispo(logprobs, old, advantages, mask)
    elif name == "clip":
        tokens = losses.clipped_policy_loss(logprobs, old, advantages, mask)
    elif name == "dual_clip":
        tokens = losses.clipped_policy_loss(logprobs, old, -advantages, mask, dual_clip=3.0)
    elif name == "gspo":
        tokens = losses.gspo(logprobs, old, advantages[:, 0], mask)
    elif name == "segments":
        items = torch.zeros(1, 2, dtype=torch.long)
        tokens = losses.segment_ratio_loss(logprobs, old, advantages, items, mask, limit=1)
    else:
        tokens = losses.kl_penalty(logprobs, old, mask, name)  # type: ignore[arg-type]
    return losses.aggregate(tokens, mask, "seq-mean-token-mean")


@pytest.mark.parametrize("bad", [float("nan"), float("-inf"), float("inf")])
@pytest.mark.parametrize(
    "name", ["cispo", "clip", "dual_clip", "gspo", "segments", "k1", "k2", "k3", "abs", "perception"]
)
def test_padding_does_not_reach_a_gradient(name: str, bad: float) -> None:
    for where in range(3):
        inputs = [tensor([[-1.0, -1.0]]), tensor([[-1.1, -1.0]]), tensor([[1.0, 1.0]])]
        inputs[where][0, 1] = bad
        inputs[0].requires_grad_()
        loss = masked_loss(name, *inputs)
        loss.backward()  # type: ignore[no-untyped-call]
        found = inputs[0].grad
        assert found is not None
        assert torch.isfinite(loss)
        assert torch.isfinite(found).all()
        assert found[0, 1] == 0.0


@pytest.mark.parametrize("mode", ["token-mean", "seq-mean-token-sum", "seq-mean-token-mean", "dr-grpo"])
def test_micro_batches_that_know_the_step_add_up_to_it(mode: Any) -> None:
    table = tensor([[1.0, 1.0, 1.0, 1.0], [2.0, 0.0, 0.0, 0.0], [3.0, 3.0, 0.0, 0.0]])
    mask = torch.arange(4) < torch.tensor([4, 1, 2])[:, None]
    whole = losses.aggregate(table, mask, mode).item()
    counts = {"tokens": int(mask.sum()), "sequences": 3}
    parts = [losses.aggregate(table[rows], mask[rows], mode, **counts).item() for rows in (slice(0, 1), slice(1, 3))]
    assert sum(parts) == pytest.approx(whole)
    with pytest.raises(OptionError, match="tokens: 3 for the whole step, but this part of it has 7"):
        losses.aggregate(table, mask, mode, tokens=3)


def test_the_quality_of_a_length_is_not_rounded_to_single_precision() -> None:
    quality = losses.length_quality(torch.tensor([[True] * 4 + [False]]))
    assert quality.dtype == torch.float64
    assert quality.item() == pytest.approx(2.0, rel=1e-15)


def test_an_unknown_kl_is_refused() -> None:
    with pytest.raises(ValueError, match="not one of"):
        losses.kl_penalty(tensor([0.0]), tensor([0.0]), tensor([1.0]), "k4")  # type: ignore[arg-type]


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


PAGE = Path(__file__).parents[2] / "docs" / "losses.md"


def test_the_page_names_every_loss_by_its_docstring_and_its_step_runs() -> None:
    page = PAGE.read_text("utf-8")
    functions = {name: getattr(losses, name) for name in losses.__all__ if inspect.isfunction(getattr(losses, name))}
    rows = "".join(
        f"| `{name}` | {(inspect.getdoc(f) or '').partition(chr(10))[0]} |\n" for name, f in functions.items()
    )
    assert page.endswith(f"|---|---|\n{rows}"), f"write these rows into docs/losses.md:\n{rows}"
    scope: dict[str, Any] = {}
    exec(page.partition("```python\n")[2].partition("```")[0], scope)
    signal = method("grpo")(SignalBatch([1.0, 0.0], ["q", "q"], lengths=[2, 1]))
    logprobs = tensor([[-1.0, -2.0], [-1.5, np.nan]]).requires_grad_()
    mask = torch.tensor([[True, True], [True, False]])
    scope["loss_of"](signal, logprobs, logprobs.detach(), logprobs.detach(), mask).backward()
    assert logprobs.grad is not None
    assert (logprobs.grad[0] < 0).all()
    assert logprobs.grad[1, 0] > 0
    assert logprobs.grad[1, 1] == 0


def test_without_torch_the_extra_that_brings_it_is_named() -> None:
    done = subprocess.run(
        [sys.executable, "-c", "import sys; sys.modules['torch'] = None; import trainer_client.losses"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert "trainer_client.losses needs the package torch; install it with `pip install 'assay[torch]'`" in done.stderr
