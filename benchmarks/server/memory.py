"""Memory of a server over a million items, after a warm-up that fills the verdict cache.

Usage: ``python -m benchmarks.server.memory [--items 1000000]``
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
from typing import Any

import grpc.aio

from benchmarks.server._common import ServerProcess, our_server
from trainer_client.contract.v1 import reward_service_pb2 as pb
from trainer_client.contract.v1 import reward_service_pb2_grpc as rpc
from trainer_client.contract.v1 import types_pb2 as types

_BATCH = 512
_IN_FLIGHT = 4
_CACHE = 32 << 20
_WARM_UP = 200_000


def _request(start: int) -> pb.ScoreRequest:
    request = pb.ScoreRequest(evaluations=[types.Evaluation(verifier=name) for name in ("bench/light", "bench/inline")])
    for first in range(start, start + _BATCH, 8):
        group = request.groups.add(group_id=str(first), size=8)
        for index in range(first, first + 8):
            rollout = group.rollouts.add(index=index - start, rollout_id=str(index))
            rollout.response.text = f"{index} " + "x" * (index % 200)
    return request


async def _send(server: ServerProcess, start: int, items: int) -> None:
    waiting = list(range(start, start + items, _BATCH))
    async with grpc.aio.insecure_channel(server.address) as channel:
        stub: Any = rpc.RewardServiceStub(channel)

        async def caller() -> None:
            while waiting:
                response = await stub.Score(_request(waiting.pop()))
                assert all(one.HasField("verdict") for one in response.results)

        await asyncio.gather(*(caller() for _ in range(_IN_FLIGHT)))


def main() -> None:
    """Measure and print memory every tenth of the way."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--items", type=int, default=1_000_000)
    items = parser.parse_args().items
    with tempfile.NamedTemporaryFile("w", suffix=".toml") as config:
        config.write(f"[limits]\ncache_bytes = {_CACHE}\n")
        config.flush()
        names = ("benchmarks.server.verifiers:light", "benchmarks.server.verifiers:inline")
        with our_server(*names, config=config.name) as server:
            asyncio.run(_send(server, 0, _WARM_UP))
            before = server.resident()
            print(f"{'items':>9} {'server MiB':>11} {'workers MiB':>12}")
            for part in range(11):
                held = server.resident()
                print(
                    f"{part * items // 10:>9} {held['server'] / 2**20:>11.1f} {held['workers'] / 2**20:>12.1f}",
                    flush=True,
                )
                if part < 10:
                    asyncio.run(_send(server, _WARM_UP + part * items // 10, items // 10))
            after = server.resident()
    for name in before:
        print(f"{name}: {after[name] / before[name]:.3f} times what it held after the warm-up")


if __name__ == "__main__":
    main()
