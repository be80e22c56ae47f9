"""Reward servers inside a Ray cluster: an actor holds one server, and a Serve application scales them.

Clients in the cluster find them by Ray's own names: ``RewardClient(recipe, {"math": "ray:math"})``. What is asked and
answered goes from the trainer to the servers over gRPC, past Ray.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import itertools
import logging
import math
import os
import threading
import uuid
from collections.abc import Callable, Mapping, Sequence
from difflib import get_close_matches
from types import TracebackType
from typing import Any, Self

import ray
from ray import serve
from ray.serve.config import AutoscalingConfig

from reward_servers.core import SettingsError
from reward_servers.process.restarts import delay_before
from reward_servers.ray_process import DRAIN_S, ServerProcess
from reward_servers.ray_process import ServerNotStartedError as ServerNotStartedError
from reward_servers.ray_settings import application_arguments, check_name, servers_arguments
from trainer_client._transport.ray_actors import NAMESPACE, PREFIX

_PATIENCE_S = 10.0
_FIRST_PAUSE_S = 1.0
_LONGEST_PAUSE_S = 60.0
_log = logging.getLogger("assay.server")
_POLICY = "reward_servers.ray:by_items_in_flight"


class ServerActor:
    """Holds one server. When the server ends by itself the actor does, and Ray starts both again.

    A server that cannot be started again is tried again, each time after a longer pause. Ray does not start an actor
    again whose constructor raises, so only the first start may fail in it.

    Args:
        verifiers: See `ServerProcess`.
        workers: See `ServerProcess`.
        options: See `ServerProcess`.

    Raises:
        ServerNotStartedError: Its first server has ended at once.
    """

    def __init__(self, verifiers: Sequence[str], workers: int = 1, options: Sequence[str] = ()) -> None:
        self._stopping = threading.Event()
        self._server: ServerProcess | None = None
        self._lack = ""
        start = functools.partial(ServerProcess, verifiers, workers=workers, options=options, ended=lambda: os._exit(1))
        try:
            self._server = start()
        except Exception as error:
            if not _is_restarted():
                raise
            self._lack = str(error)
            # Not here: what is asked of an actor, also to end, waits for its constructor.
            threading.Thread(target=self._try_again, args=(start,), daemon=True).start()

    def _try_again(self, start: Callable[[], ServerProcess]) -> None:
        for attempt in itertools.count():
            pause = delay_before(attempt, _FIRST_PAUSE_S, _LONGEST_PAUSE_S)
            _log.error("the server cannot be started again; the next try is in %g s: %s", pause, self._lack)
            if self._stopping.wait(pause):
                return
            try:
                self._server = start()
            except Exception as error:  # noqa: BLE001 (what ends the tries, for whatever reason, ends the replica)
                self._lack = str(error)
            else:
                return

    def address(self) -> str:
        """Where it listens.

        Raises:
            ServerNotStartedError: It could not be started again, so far.
        """
        if self._server is None:
            last = self._lack.strip().rpartition("\n")[2]
            raise ServerNotStartedError(f"the server cannot be started again, which is tried on and on: {last}")
        return self._server.address

    def drain(self) -> None:
        """Let the server finish what it has admitted, and end."""
        self._stopping.set()
        if self._server is not None:
            self._server.drain()


def _is_restarted() -> bool:
    """Whether the actor that runs here has run before."""
    try:
        return bool(ray.get_runtime_context().was_current_actor_reconstructed)
    except Exception as error:  # noqa: BLE001 (Ray's, of many kinds)
        # Who waits for a first start is told by `ServerActor.address` too; a replica that gives up does not come back.
        _log.warning("Ray does not say whether this actor has run before, which is assumed: %s", error)
        return True


class Servers:
    """Replicas of one server, each in an actor of its own, spread over the nodes. A context, which drains them.

    Clients follow them by ``"ray:NAME"``. They end with the program that made them, or stay with ``detached``.

    Args:
        name: What clients call them.
        verifiers: What each hosts, by name or ``module:attribute``.
        replicas: How many.
        workers: Worker processes of each, and the cores that Ray counts for it.
        options: More of the command line of ``assay serve``, such as ``["--config", "/etc/assay/math.toml"]``.
        detached: Whether they outlive this program; `stop` ends them.
        resources: More of what Ray's ``options`` take, such as ``{"num_gpus": 1}``.

    Raises:
        SettingsError: An argument cannot be; the message names it.
        ServerNotStartedError: One has ended before it answered, with its last words.
    """

    def __init__(
        self,
        name: str,
        verifiers: Sequence[str],
        *,
        replicas: int = 1,
        workers: int = 1,
        options: Sequence[str] = (),
        detached: bool = False,
        resources: Mapping[str, Any] | None = None,
    ) -> None:
        told = servers_arguments(
            name=name, verifiers=verifiers, replicas=replicas, workers=workers, options=options, detached=detached,
            resources=resources or {},
        )  # fmt: skip
        self.endpoint = f"ray:{name}"
        placed: dict[str, Any] = {
            "num_cpus": workers,
            "scheduling_strategy": "SPREAD",
            "max_restarts": -1,
            # Where it is, is answered while it drains.
            "max_concurrency": 4,
            "namespace": NAMESPACE,
            "lifetime": "detached" if detached else "non_detached",
            **told.resources,
        }
        actor: Any = ray.remote(ServerActor)
        names = [_actor_name(name) for _ in range(replicas)]
        try:
            placed_actors = [actor.options(name=one, **placed) for one in names]
        except (TypeError, ValueError) as error:
            raise SettingsError(f"Servers.resources: {error}") from None
        self._actors: list[Any] = []
        try:
            for one in placed_actors:
                self._actors.append(one.remote(told.verifiers, workers, told.options))
            self.addresses: list[str] = _addresses(name, self._actors, workers)
        except BaseException as error:
            _kill(self._actors)
            if isinstance(error, ray.exceptions.RayTaskError):
                raise ServerNotStartedError(str(error.cause)) from None
            if isinstance(error, ray.exceptions.RayActorError):
                raise ServerNotStartedError(str(error)) from None
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        _stop(self._actors)


def stop(name: str) -> int:
    """Drain and end all actors of a name, detached ones above all; how many there were.

    Raises:
        SettingsError: No servers can have such a name.
    """
    check_name(name)
    listed = ray.util.list_named_actors(all_namespaces=True)
    names = [entry["name"] for entry in listed if entry["namespace"] == NAMESPACE]
    actors = _found([one for one in names if one.startswith(f"{PREFIX}{name}:")])
    _stop(actors)
    return len(actors)


def _found(names: Sequence[str]) -> list[Any]:
    """The actors of names that have not ended, or do so at this moment."""
    actors = []
    for name in names:
        with contextlib.suppress(ValueError):
            actors.append(ray.get_actor(name, namespace=NAMESPACE))
    return actors


def _stop(actors: Sequence[Any]) -> None:
    try:
        ray.wait([actor.drain.remote() for actor in actors], num_returns=len(actors), timeout=DRAIN_S)
    finally:
        _kill(actors)


def _kill(actors: Sequence[Any]) -> None:
    for actor in actors:
        try:
            ray.kill(actor)
        except Exception as error:  # noqa: BLE001 (one that cannot be ended keeps no other)
            _log.warning("an actor could not be ended; Ray's `ray list actors` shows it: %s", error)


def _addresses(name: str, actors: Sequence[Any], workers: int) -> list[str]:
    """Where the servers of actors listen; what is waited for is said."""
    asked = [actor.address.remote() for actor in actors]
    while left := ray.wait(asked, num_returns=len(asked), timeout=_PATIENCE_S)[1]:
        _log.warning(
            "%r: %d of %d servers do not answer yet; each waits for %d free cores of the cluster (`ray status`), or "
            "its verifiers still load",
            *(name, len(left), len(asked), workers),
        )
    addresses: list[str] = ray.get(asked)
    return addresses


def _actor_name(name: str) -> str:
    return f"{PREFIX}{name}:{uuid.uuid4().hex[:12]}"


# A Serve application


class Signpost:
    """Says by its name where a replica of Serve listens; it ends with the replica, which owns it."""

    def __init__(self, address: str) -> None:
        self._address = address

    def address(self) -> str:
        """Where the replica listens."""
        return self._address


class ServeReplica:
    """One server as a replica of Ray Serve, which places, replaces and scales it.

    Args:
        name: What clients call it: ``"ray:NAME"``.
        verifiers: See `ServerProcess`.
        workers: See `ServerProcess`.
        options: See `ServerProcess`.
    """

    def __init__(self, name: str, verifiers: Sequence[str], workers: int = 1, options: Sequence[str] = ()) -> None:
        self._leaving = False
        self._name = name
        self._server = ServerProcess(verifiers, workers=workers, options=options, ended=lambda: None)
        self._post = self._put_up()

    def _put_up(self) -> Any:
        post: Any = ray.remote(Signpost)
        placed = {"num_cpus": 0, "max_restarts": -1, "namespace": NAMESPACE, "scheduling_strategy": _this_node()}
        return post.options(name=_actor_name(self._name), **placed).remote(self._server.address)

    async def check_health(self) -> None:
        """Asked by Serve, which replaces the replica when this raises, or does not end in its time.

        Without its signpost no client would find the replica: one that is gone is made again.
        """
        if not self._server.alive:
            raise ServerNotStartedError("the server has ended")
        try:
            await self._post.address.remote()
        except ray.exceptions.ActorUnavailableError:
            # Ray reaches it no more for a moment, or starts it again.
            return
        except ray.exceptions.RayActorError as error:
            if not self._leaving:
                _log.warning("the actor by which clients find this replica is gone, and is made again: %s", error)
                self._post = self._put_up()

    async def record_autoscaling_stats(self) -> dict[str, float]:
        """Asked by Serve: what it scales by."""
        return {"items_in_flight": float(await asyncio.to_thread(self._server.items_in_flight))}

    def __call__(self) -> str:
        """Where the server of this replica listens."""
        return self._server.address

    def __del__(self) -> None:
        """Called by Serve when it takes the replica away: clients stop sending, and what was admitted is finished."""
        self._leaving = True
        with contextlib.suppress(AttributeError):
            _kill([self._post])
            self._server.drain()


def by_items_in_flight(context: Any) -> tuple[int, dict[str, Any]]:
    """Replicas that Serve should have: items in flight over ``target_ongoing_requests``, within its bounds."""
    counts = (context.aggregated_metrics or {}).get("items_in_flight") or {}
    replicas = math.ceil(sum(counts.values()) / context.config.target_ongoing_requests)
    least, most = context.capacity_adjusted_min_replicas, context.capacity_adjusted_max_replicas
    return min(max(replicas, least), most), context.policy_state


def application(arguments: Mapping[str, Any]) -> Any:
    """A Serve application, as ``import_path`` of a configuration: see deploy/ray/serve.yaml.

    Args:
        arguments: ``name``, ``verifiers``, ``workers`` and ``options``, as for `Servers`; ``autoscaling``, of which
            ``target_ongoing_requests`` is items in flight on each replica.

    Raises:
        SettingsError: An argument cannot be, is missing or is not known; the message names it.
    """
    told = application_arguments(arguments)
    deployment = serve.deployment(
        ServeReplica,
        name="RewardServer",
        ray_actor_options={"num_cpus": told.workers},
        autoscaling_config={**_autoscaling(told.autoscaling), "policy": {"policy_function": _POLICY}},
        graceful_shutdown_timeout_s=DRAIN_S + 5,
        health_check_period_s=2.0,
    )
    return deployment.bind(told.name, told.verifiers, told.workers, told.options)


def _autoscaling(told: Mapping[str, Any]) -> Mapping[str, Any]:
    """What Serve scales by, which ignores what it does not know."""
    # Ray's models are of either generation of pydantic, by its version.
    fields = getattr(AutoscalingConfig, "model_fields", None) or AutoscalingConfig.__fields__
    known = sorted(set(fields) - {"policy"})
    for key in told:
        if key not in known:
            close = get_close_matches(str(key), known, n=1, cutoff=0.5)
            meant = f"did you mean {close[0]}?" if close else f"known are {', '.join(known)}"
            raise SettingsError(f"args.autoscaling.{key}: there is no such field; {meant}")
    try:
        AutoscalingConfig(**told)
    except ValueError as error:
        raise SettingsError(f"args.autoscaling: {' '.join(str(error).split())}") from None
    return told


def _this_node() -> Any:
    node = ray.get_runtime_context().get_node_id()
    return ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy(node, soft=False)
