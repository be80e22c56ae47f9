"""Weights that set right answers against wrong ones, and the losses they are the gradients of."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from tests.signals._known import known  # noqa: E402 - after the check for torch
from trainer_client import losses  # noqa: E402 - only where torch is
from trainer_client.signals import OptionError, SignalBatch, method  # noqa: E402 - after it as well


def ragged(seed: int = 0) -> dict[str, Any]:
    """Interleaved groups of unequal size with rewards between, a masked row, an all-right and an all-wrong group."""
    rng = np.random.default_rng(seed)
    lengths = rng.integers(1, 6, 12)
    return {
        "rewards": np.array([1, 0, 0.5, 1, 0, 1, 1, 0, 0, 1, 0, 1.0]),
        "groups": np.array([0, 1, 0, 1, 0, 2, 2, 3, 3, 1, 0, 0]),
        "valid": np.array([1] * 9 + [0] + [1, 1], bool),
        "logprobs": -rng.exponential(1.0, (12, 5)),
        "old_logprobs": -rng.exponential(1.0, (12, 5)),
        "mask": np.arange(5) < lengths[:, None],
    }


@pytest.mark.parametrize("score", ["likelihood", "ratio"])
@pytest.mark.parametrize("name", ["disco", "disco_b", "drpo"])
def test_weights_are_the_gradient_of_the_loss(name: str, score: str) -> None:
    inputs = ragged()
    options: dict[str, Any] = {"max_length": 5} if name == "drpo" else {"score": score}
    if name == "drpo" and score == "ratio":
        return
    signal = method(name, **options)(SignalBatch(**inputs))
    mask = torch.from_numpy(inputs["mask"] & inputs["valid"][:, None])
    logprobs = torch.from_numpy(inputs["logprobs"]).requires_grad_()
    found = losses.discriminative(
        logprobs,
        torch.from_numpy(inputs["old_logprobs"]),
        mask,
        torch.from_numpy(inputs["rewards"]),
        torch.from_numpy(inputs["groups"]),
        score=options.get("score", "likelihood"),
        tau={"disco": 10.0 if score == "likelihood" else 1.0, "disco_b": None, "drpo": 10.0}[name],
        quality=losses.length_quality(mask) if name == "drpo" else None,
        kl_weight=0.0,
    )
    (gradient,) = torch.autograd.grad(found.objective, logprobs)
    np.testing.assert_allclose(known(signal.token_advantages) / 4, gradient.numpy(), rtol=1e-10, atol=1e-14)


def test_a_prompts_weights_cancel_and_weigh_two() -> None:
    batch = SignalBatch(**ragged())
    for name in ("disco", "disco_b", "drpo"):
        weights = known(method(name)(batch).advantages)
        assert batch.groups.sum(weights) == pytest.approx([0, 0, 0, 0], abs=1e-12)
        assert batch.groups.sum(np.abs(weights)) == pytest.approx([2, 2, 0, 0])
        assert weights[2] == 0, "a reward between takes no part"


def test_drpo_prefers_short_right_answers_and_is_disco_in_the_limit() -> None:
    batch = SignalBatch([1.0, 1, 0], [0, 0, 0], lengths=[1, 3, 2], old_logprobs=np.full((3, 3), -1.0))
    short, long, wrong = known(method("drpo", max_length=4)(batch).advantages)
    assert short / long == pytest.approx(np.exp(0.5 / 0.1))
    assert wrong == -1
    plain = method("drpo", max_length=4, sharpness=1e9)(batch).advantages
    assert plain == pytest.approx(method("disco")(batch).advantages)
    with pytest.raises(OptionError, match="must be positive"):
        method("disco", tau=0.0)(batch)


def test_the_bound_costs_nothing_within_and_grows_beyond() -> None:
    inputs = ragged()
    old = torch.from_numpy(inputs["old_logprobs"])
    rest = (torch.from_numpy(inputs[n]) for n in ("mask", "rewards", "groups"))
    mask, rewards, groups = rest
    same = losses.discriminative(old, old, mask, rewards, groups)
    assert same.kl.item() == 0
    assert same.loss.item() == -same.objective.item()
    apart = losses.discriminative(old - 0.1, old, mask, rewards, groups)
    assert apart.kl.item() == pytest.approx(0.1)
    assert apart.loss.item() + apart.objective.item() == pytest.approx(1e3 * (0.1 - 1e-4) * 0.1)


def test_weighted_likelihood_has_the_weights_as_its_gradient() -> None:
    inputs = ragged()
    signal = method("disco_b")(SignalBatch(**inputs))
    logprobs = torch.from_numpy(inputs["logprobs"]).requires_grad_()
    loss = losses.weighted_likelihood(logprobs, torch.from_numpy(inputs["mask"]), torch.from_numpy(signal.advantages))
    (gradient,) = torch.autograd.grad(loss, logprobs)
    np.testing.assert_allclose(-gradient.numpy(), known(signal.token_advantages), rtol=1e-12)


def test_regression_of_log_ratios_on_advantages() -> None:
    old = torch.full((4, 2), -1.0, dtype=torch.float64)
    mask, groups = torch.ones(4, 2, dtype=torch.bool), torch.tensor([0, 0, 1, 1])
    advantages = torch.tensor([1.0, -1.0, 0.0, 0.0], dtype=torch.float64)
    logprobs = old.clone().requires_grad_()
    first = losses.group_regression(logprobs, old, mask, advantages, groups)
    assert first.item() == pytest.approx(0.5)
    (gradient,) = torch.autograd.grad(first, logprobs)
    assert torch.isfinite(gradient).all()
    assert gradient[0, 0] < 0 < gradient[1, 0], "a descent step raises the better answer"
    fitted = old + torch.tensor([[1.0], [-1.0], [0.0], [0.0]], dtype=torch.float64)
    assert losses.group_regression(fitted, old, mask, advantages, groups).item() == pytest.approx(0.0, abs=1e-6)
    targets = known(method("reg_grpo", ddof=0, eps=0.0)(SignalBatch([1.0, 0, 5, 5], [0, 0, 1, 1])).advantages)
    assert targets.tolist() == advantages.tolist()
