"""A process that takes part in the sharing, for tests: it does what it is told through a pipe."""

from __future__ import annotations

import multiprocessing
import os
import pickle
from collections.abc import Sequence
from concurrent.futures import Future
from multiprocessing.connection import Connection
from typing import Any

from trainer_client import Recipe, Retries, RewardClient, Rollout, RolloutResult, SharedRewardClient
from trainer_client.adapters.singles import SingleScorer, rollout_of_sample


def all_said(result: RolloutResult) -> dict[str, Any]:
    """Everything that a result says, times aside."""
    names = tuple(result.scores)
    cells = {name: result.cell(name) for name in names}
    told = {
        name: (cell.outcome, cell.score, cell.code, cell.party, cell.message, cell.evidence, dict(cell.aspects))
        for name, cell in cells.items()
    }
    return {"id": result.rollout_id, "reward": result.reward, "cells": told}


def told_or_error(futures: Sequence[Future[RolloutResult]], timeout: float = 200.0) -> list[Any]:
    """What each result says, or what kind of error it is, in what words."""
    found: list[Any] = []
    for future in futures:
        try:
            found.append(all_said(future.result(timeout)))
        except Exception as error:  # noqa: BLE001 (told to the test)
            found.append((type(error).__name__, str(error)))
    return found


def _told_to_copies(client: SharedRewardClient) -> tuple[bool, str]:
    """Whether a forked child and a pickled copy in it are told the same through an adapter, and the child's role."""
    scorer = SingleScorer(client, on_missing="none", max_missing=1.0)
    samples = [rollout_of_sample("p", str(n), "1") for n in range(6)]
    expected = [scorer.score(one).reward for one in samples]
    ours, theirs = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            told = [
                one.score(rollout).reward for one in (scorer, pickle.loads(pickle.dumps(scorer))) for rollout in samples
            ]
            os.write(theirs, pickle.dumps((told == expected * 2, client.role)))
        finally:
            os._exit(0)
    os.close(theirs)
    os.waitpid(child, 0)
    with open(ours, "rb") as pipe:
        found: tuple[bool, str] = pickle.load(pipe)
    return found


def _serve(client: SharedRewardClient | RewardClient, orders: Connection) -> None:
    futures: list[Future[RolloutResult]] = []
    while (order := orders.recv()) is not None:
        kind, given = order
        if kind == "submit":
            futures = [client.submit(rollout, step=1) for rollout in given]
            orders.send(len(futures))
        elif kind == "results":
            orders.send(told_or_error(futures))
        elif kind == "role":
            orders.send(client.role if isinstance(client, SharedRewardClient) else "")
        elif kind == "describe":
            orders.send({name: info.id.name for name, info in client.describe().items()})
        elif kind == "fork":
            assert isinstance(client, SharedRewardClient)
            orders.send(_told_to_copies(client))
    client.close()


def _work(recipe: str, address: str, silence_s: float, orders: Connection) -> None:
    _serve(SharedRewardClient(Recipe.loads(recipe), address, retries=Retries(heartbeat_timeout_s=silence_s)), orders)


class Member:
    """A process that takes part."""

    def __init__(self, recipe: str, address: str, silence_s: float = 10.0) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self.process = context.Process(target=_work, args=(recipe, address, silence_s, theirs), daemon=True)
        self.process.start()

    def do(self, kind: str, given: Any = None) -> Any:
        """Tell it something and wait for what it says."""
        self._pipe.send((kind, given))
        assert self._pipe.poll(280), f"no answer to {kind!r}"
        return self._pipe.recv()

    def score(self, rollouts: Sequence[Rollout]) -> list[Any]:
        """What it is told of rollouts."""
        self.do("submit", rollouts)
        found: list[Any] = self.do("results")
        return found

    def end(self) -> None:
        """End it as users do, or at least end it."""
        if self.process.is_alive():
            self._pipe.send(None)
            self.process.join(120)
        self.process.kill()
        self.process.join()
