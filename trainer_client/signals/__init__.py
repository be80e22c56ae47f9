"""Scores to a training signal.

The nouns: a `SignalBatch` holds the rollouts of a step and what is known of them; a method has a name (`method`,
`methods`); called with a batch it gives a `Signal`: advantages, weights, masks, pairs. `combine` makes one reward of
several scores. `Groups` says which rollouts answer the same prompt.

    combined = combine(scores, valid, terms, groups=prompts)
    signal = method("grpo")(SignalBatch(combined.rewards, prompts, combined.valid))
    signal.advantages

A stage of the way from scores to a signal is a package (``combination``, ``shaping``, ``advantage``, ``credit``,
``selection``, ``guidance``, ``crossprompt``, ``preference``, ``weights``, ``evaluation``), and a method is one file in
it; ``parts`` holds what several methods share. Everything is float64 numpy.
"""

from typing import Any

from numpy.typing import ArrayLike

from trainer_client.signals._arrays import FloatArray
from trainer_client.signals._batch import SignalBatch
from trainer_client.signals._errors import (
    InputError,
    MissingInputError,
    MissingScoreError,
    OptionError,
    SignalError,
    StateMismatchError,
    TooManyMissingError,
    UnknownMethodError,
    WholeBatchError,
)
from trainer_client.signals._groups import GroupIds, Groups
from trainer_client.signals._inputs import INPUTS, Input
from trainer_client.signals._method import Method
from trainer_client.signals._pipeline import Pipeline, Setting, resolve, takes_weights
from trainer_client.signals._registry import Estimator, load_named, method, method_of, methods
from trainer_client.signals._signal import Pair, Request, Signal
from trainer_client.signals.parts.combine import Combined, combine
from trainer_client.signals.parts.group_normalise import group_normalise
from trainer_client.signals.parts.terms import Gate, Term

__all__ = [
    "INPUTS",
    "Combined",
    "Estimator",
    "Gate",
    "Groups",
    "Input",
    "InputError",
    "Method",
    "MissingInputError",
    "MissingScoreError",
    "OptionError",
    "Pair",
    "Pipeline",
    "Request",
    "Signal",
    "SignalBatch",
    "SignalError",
    "StateMismatchError",
    "Term",
    "TooManyMissingError",
    "UnknownMethodError",
    "WholeBatchError",
    "advantages",
    "combine",
    "group_normalise",
    "load_named",
    "method",
    "method_of",
    "methods",
    "resolve",
    "takes_weights",
]


def advantages(
    method: Setting,
    rewards: ArrayLike | None = None,
    *,
    groups: GroupIds | Groups | None = None,
    valid: ArrayLike | None = None,
    step: int | None = None,
    **given: Any,
) -> FloatArray:
    """Advantages ``[N]`` of one step, from arrays.

        advantages("grpo", rewards, groups=ids, lengths=n)
        advantages("dapo", rewards, groups=ids, lengths=n, max_length=8192, cache=1024)

    Args:
        method: name of a method; a table with a name and options, or a list of stages, as in a recipe.
        rewards: ``[N]``; NaN is allowed where ``valid`` is False.
        groups: ``[N]`` ids of the prompts.
        valid: ``[N]`` rows that take part; None for all. The others get 0.
        step: number of the optimiser step, for schedules.
        given: further inputs (`INPUTS`) and, for a method given by its name, its options. Where both have a name, it
            is an input if the method reads that input.

    Raises:
        SignalError: an input is missing, not read by the method or bad; an unknown method or option; or a method
            without advantages per rollout.
    """
    options: dict[str, Any] = {}
    if isinstance(method, str):
        registered = method_of(method)
        names = {*registered.required, *registered.defaults} - registered.reads
        options = {name: given.pop(name) for name in tuple(given) if name in names}
        method = {"name": method, **options}
    estimator = resolve(method)
    result = estimator(SignalBatch(rewards, groups, valid, step=step, **given)).advantages
    if result is None:
        raise OptionError(f"{estimator.name}: gives no advantage per rollout; call its estimator and read the signal")
    return result
