"""Labels of losses over whole answers: value, divergence and gradient, which our weights have to be as well."""

from __future__ import annotations

from typing import Any

import numpy as np

from trainer_client.signals import SignalBatch, method
from trainer_client.signals.authoring import Case, golden

_METHODS: dict[str, tuple[str, dict[str, Any]]] = {
    "discob_logL": ("disco_b", {"score": "likelihood"}),
    "discob_Lratio": ("disco_b", {"score": "ratio"}),
    "disco_logL": ("disco", {"score": "likelihood"}),
    "disco_Lratio": ("disco", {"score": "ratio"}),
    "drpo": ("drpo", {}),
}


@golden(*_METHODS)
def _(case: Case) -> Any:
    """The release's loss; its gradient taken twice, by torch and from our weights, which have to agree."""
    import torch

    from trainer_client import losses

    names = ("log_prob", "old_log_prob", "mask", "rewards", "uid")
    logprobs, old, mask, rewards, uid = (torch.from_numpy(case.array(name)) for name in names)
    logprobs.requires_grad_()
    name, options = _METHODS[case.method]
    params = case.params
    common = {"kl_bound": params["delta"], "kl_weight": params["beta"]}
    common["kl_kind"] = "k1" if params["kl_type"] == "kl" else "k3"
    common["score"] = options.get("score", "likelihood")
    given = (logprobs, old, mask, rewards, uid.long())
    if name == "disco_b":
        found = losses.discriminative(*given, tau=None, **common)
    else:
        if name == "drpo":
            common["quality"] = losses.length_quality(mask, sharpness=params["Lambda"])
            options = {"max_length": mask.shape[1], "sharpness": params["Lambda"]}
        options = {**options, "tau": params["tau"]}
        found = losses.release_discriminative(*given, tau=params["tau"], **common)
    (gradient,) = torch.autograd.grad(found.loss, logprobs, retain_graph=True)
    if params["beta"] == 0.0:
        batch = SignalBatch(
            case.array("rewards"),
            case.inputs["uid"],
            logprobs=case.array("log_prob"),
            old_logprobs=case.array("old_log_prob"),
            mask=case.inputs["mask"],
        )
        weights = method(name, **options)(batch).token_advantages
        assert weights is not None
        np.testing.assert_allclose(-weights / len(batch.groups), gradient.numpy(), rtol=1e-9, atol=1e-12)
    return {"loss": found.loss.item(), "kl": found.kl.item(), "grad": gradient.numpy()}
