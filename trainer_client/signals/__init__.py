"""Scores to a training signal.

The nouns: a `SignalBatch` holds the rollouts of a step and what is known of them; a preset (`preset`,
`presets`) is a method under its name; called with a batch it gives a `Signal`: advantages, weights, masks,
pairs. `combine` makes one reward of several scores. `Groups` says which rollouts answer the same prompt.

    combined = combine(scores, valid, terms, groups=prompts)
    signal = preset("grpo")(SignalBatch(combined.rewards, prompts, combined.valid))
    signal.advantages

The parts that presets are made of stand in rooms (sub-packages), to be used on their own as well:
``combination``, ``normalise``, ``shaping``, ``credit``, ``selection``, ``guidance``, ``crossprompt``,
``preference``, ``trackers``, ``weights``, ``evaluation``. Everything is float64 numpy.
"""

from typing import Any

from numpy.typing import ArrayLike

from ._arrays import FloatArray
from ._batch import SignalBatch
from ._errors import (
    BadInput,
    BadOption,
    MissingInput,
    MissingScore,
    NeedsWholeBatch,
    SignalError,
    StateMismatch,
    TooManyMissing,
    UnknownPreset,
)
from ._groups import GroupIds, Groups
from ._inputs import INPUTS, Input
from ._pipeline import Pipeline, resolve
from ._registry import Estimator, Spec, preset, presets, spec_of
from ._signal import Pair, Request, Signal
from .combination import Combined, Gate, Term, combine
from .normalise import group_normalise

__all__ = [
    "INPUTS",
    "BadInput",
    "BadOption",
    "Combined",
    "Estimator",
    "Gate",
    "Groups",
    "Input",
    "MissingInput",
    "MissingScore",
    "NeedsWholeBatch",
    "Pair",
    "Pipeline",
    "Request",
    "Signal",
    "SignalBatch",
    "SignalError",
    "Spec",
    "StateMismatch",
    "Term",
    "TooManyMissing",
    "UnknownPreset",
    "advantages",
    "combine",
    "group_normalise",
    "preset",
    "presets",
    "resolve",
    "spec_of",
]


def advantages(
    rewards: ArrayLike,
    groups: GroupIds | Groups,
    valid: ArrayLike | None = None,
    *,
    method: str = "grpo",
    **options: Any,
) -> FloatArray:
    """Advantages ``[N]`` of one step by a preset that needs rewards and groups only.

    Args:
        rewards: ``[N]``; NaN is allowed where ``valid`` is False.
        groups: ``[N]`` ids of the prompts.
        valid: ``[N]``; rows that are not valid take no part and get 0.
        method: name of the preset.
        options: its options.

    Raises:
        SignalError: bad input, an unknown preset or option, or a preset without advantages per rollout.
    """
    result = preset(method, **options)(SignalBatch(rewards, groups, valid)).advantages
    if result is None:
        raise BadOption(f"{method}: gives no advantage per rollout; call preset({method!r}) and read its signal")
    return result
