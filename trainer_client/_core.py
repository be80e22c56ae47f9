"""`Core`: what both faces of the client share. Methods return futures that any thread can wait for."""

from __future__ import annotations

import concurrent.futures
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from ._engine import Batch, new_batch_id
from ._errors import RecipeError, ServerUnavailable
from ._ledger import Ledger
from ._merge import Entry, Merger
from ._pool import Expired
from ._recipe import Recipe
from ._rollout import Rollout
from ._runtime import Keeper, Runtime
from ._settings import Settings
from ._table import ScoreTable
from ._wire import Labels, VerifierFacts

if TYPE_CHECKING:
    from .signals import Estimator, Pipeline

_ESTIMATORS_KEPT = 16


class Core:
    """A client without a face.

    Args:
        settings: what the client was told.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._keeper = Keeper(settings)
        self._merger: Merger | None = None
        self._merger_runtime: Runtime | None = None
        self._estimators: dict[int, tuple[Recipe, Estimator | Pipeline | None]] = {}

    def __getstate__(self) -> Mapping[str, object]:
        return {"_settings": self._settings, "_keeper": self._keeper}

    def __setstate__(self, state: Mapping[str, object]) -> None:
        self.__dict__.update(state, _merger=None, _merger_runtime=None, _estimators={})

    def close(self) -> None:
        """End everything; work that others wait for is cancelled."""
        self._keeper.close()

    def estimator(self, recipe: Recipe) -> Estimator | Pipeline | None:
        """The estimator of a recipe, which may keep state from batch to batch."""
        known = self._estimators.get(id(recipe))
        if known is None:
            while len(self._estimators) >= _ESTIMATORS_KEPT:
                del self._estimators[next(iter(self._estimators))]
            known = self._estimators[id(recipe)] = (recipe, recipe.estimator())
        return known[1]

    def addresses(self, recipe: Recipe, server: str, verifier: str) -> tuple[str, ...]:
        """Endpoints of a server: what the client was told, else what the recipe says.

        Raises:
            RecipeError: neither says where it is.
        """
        settings = self._settings
        found = settings.endpoints.get(server) or settings.default_endpoints or recipe.server_of(verifier).endpoints
        if not found:
            raise RecipeError(
                f'it is not known where server {server!r} is; give the client endpoints={{"{server}": ["host:port"]}} '
                "or the recipe endpoints",
                f"servers.{server}.endpoints",
            )
        return found

    # Batches

    def score(
        self, rollouts: Sequence[Rollout], recipe: Recipe, labels: Labels
    ) -> concurrent.futures.Future[ScoreTable]:
        """Score a batch in which every group is complete."""
        runtime = self._keeper.runtime()
        estimator = self.estimator(recipe)
        return runtime.start(self._score(runtime, rollouts, recipe, labels, estimator))

    async def _score(
        self,
        runtime: Runtime,
        rollouts: Sequence[Rollout],
        recipe: Recipe,
        labels: Labels,
        estimator: Estimator | Pipeline | None,
    ) -> ScoreTable:
        ledger = Ledger(len(rollouts), len(recipe.rewards))
        batch = Batch(rollouts, recipe, ledger, labels, runtime.loop.time(), estimator=estimator)
        await self._settle(runtime, batch)
        return ScoreTable(
            recipe,
            [rollout.rollout_id for rollout in rollouts],
            [rollout.group_id for rollout in rollouts],
            ledger,
            batch.floors,
            runtime.loop.time() - batch.started,
            estimator,
            labels.step,
        )

    async def _settle(self, runtime: Runtime, batch: Batch) -> None:
        pools = {}
        for reward in batch.recipe.rewards:
            name = batch.recipe.server_of(reward.verifier_name).name
            pools[name] = runtime.pool(name, self.addresses(batch.recipe, name, reward.verifier_name))
        await runtime.engine.settle(batch, pools)

    # Single samples

    def submit(self, recipe: Recipe, entries: Sequence[Entry]) -> None:
        """Hand over single rollouts, to be merged with others."""
        runtime = self._keeper.runtime()
        merger = self._merger
        if merger is None or self._merger_runtime is not runtime:
            batching = self._settings.batching
            merger = Merger(runtime, batching.items, batching.wait, self._run_merged)
            self._merger, self._merger_runtime = merger, runtime
        merger.add(recipe, entries)

    async def _run_merged(
        self,
        recipe: Recipe,
        rollouts: Sequence[Rollout],
        sizes: Mapping[str, int],
        complete: Callable[[Batch, list[int]], None],
    ) -> None:
        runtime = self._keeper.runtime()
        batch = Batch(
            rollouts,
            recipe,
            Ledger(len(rollouts), len(recipe.rewards), lambda rows: complete(batch, rows)),
            Labels(new_batch_id()),
            runtime.loop.time(),
            sizes,
            estimator=self.estimator(recipe),
        )
        await self._settle(runtime, batch)

    # Questions

    def describe(self, recipe: Recipe) -> concurrent.futures.Future[dict[str, VerifierFacts]]:
        """What the servers say of a recipe's verifiers."""
        return self._keeper.runtime().start(self._describe(self._keeper.runtime(), recipe))

    async def _describe(self, runtime: Runtime, recipe: Recipe) -> dict[str, VerifierFacts]:
        found = {}
        expires = runtime.loop.time() + self._settings.retries.patience
        for reward in recipe.rewards:
            verifier = reward.verifier_name
            server = recipe.server_of(verifier).name
            pool = runtime.pool(server, self.addresses(recipe, server, verifier))
            try:
                facts = await pool.facts(expires)
            except Expired:
                raise ServerUnavailable(server, "did not answer in time") from None
            if verifier not in facts.verifiers:
                raise pool.unknown_verifier(verifier)
            found[reward.name] = facts.verifiers[verifier]
        return found
