"""The batch script on a real Slurm: it serves, drains when told, is queued again, and a lost node costs nothing."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import psutil
import pytest

from reward_servers.config import load_config
from reward_servers.registry import serving
from tests.deploy.docker import wait_for
from tests.deploy.slurm import Slurm, cluster, missing
from trainer_client import Recipe, Retries, Reward, RewardClient, Rollout, Server

pytestmark = pytest.mark.timeout(1200)
SCRIPT = Path(__file__).resolve().parents[2] / "deploy" / "slurm" / "assay.sbatch"
RECIPE = Recipe((Reward("r", "exact"),), servers=(Server("exact", ("exact",)),))


@pytest.fixture(scope="module")
def slurm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Slurm]:
    """A cluster."""
    if not os.environ.get("ASSAY_TEST_DEPLOY"):
        pytest.skip("needs Slurm: make test-deploy")
    if missing():
        pytest.fail(f"not installed: {missing()}")
    with cluster(tmp_path_factory.mktemp("slurm")) as found:
        yield found


@pytest.fixture
def registry() -> Iterator[str]:
    """A registry, on a thread of its own."""
    told: list[str] = []
    loop, stop = asyncio.new_event_loop(), asyncio.Event()

    async def run() -> None:
        async with serving(load_config()) as address:
            told.append(address)
            await stop.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=(run(),))
    thread.start()
    wait_for(lambda: bool(told), "the registry")
    yield told[0]
    loop.call_soon_threadsafe(stop.set)
    thread.join()
    loop.close()


def submit(slurm: Slurm, registry: str, folder: Path, *options: str, endpoints: str = "") -> str:
    """Submit the script, for one replica or an array.

    Returns:
        The job's number.
    """
    told = ("--parsable", "--cpus-per-task=1", "--mem=1000", f"--output={folder}/%j.log", *options)
    return slurm(
        *("sbatch", *told, str(SCRIPT)),
        ASSAY_PYTHON=sys.executable,
        VERIFIERS="exact",
        REGISTRY=registry,
        ENDPOINTS=endpoints,
    )


def rollouts(count: int = 64) -> list[Rollout]:
    return [
        Rollout(rollout_id=f"r{n}", group_id="g", prompt="?", response=str(n % 2), reference={"answer": "0"})
        for n in range(count)
    ]


def log(folder: Path, job: str) -> str:
    path = folder / f"{job}.log"
    return path.read_text() if path.exists() else ""


def serves(folder: Path, job: str) -> Callable[[], bool]:
    return lambda: "listening on" in log(folder, job)


def test_a_replica_drains_when_told_and_the_other_goes_on(slurm: Slurm, registry: str, tmp_path: Path) -> None:
    jobs = [submit(slurm, registry, tmp_path, f"--nodelist={node}") for node in ("n1", "n2")]
    for job in jobs:
        wait_for(serves(tmp_path, job), f"job {job}: {log(tmp_path, job)}")
    with RewardClient(RECIPE, f"registry://{registry}") as client:
        stop = threading.Timer(0.2, slurm, ("scancel", "--batch", "--signal=TERM", jobs[0]))
        stop.start()
        for _ in range(30):
            assert client.score(rollouts()).scores[:, 0].tolist() == [1.0, 0.0] * 32
        stop.join()
        wait_for(lambda: slurm.state(jobs[0]) == "COMPLETED", "the drained job's end")
        assert "draining" in log(tmp_path, jobs[0])
        assert client.score(rollouts()).valid.all()
    slurm("scancel", "--batch", "--signal=TERM", jobs[1])
    wait_for(lambda: slurm.state(jobs[1]) == "COMPLETED", "the other's end")


def test_before_its_time_limit_a_replica_drains_and_is_queued_again(
    slurm: Slurm, registry: str, tmp_path: Path
) -> None:
    job = submit(slurm, registry, tmp_path)
    wait_for(serves(tmp_path, job), f"job {job}")
    slurm("scancel", "--batch", "--signal=USR1", job)  # what --signal sends ninety seconds before the limit
    wait_for(lambda: "draining" in log(tmp_path, job), "the drain")
    wait_for(lambda: "Restarts=1" in slurm("scontrol", "show", "job", job), "the queue")
    slurm("scancel", job)


def test_an_array_keeps_a_file_that_clients_follow(slurm: Slurm, tmp_path: Path) -> None:
    """Two tasks, of which one drains and ends, and the other drains and is queued again."""
    file = tmp_path / "exact.json"

    def listed() -> set[str]:
        return set(json.loads(file.read_text())["exact"]) if file.exists() else set()

    job = submit(slurm, "", tmp_path, "--array=0-1", "--exclusive", endpoints=str(file))
    wait_for(lambda: len(listed()) == 2, "two addresses", 240)
    with RewardClient(RECIPE, f"file:{file}", retries=Retries(unavailable_timeout_s=240.0)) as client:
        assert client.score(rollouts()).scores[:, 0].tolist() == [1.0, 0.0] * 32
        for signal, task in (("TERM", 0), ("USR1", 1)):
            before = listed()
            slurm("scancel", "--batch", f"--signal={signal}", f"{job}_{task}")
            wait_for(partial(lambda old: listed() < old, before), "an address less", 240)
            if signal == "USR1":
                # Slurm lets a job rest for two minutes before it starts again.
                wait_for(partial(lambda old: len(listed() - old) == 1, before), "another address", 600)
            assert client.score(rollouts()).scores[:, 0].tolist() == [1.0, 0.0] * 32
    slurm("scancel", job)


def test_a_lost_node_costs_no_item(slurm: Slurm, registry: str, tmp_path: Path) -> None:
    # The last test: the cluster has one node afterwards.
    jobs = {node: submit(slurm, registry, tmp_path, f"--nodelist={node}", "--no-requeue") for node in ("n1", "n2")}
    for job in jobs.values():
        wait_for(serves(tmp_path, job), f"job {job}")
    with RewardClient(RECIPE, f"registry://{registry}") as client:
        assert client.score(rollouts()).valid.all()
        _lose(slurm, "n2")
        for _ in range(10):
            assert client.score(rollouts()).scores[:, 0].tolist() == [1.0, 0.0] * 32
    slurm("scancel", *jobs.values())


def _lose(slurm: Slurm, node: str) -> None:
    """Kill the daemon of a node and all that it runs, at once: a job's processes know their node."""
    everything = [psutil.Process(slurm.nodes[node].pid)]
    everything += [process for process in psutil.process_iter() if _runs_on(process, node)]
    for process in everything:
        process.kill()


def _runs_on(process: psutil.Process, node: str) -> bool:
    try:
        return process.environ().get("SLURMD_NODENAME") == node
    except psutil.Error:
        return False
