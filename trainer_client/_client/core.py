"""`Core`: the shared part of both client classes. Methods return futures that any thread can wait for."""

from __future__ import annotations

import asyncio
import concurrent.futures
import weakref
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from trainer_client._errors import RecipeError, ServerUnavailableError
from trainer_client._session.futures import ThreadFutures
from trainer_client._session.group_buffer import GroupBuffer
from trainer_client._session.microbatch import MicroBatcher, PendingBatch
from trainer_client._session.runtime import Runtime, RuntimeHandle
from trainer_client._session.sinks import ResultSink, ScoringJob
from trainer_client._settings import Settings
from trainer_client._transport.fleet import DeadlineExpiredError
from trainer_client._transport.replica import Health
from trainer_client.recipe.recipe import Recipe
from trainer_client.result.batch import Batch, Labels
from trainer_client.result.inputs import values_of
from trainer_client.result.outcomes import OutcomeStore
from trainer_client.result.table import CarriedState, ScoreTable
from trainer_client.result.verifiers import VerifierInfo, Wait
from trainer_client.rollout.types import Rollout

if TYPE_CHECKING:
    from trainer_client._client.local import LocalCommand


class Intake(NamedTuple):
    """Where single samples are handed in, in one process."""

    runtime: Runtime
    batcher: MicroBatcher
    buffer: GroupBuffer


class Core:
    """A client without a face.

    Args:
        settings: the client's settings.
        local: starts the servers of the client's recipe on this host, at first use.

    Attributes:
        given_up: `abandoned`, for futures, which must not keep a client alive that no one has any more.
        futures: makes the futures of single samples, for threads.
    """

    def __init__(self, settings: Settings, local: LocalCommand | None = None) -> None:
        self._settings = settings
        self._local = local
        self._local_endpoints: Mapping[str, tuple[str, ...]] = {}
        self._handle = RuntimeHandle(settings)
        self._watch()
        self._intake: Intake | None = None
        self.given_up = _weakly(self.abandoned)
        self.futures = ThreadFutures(self.given_up)

    def __getstate__(self) -> Mapping[str, object]:
        return {"_settings": self._settings, "_handle": self._handle, "_local": self._local}

    def __setstate__(self, state: Mapping[str, object]) -> None:
        given_up = _weakly(self.abandoned)
        self.__dict__.update(
            state, _intake=None, _local_endpoints={}, given_up=given_up, futures=ThreadFutures(given_up)
        )
        self._watch()

    @property
    def settings(self) -> Settings:
        """The client's settings."""
        return self._settings

    @property
    def is_local(self) -> bool:
        """Whether the client starts its servers itself."""
        return self._local is not None

    @property
    def runtime(self) -> Runtime:
        """The runtime of this process, made at first use.

        Raises:
            ClientClosedError: the client was closed.
        """
        return self._handle.runtime()

    @property
    def pins(self) -> dict[str, dict[str, str]]:
        """Digests of the verifiers that the run keeps to, by server and verifier."""
        return self._handle.pins

    def _watch(self) -> None:
        weakref.finalize(self, self._handle.abandon)
        if self._local is not None:
            weakref.finalize(self, self._local.close)

    def close(self) -> None:
        """End everything; work that others wait for is cancelled."""
        self._handle.close()
        if self._local is not None:
            self._local.close()

    async def _make_ready(self) -> None:
        """Have servers to ask: where the client starts them itself, its first work waits for them."""
        if self._local is not None and not self._local_endpoints:
            self._local_endpoints = await asyncio.to_thread(self._local.endpoints)

    def addresses(self, recipe: Recipe, server: str, verifier: str) -> tuple[str, ...]:
        """Endpoints of a server: those given to the client, else those of the recipe.

        Raises:
            RecipeError: neither says where it is.
        """
        settings = self._settings
        configured = settings.endpoints.get(server) or settings.default_endpoints
        addresses = configured or self._local_endpoints.get(server) or recipe.server_of(verifier).endpoints
        if not addresses:
            raise RecipeError(
                f'the address of server {server!r} is not known; pass endpoints={{"{server}": ["host:port"]}} to the '
                "client, or write endpoints in the recipe",
                f"servers.{server}.endpoints",
            )
        return addresses

    # Batches

    def score(
        self, rollouts: Sequence[Rollout], recipe: Recipe, labels: Labels, kept: CarriedState
    ) -> concurrent.futures.Future[ScoreTable]:
        """Score a batch in which every group is complete."""
        runtime = self._handle.runtime()
        return runtime.start(self._score(runtime, rollouts, recipe, labels, kept))

    async def _score(
        self,
        runtime: Runtime,
        rollouts: Sequence[Rollout],
        recipe: Recipe,
        labels: Labels,
        kept: CarriedState,
    ) -> ScoreTable:
        # Before a server is asked: a batch that the recipe's method could not use is refused before it costs anything.
        inputs = values_of(recipe.plan, rollouts)
        await self._make_ready()
        store = OutcomeStore(len(rollouts), len(recipe.rewards))
        batch = Batch(rollouts, recipe, store, labels, runtime.loop.time())
        await self._settle(runtime, batch)
        return ScoreTable.of(
            rollouts,
            recipe,
            store,
            floors=batch.floors,
            seconds=runtime.loop.time() - batch.started,
            kept=kept,
            step=labels.step,
            inputs=inputs,
        )

    async def _settle(self, runtime: Runtime, batch: Batch) -> None:
        pools = {}
        for reward in batch.recipe.rewards:
            server = batch.recipe.server_of(reward.verifier_name)
            pools[server.name] = runtime.pool(server, self.addresses(batch.recipe, server.name, reward.verifier_name))
        await runtime.runner.settle(batch, pools)

    # Single samples

    def submit(
        self, order: ScoringJob, rollouts: Sequence[Rollout], tokens: Sequence[object], sink: ResultSink, size: int = 0
    ) -> None:
        """Hand over rollouts, to be merged with others: see `MicroBatcher.add`."""
        self._intake_of(self._handle.runtime()).batcher.add(order, rollouts, tokens, sink, size)

    def assemble(self, order: ScoringJob, rollout: Rollout, token: object, sink: ResultSink, size: int) -> None:
        """Hand over a rollout of a group that is sent when the last of it has come."""
        self._intake_of(self._handle.runtime()).buffer.add(order, rollout, token, sink, size)

    def _intake_of(self, runtime: Runtime) -> Intake:
        intake = self._intake
        if intake is None or intake.runtime is not runtime:
            batching = self._settings.batching

            def later(seconds: float, call: Callable[[], None]) -> None:
                runtime.loop.call_soon_threadsafe(runtime.loop.call_later, seconds, call)

            batcher = MicroBatcher(
                runtime.loop, runtime.endings, batching.max_items, batching.max_delay_s, self._run_merged
            )
            intake = self._intake = Intake(
                runtime, batcher, GroupBuffer(self.submit, later, batching.group_timeout_s, runtime.endings)
            )
        return intake

    def abandoned(self) -> None:
        """Someone has stopped waiting for single samples: see `MicroBatcher.abandoned`."""
        if self._intake is not None:
            self._intake.batcher.abandoned()

    async def _run_merged(self, work: PendingBatch) -> None:
        await self._make_ready()
        runtime = self._handle.runtime()
        batch = Batch(
            work.rollouts,
            work.order.recipe,
            OutcomeStore(len(work.rollouts), len(work.order.recipe.rewards), work.complete),
            work.order.labels,
            runtime.loop.time(),
            work.sizes,
        )
        work.begin(batch)
        await self._settle(runtime, batch)

    # Questions

    def judges_groups(self, recipe: Recipe) -> concurrent.futures.Future[bool]:
        """Whether some verifier of a recipe judges groups; one whose server does not answer counts as not."""
        runtime = self._handle.runtime()
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

    def waits(self) -> concurrent.futures.Future[list[Wait]]:
        """The replicas that open calls wait for: see `RewardClient.waits`."""
        return self._handle.runtime().waits()

    def describe(self, recipe: Recipe) -> concurrent.futures.Future[dict[str, VerifierInfo]]:
        """What the servers say of a recipe's verifiers."""
        runtime = self._handle.runtime()
        return runtime.start(self._describe(runtime, recipe))

    async def _describe(self, runtime: Runtime, recipe: Recipe) -> dict[str, VerifierInfo]:
        return {reward.name: await self._facts(runtime, recipe, reward.verifier_name) for reward in recipe.rewards}

    async def _facts(self, runtime: Runtime, recipe: Recipe, verifier: str) -> VerifierInfo:
        await self._make_ready()
        server = recipe.server_of(verifier)
        pool = runtime.pool(server, self.addresses(recipe, server.name, verifier))
        retries = self._settings.retries
        started, patience = runtime.loop.time(), min(retries.describe_timeout_s, retries.unavailable_timeout_s)
        while True:
            try:
                facts = await pool.info({verifier}, started + patience)
                break
            except DeadlineExpiredError:
                is_reached = any(replica.health is Health.UP for replica in pool.fleet.replicas)
                if patience >= retries.unavailable_timeout_s or not is_reached:
                    reason = f"no replica has given a usable answer for {patience:g} s ({pool.fleet.reasons()})"
                    raise ServerUnavailableError(server.name, reason) from None
                patience = retries.unavailable_timeout_s
        return facts.verifiers[verifier]


def _weakly(method: Callable[[], None]) -> Callable[[], None]:
    """A method that may be called after its object is gone."""
    reference = weakref.WeakMethod(method)

    def call() -> None:
        method = reference()
        if method is not None:
            method()

    return call
