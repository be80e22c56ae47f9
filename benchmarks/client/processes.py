"""CPU time of 8 processes that submit 256 single samples each, by that of one process that submits all 2,048.

In turn: one process; eight that share a client (`SharedRewardClient`); eight with a client each. Every process submits
its samples at once from an event loop, as verl's workers do, or one after another, as a pool of processes does. CPU is
that of all processes together, with the server's and without it. The goal is a ratio of at most 2 for the first way
through the shared client.

    python -m benchmarks.client.processes
"""

from __future__ import annotations

import argparse
import asyncio
import multiprocessing
import os
import time
from multiprocessing.connection import Connection
from statistics import median

from benchmarks.server._common import latex, our_server
from trainer_client import Recipe, RewardClient, Rollout, SharedRewardClient

RECIPE = Recipe.loads('[rewards.correct]\nverifier = "exact"\n')
GOAL = 2.0
PROCESSES, EACH, LONE = 8, 256, 32
_ONE, _SHARED, _APART = "one process", "8 processes, shared", "8 processes, a client each"
_AT_ONCE, _IN_TURN = "at once", "one after another"


def _rollouts(process: int, turn: int, count: int) -> list[Rollout]:
    first = (turn * PROCESSES + process) * EACH
    return [
        Rollout(f"{first + n}", latex(300, first + n), latex(1500, first + n), reference={"answer": str(n)})
        for n in range(count)
    ]


def _work(kind: str, address: str, process: int, orders: Connection) -> None:
    """Do what is asked, round by round, and tell the CPU seconds that it took."""
    client = (RewardClient if kind != _SHARED else SharedRewardClient)(RECIPE, address)

    async def at_once(rollouts: list[Rollout]) -> None:
        scored = await asyncio.gather(*(asyncio.wrap_future(client.submit(rollout)) for rollout in rollouts))
        assert all(one.reward is not None for one in scored)

    while (order := orders.recv()) is not None:
        way, turn, count = order
        rollouts = _rollouts(process, turn, count)
        orders.send("ready")
        orders.recv()
        started = time.process_time()
        if way == _AT_ONCE:
            asyncio.run(at_once(rollouts))
        else:
            assert all(client.submit(rollout).result().reward is not None for rollout in rollouts)
        orders.send(None)
        orders.recv()  # a leader works for others until all are done
        orders.send(time.process_time() - started)
    client.close()
    os._exit(0)


class _Side:
    """Processes of one kind."""

    def __init__(self, kind: str, address: str, processes: int) -> None:
        context = multiprocessing.get_context("spawn")
        self.pipes: list[Connection] = []
        self.processes = []
        for process in range(processes):
            ours, theirs = context.Pipe()
            self.pipes.append(ours)
            self.processes.append(context.Process(target=_work, args=(kind, address, process, theirs), daemon=True))
            self.processes[-1].start()

    def all_of_them(self, order: object) -> list[float]:
        """Tell each something and wait for what each says."""
        for pipe in self.pipes:
            pipe.send(order)
        return [pipe.recv() for pipe in self.pipes]

    def run(self, way: str, turn: int, count: int) -> float:
        """CPU seconds of all processes for a round."""
        self.all_of_them((way, turn, count))
        self.all_of_them(None)
        return sum(self.all_of_them(None))

    def end(self) -> None:
        """End them."""
        for pipe in self.pipes:
            pipe.send(None)
        for process in self.processes:
            process.join()


def measure(rounds: int) -> dict[tuple[str, str], tuple[float, float]]:
    """CPU microseconds of a sample by way and kind: of the client's processes, and of the server."""
    found: dict[tuple[str, str], list[tuple[float, float]]] = {}
    with our_server("exact", workers=1) as server:
        sides = {
            kind: _Side(kind, server.address, 1 if kind == _ONE else PROCESSES) for kind in (_ONE, _SHARED, _APART)
        }
        for turn in range(rounds + 1):
            for kind, side in sides.items():
                for way, each in ((_AT_ONCE, EACH), (_IN_TURN, LONE)):
                    total = each * PROCESSES
                    before = server.cpu(tree=True)
                    taken = side.run(way, turn, total // len(side.pipes))
                    if turn:
                        both = taken / total * 1e6, (server.cpu(tree=True) - before) / total * 1e6
                        found.setdefault((way, kind), []).append(both)
        for side in sides.values():
            side.end()
    return {key: (median(one[0] for one in taken), median(one[1] for one in taken)) for key, taken in found.items()}


def main() -> None:
    """Print the table and the ratios."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.client.processes", description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    found = measure(parser.parse_args().rounds)
    for (way, kind), (clients, server) in found.items():
        base = found[_AT_ONCE, _ONE]
        ratio, whole = clients / base[0], (clients + server) / sum(base)
        goal = f" (goal {GOAL})" if (way, kind) == (_AT_ONCE, _SHARED) else ""
        print(
            f"{way:<18} {kind:<26} clients {clients:6.1f} us, {ratio:5.2f} x{goal}; "
            f"with the server {clients + server:6.1f} us, {whole:5.2f} x"
        )


if __name__ == "__main__":
    main()
