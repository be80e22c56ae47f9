"""Estimators of the KL divergence from the reference policy, token by token."""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np
from numpy.typing import ArrayLike

from trainer_client.signals._arrays import FloatArray, as_floats
from trainer_client.signals._errors import OptionError

KlKind = Literal["k1", "abs", "k2", "k3"]


def kl_estimate(logprobs: ArrayLike, ref_logprobs: ArrayLike, kind: KlKind = "k3") -> FloatArray:
    """KL penalty of each token, with ``d = logp - ref_logp``.

    ``k1``: ``d``; ``abs``: ``|d|``; ``k2``: ``d^2 / 2``; ``k3``: ``exp(-d) + d - 1`` with the exponent held
    within 20 and the value within 10, as verl does.

    Raises:
        OptionError: the kind is unknown.

    Source: J. Schulman, "Approximating KL divergence" (2020); volcengine/verl ``kl_penalty`` @b178a3cd.
    """
    if kind not in get_args(KlKind):
        raise OptionError(f"kind: {kind!r} is not one of {', '.join(get_args(KlKind))}")
    d = as_floats("logprobs", logprobs) - as_floats("ref_logprobs", ref_logprobs)
    if kind == "k1":
        return d
    if kind == "abs":
        return np.abs(d)
    if kind == "k2":
        return 0.5 * d * d
    x = np.clip(-d, -20.0, 20.0)
    return np.clip(np.exp(x) - x - 1.0, -10.0, 10.0)
