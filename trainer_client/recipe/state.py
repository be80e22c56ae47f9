"""State of the methods of a recipe, as a checkpoint holds it.

A state is known by what shapes it: the methods with their options, and the rewards that they read. Where the servers
are, how long is waited and what the recipe is called change nothing about it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

from trainer_client._errors import StateError
from trainer_client.recipe.recipe import Recipe, digest_of

if TYPE_CHECKING:
    from trainer_client.signals import Estimator, Pipeline

    Method: TypeAlias = Estimator | Pipeline

_FORMAT = 1
_OF_A_REWARD = ("verifier", "tasks", "options", "aspect", "weight", "required", "gate", "on_missing", "schedules")


def keeps_state(method: Method | None) -> bool:
    """Whether a method remembers something from step to step."""
    return method is not None and method.needs == "state"


def save(recipe: Recipe, method: Method | None) -> dict[str, Any]:
    """The state of a recipe's method, of JSON types, with what shapes it."""
    shape = _shape(recipe, method)
    return {
        "format": _FORMAT,
        "digest": digest_of(shape),
        "shape": shape,
        "state": {} if method is None else method.state_dict(),
    }


def load(recipe: Recipe, state: Mapping[str, Any], *, strict: bool = True) -> Method | None:
    """A new method that goes on where a state was saved.

    Raises:
        StateError: the state was saved under another recipe, or is damaged.
    """
    from trainer_client.signals import SignalError

    if not isinstance(state, Mapping) or not {"format", "digest", "shape", "state"} <= set(state):
        raise StateError("this is not the state of a client; pass the value that client.state_dict() returned")
    if state["format"] != _FORMAT:
        raise StateError(f"the state has format {state['format']!r}; this version reads format {_FORMAT}")
    method = recipe.estimator()
    shape = _shape(recipe, method)
    if strict and state["digest"] != digest_of(shape):
        raise _differs(state["shape"], shape)
    if method is not None:
        try:
            method.load_state_dict(state["state"])
        except SignalError as error:
            raise StateError(f"the state does not fit the recipe's methods: {error}") from error
    return method


def _differs(saved: Mapping[str, Any], current: Mapping[str, Any]) -> StateError:
    keys = tuple(
        key for key in {**current, **saved} if saved.get(key) != current.get(key) or (key in saved) != (key in current)
    )
    differences = ", ".join(
        f"{key} ({_value_text(saved, key)} there, {_value_text(current, key)} here)" for key in keys
    )
    return StateError(
        f"the state was saved under another recipe; these differ: {differences}. Load it under the recipe of then, or "
        "with strict=False to use it all the same",
        keys,
    )


def _value_text(shape: Mapping[str, Any], key: str) -> str:
    return repr(shape[key]) if key in shape else "missing"


def _shape(recipe: Recipe, method: Method | None) -> dict[str, Any]:
    """What shapes a state, by dotted key."""
    shape: dict[str, Any] = {}
    for number, stage in enumerate([] if method is None else getattr(method, "stages", (method,))):
        place = f"advantage.{number}"
        shape[f"{place}.name"] = stage.name
        shape.update({f"{place}.{option}": _plain(value) for option, value in sorted(stage.options.items())})
    for reward in recipe.rewards:
        for name in _OF_A_REWARD:
            shape[f"rewards.{reward.name}.{name}"] = _plain(getattr(reward, name))
    return shape


def _plain(value: Any) -> Any:
    """The value as it is after JSON, with one form for numbers that are equal."""
    if isinstance(value, bool) or value is None or isinstance(value, str):
        return value
    if isinstance(value, int | float):
        return float(value)
    if isinstance(value, Mapping):
        return {str(key): _plain(part) for key, part in value.items()}
    if dataclasses.is_dataclass(value):
        return {field.name: _plain(getattr(value, field.name)) for field in dataclasses.fields(value) if field.init}
    return [_plain(part) for part in value]
