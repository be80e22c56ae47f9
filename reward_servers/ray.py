"""Reward servers inside a Ray cluster: an actor holds one server, and a Serve application scales them.

Clients in the cluster find them by Ray's own names: ``RewardClient(recipe, {"math": "ray:math"})``. What is asked and
answered goes from the trainer to the servers over gRPC, past Ray.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import os
import re
import signal
import subprocess
import sys
import threading
import urllib.request
import uuid
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Any, Self

import ray
from ray import serve
from ray.util import get_node_ip_address

from reward_servers.core import AssayServerError
from trainer_client._client.local import spawn_bound
from trainer_client._transport.ray_actors import NAMESPACE, PREFIX

_METRICS = re.compile(r"http://\S+/metrics")
_IN_FLIGHT = re.compile(r"^assay_items_in_flight (\S+)$", re.MULTILINE)
_DRAIN_S = 75.0
_PATIENCE_S = 10.0
_log = logging.getLogger("assay.server")
_POLICY = "reward_servers.ray:by_items_in_flight"
_LINES_KEPT = 50


class ServerNotStartedError(AssayServerError):
    """A server has ended before it answered."""


class ServerProcess:
    """One server as a child of this process, which ends with it, however it ends.

    Args:
        verifiers: What it hosts, by name or ``module:attribute``.
        workers: Its worker processes.
        options: More of the command line of ``assay serve``, such as ``["--config", "/etc/assay/math.toml"]``.
        ended: Called when it has ended by itself.

    Raises:
        ServerNotStartedError: It has ended at once, with its last words.
    """

    def __init__(
        self, verifiers: Sequence[str], *, workers: int = 1, options: Sequence[str] = (), ended: Callable[[], None]
    ) -> None:
        self._ended = ended
        self._stopping = False
        self._metrics: str | None = None
        self._said: deque[str] = deque(maxlen=_LINES_KEPT)
        # Without a certificate in its settings it speaks plain text to the cluster, as Ray itself does.
        place = ["--host", get_node_ip_address(), "--port", "0", "--insecure", "--metrics-port", "0"]
        arguments = ["--with-parent", *place, "--workers", str(workers), *options, *verifiers]
        line = [sys.executable, "-P", "-m", "reward_servers", "serve", *arguments]
        self._process = spawn_bound(line, self._hear, stdout=subprocess.PIPE)
        assert self._process.stdout is not None
        first = self._process.stdout.readline().split()
        if first[:2] != ["listening", "on"]:
            self._process.wait()
            raise ServerNotStartedError("\n".join(self._said) or "the server has ended without a word")
        self.address = first[2]
        threading.Thread(target=self._watch, daemon=True).start()

    def _hear(self, line: str) -> None:
        self._said.append(line)
        if self._metrics is None and (match := _METRICS.search(line)):
            self._metrics = match[0]
        # Ray keeps what its workers write.
        sys.stderr.write(f"{line}\n")

    def _watch(self) -> None:
        self._process.wait()
        if not self._stopping:
            self._ended()

    @property
    def alive(self) -> bool:
        """Whether it runs."""
        return self._process.poll() is None

    def items_in_flight(self) -> int:
        """Items that it has admitted and not finished, by its own metrics.

        Raises:
            OSError: It does not say.
        """
        if self._metrics is None:
            raise OSError("the server has named no address of its metrics")
        with urllib.request.urlopen(self._metrics, timeout=2.0) as page:  # noqa: S310 (our own server's)
            match = _IN_FLIGHT.search(page.read().decode())
        return int(float(match[1])) if match else 0

    def drain(self) -> None:
        """Let it finish what it has admitted, and wait for its end."""
        self._stopping = True
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(_DRAIN_S)


class ServerActor:
    """Holds one server. When the server ends by itself the actor does, and Ray starts both again.

    Args:
        verifiers: See `ServerProcess`.
        workers: See `ServerProcess`.
        options: See `ServerProcess`.
    """

    def __init__(self, verifiers: Sequence[str], workers: int = 1, options: Sequence[str] = ()) -> None:
        self._server = ServerProcess(verifiers, workers=workers, options=options, ended=lambda: os._exit(1))

    def address(self) -> str:
        """Where it listens."""
        return self._server.address

    def drain(self) -> None:
        """Let the server finish what it has admitted, and end."""
        self._server.drain()


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
        self.endpoint = f"ray:{name}"
        placed: dict[str, Any] = {
            "num_cpus": workers,
            "scheduling_strategy": "SPREAD",
            "max_restarts": -1,
            # Where it is, is answered while it drains.
            "max_concurrency": 4,
            "namespace": NAMESPACE,
            "lifetime": "detached" if detached else "non_detached",
            **(resources or {}),
        }
        actor: Any = ray.remote(ServerActor)
        self._actors = [
            actor.options(name=_actor_name(name), **placed).remote(list(verifiers), workers, list(options))
            for _ in range(replicas)
        ]
        try:
            self.addresses: list[str] = _addresses(name, self._actors, workers)
        except ray.exceptions.RayActorError as error:
            for started in self._actors:
                ray.kill(started)
            raise ServerNotStartedError(str(error)) from None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        _stop(self._actors)


def stop(name: str) -> int:
    """Drain and end all actors of a name, detached ones above all; how many there were."""
    listed = ray.util.list_named_actors(all_namespaces=True)
    names = [entry["name"] for entry in listed if entry["namespace"] == NAMESPACE]
    actors = [ray.get_actor(n, namespace=NAMESPACE) for n in names if n.startswith(f"{PREFIX}{name}:")]
    _stop(actors)
    return len(actors)


def _stop(actors: Sequence[Any]) -> None:
    ray.wait([actor.drain.remote() for actor in actors], num_returns=len(actors), timeout=_DRAIN_S)
    for actor in actors:
        ray.kill(actor)


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
        self._server = ServerProcess(verifiers, workers=workers, options=options, ended=lambda: None)
        post: Any = ray.remote(Signpost)
        placed = {"num_cpus": 0, "namespace": NAMESPACE, "scheduling_strategy": _this_node()}
        self._post = post.options(name=_actor_name(name), **placed).remote(self._server.address)

    def check_health(self) -> None:
        """Asked by Serve, which replaces the replica when this raises."""
        if not self._server.alive:
            raise ServerNotStartedError("the server has ended")

    async def record_autoscaling_stats(self) -> dict[str, float]:
        """Asked by Serve: what it scales by."""
        return {"items_in_flight": float(await asyncio.to_thread(self._server.items_in_flight))}

    def __call__(self) -> str:
        """Where the server of this replica listens."""
        return self._server.address

    def __del__(self) -> None:
        """Called by Serve when it takes the replica away: clients stop sending, and what was admitted is finished."""
        with contextlib.suppress(AttributeError):
            ray.kill(self._post)
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
    """
    deployment = serve.deployment(
        ServeReplica,
        name="RewardServer",
        ray_actor_options={"num_cpus": int(arguments.get("workers", 1))},
        autoscaling_config={**arguments.get("autoscaling", {}), "policy": {"policy_function": _POLICY}},
        graceful_shutdown_timeout_s=_DRAIN_S + 5,
        health_check_period_s=2.0,
    )
    options = [str(option) for option in arguments.get("options", ())]
    return deployment.bind(
        str(arguments["name"]), list(arguments["verifiers"]), int(arguments.get("workers", 1)), options
    )


def _this_node() -> Any:
    node = ray.get_runtime_context().get_node_id()
    return ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy(node, soft=False)
