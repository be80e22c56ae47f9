"""The parts of a recipe: a `Reward` is one score of a rollout, a `Server` is where verifiers run."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeAlias, get_args

from trainer_client._errors import RecipeError
from trainer_client._numbers import is_number
from trainer_client._settings import TLS, check_address, check_token_file, token_within
from trainer_client.recipe.schedules import Schedule

if TYPE_CHECKING:
    from trainer_client.signals import Gate

Action: TypeAlias = Literal["mask", "floor", "drop_group", "abort"]
"""What a missing score does: see `Reward.on_missing`."""

AdvantageSetting: TypeAlias = str | Mapping[str, Any] | Sequence[str | Mapping[str, Any]]
"""Name of a method, a table with its name and options, or a list of such stages."""

DEFAULT_DEADLINE = 300.0
_QUESTION = ("verifier", "tasks", "options", "deadline_s", "max_cpu_s")
ASIDE = MappingProxyType({"aside": True})
"""Metadata of fields that change nothing of what is asked, and so are no part of a recipe's digest."""
_GATE = ("gate.threshold", "gate.closed")


@dataclass(frozen=True, slots=True)
class Server:
    """A reward server: one process, or several replicas of it.

    Attributes:
        name: what errors and reports call it.
        verifiers: names of the verifiers that it hosts.
        endpoints: ``host:port`` of each replica, when it runs elsewhere; empty when it is started for the recipe.
        config: settings file for the server, for commands that start it.
        replicas: how many to start.
        env: variables of its environment besides those of the command that starts it, such as
            ``CUDA_VISIBLE_DEVICES``; ``{replica}`` in a value is the number of the replica, from 0. A recipe is read by
            many and is no place for secrets.
        workers: worker processes of each replica, for commands that start it; None for what its settings say.
        tls: files for asking this server encrypted, where it runs elsewhere; it goes before what is said for all.
        token: the same of the file with its bearer token, ``"file:PATH"``.
    """

    name: str
    verifiers: tuple[str, ...]
    endpoints: tuple[str, ...] = ()
    config: str | None = None
    replicas: int = 1
    env: Mapping[str, str] = field(default_factory=dict)
    workers: int | None = field(default=None, metadata=ASIDE)
    tls: TLS | None = field(default=None, metadata=ASIDE)
    token: str | None = field(default=None, metadata=ASIDE)

    def __post_init__(self) -> None:
        place = f"servers.{self.name}"
        if self.token is not None:
            check_token_file(self.token, f"{place}.token")
        if self.workers is not None and self.workers < 1:
            raise RecipeError(f"{self.workers} is not a count of at least 1", f"{place}.workers")
        if not self.verifiers:
            raise RecipeError('is empty; name what the server hosts, such as ["math"]', f"{place}.verifiers")
        if self.replicas < 1:
            raise RecipeError(f"{self.replicas} is not a count of at least 1", f"{place}.replicas")
        for name, value in self.env.items():
            if not name or "=" in name or "\0" in name + value:
                raise RecipeError(f"{name!r} is not the name of an environment variable", f"{place}.env")
        for address in self.endpoints:
            check_address(address, f"{place}.endpoints")

    def within(self, folder: str) -> Server:
        """The same with paths of files for asking it that are relative to a folder."""
        tls = None if self.tls is None else self.tls.within(folder)
        return replace(self, tls=tls, token=token_within(folder, self.token))

    def access(self, tls: TLS | None, token: str | None) -> tuple[TLS | None, str | None]:
        """The files and the token that it is asked with: its own, else those for all servers."""
        return self.tls or tls, self.token or token


class Reading(NamedTuple):
    """A column of scores that is read from verdicts.

    Attributes:
        column: its position.
        asked: position of the column whose verdicts those are, of which the servers are asked; possibly its own.
        aspect: name of the part that is the score; empty for the score itself.
    """

    column: int
    asked: int
    aspect: str


@dataclass(frozen=True, slots=True)
class Reward:
    """One score of a rollout, and its part in the reward.

    Attributes:
        name: name of the column.
        verifier: ``name``, or ``name@version`` to accept that version only.
        tasks: rollouts of these tasks are scored; None for all.
        options: given to the verifier, which validates them.
        aspect: name of a part of the verdict that is the score; empty for the score itself.
        weight: factor of the score in the sum.
        weighed: whether the weight is set on purpose, which a weight other than 1 always is: a method that takes the
            rewards apart keeps the weights of its paper where none of them is.
        required: whether a rollout without this score is left out of training.
        gate: makes the score a condition: what it shuts out is replaced by the gate's ``closed`` value.
        deadline_s: seconds from handing over a rollout to giving up on this score.
        max_cpu_s: seconds of CPU time an item may take, when less than the server's own limit.
        on_missing: what a missing score does, by fault or skip code, ``"default"`` for all others: ``mask`` the
            rollout (the default), take the verifier's ``floor``, ``drop_group``, or ``abort`` the batch.
        schedules: numbers that follow the training step, by ``"weight"``, ``"gate.threshold"``, ``"gate.closed"`` or
            ``"options.NAME"``. What these attributes hold themselves is the value at step 0.
        is_monitor: whether it is asked and shown only: of weight 0 at every step, and not required.
    """

    name: str
    verifier: str
    tasks: tuple[str, ...] | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    aspect: str = ""
    weight: float = 1.0
    required: bool = True
    gate: Gate | None = None
    deadline_s: float = DEFAULT_DEADLINE
    max_cpu_s: float | None = None
    on_missing: Mapping[str, Action] = field(default_factory=dict)
    schedules: Mapping[str, Schedule] = field(default_factory=dict)
    weighed: bool = False
    is_monitor: bool = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        place = f"rewards.{self.name}"
        if not self.name:
            raise RecipeError("a reward needs a name, under which its scores are reported", place)
        name, at, version = self.verifier.partition("@")
        if not name or (at and not version):
            raise RecipeError(f'{self.verifier!r} is not "name" or "name@version"', f"{place}.verifier")
        if self.tasks is not None and not self.tasks:
            raise RecipeError("is empty, so nothing would be scored; leave it out for all tasks", f"{place}.tasks")
        for key in ("weight", "deadline_s"):
            if is_number(number := getattr(self, key)):
                # What is equal has one form: 1 and 1.0 are the same weight, and give the same digest.
                object.__setattr__(self, key, float(number))
        if not is_number(self.weight):
            raise RecipeError(f"{self.weight!r} is not a finite number", f"{place}.weight")
        for key in ("deadline_s", "max_cpu_s"):
            seconds = getattr(self, key)
            if seconds is not None and not (is_number(seconds) and seconds > 0):
                raise RecipeError(f"{seconds!r} is not a positive number of seconds", f"{place}.{key}")
        if self.gate is not None and not self.required:
            raise RecipeError(
                "a gate decides about the whole rollout and cannot be optional; remove required = false",
                f"{place}.required",
            )
        for code, action in self.on_missing.items():
            if action not in get_args(Action):
                raise RecipeError(
                    f"{action!r} is not one of {', '.join(get_args(Action))}", f"{place}.on_missing.{code}"
                )
        try:
            # A copy: a change of the caller's dict must not reach a recipe that is known by its digest.
            options = json.loads(json.dumps(self.options, allow_nan=False))
        except (TypeError, ValueError) as error:
            raise RecipeError(f"cannot be sent as JSON: {error}", f"{place}.options") from None
        object.__setattr__(self, "options", options)
        # Weights and bounds of gates have no whole steps: `{ from = 0, to = 1, ... }` means what `0.0` and `1.0` mean.
        schedules = {
            key: schedule if key.startswith("options.") else schedule.exact for key, schedule in self.schedules.items()
        }
        object.__setattr__(self, "schedules", schedules)
        for key in self.schedules:
            if key not in ("weight", *(_GATE if self.gate is not None else ())) and not key.startswith("options."):
                raise RecipeError(f"{key!r} cannot change with the step; only weight, gate and options can", place)
        object.__setattr__(self, "weighed", self.weighed or self.weight != 1.0 or "weight" in schedules)
        object.__setattr__(self, "is_monitor", not self.weight and not self.required and "weight" not in schedules)
        self._set(0)

    def at(self, step: int) -> Reward:
        """The reward as it is at a step, with nothing left that follows it."""
        if not self.schedules:
            return self
        reward = replace(self, schedules={})
        object.__setattr__(reward, "schedules", self.schedules)
        reward._set(step)
        object.__setattr__(reward, "schedules", {})
        object.__setattr__(reward, "is_monitor", self.is_monitor)
        return reward

    def _set(self, step: int) -> None:
        """Put the values of a step where they belong."""
        for key, schedule in self.schedules.items():
            value = schedule.at(step)
            first, _, name = key.partition(".")
            if first == "weight":
                object.__setattr__(self, "weight", float(value))
            elif first == "gate" and self.gate is not None:
                changed: dict[str, Any] = {name: float(value)}
                object.__setattr__(self, "gate", replace(self.gate, **changed))
            else:
                object.__setattr__(self, "options", {**self.options, name: value})

    def applies_to(self, task: str) -> bool:
        """Whether it is asked of rollouts of a task."""
        return self.tasks is None or task in self.tasks

    def asks_as(self, other: Reward) -> bool:
        """Whether it reads the same verdicts as another reward, so that one question is enough."""
        return all(getattr(self, name) == getattr(other, name) for name in _QUESTION) and {
            key: value for key, value in self.schedules.items() if key.startswith("options.")
        } == {key: value for key, value in other.schedules.items() if key.startswith("options.")}

    @property
    def verifier_name(self) -> str:
        """The verifier without its version."""
        return self.verifier.partition("@")[0]

    @property
    def version(self) -> str:
        """The version that is accepted; empty for any."""
        return self.verifier.partition("@")[2]
