"""Reference losses in torch, as pure functions of log-probabilities and what ``trainer_client.signals`` supplies.

They show how advantages, masks and weights are meant to be used, and are what a trainer's own loss can be tested
against. Needs the ``torch`` extra; nothing else in the package imports this module.

`clipped_policy_loss`, `gspo` and `cispo` give one loss a token, which `aggregate` averages. `discriminative` (DisCO,
DRPO), `weighted_likelihood` (GRAO) and `group_regression` (Reg-GRPO) are scalars over whole answers;
`segment_ratio_loss` (Rank-GRPO) has one ratio an item of a list.
"""

from ._policy import aggregate, cispo, clipped_policy_loss, gspo, kl_penalty
from ._segment import segment_ratio_loss
from ._sequence import (
    Constrained,
    SequenceScore,
    discriminative,
    group_regression,
    length_quality,
    release_discriminative,
    weighted_likelihood,
)

__all__ = [
    "Constrained",
    "SequenceScore",
    "aggregate",
    "cispo",
    "clipped_policy_loss",
    "discriminative",
    "group_regression",
    "gspo",
    "kl_penalty",
    "length_quality",
    "release_discriminative",
    "segment_ratio_loss",
    "weighted_likelihood",
]
