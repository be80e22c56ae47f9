"""Labels of losses over pairs and lists."""

from __future__ import annotations

from typing import Any

import numpy as np

from trainer_client.signals.authoring import Case, golden

_SIDES = ("policy_chosen", "policy_rejected", "reference_chosen", "reference_rejected")
_KINDS = {
    "rDPO": "sigmoid",
    "RSO hinge-norm": "hinge",
    "DPO sigmoid (RSO sigmoid-norm with gamma)": "sigmoid",
    "IPO (length-averaged)": "ipo",
    "SPPO hard": "sppo",
}


def _tensors(case: Case, *names: str) -> Any:
    import torch

    return [torch.from_numpy(case.array(name)) for name in names]


@golden(*_KINDS, rtol=1e-4, atol=1e-5)
def _(case: Case) -> Any:
    from trainer_client import losses

    chosen, rejected, chosen_ref, rejected_ref = _tensors(case, *_SIDES)
    chosen, rejected = chosen - chosen_ref, rejected - rejected_ref
    if "chosen_len" in case.inputs:
        chosen_length, rejected_length = _tensors(case, "chosen_len", "rejected_len")
        chosen, rejected = chosen / chosen_length.clamp(min=1), rejected / rejected_length.clamp(min=1)
    kind, params = _KINDS[case.method], case.params
    return losses.preference_loss(
        chosen,
        rejected,
        kind=kind,  # type: ignore[arg-type]
        beta=params["beta"],
        flip_rate=params.get("label_smoothing", 0.0),
    ).tolist()


@golden("RPO", rtol=1e-4, atol=1e-5)
def _(case: Case) -> Any:
    from trainer_client import losses

    chosen, rejected, chosen_ref, rejected_ref, nll = _tensors(case, *_SIDES, "chosen_nll")
    found = losses.regularised_preference(
        chosen - chosen_ref, rejected - rejected_ref, nll, beta=case.params["beta"], eta=case.params["eta"]
    )
    return [found.preference.item(), found.loss.item(), found.chosen.tolist(), found.rejected.tolist()]


@golden("Bradley-Terry with margin", rtol=1e-4, atol=1e-5)
def _(case: Case) -> Any:
    from trainer_client import losses

    chosen, rejected = _tensors(case, "chosen", "rejected")
    margins = None if case.inputs["margin"] is None else _tensors(case, "margin")[0]
    centre = case.params["center_rewards_coefficient"] or 0.0
    return [losses.bradley_terry(chosen, rejected, margins=margins, centre=centre).item()]


@golden("Secrets-II reward loss", rtol=1e-4, atol=1e-5)
def _(case: Case) -> Any:
    from trainer_client import losses

    chosen, rejected = _tensors(case, "chosen", "rejected")
    right = (chosen > rejected).double().mean().item()
    return [losses.release_bradley_terry(chosen, rejected, eps=case.params["eps"]).item(), right]


@golden("CPL", rtol=1e-4, atol=1e-5)
def _(case: Case) -> Any:
    """Loss and accuracy; the release rounds a tie's label to the even 0."""
    from trainer_client import losses

    first, second, labels = _tensors(case, "adv1", "adv2", "label")
    right = ((second > first).double() == labels.round()).double().mean().item()
    return [losses.contrastive_preference(first, second, labels, bias=case.params["bias"]).item(), right]


@golden("CPL ranked", rtol=1e-4, atol=1e-5)
def _(case: Case) -> Any:
    """The release orders equal ones as they come, so they are told apart before ours sees them."""
    import torch

    from trainer_client import losses

    scores, quality = _tensors(case, "adv", "scores")
    order = torch.argsort(quality, stable=True)
    distinct = torch.empty_like(quality)
    distinct[order] = torch.arange(quality.numel(), dtype=quality.dtype)
    above = distinct[:, None] > distinct[None, :]
    right = (above & (scores[:, None] > scores[None, :])).sum() / above.sum()
    return [losses.ranked_preference(scores, distinct, bias=case.params["bias"]).item(), right.item()]


@golden("LiPO-lambda loss", rtol=1e-4, atol=1e-5)
def _(case: Case) -> Any:
    from trainer_client import losses

    scores, labels = _tensors(case, "scores", "labels")
    pairs = losses.lambda_loss(scores, labels) * scores.numel()
    number = int((labels[:, None] > labels[None, :]).sum())
    return [pairs.sum().item(), pairs.sum().item() / max(number, 1)]


@golden("LiPO other losses", rtol=1e-4, atol=1e-5)
def _(case: Case) -> Any:
    from trainer_client import losses

    scores, labels = _tensors(case, "scores", "labels")
    kinds = ("hinge", "list-mle", "softmax", "mse", "sigmoid")
    return [losses.list_loss(scores, labels, kind=kind).item() for kind in kinds]  # type: ignore[arg-type]


@golden("CoIPO", rtol=1e-3, atol=1e-5)
def _(case: Case) -> Any:
    import torch

    from trainer_client import losses

    clean, noisy = _tensors(case, "original_logits", "noisy_logits")
    mask = torch.from_numpy(np.asarray(case.inputs["labels"]) != -100)
    found = losses.noise_contrast(
        clean, noisy, mask, temperature=case.params["temperature"], padding=case.params["pad_value"]
    )
    return [found.item()]
