"""`BaseClient`: the arguments of both client classes, and the methods that ask no server."""

from __future__ import annotations

import os
import weakref
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Self

from trainer_client._errors import RecipeError
from trainer_client._settings import TLS, Batching, Endpoints, Retries, Settings, token_source
from trainer_client.recipe.client_options import ClientOptions
from trainer_client.recipe.recipe import Recipe, as_recipe
from trainer_client.recipe.state import load, save
from trainer_client.result.batch import Labels
from trainer_client.result.missing import MissingWindow
from trainer_client.result.table import CarriedState, ScoreTable
from trainer_client.rollout.types import Rollout, not_a_rollout

if TYPE_CHECKING:
    from trainer_client._client.core import Core
    from trainer_client._client.record import Recorder, Take
    from trainer_client.recipe.state import Method


class BaseClient:
    """The arguments of both client classes, and the methods that ask no server."""

    _core: Core
    _recipe: Recipe
    _method: Method | None
    _owns_core: bool
    _recorder: Recorder | None
    _missing: MissingWindow

    def __init__(
        self,
        recipe: Recipe | str | os.PathLike[str],
        endpoints: Endpoints | None = None,
        *,
        pin: bool | None = None,
        batching: Batching | None = None,
        retries: Retries | None = None,
        tls: TLS | None = None,
        token: str | None = None,
    ) -> None:
        # The client's machinery is loaded with the first client: many processes import the name and never make one.
        from trainer_client._client.core import Core

        self._recipe = as_recipe(recipe)
        local = None
        if endpoints == "local":
            from trainer_client._client.local import LocalCommand

            endpoints = None
            local = LocalCommand(self._recipe, None if isinstance(recipe, Recipe) else os.fspath(recipe))
        asking = self._recipe.client or ClientOptions()
        settings = Settings.make(
            endpoints,
            pin=(asking.pin is not False) if pin is None else pin,
            batching=batching or asking.batching,
            retries=retries or asking.retries,
            tls=tls or asking.tls,
            token=token or asking.token,
        )
        _check_access(self._recipe)
        self._core = Core(settings, local)
        self._method = self._recipe.estimator()
        self._missing = MissingWindow()
        self._owns_core = True
        self._keep_record()

    @property
    def recipe(self) -> Recipe:
        """The recipe: the rewards that are asked for, and the method that is applied."""
        return self._recipe

    @property
    def method(self) -> Method | None:
        """The recipe's method, with what it remembers of earlier steps."""
        return self._method

    def with_recipe(self, recipe: Recipe | str | os.PathLike[str]) -> Self:
        """A client of another recipe over the same connections, with a separate state.

        Closing it leaves the connections open; they are closed with this client.

        Raises:
            RecipeError: the recipe cannot be used.
            OSError: its file cannot be read.
        """
        client = type(self).__new__(type(self))
        client._recipe = as_recipe(recipe)
        _check_access(client._recipe)
        client._core = self._core
        client._method = client._recipe.estimator()
        client._missing = MissingWindow()
        client._owns_core = False
        client._keep_record()
        return client

    def _step(self, step: int | None) -> int:
        """The step that a caller gives.

        Raises:
            RecipeError: it gives none, and a number of the recipe follows it.
        """
        if step is None and self._recipe.follows_steps:
            scheduled = next(reward for reward in self._recipe.rewards if reward.schedules)
            key = next(iter(scheduled.schedules))
            raise RecipeError("changes with the training step; pass step=", f"rewards.{scheduled.name}.{key}")
        return step or 0

    def _keep_record(self) -> None:
        """Have what writes the recipe's record; it writes the rest when the client or the process ends."""
        self._recorder = None
        if self._recipe.record is not None:
            from trainer_client._client.record import Recorder

            self._recorder = Recorder(self._recipe.record)
            weakref.finalize(self, self._recorder.close)

    @property
    def _kept(self) -> CarriedState:
        return CarriedState(self._method, self._missing)

    @property
    def _taking(self) -> Take | None:
        """What takes groups of a stream for the record; None where none is kept."""
        return None if self._recorder is None else self._recorder.take

    def state_dict(self) -> dict[str, Any]:
        """The state of the methods for a checkpoint, as JSON types: the values that they keep from earlier steps.

        It holds a digest of what shapes it: the methods with their options, and the rewards that they read.
        """
        return save(self._recipe, self._method)

    def load_state_dict(self, state: Mapping[str, Any], *, strict: bool = True) -> None:
        """Go on where a state was saved.

        Args:
            state: what `state_dict` returned, possibly through JSON.
            strict: refuse a state that was saved under other methods, options or rewards.

        Raises:
            StateError: it was, with the keys of the recipe that differ; or the state is damaged. Nothing is loaded.
        """
        self._method = load(self._recipe, state, strict=strict)

    def __getstate__(self) -> Mapping[str, object]:
        return {
            "_recipe": self._recipe,
            "_core": self._core,
            "_owns_core": self._owns_core,
            "_state": self.state_dict(),
        }

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        self.__dict__.update({name: value for name, value in state.items() if name != "_state"})
        self._missing = MissingWindow()
        self._keep_record()
        self.load_state_dict(state["_state"])


def require_rollout(rollout: Rollout) -> None:
    if not isinstance(rollout, Rollout):
        raise not_a_rollout(rollout)


def table_or_raise(result: ScoreTable | BaseException) -> ScoreTable:
    if isinstance(result, BaseException):
        try:
            raise result
        finally:
            del result  # an error and a frame that holds it are a circle
    return result


def combined_at_once(
    table: ScoreTable, rollouts: Sequence[Rollout], labels: Labels, recorder: Recorder | None
) -> ScoreTable:
    """Combine at once, so that an incomplete batch is an error here and not where the rewards are first used."""
    if recorder is not None:
        recorder.take(rollouts, table, labels)
    table.combined  # noqa: B018
    return table


def _check_access(recipe: Recipe) -> None:
    """Refuse unusable files of single servers before anything waits for those servers.

    Raises:
        RecipeError: one does not hold what it should.
        OSError: one cannot be read.
    """
    for server in recipe.servers:
        if server.tls is not None:
            server.tls.absolute().check()
        token_source(server.token)
