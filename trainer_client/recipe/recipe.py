"""`Recipe`: which verifiers score which rollouts, and how the scores become one reward and an advantage.

A recipe holds `Reward` entries, one column of the score table each, and `Server` entries, which say where the
verifiers run. It is immutable and checked when it is made; `Recipe.load` reads it from a TOML file.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from trainer_client._errors import RecipeError
from trainer_client._settings import field_mistake
from trainer_client.recipe.client_options import ClientOptions
from trainer_client.recipe.file import RecipeText
from trainer_client.recipe.inputs import InputSetting, Plan, Source, plan_of, read_inputs, sources_of
from trainer_client.recipe.record import Record
from trainer_client.recipe.rewards import AdvantageSetting, Reading, Reward, Server

if TYPE_CHECKING:
    from trainer_client.signals import Estimator, Pipeline, Term

_STEPS_KEPT = 4


@dataclass(frozen=True, eq=False)
class Recipe:
    """Rewards, the servers that give them, and what is made of them.

    Recipes that say the same are equal, and work for them travels together.

    Attributes:
        rewards: the columns of the score table. Gates act in this order.
        name: name of the recipe, for reports.
        servers: where verifiers run. A verifier named by none has a server of its own, called like it.
        advantage: method of ``trainer_client.signals``, with options, or a list of stages; None for no advantages.
        inputs: where what the method reads comes from, by the names of ``signals.INPUTS``: see
            `trainer_client.recipe.inputs`. What rewards and rollouts hold under the same meaning needs no entry.
        file_columns: column by field, for files with other names, as ``read_rollouts`` takes it; ``[columns]`` in a
            recipe file.
        client: how the servers are asked, where a client is not told otherwise.
        max_missing: largest tolerated share of missing scores, for each reward on its own.
        reasoning_marks: pairs of marks between which a response is reasoning, such as ``("<plan>", "</plan>")``, for
            all verifiers. The usual ones (``<think>``, ``[THINK]``, Harmony's channels, ...) are known without.
        follow_upgrades: whether a new digest of a verifier is taken over between batches, when no replica hosts the one
            that the run began with and its version has stayed the same. Otherwise the run stops.
        details: whether verdicts come with what was found beside score and code: aspects, steps, notes, evidence and
            feedback. Without them they cost less; faults say what they say either way.
    """

    rewards: tuple[Reward, ...]
    name: str = "recipe"
    servers: tuple[Server, ...] = ()
    advantage: AdvantageSetting | None = "grpo"
    inputs: Mapping[str, InputSetting] = field(default_factory=dict)
    file_columns: Mapping[str, str] = field(default_factory=dict)
    record: Record | None = None
    client: ClientOptions | None = None
    max_missing: float = 0.2
    reasoning_marks: tuple[tuple[str, str], ...] = ()
    follow_upgrades: bool = False
    details: bool = True

    def __post_init__(self) -> None:
        if not self.rewards:
            raise RecipeError('there is no reward; add a table such as [rewards.correct] with verifier = "math"')
        _refuse_twins("rewards", [reward.name for reward in self.rewards])
        _refuse_twins("servers", [server.name for server in self.servers])
        if not 0 <= self.max_missing <= 1:
            raise RecipeError(f"{self.max_missing} is not a share between 0 and 1", "max_missing")
        for name in self.file_columns:
            if mistake := field_mistake(name):
                raise RecipeError(mistake, f"columns.{name}")
        self._check_hosts()
        self._check_marks()
        self._check_details()
        try:
            _ = self.digest
        except (TypeError, ValueError) as error:
            raise RecipeError(f"an option has a value that TOML cannot hold: {error}", "advantage") from None

    @cached_property
    def digest(self) -> str:
        """Name everything that the recipe says: equal for equal recipes, in every process."""
        # What is kept of a run, and how it is asked, change nothing of what is asked.
        names = [f.name for f in dataclasses.fields(self) if f.name not in ("record", "client")]
        return digest_of({name: getattr(self, name) for name in names})

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Recipe) and other.digest == self.digest

    def __hash__(self) -> int:
        return hash(self.digest)

    def _check_details(self) -> None:
        plan = self.plan
        if self.details:
            return
        if self.record is not None:
            raise RecipeError("a [record] needs the details of verdicts; remove details = false", "details")
        sources = [] if plan is None else [source for bound in plan.sources().values() for source in bound]
        for source in sources:
            if source.kind in ("aspect", "evidence"):
                raise RecipeError(
                    f"the method reads {source.base}, which is one of the details; remove details = false", "details"
                )

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
                        f"{verifier!r}: write the name without a version here; a reward may name a version",
                        f"servers.{server.name}.verifiers",
                    )
                if verifier in host:
                    raise RecipeError(
                        f"{verifier!r} is already hosted by server {host[verifier]!r}; name it once. To scale it, "
                        "give that server more endpoints or replicas",
                        f"servers.{server.name}.verifiers",
                    )
                host[verifier] = server.name
        names = {server.name for server in self.servers}
        for reward in self.rewards:
            verifier = reward.verifier_name
            if verifier not in host and verifier in names:
                raise RecipeError(
                    f"no server hosts {verifier!r}, and the server of that name hosts other verifiers; add it to "
                    f"servers.{verifier}.verifiers",
                    f"rewards.{reward.name}.verifier",
                )

    @property
    def follows_steps(self) -> bool:
        """Whether a weight, a gate or an option follows the training step."""
        return any(reward.schedules for reward in self.rewards)

    @property
    def turns(self) -> tuple[int, ...]:
        """The steps at which something that follows them begins or ends to change; ``(0,)`` where nothing does."""
        ends = {turn for reward in self.rewards for schedule in reward.schedules.values() for turn in schedule.turns}
        return tuple(sorted(ends | {0}))

    def at(self, step: int) -> Recipe:
        """The recipe as it is at a step: itself where nothing follows it."""
        if not self.follows_steps:
            return self
        recipe = self._steps.get(step)
        if recipe is None:
            recipe = dataclasses.replace(self, rewards=tuple(reward.at(step) for reward in self.rewards))
            if len(self._steps) >= _STEPS_KEPT:
                self._steps.clear()
            self._steps[step] = recipe
        return recipe

    @cached_property
    def _steps(self) -> dict[int, Recipe]:
        return {}

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Recipe:
        """Read a recipe from a TOML file.

        Raises:
            RecipeError: with the line, the key and the remedy.
            OSError: the file cannot be read.
        """
        return RecipeText.of_file(path).build(cls)

    @classmethod
    def loads(cls, text: str) -> Recipe:
        """Read a recipe from TOML text.

        Raises:
            RecipeError: with the line, the key and the remedy.
        """
        return RecipeText(text).build(cls)

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the rewards, in the order of the table's columns."""
        return tuple(reward.name for reward in self.rewards)

    @cached_property
    def readings(self) -> tuple[Reading, ...]:
        """The columns that are read from the verdicts of others, or from a part of their own."""
        readings = []
        for column, reward in enumerate(self.rewards):
            if reward.aspect:
                source = next(at for at, r in enumerate(self.rewards) if r.asks_as(reward))
                readings.append(Reading(column, source, reward.aspect))
            elif any(r.aspect and r.asks_as(reward) for r in self.rewards[:column]):
                source = next(at for at, r in enumerate(self.rewards) if r.asks_as(reward))
                readings.append(Reading(column, source, ""))
        return tuple(readings)

    @property
    def read_columns(self) -> frozenset[int]:
        """Positions of the rewards that no server is asked for, since another has the verdicts."""
        return frozenset(reading.column for reading in self.readings if reading.column != reading.asked)

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
        declared = {server.name for server in self.servers}
        return self.servers + tuple(server for server in implied if server.name not in declared)

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
                code: "mask" if action == "floor" and floor is None else action
                for code, action in reward.on_missing.items()
            }
            terms.append(Term(reward.name, reward.weight, reward.required, reward.gate, floor, actions))
        return terms

    @cached_property
    def plan(self) -> Plan | None:
        """What supplies each input of the method; None without one.

        Raises:
            RecipeError: no method has that name, an option does not fit, or nothing supplies an input.
        """
        self._find_methods()
        bound = read_inputs(self.inputs, self.rewards)
        method = self.estimator()
        self._check_schedules(method)
        if method is None:
            if bound:
                raise RecipeError(
                    "no method reads it, because the recipe has no advantage", f"inputs.{next(iter(bound))}"
                )
            return None
        return plan_of(method, bound, self.rewards)

    def role_of(self, reward: Reward) -> str:
        """What a reward without a weight is for, in a word or two; empty for others."""
        if reward.weight or reward.gate is not None or "weight" in reward.schedules:
            return ""
        if self.plan is not None and reward.name in self.plan.rewards:
            return "read by the method"
        return "monitor" if reward.is_monitor else "required"

    def _find_methods(self) -> None:
        """Import what `advantage` names of the user's own, since the inputs of such a method are declared there."""
        from trainer_client.signals import SignalError, load_named

        try:
            load_named(self.advantage or ())
        except SignalError as error:
            raise RecipeError(str(error), "advantage") from error

    def weighs_by_step(self, method: Estimator | Pipeline) -> bool:
        """Whether a method takes weights of the rewards that follow the step, and so differs from step to step."""
        from trainer_client.signals import takes_weights

        return any("weight" in reward.schedules for reward in self.rewards) and takes_weights(method)

    def _check_schedules(self, method: Estimator | Pipeline | None) -> None:
        """Refuse weights that follow the step where a method takes them once, for all steps."""
        if method is not None and method.needs == "state" and self.weighs_by_step(method):
            name = next(reward.name for reward in self.rewards if "weight" in reward.schedules)
            raise RecipeError(
                f"changes with the step, but {method.name} reads the weights once, as it keeps state; give a number",
                f"rewards.{name}.weight",
            )

    def _weights(self, columns: Sequence[Source]) -> list[float] | None:
        """A weight for each column of a method that takes the rewards apart; None where the recipe sets none.

        Args:
            columns: what the recipe names as columns; empty for the rewards but for monitors.
        """
        by_name = {reward.name: reward for reward in self.rewards}
        rewards = [by_name[column.name] if column.kind == "reward" else None for column in columns] or [
            reward for reward in self.rewards if not reward.is_monitor
        ]
        if not any(reward.weighed for reward in rewards if reward is not None):
            return None
        return [1.0 if reward is None else reward.weight for reward in rewards]

    def estimator(self) -> Estimator | Pipeline | None:
        """A new estimator of the ``advantage`` setting; None when there is none.

        Raises:
            RecipeError: no method has that name, or an option does not fit.
        """
        if self.advantage is None:
            return None
        from trainer_client.signals import SignalError, resolve

        self._find_methods()
        bound = read_inputs(self.inputs, self.rewards)
        columns = bound.get("components", ())
        if isinstance(columns, Source):
            raise RecipeError("expected a list of sources, one for each column", "inputs.components")
        weights = self._weights(sources_of(columns))
        feeds = {
            name: source.name for name, source in bound.items() if isinstance(source, Source) and source.kind == "stage"
        }
        try:
            return resolve(self.advantage, weights, feeds)
        except SignalError as error:
            reason = str(error)
            key = reason.partition(": ")[0] if reason.startswith("inputs.") else "advantage"
            raise RecipeError(reason.removeprefix(f"{key}: "), key) from None


def as_recipe(recipe: Recipe | str | os.PathLike[str]) -> Recipe:
    """The recipe, read from its file where a path is given.

    Raises:
        RecipeError: it is neither, or the file cannot be used.
        OSError: the file cannot be read.
    """
    if isinstance(recipe, Recipe):
        return recipe
    if isinstance(recipe, str) and "\n" in recipe:
        raise RecipeError("expected a recipe or its path, found TOML text; pass Recipe.loads(text)")
    if isinstance(recipe, str | os.PathLike):
        if not os.path.exists(recipe):
            raise RecipeError(
                "there is no such file; the first argument is a recipe or its path, the second the addresses of the "
                "servers",
                path=os.fspath(recipe),
            )
        return Recipe.load(recipe)
    raise RecipeError(
        f"expected a recipe or its path, found {type(recipe).__name__}; the addresses of the servers are the "
        "second argument"
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
        names = [field.name for field in dataclasses.fields(value) if field.init and "aside" not in field.metadata]
        return {name: getattr(value, name) for name in names}
    raise TypeError(f"{value!r} of type {type(value).__name__}")


def _refuse_twins(table: str, names: list[str]) -> None:
    for name in names:
        if names.count(name) > 1:
            raise RecipeError("the name is used twice", f"{table}.{name}")
