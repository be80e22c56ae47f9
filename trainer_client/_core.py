"""`Core`: what both faces of the client share. Methods return futures that any thread can wait for."""

from __future__ import annotations

import concurrent.futures
import weakref
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from ._assemble import Assembler
from ._batch import Batch
from ._errors import RecipeError, ServerUnavailableError
from ._ledger import Ledger
from ._merge import Merger, Order, Post, Work
from ._pool import Expired
from ._recipe import Recipe
from ._rollout import Rollout
from ._runtime import Keeper, Runtime
from ._settings import Settings
from ._table import ScoreTable
from ._wire import Labels, VerifierInfo

if TYPE_CHECKING:
    from .signals import Estimator, Pipeline

_ESTIMATORS_KEPT = 16


class Desk(NamedTuple):
    """Where single samples are handed in, in one process."""

    runtime: Runtime
    merger: Merger
    assembler: Assembler


class Core:
    """A client without a face.

    Args:
        settings: what the client was told.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._keeper = Keeper(settings)
        weakref.finalize(self, self._keeper.abandon)
        self._desk: Desk | None = None
        self._estimators: dict[int, tuple[Recipe, Estimator | Pipeline | None]] = {}

    def __getstate__(self) -> Mapping[str, object]:
        return {"_settings": self._settings, "_keeper": self._keeper}

    def __setstate__(self, state: Mapping[str, object]) -> None:
        self.__dict__.update(state, _desk=None, _estimators={})
        weakref.finalize(self, self._keeper.abandon)

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
        return ScoreTable.of(
            rollouts,
            recipe,
            ledger,
            floors=batch.floors,
            seconds=runtime.loop.time() - batch.started,
            estimator=estimator,
            step=labels.step,
        )

    async def _settle(self, runtime: Runtime, batch: Batch) -> None:
        pools = {}
        for reward in batch.recipe.rewards:
            name = batch.recipe.server_of(reward.verifier_name).name
            pools[name] = runtime.pool(name, self.addresses(batch.recipe, name, reward.verifier_name))
        await runtime.engine.settle(batch, pools)

    # Single samples

    def submit(
        self, order: Order, rollouts: Sequence[Rollout], tokens: Sequence[object], post: Post, size: int = 0
    ) -> None:
        """Hand over rollouts, to be merged with others: see `Merger.add`."""
        self._desk_of(self._keeper.runtime()).merger.add(order, rollouts, tokens, post, size)

    def assemble(self, order: Order, rollout: Rollout, token: object, post: Post, size: int) -> None:
        """Hand over a rollout of a group that is sent when the last of it has come."""
        self._desk_of(self._keeper.runtime()).assembler.add(order, rollout, token, post, size)

    def _desk_of(self, runtime: Runtime) -> Desk:
        desk = self._desk
        if desk is None or desk.runtime is not runtime:
            batching = self._settings.batching

            def later(seconds: float, call: Callable[[], None]) -> None:
                runtime.loop.call_soon_threadsafe(runtime.loop.call_later, seconds, call)

            merger = Merger(runtime, batching.max_items, batching.max_delay_s, self._run_merged)
            desk = self._desk = Desk(
                runtime, merger, Assembler(self.submit, later, batching.group_timeout_s, runtime.endings)
            )
        return desk

    async def _run_merged(self, work: Work, complete: Callable[[Batch, list[int]], None]) -> None:
        runtime = self._keeper.runtime()
        batch = Batch(
            work.rollouts,
            work.order.recipe,
            Ledger(len(work.rollouts), len(work.order.recipe.rewards), lambda rows: complete(batch, rows)),
            work.order.labels,
            runtime.loop.time(),
            work.sizes,
            estimator=self.estimator(work.order.recipe),
        )
        await self._settle(runtime, batch)

    # Questions

    def judges_groups(self, recipe: Recipe) -> concurrent.futures.Future[bool]:
        """Whether some verifier of a recipe judges groups; one whose server does not answer counts as not."""
        runtime = self._keeper.runtime()
        return runtime.start(self._judges_groups(runtime, recipe))

    async def _judges_groups(self, runtime: Runtime, recipe: Recipe) -> bool:
        for reward in recipe.rewards:
            try:
                facts = await self._facts(runtime, recipe, reward.verifier_name)
            except ServerUnavailableError:
                continue
            if facts.judges_groups:
                return True
        return False

    def describe(self, recipe: Recipe) -> concurrent.futures.Future[dict[str, VerifierInfo]]:
        """What the servers say of a recipe's verifiers."""
        runtime = self._keeper.runtime()
        return runtime.start(self._describe(runtime, recipe))

    async def _describe(self, runtime: Runtime, recipe: Recipe) -> dict[str, VerifierInfo]:
        return {reward.name: await self._facts(runtime, recipe, reward.verifier_name) for reward in recipe.rewards}

    async def _facts(self, runtime: Runtime, recipe: Recipe, verifier: str) -> VerifierInfo:
        server = recipe.server_of(verifier).name
        pool = runtime.pool(server, self.addresses(recipe, server, verifier))
        try:
            facts = await pool.facts(runtime.loop.time() + self._settings.retries.unavailable_timeout_s)
        except Expired:
            raise ServerUnavailableError(server, "did not answer in time") from None
        if verifier not in facts.verifiers:
            raise pool.unknown_verifier(verifier)
        return facts.verifiers[verifier]
