"""Methods of ``trainer_client.signals`` that a trainer's own batch has the inputs for."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trainer_client import RecipeError
from trainer_client.signals import SignalBatch, SignalError, method_of, methods, resolve

_THERE = frozenset({"rewards", "groups", "lengths", "mask"})
"""What every trainer has where it computes advantages."""


@cache
def batch_methods() -> tuple[str, ...]:
    """Names of the methods that give advantages from rewards, groups, lengths and the mask, and keep no state."""
    return tuple(method.name for method in methods() if _fits(method.name))


def why_not(name: str) -> str:
    """What keeps a method out of `batch_methods`, in words for an error; empty for one that is in."""
    if name in batch_methods():
        return ""
    method = method_of(name)
    if method.required:
        return f"it needs the option {method.required[0]!r}"
    lacking = [wish for wish in method.inputs if not set(wish.split("|")) & _THERE]
    if lacking:
        return f"it reads {', '.join(lacking)}, which the trainer does not hand over"
    if resolve({"name": name}).needs == "state":
        return "it remembers earlier steps, which the trainer's checkpoint would not hold"
    return "it gives no advantages"


def _fits(name: str) -> bool:
    method = method_of(name)
    if method.required or not all(set(wish.split("|")) & _THERE for wish in method.inputs):
        return False
    if resolve({"name": name}).needs == "state":
        return False
    mask = np.ones((4, 3))
    try:
        advantages_of(name, np.array([1.0, 0.0, 0.5, 0.0]), list("aabb"), np.ones(4, np.bool_), mask)
    except SignalError:
        return False
    return True


def advantages_of(
    name: str,
    rewards: NDArray[np.float64],
    groups: Sequence[str],
    valid: NDArray[np.bool_],
    response_mask: NDArray[Any],
) -> NDArray[np.float64]:
    """Advantages by a method; rows that are not valid take no part and get 0.

    Args:
        name: of the method.
        rewards: ``[N]``; ignored where not valid.
        groups: ``[N]`` ids of the prompts.
        valid: ``[N]`` rows that have a reward.
        response_mask: ``[N, T]`` tokens of the responses.

    Returns:
        ``[N]``, or ``[N, T]`` where the method gives them per token.

    Raises:
        SignalError: the method cannot be applied, or gives no advantages.
    """
    estimator = resolve({"name": name})
    inputs = {"lengths": response_mask.sum(-1), "mask": response_mask.astype(np.bool_)}
    inputs_read = {key: value for key, value in inputs.items() if key in estimator.reads}
    signal = estimator(SignalBatch(np.where(valid, rewards, np.nan), list(groups), valid, **inputs_read))
    advantages = signal.token_advantages if signal.token_advantages is not None else signal.advantages
    if advantages is None:
        raise SignalError(f"{name}: gives no advantages")
    factors = signal.weights if advantages.ndim == 1 else signal.weights[:, None]
    return np.asarray(advantages * factors, np.float64)


def check_method(name: str, place: str, *, per_token: bool) -> None:
    """Refuse a method that a trainer cannot use.

    Args:
        name: of the method.
        place: the trainer's slot, for the message.
        per_token: whether the slot takes a number per token.

    Raises:
        RecipeError: it does not fit; the message says why.
    """
    reason = why_not(name)
    if not reason and not per_token:
        mask = np.ones((4, 3))
        advantages = advantages_of(name, np.array([1.0, 0.0, 0.5, 0.0]), list("aabb"), np.ones(4, np.bool_), mask)
        reason = "it gives advantages per token" if advantages.ndim == 2 else ""
    if reason:
        raise RecipeError(f"{name!r} does not fit {place}: {reason}", "advantage")
