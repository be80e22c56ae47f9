"""A verifier that computes a millisecond per item: how busy the cores are, and how long a health call waits meanwhile.

Usage: ``python -m benchmarks.server.saturation [--seconds 8]``
"""

from __future__ import annotations

import argparse
import asyncio
import os
import time
from typing import Any

import grpc.aio
import numpy as np
from grpc_health.v1 import health_pb2, health_pb2_grpc

from benchmarks.server._common import latex, our_server
from trainer_client.contract.v1 import reward_service_pb2 as pb
from trainer_client.contract.v1 import reward_service_pb2_grpc as rpc
from trainer_client.contract.v1 import types_pb2 as types

_BATCH = 64
_CALLERS = 8


def _request(start: int) -> pb.ScoreRequest:
    request = pb.ScoreRequest(evaluations=[types.Evaluation(verifier="bench/busy")])
    group = request.groups.add(group_id=str(start))
    for place in range(_BATCH):
        rollout = group.rollouts.add(index=place, rollout_id=f"{start}-{place}")
        rollout.response.text = latex(2048, start * _BATCH + place)
    return request


async def _probe(address: str, until: float) -> list[float]:
    """Latencies of a health call every 20 ms on a connection of its own."""
    found: list[float] = []
    async with grpc.aio.insecure_channel(address) as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        while time.perf_counter() < until:
            started = time.perf_counter()
            await stub.Check(health_pb2.HealthCheckRequest())
            found.append(time.perf_counter() - started)
            await asyncio.sleep(0.02)
    return found


async def _load(address: str, until: float) -> int:
    """Items judged by callers that each keep one batch in flight."""
    done = 0
    numbers = iter(range(10**9))
    async with grpc.aio.insecure_channel(address) as channel:
        stub: Any = rpc.RewardServiceStub(channel)

        async def caller() -> None:
            nonlocal done
            while time.perf_counter() < until:
                response = await stub.Score(_request(next(numbers)))
                done += len(response.results)

        await asyncio.gather(*(caller() for _ in range(_CALLERS)))
    return done


async def _run(seconds: float) -> None:
    cores = os.cpu_count() or 1
    with our_server("benchmarks.server.verifiers:busy", workers=cores) as server:
        await _load(server.address, time.perf_counter() + 1)
        idle = await _probe(server.address, time.perf_counter() + seconds / 2)
        begun, cpu = time.perf_counter(), server.cpu(tree=True)
        ends = begun + seconds
        busy, done = await asyncio.gather(_probe(server.address, ends), _load(server.address, ends))
        wall, cpu = time.perf_counter() - begun, server.cpu(tree=True) - cpu
    ms = 1000 * np.percentile(np.array(idle), [50, 99]), 1000 * np.percentile(np.array(busy), [50, 99])
    print(f"items/s {done / wall:.0f}, of {cores} cores' ideal {done / wall / (1000 * cores):.2f}")
    print(f"CPU of the server and its workers {cpu / wall:.2f} cores; useful share of it {done / 1000 / cpu:.2f}")
    print(f"health p50 {ms[0][0]:.2f} -> {ms[1][0]:.2f} ms, p99 {ms[0][1]:.2f} -> {ms[1][1]:.2f} ms")
    print(f"health p99 under load / idle {ms[1][1] / ms[0][1]:.1f}")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=8.0)
    asyncio.run(_run(parser.parse_args().seconds))


if __name__ == "__main__":
    main()
