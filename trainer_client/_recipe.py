"""`Recipe`: which verifiers score which rollouts, and how the scores become one reward and an advantage.

A recipe holds `Reward` entries, one column of the score table each, and `Server` entries, which say where the
verifiers run. It is immutable and checked when it is made; `Recipe.load` reads it from a TOML file.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, get_args

from trainer_client._errors import RecipeError
from trainer_client._settings import check_address

if TYPE_CHECKING:
    from trainer_client.signals import Estimator, Gate, Pipeline, Term

Action: TypeAlias = Literal["mask", "floor", "drop_group", "abort"]
"""What a missing score does: see `Reward.on_missing`."""

AdvantageSetting: TypeAlias = str | Mapping[str, Any] | Sequence[str | Mapping[str, Any]]
"""Name of a method, a table with its name and options, or a list of such stages."""

DEFAULT_DEADLINE = 300.0


@dataclass(frozen=True, slots=True)
class Server:
    """A reward server: one process, or several replicas of it.

    Attributes:
        name: what errors and reports call it.
        verifiers: names of the verifiers that it hosts.
        endpoints: ``host:port`` of each replica, when it runs elsewhere; empty when it is started for the recipe.
        config: settings file for the server, for commands that start it.
        replicas: how many to start.
    """

    name: str
    verifiers: tuple[str, ...]
    endpoints: tuple[str, ...] = ()
    config: str | None = None
    replicas: int = 1

    def __post_init__(self) -> None:
        place = f"servers.{self.name}"
        if not self.verifiers:
            raise RecipeError('is empty; name what the server hosts, such as ["math"]', f"{place}.verifiers")
        if self.replicas < 1:
            raise RecipeError(f"{self.replicas} is not a count of at least 1", f"{place}.replicas")
        for address in self.endpoints:
            check_address(address, f"{place}.endpoints")


@dataclass(frozen=True, slots=True)
class Reward:
    """One score of a rollout, and its part in the reward.

    Attributes:
        name: name of the column.
        verifier: ``name``, or ``name@version`` to accept that version only.
        tasks: rollouts of these tasks are scored; None for all.
        options: given to the verifier, which validates them.
        weight: factor of the score in the sum.
        required: whether a rollout without this score is left out of training.
        gate: makes the score a condition: what it shuts out is replaced by the gate's ``closed`` value.
        deadline: seconds from handing over a rollout to giving up on this score.
        cpu_limit: seconds of CPU time an item may take, when less than the server's own limit.
        on_missing: what a missing score does, by fault or skip code, ``"default"`` for all others: ``mask`` the
            rollout (the default), take the verifier's ``floor``, ``drop_group``, or ``abort`` the batch.
    """

    name: str
    verifier: str
    tasks: tuple[str, ...] | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    weight: float = 1.0
    required: bool = True
    gate: Gate | None = None
    deadline: float = DEFAULT_DEADLINE
    cpu_limit: float | None = None
    on_missing: Mapping[str, Action] = field(default_factory=dict)

    def __post_init__(self) -> None:
        place = f"rewards.{self.name}"
        if not self.name:
            raise RecipeError("a reward needs a name; its scores stand under it", place)
        name, at, version = self.verifier.partition("@")
        if not name or (at and not version):
            raise RecipeError(f'{self.verifier!r} is not "name" or "name@version"', f"{place}.verifier")
        if self.tasks is not None and not self.tasks:
            raise RecipeError("is empty, so nothing would be scored; leave it out for all tasks", f"{place}.tasks")
        for key in ("weight", "deadline"):
            if isinstance(getattr(self, key), int):
                # What is equal has one form: 1 and 1.0 are the same weight, and give the same digest.
                object.__setattr__(self, key, float(getattr(self, key)))
        if not math.isfinite(self.weight):
            raise RecipeError(f"{self.weight} is not a finite number", f"{place}.weight")
        for key in ("deadline", "cpu_limit"):
            seconds = getattr(self, key)
            if seconds is not None and not 0 < seconds < math.inf:
                raise RecipeError(f"{seconds} is not a positive number of seconds", f"{place}.{key}")
        if self.gate is not None and not self.required:
            raise RecipeError(
                "a gate decides about the whole rollout and cannot be optional; drop required = false",
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

    @property
    def verifier_name(self) -> str:
        """The verifier without its version."""
        return self.verifier.partition("@")[0]

    @property
    def version(self) -> str:
        """The version that is accepted; empty for any."""
        return self.verifier.partition("@")[2]


@dataclass(frozen=True, eq=False)
class Recipe:
    """Rewards, the servers that give them, and what is made of them.

    Recipes that say the same are equal, and work for them travels together.

    Attributes:
        rewards: the columns of the score table. Gates act in this order.
        name: name of the recipe, for reports.
        servers: where verifiers run. A verifier named by none has a server of its own, called like it.
        advantage: method of ``trainer_client.signals``, with options, or a list of stages; None for no advantages.
        max_missing: largest tolerated share of missing scores, for each reward on its own.
        reasoning_marks: pairs of marks between which a response is reasoning, such as ``("<plan>", "</plan>")``, for
            all verifiers. The usual ones (``<think>``, ``[THINK]``, Harmony's channels, ...) are known without.
    """

    rewards: tuple[Reward, ...]
    name: str = "recipe"
    servers: tuple[Server, ...] = ()
    advantage: AdvantageSetting | None = "grpo"
    max_missing: float = 0.2
    reasoning_marks: tuple[tuple[str, str], ...] = ()

    def __post_init__(self) -> None:
        if not self.rewards:
            raise RecipeError('there is no reward; add a table such as [rewards.correct] with verifier = "math"')
        _refuse_twins("rewards", [reward.name for reward in self.rewards])
        _refuse_twins("servers", [server.name for server in self.servers])
        if not 0 <= self.max_missing <= 1:
            raise RecipeError(f"{self.max_missing} is not a share between 0 and 1", "max_missing")
        self._check_hosts()
        self._check_marks()
        self.estimator()
        try:
            _ = self.digest
        except (TypeError, ValueError) as error:
            raise RecipeError(f"an option is not one that TOML could hold: {error}", "advantage") from None

    @cached_property
    def digest(self) -> str:
        """Names everything that the recipe says: equal for equal recipes, in every process."""
        return digest_of({f.name: getattr(self, f.name) for f in dataclasses.fields(self)})

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Recipe) and other.digest == self.digest

    def __hash__(self) -> int:
        return hash(self.digest)

    def _check_marks(self) -> None:
        for pair in self.reasoning_marks:
            usable = len(pair) == 2 and all(isinstance(mark, str) and mark.strip() for mark in pair)
            if not usable or pair[0] == pair[1]:
                raise RecipeError(
                    f'{pair!r} is not an opening and a closing mark, such as ["<plan>", "</plan>"]', "reasoning_marks"
                )

    def _check_hosts(self) -> None:
        host: dict[str, str] = {}
        for server in self.servers:
            for verifier in server.verifiers:
                if "@" in verifier:
                    raise RecipeError(
                        f"{verifier!r}: a server hosts names; ask for a version in the reward",
                        f"servers.{server.name}.verifiers",
                    )
                if verifier in host:
                    raise RecipeError(
                        f"{verifier!r} is hosted by server {host[verifier]!r} already; name it once. To scale it, "
                        "give that server more endpoints or replicas",
                        f"servers.{server.name}.verifiers",
                    )
                host[verifier] = server.name
        names = {server.name for server in self.servers}
        for reward in self.rewards:
            verifier = reward.verifier_name
            if verifier not in host and verifier in names:
                raise RecipeError(
                    f"no server hosts {verifier!r}, and the name is taken by one that hosts others; add it to "
                    f"servers.{verifier}.verifiers",
                    f"rewards.{reward.name}.verifier",
                )

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Recipe:
        """Read a recipe from a TOML file.

        Raises:
            RecipeError: with the line, the key and the remedy.
            OSError: the file cannot be read.
        """
        from trainer_client._recipe_file import load_recipe

        return load_recipe(path)

    @classmethod
    def loads(cls, text: str) -> Recipe:
        """Read a recipe from TOML text.

        Raises:
            RecipeError: with the line, the key and the remedy.
        """
        from trainer_client._recipe_file import parse_recipe

        return parse_recipe(text)

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the rewards, in the order of the table's columns."""
        return tuple(reward.name for reward in self.rewards)

    def server_of(self, verifier: str) -> Server:
        """The server that hosts a verifier: the one that names it, or one of its own."""
        for server in self.servers:
            if verifier in server.verifiers:
                return server
        return Server(verifier, (verifier,))

    @property
    def all_servers(self) -> tuple[Server, ...]:
        """Every server that the recipe uses, those of their own included."""
        used = {self.server_of(reward.verifier_name).name: reward.verifier_name for reward in self.rewards}
        implied = [self.server_of(verifier) for verifier in used.values()]
        named = {server.name for server in self.servers}
        return self.servers + tuple(server for server in implied if server.name not in named)

    def terms(self, floors: Mapping[int, float]) -> list[Term]:
        """The rewards as terms of ``signals.combine``.

        Args:
            floors: floor of each column's verifier, where it is known. Where it is not, since no server has told it,
                a missing score that would take the floor is masked: no number is made up for it.
        """
        from trainer_client.signals import Term

        terms = []
        for column, reward in enumerate(self.rewards):
            floor = floors.get(column)
            actions = {
                "*" if code == "default" else code: "mask" if action == "floor" and floor is None else action
                for code, action in reward.on_missing.items()
            }
            terms.append(Term(reward.name, reward.weight, reward.required, reward.gate, floor, actions))
        return terms

    def estimator(self) -> Estimator | Pipeline | None:
        """A new estimator of the ``advantage`` setting; None when there is none.

        Raises:
            RecipeError: no method has that name, or an option does not fit.
        """
        if self.advantage is None:
            return None
        from trainer_client.signals import SignalError, resolve

        try:
            return resolve(self.advantage, [reward.weight for reward in self.rewards])
        except SignalError as error:
            raise RecipeError(str(error).removeprefix("advantage: "), "advantage") from None


def as_recipe(recipe: Recipe | str | os.PathLike[str]) -> Recipe:
    """The recipe, read from its file where a path is given.

    Raises:
        RecipeError: it is neither, or the file cannot be used.
        OSError: the file cannot be read.
    """
    if isinstance(recipe, Recipe):
        return recipe
    if isinstance(recipe, str) and "\n" in recipe:
        raise RecipeError("expected a recipe or the path of one, found TOML text; give Recipe.loads(text)")
    if isinstance(recipe, str | os.PathLike):
        if not os.path.exists(recipe):
            raise RecipeError(
                "there is no such file; the first argument is a recipe or the path of one, the second where the "
                "servers are",
                path=os.fspath(recipe),
            )
        return Recipe.load(recipe)
    raise RecipeError(
        f"expected a recipe or the path of one, found {type(recipe).__name__}; where the servers are comes second"
    )


def digest_of(value: Any) -> str:
    """Digest of a value of JSON types, mappings, sequences and dataclasses.

    Raises:
        TypeError: it holds something else.
        ValueError: it holds NaN or an infinity.
    """
    text = json.dumps(value, default=_plain, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return dict(value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: getattr(value, f.name) for f in dataclasses.fields(value)}
    raise TypeError(f"{value!r} of type {type(value).__name__}")


def _refuse_twins(table: str, names: list[str]) -> None:
    for name in names:
        if names.count(name) > 1:
            raise RecipeError("the name is used twice", f"{table}.{name}")
