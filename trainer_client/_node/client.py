"""`SharedRewardClient`: one client for all processes of a host that ask the same."""

from __future__ import annotations

import concurrent.futures
import os
import threading
import weakref
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self

from trainer_client._client.base import require_rollout
from trainer_client._client.blocking import RewardClient, waited
from trainer_client._node.link import Link, forget_all
from trainer_client._node.rendezvous import name_of
from trainer_client._session.futures import ThreadFutures
from trainer_client._session.runtime import Runtime
from trainer_client._session.tracing import current_trace
from trainer_client._settings import TLS, Batching, Endpoints, Retries
from trainer_client.recipe.recipe import Recipe
from trainer_client.result.batch import Labels
from trainer_client.result.rollout_result import RolloutResult
from trainer_client.result.verifiers import VerifierInfo
from trainer_client.rollout.types import Rollout


class SharedRewardClient:
    """Scores single rollouts; those of all processes of this host travel to the servers together.

    For trainers that hand over one sample at a time in many processes. The processes that make one with the same
    recipe and arguments, as the same user, meet at a socket of the kernel; the first asks the servers for all, and
    when it ends another takes over: nothing is lost, and no score depends on who asked. A process that cannot join
    asks by itself, and says so in the log. Every adapter for single samples takes one where it takes a recipe:

        compute_score = compute_score_of(SharedRewardClient("recipe.toml", {"math": "10.0.0.1:50051"}))

    May be used from any thread, in a forked process, and pickled. Linux alone. The arguments and what they raise are
    those of `RewardClient`.
    """

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
        self._start(RewardClient(recipe, endpoints, pin=pin, batching=batching, retries=retries, tls=tls, token=token))

    def _start(self, client: RewardClient) -> None:
        self._client = client
        self._joined: tuple[Runtime, Link] | None = None
        self._futures = ThreadFutures(_weakly(self))

    def __getstate__(self) -> Mapping[str, Any]:
        return {"_client": self._client}

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        self._start(state["_client"])

    @property
    def recipe(self) -> Recipe:
        """The recipe."""
        return self._client.recipe

    @property
    def role(self) -> str:
        """The role of this process: ``"leads"``, ``"follows"``, ``"alone"``; empty before its first request."""
        return self._joined[1].role if self._joined is not None else ""

    def submit(
        self, rollout: Rollout, *, run: str = "", step: int | None = None, seed: int = 0
    ) -> concurrent.futures.Future[RolloutResult]:
        """Score one rollout: see `RewardClient.submit`."""
        require_rollout(rollout)
        labels = Labels(run, self._client._step(step), seed, current_trace())
        future = self._futures.make()
        self._link().ask(labels, rollout, future)
        return future

    def describe(self) -> Mapping[str, VerifierInfo]:
        """What the servers say of each reward's verifier: see `RewardClient.describe`."""
        return waited(self._link().describe())

    def close(self) -> None:
        """End this process's part; others go on."""
        self._client.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _link(self) -> Link:
        core = self._client._core
        runtime = core.runtime
        joined = self._joined
        if joined is None or joined[0] is not runtime:
            with _joining:
                joined = self._joined
                if joined is None or joined[0] is not runtime:
                    name = name_of(self.recipe, core.settings, core.is_local)
                    joined = runtime, Link(core, self.recipe, name, core.settings.retries.heartbeat_timeout_s)
                    self._joined = joined
        return joined[1]

    def _given_up(self) -> None:
        self._client._core.abandoned()
        if self._joined is not None:
            self._joined[1].given_up()


def _weakly(client: SharedRewardClient) -> Any:
    reference = weakref.ref(client)

    def call() -> None:
        client = reference()
        if client is not None:
            client._given_up()

    return call


_joining = threading.Lock()


def _after_fork_in_child() -> None:
    global _joining
    _joining = threading.Lock()
    forget_all()


os.register_at_fork(after_in_child=_after_fork_in_child)
