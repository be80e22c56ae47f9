"""What Ray's actors cost beside plain processes: start, rate, memory.

Usage: ``python -m benchmarks.ray_cost [--seconds 5] [--replicas 2]`` in an environment with the extra ``ray``. The same
servers, with one worker each, are started as processes and as actors, and scored by the same client in turns: rollouts
go to the servers over gRPC either way.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import time
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import psutil

from benchmarks.scaling import Load, fleet, measure

_STORE = 80 << 20
_TURNS = 3


class Fleet(NamedTuple):
    """Servers under measurement.

    Attributes:
        endpoints: Where they are.
        start: Seconds until all of them answered.
        memory: Bytes that everything beside the servers holds.
        processes: Processes beside the servers.
    """

    endpoints: Sequence[str]
    start: float
    memory: int
    processes: int


@contextlib.contextmanager
def plain(replicas: int) -> Iterator[Fleet]:
    """Servers as processes."""
    began = time.perf_counter()
    with fleet("exact", replicas, 1) as endpoints:
        yield Fleet(endpoints, time.perf_counter() - began, 0, 0)


@contextlib.contextmanager
def actors(replicas: int) -> Iterator[Fleet]:
    """Servers as actors of a cluster that is there already."""
    from reward_servers.ray import Servers

    began = time.perf_counter()
    with Servers("cost", ["exact"], replicas=replicas, workers=1, options=["--cache-bytes", "0"]) as servers:
        start = time.perf_counter() - began
        others = _beside()
        memory = sum(_private(one) for one in others)
        yield Fleet([servers.endpoint], start, memory, len(others))


def _beside() -> list[psutil.Process]:
    """Processes of Ray: what this process started, without servers and what those started."""
    found: list[psutil.Process] = []
    for one in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.Error):
            lines = [" ".join(parent.cmdline()) for parent in (one, *one.parents())]
            if not any("reward_servers serve" in line for line in lines):
                found.append(one)
    return found


def _private(process: psutil.Process) -> int:
    """Bytes that would be free without the process."""
    with contextlib.suppress(psutil.Error):
        return int(process.memory_full_info().uss)
    return 0


def main() -> None:
    """Measure and print."""
    import ray
    from ray.cluster_utils import Cluster

    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--replicas", type=int, default=2)
    given = parser.parse_args()
    head: dict[str, Any] = {"num_cpus": given.replicas, "include_dashboard": False, "object_store_memory": _STORE}
    # Otherwise Ray's workers, and the servers below them, run at a niceness of 15, and yield to the plain ones.
    head["_system_config"] = {"worker_niceness": 0}
    began = time.perf_counter()
    nodes = Cluster(initialize_head=True, head_node_args=head)
    ray.init(address=nodes.address, log_to_driver=False)
    print(f"cluster of one node: {time.perf_counter() - began:.1f} s")
    load = Load("exact", 1024)
    with plain(given.replicas) as processes, actors(given.replicas) as ours:
        for name, one in (("processes", processes), ("actors", ours)):
            print(f"{name}: {one.start:.1f} s to start, {one.processes} processes and {one.memory / 1e6:.0f} MB beside")
        for _ in range(_TURNS):
            for name, one in (("processes", processes), ("actors", ours)):
                found = asyncio.run(measure(load, one.endpoints, given.seconds))
                print(f"{name}: {found.rate:,.0f} items/s, p99 of a batch {found.p99 * 1000:,.0f} ms", flush=True)
    ray.shutdown()
    nodes.shutdown()


if __name__ == "__main__":
    main()
