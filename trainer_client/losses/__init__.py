"""Reference losses in torch, as pure functions of log-probabilities and what ``trainer_client.signals`` supplies.

They show how advantages, masks and weights are meant to be used, and are what a trainer's own loss can be tested
against. Needs the ``torch`` extra; nothing else in the package imports this module.

`clipped_policy_loss`, `gspo` and `cispo` give one loss a token, which `aggregate` averages. `discriminative` (DisCO,
DRPO), `weighted_likelihood` (GRAO) and `group_regression` (Reg-GRPO) are scalars over whole answers;
`segment_ratio_loss` (Rank-GRPO) has one ratio an item of a list.

`preference_loss`, `bradley_terry` and what follows them are over pairs of answers, `lambda_loss` and `list_loss` over
ranked lists; `perception_loss` and `noise_contrast` compare the policy with itself under another input.
"""

try:
    import torch as _torch  # noqa: F401
except ModuleNotFoundError as error:
    if error.name != "torch":
        raise
    raise ModuleNotFoundError(
        "trainer_client.losses needs the package torch; install it with `pip install 'assay[torch]'`", name="torch"
    ) from None

from trainer_client.losses._consistency import double_entropy, feature_contrast, noise_contrast, perception_loss
from trainer_client.losses._listwise import ListLoss, lambda_loss, list_loss, plackett_luce
from trainer_client.losses._policy import aggregate, cispo, clipped_policy_loss, gspo, kl_penalty
from trainer_client.losses._preference import (
    PairLoss,
    Regularised,
    bradley_terry,
    contrastive_preference,
    crossed_preference,
    preference_loss,
    ranked_preference,
    regularised_preference,
    release_bradley_terry,
    spread_objective,
)
from trainer_client.losses._segment import segment_ratio_loss
from trainer_client.losses._sequence import (
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
    "ListLoss",
    "PairLoss",
    "Regularised",
    "SequenceScore",
    "aggregate",
    "bradley_terry",
    "cispo",
    "clipped_policy_loss",
    "contrastive_preference",
    "crossed_preference",
    "discriminative",
    "double_entropy",
    "feature_contrast",
    "group_regression",
    "gspo",
    "kl_penalty",
    "lambda_loss",
    "length_quality",
    "list_loss",
    "noise_contrast",
    "perception_loss",
    "plackett_luce",
    "preference_loss",
    "ranked_preference",
    "regularised_preference",
    "release_bradley_terry",
    "release_discriminative",
    "segment_ratio_loss",
    "spread_objective",
    "weighted_likelihood",
]
