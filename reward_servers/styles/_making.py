"""Makes verifiers of foreign code: what all styles share."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import math
import numbers
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, TypeVar

from reward_servers import Cost, DatasetError, ItemLimits, Rollout, Score, ServiceError, Settings
from reward_servers.core import Group, Placement, Verifier
from reward_servers.core._verifier import Role
from reward_servers.styles._address import Address
from reward_servers.styles._columns import Columns

_T = TypeVar("_T")
_SHOWN = 200
_NOTE = 2000


def is_async(function: Any) -> bool:
    """Whether a function, or an object that is called like one, is a coroutine function."""
    if inspect.iscoroutinefunction(function):
        return True
    return callable(function) and inspect.iscoroutinefunction(type(function).__call__)


def finish(returned: Awaitable[_T] | _T) -> _T:
    """What a function in a worker process returned, awaited where it has to be."""

    async def wait(awaitable: Awaitable[_T]) -> _T:
        return await awaitable

    return asyncio.run(wait(returned)) if inspect.isawaitable(returned) else returned


def parameters_of(function: Any) -> tuple[list[str], set[str] | None]:
    """The parameters that a function cannot be called without, and all that it takes; None where it takes any."""
    parameters = inspect.signature(function).parameters.values()
    named_parameters = [
        parameter
        for parameter in parameters
        if parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY)
    ]
    takes_any = any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters)
    return [
        parameter.name for parameter in named_parameters if parameter.default is parameter.empty
    ], None if takes_any else {parameter.name for parameter in named_parameters}


def number_of(value: Any, owner: str, limits: tuple[float, float]) -> float:
    """A reward that foreign code returned, as a float.

    Raises:
        DatasetError: It is None or not a number by IEEE: the function does not apply to this rollout, by its own word.
        ServiceError: It is no number, or outside the declared range.
    """
    if not isinstance(value, bool | numbers.Real) and hasattr(value, "item") and getattr(value, "size", 1) != 0:
        with contextlib.suppress(TypeError, ValueError, RuntimeError):
            value = value.item()  # an array of several numbers stays one, and is refused below
    if value is None or (isinstance(value, float) and math.isnan(value)):
        raise DatasetError(f"{owner} gave no reward for this rollout ({value})", code="not_applicable")
    if not isinstance(value, numbers.Real):
        raise ServiceError(f"{owner} returned {clipped(value)}, not a number", code="invalid_score")
    low, high = limits
    number = _float(value)
    if not low <= number <= high:
        raise ServiceError(
            f"{owner} returned {clipped(value)}, outside [{low:g}, {high:g}]; declare what it may give with "
            "?range=LOW..HIGH behind its address",
            code="invalid_score",
        )
    return number


def _float(value: Any) -> float:
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf


def score_of(value: float, parts: Mapping[Any, Any], note: Any = "") -> Score:
    """A score with what came beside it: numbers are aspects, the rest is evidence."""
    aspects: dict[str, float | None] = {}
    evidence: dict[str, Any] = {}
    for name, part in parts.items():
        if isinstance(part, numbers.Real) and math.isfinite(part):
            aspects[str(name)] = float(part)
        elif part is None:
            aspects[str(name)] = None
        else:
            evidence[str(name)] = part
    return Score(value, aspects=aspects, note=str(note or "")[:_NOTE], evidence=evidence)


def clipped(value: Any) -> str:
    """A value as a message repeats it."""
    try:
        text = f"{type(value).__name__} {value!r}"
    except Exception:  # noqa: BLE001 - foreign code writes it
        text = type(value).__name__
    return text if len(text) <= _SHOWN else text[:_SHOWN] + "..."


def make_verifier(
    address: Address,
    judge: Callable[..., Any],
    *,
    limits: tuple[float, float],
    loop: bool,
    group: bool = False,
    deterministic: bool,
    about: Any = None,
    sources: Sequence[str] = (),
    libraries: Sequence[str] = (),
    cost: Cost | None = None,
    settings: type[Settings] | None = None,
    item_limits: ItemLimits | None = None,
    context: bool = False,
) -> Verifier:
    """Declare a verifier at an address.

    Args:
        address: Its address, which is its name.
        judge: Judges a rollout, or a group, with the reference as a second argument.
        limits: Lowest and highest score.
        loop: Whether it runs on the server's event loop; in worker processes otherwise.
        group: Whether it judges whole groups.
        deterministic: Whether verdicts may be kept, unless the address says.
        about: What is served, for the description.
        sources: Modules of foreign code that verdicts are made in.
        libraries: Distributions that it depends on.
        cost: What a judgement costs; by where it runs otherwise.
        settings: Class of the settings, where the judge is a class that is set up.
        item_limits: Bounds of one item; the usual ones otherwise.
        context: Whether the judge takes the context as a third argument.
    """
    low, high = limits
    judge.__doc__ = (inspect.getdoc(about) if about is not None else "") or f"What {address.target} says."
    runs = Placement.LOOP if loop else Placement.PROCESS
    tops = [source.partition(".")[0] for source in sources]
    return Verifier(
        name=address.text,
        version=address.version,
        target=judge,
        runs=runs,
        scope="group" if group else "rollout",
        roles=(Role.ROLLOUT, Role.REFERENCE, *((Role.CONTEXT,) if context else ())),
        reference=Columns,
        settings=settings,
        limits=item_limits or ItemLimits(),
        deterministic=address.flag("deterministic", default=deterministic),
        cost=cost or (Cost.NETWORK if loop else Cost.CPU),
        low=low,
        high=high,
        floor=low,
        libraries=tuple(dict.fromkeys((*libraries, *tops))),
        address=address.text,
        sources=tuple(dict.fromkeys((judge.__module__, *(source for source in sources if not _is_installed(source))))),
    )


def _is_installed(module: str) -> bool:
    """Whether the version of an installed distribution tells the code of a module: its whole package is not read."""
    try:
        version(module.partition(".")[0])
    except PackageNotFoundError:
        return False
    file = getattr(sys.modules.get(module), "__file__", None)
    return file is not None and bool({"site-packages", "dist-packages"} & set(Path(file).parts))


def members(subject: Rollout | Group) -> list[Rollout]:
    """The rollouts of a subject."""
    return list(subject) if isinstance(subject, Group) else [subject]
