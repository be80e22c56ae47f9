"""The supervisor: real servers, killed, refused and stopped."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from reward_servers.supervisor import ServerProcess, ServerRefusedError, Supervisor
from reward_servers.supervisor.process import KeptProcess
from tests.cli.conftest import PATIENCE, Cli, read_line, wait_until


@pytest.fixture(autouse=True)
def _probes(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(site))


async def eventually(condition: Callable[[], object], what: str) -> None:
    for _ in range(int(PATIENCE / 0.02)):
        if condition():
            return
        await asyncio.sleep(0.02)
    raise AssertionError(f"waited in vain for {what}")


def answers(address: str) -> bool:
    host, _, port = address.rpartition(":")
    with socket.socket() as probe:
        return probe.connect_ex((host, int(port))) == 0


def program(*verifiers: str, server: str = "one", port: int = 0, replica: int = 0) -> ServerProcess:
    return ServerProcess(server, verifiers, port=port, workers=1, replica=replica)


async def test_starts_names_and_stops_every_process() -> None:
    programs = [
        program("exact", "probe/length"),
        program("exact", server="two", replica=1),
        program("exact", server="two", replica=2),
    ]
    lines: list[tuple[str, str]] = []
    async with Supervisor(programs, log=lambda label, line: lines.append((label, line))) as supervisor:
        assert [len(supervisor.endpoints[name]) for name in ("one", "two")] == [1, 2]
        assert supervisor.verifiers["one"] == ("exact", "probe/length")
        assert set(supervisor.pids) == {"one", "two.1", "two.2"}
        assert all(answers(address) for addresses in supervisor.endpoints.values() for address in addresses)
        pids = list(supervisor.pids.values())
    assert not any(psutil.pid_exists(pid) for pid in pids)
    assert any("draining" in line for _, line in lines)
    assert supervisor.restarts == 0


async def test_a_killed_server_comes_back_on_its_port() -> None:
    async with Supervisor([program("exact")]) as supervisor:
        before, (address,) = supervisor.pids["one"], supervisor.endpoints["one"]
        os.kill(before, signal.SIGKILL)
        await eventually(lambda: supervisor.pids.get("one", before) != before and answers(address), "the new server")
        assert supervisor.endpoints["one"] == (address,)
        assert supervisor.restarts == 1


async def test_a_server_that_a_signal_without_a_name_has_ended_comes_back() -> None:
    lines: list[str] = []
    async with Supervisor([program("exact")], log=lambda label, line: lines.append(line)) as supervisor:
        before = supervisor.pids["one"]
        os.kill(before, signal.SIGRTMIN + 1)
        await eventually(lambda: supervisor.pids.get("one", before) != before, "the new server")
    assert any(f"ended with signal {signal.SIGRTMIN + 1};" in line for line in lines)


async def test_a_server_that_has_died_a_thousand_times_is_started_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("reward_servers.supervisor.process._MAX_DELAY_S", 0.0)
    kept = KeptProcess(program("exact"), lambda label, line: None)

    async def answered_and_died(peers: int) -> tuple[bool, int]:
        kept.stopping = kept.restarts == 1_100
        return True, 1

    monkeypatch.setattr(kept, "_run_once", answered_and_died)
    await kept.keep(0)
    assert kept.restarts == 1_100


async def test_workers_end_with_a_killed_server() -> None:
    async with Supervisor([program("probe/length")]) as supervisor:
        children = psutil.Process(supervisor.pids["one"]).children(recursive=True)
        assert children
        os.kill(supervisor.pids["one"], signal.SIGKILL)
        await eventually(lambda: not any(child.is_running() for child in children), "the end of the workers")


async def test_a_refusal_ends_the_whole_with_the_servers_words() -> None:
    supervisor = Supervisor([program("exact", server="good"), program("probe/refuses", server="bad")])
    with pytest.raises(ServerRefusedError, match=r"server bad: .*install the missing thing"):
        await supervisor.start()
    assert supervisor.pids == {}
    assert supervisor.restarts == 0


async def test_a_server_that_dies_while_starting_is_tried_again_but_not_forever() -> None:
    supervisor = Supervisor([program("probe/crashes")])
    with pytest.raises(ServerRefusedError, match="exit code 7"):
        await supervisor.start()
    assert supervisor.restarts > 0


async def test_a_given_port_is_used_and_a_taken_one_is_refused() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(ServerRefusedError, match=str(port)):
            await Supervisor([program("exact", port=port)]).start()
    async with Supervisor([program("exact", port=port)]) as supervisor:
        assert supervisor.endpoints == {"one": (f"127.0.0.1:{port}",)}


async def test_a_server_that_does_not_stop_is_killed_after_the_grace() -> None:
    supervisor = Supervisor([program("exact")], grace_s=0.1)
    await supervisor.start()
    pid = supervisor.pids["one"]
    os.kill(pid, signal.SIGSTOP)
    await supervisor.stop()
    assert not psutil.pid_exists(pid)


async def test_cancelling_the_start_leaves_nothing_behind() -> None:
    supervisor = Supervisor([program("exact")])
    starting = asyncio.create_task(supervisor.start())
    await eventually(lambda: supervisor.pids, "a process")
    pid = supervisor.pids["one"]
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting
    assert not psutil.pid_exists(pid)


ORPHANING = """
import asyncio
from reward_servers.supervisor import ServerProcess, Supervisor

async def main():
    async with Supervisor([ServerProcess("one", ("exact",), port=0, workers=1)]) as supervisor:
        print(supervisor.pids["one"], flush=True)
        await supervisor.wait()

asyncio.run(main())
"""


def test_servers_end_with_a_killed_supervisor(cli: Cli) -> None:
    with subprocess.Popen([sys.executable, "-c", ORPHANING], env=cli.env, stdout=subprocess.PIPE, text=True) as parent:
        pid = int(read_line(parent.stdout))
        parent.kill()
        wait_until(lambda: not psutil.pid_exists(pid), "the end of the server")
