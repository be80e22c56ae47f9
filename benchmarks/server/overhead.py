"""CPU per item of a server against a bare ``grpc.aio`` echo of equal bytes, in turn within one run.

A neighbour on the processor's other thread makes the same work cost up to twice as much, so two ratios are told: of the
least disturbed rounds, and of the medians.

Usage: ``python -m benchmarks.server.overhead [--rounds 12] [--items 12288]``
"""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Callable
from statistics import median
from typing import Any

import grpc.aio

from benchmarks.server._common import ServerProcess, bare_server, latex, our_server
from benchmarks.server.bare import METHOD, Request, Response
from trainer_client.contract.v1 import reward_service_pb2 as pb
from trainer_client.contract.v1 import types_pb2 as types

_SIZE = 2048
_GROUP = 8
_IN_FLIGHT = 4
_OPTIONS = [("grpc.max_receive_message_length", -1)]


def bare_batch(size: int, start: int) -> bytes:
    """Make a message of the echo with so many items, from a number on."""
    request = Request()
    for index in range(start, start + size):
        request.items.add(id=f"rollout-{index}", text=latex(_SIZE, index))
    return bytes(request.SerializeToString())


def our_batch(verifier: str, form: Any) -> Callable[[int, int], bytes]:
    """Build a function that makes a message of so many items, from a number on."""

    def build(size: int, start: int) -> bytes:
        request = pb.ScoreRequest(evaluations=[types.Evaluation(verifier=verifier)], result_form=form)
        for first in range(start, start + size, _GROUP):
            group = request.groups.add(group_id=f"group-{first}", size=_GROUP)
            group.prompt.text = "Solve the problem."
            for index in range(first, first + _GROUP):
                rollout = group.rollouts.add(index=index - start, rollout_id=f"rollout-{index}")
                rollout.response.text = latex(_SIZE, index)
        return request.SerializeToString()

    return build


async def drive(server: ServerProcess, method: str, reply: Callable[[bytes], object], batches: list[bytes]) -> None:
    """Call a method with every message, a few at a time."""
    waiting = list(batches)
    async with grpc.aio.insecure_channel(server.address, options=_OPTIONS) as channel:
        call: Any = channel.unary_unary(method, request_serializer=None, response_deserializer=None)

        async def caller() -> None:
            while waiting:
                reply(await call(waiting.pop()))

        await asyncio.gather(*(caller() for _ in range(_IN_FLIGHT)))


class _Mode:
    def __init__(self, name: str, server: ServerProcess, method: str, build: Callable[[int, int], bytes]) -> None:
        self.name, self.server, self.method, self.build = name, server, method, build
        self.reply = Response.FromString if method == METHOD else pb.ScoreResponse.FromString
        self.costs: dict[int, list[float]] = {}
        self.trees: dict[int, list[float]] = {}

    async def measure(self, size: int, items: int, offset: int) -> None:
        batches = [self.build(size, offset + start) for start in range(0, items, size)]
        await drive(self.server, self.method, self.reply, batches[:2])
        own, tree = self.server.cpu(), self.server.cpu(tree=True)
        await drive(self.server, self.method, self.reply, batches[2:])
        done = items - 2 * size
        self.costs.setdefault(size, []).append((self.server.cpu() - own) / done * 1e6)
        self.trees.setdefault(size, []).append((self.server.cpu(tree=True) - tree) / done * 1e6)


async def _run(rounds: int, items: int) -> None:
    ours = f"/{pb.DESCRIPTOR.services_by_name['RewardService'].full_name}/Score"
    names = ("benchmarks.server.verifiers:inline", "benchmarks.server.verifiers:pooled")
    with bare_server() as bare, our_server(names[0]) as inline, our_server(names[1]) as pooled:
        modes = [
            _Mode("bare echo", bare, METHOD, bare_batch),
            _Mode("inline, columns", inline, ours, our_batch("bench/inline", pb.RESULT_FORM_COLUMNS)),
            _Mode("inline, rows", inline, ours, our_batch("bench/inline", pb.RESULT_FORM_ROWS)),
            _Mode("pool, columns", pooled, ours, our_batch("bench/pooled", pb.RESULT_FORM_COLUMNS)),
            _Mode("pool, rows", pooled, ours, our_batch("bench/pooled", pb.RESULT_FORM_ROWS)),
        ]
        for turn in range(rounds):
            for size in (64, 512):
                for mode in modes:
                    # Texts of a round are new to the server: a cache that answered would flatter it.
                    await mode.measure(size, items, (turn * 2 + (size == 512)) * items)
    columns = ("per call", "least us", "ratio", "median us", "ratio", "with workers")
    print(f"{'server':<16}" + "".join(f"{name:>14}" for name in columns))
    for size in (64, 512):
        floors = [pick(modes[0].costs[size]) for pick in (min, median)]
        for mode in modes:
            least, middle = (pick(mode.costs[size]) for pick in (min, median))
            figures = (least, least / floors[0], middle, middle / floors[1], min(mode.trees[size]))
            print(f"{mode.name:<16}{size:>14}" + "".join(f"{figure:>14.2f}" for figure in figures))


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--items", type=int, default=12288)
    arguments = parser.parse_args()
    asyncio.run(_run(arguments.rounds, arguments.items))


if __name__ == "__main__":
    main()
