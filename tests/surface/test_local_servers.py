"""Servers that live as long as a block, a client, or the process that started them."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from reward_servers.local import LocalServers
from reward_servers.supervisor import ServerRefusedError
from trainer_client import AsyncRewardClient, Recipe, RewardClient, Rollout, ServerUnavailableError

ROOT = Path(__file__).parents[2]
TOML = """
[servers.rules]
verifiers = ["exact", "length"]
[rewards.correct]
verifier = "exact"
[rewards.short]
verifier = "length"
options = { max = 100 }
"""
RECIPE = Recipe.loads(TOML)
ROLLOUTS = [Rollout("a", "p", "42", reference={"answer": "42"}), Rollout("b", "p", "41", reference={"answer": "42"})]
SCORES = [[1.0, 1.0], [0.0, 1.0]]
PATIENCE = 240.0


def gone(processes: Iterable[psutil.Process]) -> bool:
    """Whether the processes have ended; waits for them."""
    _, alive = psutil.wait_procs(list(processes), timeout=PATIENCE)
    return all(one.status() == psutil.STATUS_ZOMBIE for one in alive)


def command_of(process: psutil.Process) -> list[str]:
    """Its command line; empty for one that has ended, whoever's child it is."""
    try:
        return process.cmdline()
    except psutil.NoSuchProcess:
        return []


def alive(pids: Iterable[int]) -> list[psutil.Process]:
    """The processes of that number now: later it may be that of another."""
    return [psutil.Process(pid) for pid in pids]


def test_a_recipe_is_served_for_the_length_of_a_block(tmp_path: Path) -> None:
    path = tmp_path / "recipe.toml"
    path.write_text(TOML)
    servers = LocalServers(path)
    with servers as endpoints, RewardClient(path, endpoints) as client:
        assert client.score(ROLLOUTS).scores.tolist() == SCORES
        pids = alive(servers.pids.values())
        assert len(pids) == 1
    assert gone(pids)
    with pytest.raises(RuntimeError, match="make another"):
        servers.start()


async def test_it_works_in_a_running_loop() -> None:
    async with LocalServers(RECIPE) as endpoints, AsyncRewardClient(RECIPE, endpoints) as client:
        assert (await client.score(ROLLOUTS)).scores.tolist() == SCORES


def test_a_server_that_dies_is_started_again_where_it_was() -> None:
    servers = LocalServers(RECIPE)
    with servers as endpoints, RewardClient(RECIPE, endpoints) as client:
        (pid,) = servers.pids.values()
        os.kill(pid, signal.SIGKILL)
        assert client.score(ROLLOUTS).scores.tolist() == SCORES
        assert servers.endpoints == endpoints
        assert list(servers.pids.values()) != [pid]


def test_a_server_that_cannot_start_says_why_and_leaves_nothing() -> None:
    recipe = Recipe.loads(TOML + '[rewards.more]\nverifier = "nowhere"\n')
    before = set(psutil.Process().children(recursive=True))
    with pytest.raises(ServerRefusedError, match="no verifier 'nowhere' is installed"):
        LocalServers(recipe).start()
    begun = set(psutil.Process().children(recursive=True)) - before
    assert not [one for one in begun if "reward_servers" in " ".join(one.cmdline())]


def test_settings_files_are_found_beside_the_recipe(tmp_path: Path) -> None:
    (tmp_path / "settings.toml").write_text("[limits]\nmax_items = 7\n")
    path = tmp_path / "recipe.toml"
    path.write_text(TOML.replace("[rewards.correct]", 'config = "settings.toml"\n[rewards.correct]'))
    servers = LocalServers(path)
    with servers:
        (pid,) = servers.pids.values()
        assert str(tmp_path / "settings.toml") in psutil.Process(pid).cmdline()


def test_the_blocks_own_error_is_the_one_that_is_seen() -> None:
    with pytest.raises(LookupError, match="mine"), LocalServers(RECIPE):
        raise LookupError("mine")


PROGRAM = """
import signal, sys, time
from reward_servers.local import LocalServers
if __name__ == "__main__":
    # A shell that starts the tests in the background has it ignored.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    servers = LocalServers(sys.argv[1])
    with servers:
        print(*servers.pids.values(), flush=True)
        time.sleep(600)
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT], ids=lambda one: one.name)
def test_a_killed_process_leaves_no_server(tmp_path: Path, number: signal.Signals) -> None:
    (tmp_path / "recipe.toml").write_text(TOML)
    (tmp_path / "program.py").write_text(PROGRAM)
    program = subprocess.Popen(
        [sys.executable, "program.py", "recipe.toml"], cwd=tmp_path, stdout=subprocess.PIPE, text=True
    )
    assert program.stdout is not None
    pids = alive(map(int, program.stdout.readline().split()))
    assert pids
    program.send_signal(number)
    program.wait(PATIENCE)
    program.stdout.close()
    assert gone(pids)


async def test_a_block_that_is_cancelled_while_starting_leaves_nothing() -> None:
    async def begin() -> None:
        async with LocalServers(RECIPE):
            await asyncio.sleep(600)

    task = asyncio.create_task(begin())
    await asyncio.sleep(0.1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    until = time.monotonic() + PATIENCE
    while [one for one in psutil.Process().children() if "exact" in command_of(one)]:
        assert time.monotonic() < until
        await asyncio.sleep(0.05)


# A client that starts its servers itself


def servers_of(pid: int) -> list[psutil.Process]:
    """Processes of servers below a process."""
    return [one for one in psutil.Process(pid).children(recursive=True) if "serve" in command_of(one)]


def test_a_client_starts_what_its_recipe_needs_at_first_use(tmp_path: Path) -> None:
    path = tmp_path / "recipe.toml"
    path.write_text(TOML)
    for recipe in (path, RECIPE):
        before = set(servers_of(os.getpid()))
        client = RewardClient(recipe, endpoints="local")
        assert set(servers_of(os.getpid())) == before
        assert client.score(ROLLOUTS).scores.tolist() == SCORES
        pids = set(servers_of(os.getpid())) - before
        assert len(pids) >= 1
        other = client.with_recipe(replace(RECIPE, name="another"))
        assert other.score(ROLLOUTS).scores.tolist() == SCORES
        assert client.submit(ROLLOUTS[0]).result(PATIENCE).reward == 2.0
        client.close()
        assert gone(pids)


async def test_an_event_loop_goes_on_while_the_servers_start() -> None:
    async with AsyncRewardClient(RECIPE, "local") as client:
        ticks = 0

        async def tick() -> None:
            nonlocal ticks
            while True:
                await asyncio.sleep(0.01)
                ticks += 1

        ticking = asyncio.create_task(tick())
        described = await client.describe()
        ticking.cancel()
    assert described["correct"].id.name == "exact"
    assert ticks > 10


def test_a_dropped_client_leaves_no_server() -> None:
    before = set(servers_of(os.getpid()))
    client = RewardClient(RECIPE, "local")
    client.score(ROLLOUTS)
    pids = set(servers_of(os.getpid())) - before
    del client
    gc.collect()
    assert gone(pids)


COPIES_PROGRAM = """
import multiprocessing, os, pickle
from tests.surface.test_local_servers import RECIPE, ROLLOUTS, SCORES, servers_of
from trainer_client import RewardClient
with RewardClient(RECIPE, "local") as client:
    client.score(ROLLOUTS)
    before = set(servers_of(os.getpid()))
    with pickle.loads(pickle.dumps(client)) as twin:
        assert twin.score(ROLLOUTS).scores.tolist() == SCORES
    context = multiprocessing.get_context("fork")
    results = context.SimpleQueue()
    child = context.Process(target=lambda: results.put(client.score(ROLLOUTS).scores.tolist()))
    child.start()
    assert results.get() == SCORES
    child.join()
    assert set(servers_of(os.getpid())) == before
    assert client.score(ROLLOUTS).scores.tolist() == SCORES
"""


def test_a_copy_of_the_client_uses_the_servers_of_the_first() -> None:
    """In a process of its own: where other tests have left gRPC in use, no child could use it."""
    done = subprocess.run([sys.executable, "-c", COPIES_PROGRAM], capture_output=True, text=True, cwd=ROOT, timeout=250)
    assert done.returncode == 0, done.stderr


def test_a_client_says_why_its_servers_do_not_start() -> None:
    recipe = Recipe.loads(TOML + '[rewards.more]\nverifier = "nowhere"\n')
    with (
        RewardClient(recipe, "local") as client,
        pytest.raises(ServerUnavailableError, match="no verifier 'nowhere' is installed"),
    ):
        client.score(ROLLOUTS)


def test_a_client_without_servers_beside_it_says_so_at_once(tmp_path: Path) -> None:
    program = """
import importlib.util, os
found = importlib.util.find_spec
importlib.util.find_spec = lambda name, *more: None if name == "reward_servers" else found(name, *more)
os.environ["PATH"] = ""
from trainer_client import Recipe, RewardClient, ServerUnavailableError
try:
    RewardClient(Recipe.loads('[rewards.a]\\nverifier = "exact"\\n'), "local")
except ServerUnavailableError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=tmp_path)
    assert "the extra 'server'" in done.stdout


CLIENT_PROGRAM = """
import signal, sys, time
import psutil
from trainer_client import RewardClient
signal.signal(signal.SIGINT, signal.default_int_handler)
client = RewardClient(sys.argv[1], "local")
client.describe()
assert "reward_servers" not in sys.modules
print(*[one.pid for one in psutil.Process().children(recursive=True)], flush=True)
time.sleep(600)
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT], ids=lambda one: one.name)
def test_a_killed_process_leaves_nothing_of_its_clients_servers(tmp_path: Path, number: signal.Signals) -> None:
    (tmp_path / "recipe.toml").write_text(TOML)
    (tmp_path / "program.py").write_text(CLIENT_PROGRAM)
    program = subprocess.Popen(
        [sys.executable, "program.py", "recipe.toml"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert program.stdout is not None
    pids = alive(map(int, program.stdout.readline().split()))
    assert len(pids) > 1
    program.send_signal(number)
    program.wait(PATIENCE)
    program.stdout.close()
    assert gone(pids)
