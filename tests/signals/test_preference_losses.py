"""Losses of pairs and lists, beyond the vectors: against the weights we supply, and where they refuse."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch")

import torch

from tests.signals._known import known
from trainer_client import losses
from trainer_client.signals import SignalBatch, method

UNKNOWN: Any = "other"  # a kind that no loss has; typed, it would be refused before the call


def tensor(values: object) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)


def test_rdpos_pairs_give_its_loss() -> None:
    ratios = tensor([1.5, -0.7])
    pairs = known(method("rdpo", flip_rate=0.3)(SignalBatch([1, 0], [0, 0])).pairs)
    by_pairs = sum(
        (p.weight * losses.preference_loss(ratios[p.chosen : p.chosen + 1], ratios[p.rejected]) for p in pairs),
        start=tensor(0.0),
    )
    direct = losses.preference_loss(ratios[:1], ratios[1:], flip_rate=0.3)
    assert by_pairs.item() == pytest.approx(direct.item())


def test_lipos_pairs_give_its_loss() -> None:
    rng = np.random.default_rng(0)
    labels, ratios = rng.random(5), rng.normal(size=(5, 1))
    batch = SignalBatch(labels, [0] * 5, logprobs=ratios - 3, ref_logprobs=np.full((5, 1), -3.0), lengths=[1] * 5)
    beta = 0.05
    scores = tensor(ratios[:, 0] * beta)
    by_pairs = sum(
        p.weight * torch.nn.functional.softplus(scores[p.rejected] - scores[p.chosen]).item()
        for p in known(method("lipo", beta=beta)(batch).pairs)
    )
    assert losses.lambda_loss(scores, tensor(labels)).sum().item() == pytest.approx(by_pairs)


def test_papos_weights_give_its_term() -> None:
    rng = np.random.default_rng(1)
    present, spoiled = -rng.exponential(size=(3, 4)), -rng.exponential(size=(3, 4))
    batch = SignalBatch(None, logprobs=present, masked_logprobs=spoiled, lengths=[4, 2, 3], valid=[1, 1, 0])
    signal = method("papo", gamma=0.5, top=0.5)(batch)
    term = losses.perception_loss(tensor(present), tensor(spoiled), tensor(signal.token_weights))
    assert term.item() == pytest.approx(-signal.report["papo/divergence"] * 0.5)


def test_a_margin_and_a_soft_label_change_a_reward_models_loss() -> None:
    chosen, rejected = tensor([1.0]), tensor([0.0])
    plain = losses.bradley_terry(chosen, rejected)
    assert losses.bradley_terry(chosen, rejected, margins=tensor([0.5])) > plain
    half = losses.bradley_terry(chosen, rejected, labels=tensor([0.5]))
    assert half.item() == pytest.approx((plain + losses.bradley_terry(rejected, chosen)).item() / 2)


def test_plackett_luce_is_a_distribution_over_rankings() -> None:
    from itertools import permutations

    scores = tensor([0.3, -1.0, 2.0])
    rankings = torch.tensor(list(permutations(range(3))))
    total = losses.plackett_luce(scores.expand(6, 3), rankings).exp().sum()
    assert total.item() == pytest.approx(1)
    first = losses.plackett_luce(scores, torch.tensor([2, 0, 1]), top=1)
    assert first.item() == pytest.approx(torch.log_softmax(scores, 0)[2].item())


def test_meta_objective_grows_with_the_spread_of_scores() -> None:
    near, far = (losses.spread_objective(tensor(x)) for x in ([0.0, 0.1, 0.2], [0.0, 5.0, 10.0]))
    assert near < far
    assert near.item() == pytest.approx(2 / 9 * sum(1 / (1 + np.exp(-d)) for d in (0.1, 0.1, 0.2)))


def test_crossed_instructions_want_crossed_preferences() -> None:
    crossed, same = tensor([[[2.0, 0.0], [0.0, 2.0]]]), tensor([[[2.0, 0.0], [2.0, 0.0]]])
    assert losses.crossed_preference(crossed) < losses.crossed_preference(same)


def test_tied_segments_make_no_pair() -> None:
    scores = tensor([0.5, -0.5, 1.0])
    assert losses.ranked_preference(scores, tensor([1.0, 1.0, 1.0])).item() == 0
    one = losses.ranked_preference(scores[:2], tensor([1.0, 0.0]))
    assert one.item() == pytest.approx(np.log1p(np.exp(-1.0)))


@pytest.mark.parametrize(
    "call",
    [
        lambda x: losses.preference_loss(x, x, kind=UNKNOWN),
        lambda x: losses.preference_loss(x, x, flip_rate=0.5),
        lambda x: losses.list_loss(x, x, kind=UNKNOWN),
        lambda x: losses.noise_contrast(x.reshape(1, 1, 2), x.reshape(1, 1, 2), torch.ones(1, 1)),
    ],
)
def test_what_losses_refuse(call: Callable[[torch.Tensor], torch.Tensor]) -> None:
    with pytest.raises(ValueError, match=":"):
        call(tensor([0.0, 1.0]))


def test_a_noisy_prompt_that_leads_elsewhere_costs_nothing_more_beyond_saturation() -> None:
    clean = tensor([[[4.0, 0.0]], [[0.0, 4.0]]])
    mask = torch.ones(2, 1)
    good = losses.noise_contrast(clean, clean, mask)
    noisy = clean.flip(0).clone().requires_grad_()
    bad = losses.noise_contrast(clean, noisy, mask)
    assert good < bad
    assert bad.item() == 1.0
    assert not torch.autograd.grad(bad, noisy)[0].any()


def test_two_views_of_a_pair_find_each_other() -> None:
    features = tensor([[1.0, 0.0], [0.0, 1.0]])
    assert losses.feature_contrast(features, features) < losses.feature_contrast(features, features.flip(0))


def test_double_entropy_is_the_mean_surprise_of_both_answers() -> None:
    logprobs, spoiled, mask = tensor([[-1.0, -9.0]]), tensor([[-3.0, -9.0]]), tensor([[1.0, 0.0]])
    assert losses.double_entropy(logprobs, spoiled, mask, weight=0.5, masked_weight=0.1).item() == pytest.approx(0.8)
