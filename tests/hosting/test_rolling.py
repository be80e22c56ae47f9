"""A fleet that is upgraded replica by replica while it is asked."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.hosting.conftest import PLAN, rollouts
from trainer_client import AsyncRewardClient, Recipe, RequestRejectedError, Retries, Reward, ScoreTable, Server

RECIPE = Recipe((Reward("r", "acme/plan"),), servers=(Server("s", ("acme/plan",)),))
PATIENT = Retries(unavailable_timeout_s=60.0)
SCORES = {"1": 0.25, "2": 0.75}


class Replica:
    """A server process on a port of its own, which it keeps when it is started again."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self.folder = folder
        self.port = 0
        self._process: subprocess.Popen[str] | None = None

    async def start(self, version: str) -> str:
        """Start a version; its address once it answers."""
        text = PLAN.format(version=version, score=SCORES[version], seconds=0.002)
        (self.folder / "upgraded.py").write_text(text)
        command = [sys.executable, "-P", "-m", "reward_servers", "serve", "upgraded:plan", "--workers", "1"]
        self._process = subprocess.Popen(
            [*command, "--port", str(self.port)], cwd=self.folder, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
            text=True,
        )  # fmt: skip
        assert self._process.stdout is not None
        said = await asyncio.to_thread(self._process.stdout.readline)
        address = said.split()[2]
        self.port = int(address.rpartition(":")[2])
        return address

    async def stop(self) -> None:
        """Let it finish what it has admitted."""
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)
        assert await asyncio.to_thread(self._process.wait) == 0
        assert self._process.stdout is not None
        self._process.stdout.close()


async def test_a_rolling_upgrade_loses_no_item_and_its_versions_are_told_apart(tmp_path: Path) -> None:
    replicas = [Replica(tmp_path / f"replica{number}") for number in range(3)]
    addresses = await asyncio.gather(*(replica.start("1") for replica in replicas))
    tables: list[ScoreTable] = []
    over = asyncio.Event()
    endpoints = {"s": addresses}
    try:
        async with (
            AsyncRewardClient(RECIPE, endpoints, pin=False, retries=PATIENT) as asker,
            AsyncRewardClient(RECIPE, endpoints, retries=PATIENT) as pinned,
        ):

            async def ask() -> None:
                while not over.is_set():
                    tables.append(await asker.score(rollouts(96)))

            assert (await pinned.score(rollouts())).valid.all()
            asking = [asyncio.create_task(ask()) for _ in range(2)]
            for number, replica in enumerate(replicas):
                if number == 2:
                    # One replica is left of what it has pinned.
                    assert set((await pinned.score(rollouts(64))).scores[:, 0]) == {SCORES["1"]}
                await replica.stop()
                await replica.start("2")
                seen = len(tables)
                while len(tables) < seen + 3 and not any(task.done() for task in asking):
                    await asyncio.sleep(0.02)
            over.set()
            await asyncio.gather(*asking)
            last = await asker.score(rollouts(96))
            with pytest.raises(RequestRejectedError, match="no replica hosts the version"):
                await pinned.score(rollouts(64))
    finally:
        await asyncio.gather(*(replica.stop() for replica in replicas))
    assert all(table.valid.all() for table in tables)
    for table in [*tables, last]:
        told = {SCORES[one.version] for one in table.versions[0]}
        assert set(np.unique(table.scores)) <= told
        assert len({one.digest for one in table.versions[0]}) == len(table.versions[0])
    assert {one.version for table in tables for one in table.versions[0]} == {"1", "2"}
    assert [one.version for one in last.versions[0]] == ["2"]
