"""The one abstraction: a verifier is a typed function, or a class when it has something to set up.

What the signature says is what the server does: ``def`` runs in worker processes, ``async def`` on the loop, a class
with ``score_batch`` on a device. Parameters are found by their annotation, never by position or arity.
"""

from __future__ import annotations

import inspect
import math
import re
import sys
import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from reward_servers.core._context import Context
from reward_servers.core._errors import VerifierDefinitionError
from reward_servers.core._model import Group, Rollout, check_subject
from reward_servers.core._schemas import Options, Reference, Settings


class Placement(Enum):
    """Where a verifier runs."""

    LOOP = "loop"
    PROCESS = "process"
    DEVICE = "device"


class Cost(Enum):
    """Roughly what a judgement costs. Trivial ones are neither cached nor coalesced: looking up would cost more."""

    TRIVIAL = "trivial"
    CPU = "cpu"
    SANDBOX = "sandbox"
    NETWORK = "network"
    DEVICE = "device"


class Role(Enum):
    """What a parameter of a verifier receives."""

    ROLLOUT = 0
    REFERENCE = 1
    OPTIONS = 2
    CONTEXT = 3


_DEFAULT_COST = {Placement.LOOP: Cost.NETWORK, Placement.PROCESS: Cost.CPU, Placement.DEVICE: Cost.DEVICE}
_NAME = re.compile(r"[a-z0-9][a-z0-9_.-]*(/[a-z0-9][a-z0-9_.-]*)?")


@dataclass(frozen=True, slots=True)
class ItemLimits:
    """Bounds of one item.

    Attributes:
        cpu_s: CPU time of the item's own process tree, in seconds: exceeding it is a verdict.
        wall_s: Wall time, in seconds: a generous bound against items that wait without computing; beyond it is a fault.
        memory_bytes: Memory beyond the idle worker's, in bytes; 0 for no bound.
        response_bytes: Size of the response, in bytes of UTF-8: exceeding it is a verdict.
    """

    cpu_s: float = 10.0
    wall_s: float = 60.0
    memory_bytes: int = 1 << 30
    response_bytes: int = 4 << 20


@dataclass(frozen=True, slots=True)
class Item:
    """One item of a batch, for verifiers that judge many at once.

    Attributes:
        rollout: What is judged.
        ref: Its reference.
        options: What the caller chose.
        context: Its context.
        prepared: What the verifier's ``prepare`` made of it; None without such a method.
    """

    rollout: Rollout
    ref: Any
    options: Any
    context: Context
    prepared: Any = None


@dataclass(frozen=True, slots=True, eq=False)
class Verifier:
    """A declared verifier.

    Attributes:
        name: Its name, such as ``"math"`` or ``"acme/exact"``.
        version: Changes when its verdicts may change.
        target: The function or class.
        runs: Where it runs.
        scope: ``"rollout"`` or ``"group"``.
        roles: What each parameter of the function receives, in order.
        reference: Class of the reference; None when it reads none.
        options: Class of the options; None when it has none.
        settings: Class of the settings; None when it has none.
        deterministic: Whether the same item always gets the same verdict.
        cost: What a judgement costs.
        low: Lowest score.
        high: Highest score.
        floor: Score of a candidate that gave nothing to judge or exceeded a bound.
        limits: Bounds of one item.
        concurrency: Items that may run side by side on the loop.
        device: Device that a batching verifier asks for, such as ``"cuda"``; empty otherwise.
        max_batch: Items that a batching verifier takes at once.
        aspects: Names of aspects that verdicts may carry, when they are known in advance.
        floor_aspects: Aspects of a verdict that gives none of its own because there was nothing to judge.
        libraries: Distributions whose version may change its verdicts; they are part of its digest.
        address: Where it is found when its target alone does not say: see `reward_servers.core._styles`.
        sources: Modules in whose code its verdicts are made; empty for that of the target.
    """

    name: str
    version: str
    target: Callable[..., Any]
    runs: Placement
    scope: str = "rollout"
    roles: tuple[Role, ...] = ()
    reference: type[Reference] | None = None
    options: type[Options] | None = None
    settings: type[Settings] | None = None
    deterministic: bool = True
    cost: Cost = Cost.CPU
    low: float = 0.0
    high: float = 1.0
    floor: float = 0.0
    limits: ItemLimits = field(default_factory=ItemLimits)
    concurrency: int = 64
    device: str = ""
    max_batch: int = 64
    aspects: tuple[str, ...] = ()
    floor_aspects: Mapping[str, float | None] = field(default_factory=dict)
    libraries: tuple[str, ...] = ()
    address: str = ""
    sources: tuple[str, ...] = ()

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the function itself, as a unit test does.

        Raises:
            TypeError: What is to be judged is of another class, such as a rollout of the trainer's side.
        """
        for role, value in zip(self.roles, args, strict=False):
            if role is Role.ROLLOUT and not inspect.isclass(self.target):
                check_subject(value)
        return self.target(*args, **kwargs)

    @property
    def description(self) -> str:
        """The first line of the docstring."""
        return (inspect.getdoc(self.target) or "").partition("\n")[0]

    @property
    def path(self) -> str:
        """Where a worker process finds the verifier: ``module:name``, or its address."""
        return self.address or f"{self.target.__module__}:{self.target.__qualname__}"

    @property
    def modules(self) -> tuple[str, ...]:
        """Modules whose code judges, with what they import of their packages."""
        return self.sources or (self.target.__module__,)

    @property
    def is_class(self) -> bool:
        """Whether the verifier has something to set up."""
        return inspect.isclass(self.target)


def _hints(function: Callable[..., Any]) -> dict[str, Any]:
    try:
        return typing.get_type_hints(function)
    except NameError as error:
        raise VerifierDefinitionError(
            f"{function.__qualname__}: the annotation {error.name!r} cannot be resolved; "
            "define the class at module level and import it outside `if TYPE_CHECKING`"
        ) from None


def _role_of(annotation: object, scope: str) -> Role | None:
    if not inspect.isclass(annotation):
        return None
    if issubclass(annotation, Group if scope == "group" else Rollout):
        return Role.ROLLOUT
    for base, role in ((Reference, Role.REFERENCE), (Options, Role.OPTIONS), (Context, Role.CONTEXT)):
        if issubclass(annotation, base):
            return role
    return None


def _read_parameters(function: Callable[..., Any], scope: str, skip: int) -> dict[Role, Any]:
    hints = _hints(function)
    roles: dict[Role, Any] = {}
    for parameter in list(inspect.signature(function).parameters.values())[skip:]:
        role = _role_of(hints.get(parameter.name), scope)
        if role is None:
            subject = "Group" if scope == "group" else "Rollout"
            raise VerifierDefinitionError(
                f"{function.__qualname__}: parameter {parameter.name!r} needs an annotation that says what it "
                f"receives: {subject}, Context, or a class derived from Reference or Options"
            )
        if parameter.kind is parameter.KEYWORD_ONLY:
            raise VerifierDefinitionError(
                f"{function.__qualname__}: parameter {parameter.name!r} is given by position; move it before the '*'"
            )
        if role in roles:
            raise VerifierDefinitionError(f"{function.__qualname__}: two parameters receive the {role.name.lower()}")
        roles[role] = hints[parameter.name]
    if Role.ROLLOUT not in roles:
        raise VerifierDefinitionError(f"{function.__qualname__}: no parameter receives the {scope}")
    return roles


def _settings_of(target: type) -> type[Settings] | None:
    setup = getattr(target, "setup", None)
    if setup is None:
        return None
    hints = [hint for name, hint in _hints(setup).items() if name != "return"]
    if not hints:
        return None
    if len(hints) > 1 or not (inspect.isclass(hints[0]) and issubclass(hints[0], Settings)):
        raise VerifierDefinitionError(
            f"{target.__qualname__}.setup: it takes one parameter, annotated with a class derived from Settings"
        )
    settings: type[Settings] = hints[0]
    return settings


def _item_types(target: type) -> dict[Role, Any]:
    """A batching class names its reference and options as class attributes: its items carry them."""
    types: dict[Role, Any] = {Role.ROLLOUT: Rollout}
    for attribute, role, base in (
        ("Reference", Role.REFERENCE, Reference),
        ("Options", Role.OPTIONS, Options),
    ):
        declared = getattr(target, attribute, None)
        if declared is None:
            continue
        if not (inspect.isclass(declared) and issubclass(declared, base)):
            raise VerifierDefinitionError(f"{target.__qualname__}.{attribute} must derive from {base.__name__}")
        types[role] = declared
    for attribute, value in vars(target).items():
        for base_class in (Reference, Options):
            if inspect.isclass(value) and issubclass(value, base_class) and value not in types.values():
                raise VerifierDefinitionError(
                    f"{target.__qualname__}.{attribute}: the server reads this class from the attribute "
                    f"`{base_class.__name__}`; write `{base_class.__name__} = {value.__name__}`"
                )
    return types


def _inspect(target: Callable[..., Any], scope: str) -> tuple[Placement, dict[Role, Any], type[Settings] | None]:
    if not inspect.isclass(target):
        runs = Placement.LOOP if inspect.iscoroutinefunction(target) else Placement.PROCESS
        return runs, _read_parameters(target, scope, 0), None
    settings = _settings_of(target)
    if hasattr(target, "score_batch"):
        if scope == "group":
            raise VerifierDefinitionError(f"{target.__qualname__}: a batching verifier judges rollouts, not groups")
        if inspect.iscoroutinefunction(target.score_batch):
            raise VerifierDefinitionError(
                f"{target.__qualname__}: score_batch runs in a separate process; make it `def`"
            )
        return Placement.DEVICE, _item_types(target), settings
    score = getattr(target, "score", None)
    if score is None:
        raise VerifierDefinitionError(f"{target.__qualname__}: a verifier class needs `score` or `score_batch`")
    runs = Placement.LOOP if inspect.iscoroutinefunction(score) else Placement.PROCESS
    return runs, _read_parameters(score, scope, 1), settings


def is_verifier_name(text: str) -> bool:
    """Whether a verifier may be called so, such as ``"math"`` or ``"acme/exact"``."""
    return _NAME.fullmatch(text) is not None


def _check_values(declared: Mapping[str, Any], scope: str) -> None:
    """Refuse values that no item could be judged by."""
    low, high, floor, limits = (declared[key] for key in ("low", "high", "floor", "limits"))
    problem = ""
    if scope not in ("rollout", "group"):
        problem = f"scope is 'rollout' or 'group', not {scope!r}"
    elif not isinstance(declared["version"], str) or not declared["version"]:
        problem = f"version is a text such as '1', not {declared['version']!r}"
    elif not (math.isfinite(low) and math.isfinite(high) and low < high):
        problem = f"score_range is two finite numbers, the lower one first, not {(low, high)}"
    elif not low <= floor <= high:
        problem = f"floor {floor} is outside score_range {(low, high)}; widen the range, since a floor is a score"
    elif min(declared["concurrency"], declared["max_batch"]) < 1:
        problem = "concurrency and max_batch are at least 1"
    elif not (limits.cpu_s > 0 and limits.wall_s > 0 and limits.response_bytes > 0 and limits.memory_bytes >= 0):
        problem = f"limits are greater than 0, memory may be 0 for no bound: {limits}"
    if problem:
        raise VerifierDefinitionError(f"{declared['name']}: {problem}")


def _check_importable(target: Callable[..., Any], name: str) -> None:
    module = sys.modules.get(target.__module__)
    notebook = target.__module__ == "__main__" and not getattr(module, "__file__", None)
    if notebook or "<locals>" in target.__qualname__:
        raise VerifierDefinitionError(
            f"{name}: worker processes import a verifier by its path, and {target.__module__}:{target.__qualname__} "
            "cannot be imported; move it to the top level of a module file"
        )


def verifier(
    name: str,
    *,
    version: str,
    scope: str = "rollout",
    deterministic: bool = True,
    cost: Cost | None = None,
    score_range: tuple[float, float] = (0.0, 1.0),
    floor: float | None = None,
    limits: ItemLimits | None = None,
    concurrency: int = 64,
    device: str = "",
    max_batch: int = 64,
    aspects: Sequence[str] | Mapping[str, float | None] = (),
    libraries: Sequence[str] = (),
) -> Callable[[Callable[..., Any]], Verifier]:
    """Declare a verifier.

    Args:
        name: Its name; third parties prefix theirs (``"acme/exact"``).
        version: Change it when verdicts may change.
        scope: ``"rollout"``, or ``"group"`` to judge all rollouts of a prompt together.
        deterministic: Whether the same item always gets the same verdict; others are not cached.
        cost: What a judgement costs; by default after where it runs.
        score_range: Lowest and highest score; a score outside is a fault of the verifier.
        floor: Score of a candidate that gave nothing to judge; by default the lowest.
        limits: Bounds of one item.
        concurrency: Items that may run side by side on the loop.
        device: Device for a class with ``score_batch``; an operator's setting overrides it.
        max_batch: Items that ``score_batch`` takes at once.
        aspects: Names of aspects that verdicts carry. With a value for each, also those of a verdict at the floor: a
            method that reads an aspect leaves out whoever has none. None where no number would be true.
        libraries: Distributions whose version may change its verdicts, such as ``"sympy"``; part of its digest.

    Returns:
        A decorator that turns a function or class into a ``Verifier``.

    Raises:
        VerifierDefinitionError: The declaration cannot work; the message says what to change.
    """
    if not is_verifier_name(name):
        raise VerifierDefinitionError(f"{name!r} is not a verifier name: use lower case, such as 'acme/exact'")
    low, high = score_range
    declared = {
        "name": name,
        "version": version,
        "deterministic": deterministic,
        "low": low,
        "high": high,
        "floor": low if floor is None else floor,
        "limits": limits or ItemLimits(),
        "concurrency": concurrency,
        "device": device,
        "max_batch": max_batch,
        "aspects": tuple(aspects),
        "floor_aspects": dict(aspects) if isinstance(aspects, Mapping) else {},
        "libraries": tuple(libraries),
    }
    _check_values(declared, scope)
    return lambda target: _declare(target, scope, cost, declared)


def _declare(target: Callable[..., Any], scope: str, cost: Cost | None, declared: Mapping[str, Any]) -> Verifier:
    runs, parameters, settings = _inspect(target, scope)
    if runs is not Placement.LOOP:
        _check_importable(target, declared["name"])
    return Verifier(
        target=target,
        runs=runs,
        scope=scope,
        roles=tuple(parameters),
        reference=parameters.get(Role.REFERENCE),
        options=parameters.get(Role.OPTIONS),
        settings=settings,
        cost=cost or _DEFAULT_COST[runs],
        **declared,
    )
