"""Verifiers that misbehave while a running server takes them, or gives them back."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import threading
from types import ModuleType

import grpc
import pytest

from reward_servers.core import StartupError, bind
from reward_servers.core.executors._process_tree import descendants_of
from reward_servers.hosting._loader import Loader
from tests.hosting.conftest import GOOD, PLAN, Host, client, register, retire, scores

BROKEN = {
    "raise RuntimeError('no licence')": "no licence",
    "def plan(:": "SyntaxError",
    "import sys; sys.exit(3)": "ends the process that loads it",
    "import os; os._exit(4)": "exit code 4",
    "import os, signal; os.kill(os.getpid(), signal.SIGSEGV)": "ends the process",
    "plan = 1": "is not a verifier",
    "import missing_package_of_none": "missing_package_of_none",
    "raise BaseException('no key')": "BaseException: no key",
    "import os, time\nos.fork() or time.sleep(600)\n": "starts processes when its module is imported",
    "import os\nos.fork()\n": "starts processes when its module is imported",
    "import os, time\nif not os.fork():\n    os.setsid()\n    os.fork()\n    time.sleep(600)\n": "starts processes",
}
ENDLESS = {"import os, time\nos.fork() or time.sleep(600)\ntime.sleep(600)": "not loaded within"}


@pytest.mark.parametrize(("timeout_s", "modules"), [(120.0, BROKEN), (4.0, ENDLESS)])
async def test_a_module_that_cannot_be_loaded_costs_nothing(
    host: Host, timeout_s: float, modules: dict[str, str]
) -> None:
    async with host.serving(timeout_s=timeout_s) as server, client(server.address, "exact") as asker:
        await scores(asker)
        before = set(descendants_of(os.getpid()))
        for number, (source, words) in enumerate(modules.items()):
            name = f"bad{number}of{len(modules)}"
            (host.folder / f"{name}.py").write_text(source if "fork" not in source else source + GOOD)
            with pytest.raises(grpc.aio.AioRpcError, match=words) as refused:
                await register(server.address, f"{name}:plan")
            assert refused.value.code() is grpc.StatusCode.FAILED_PRECONDITION
        await scores(asker)
        assert set(descendants_of(os.getpid())) <= before


HELD = """
import held_gate

held_gate.reached.set()
held_gate.open.wait()
"""


class Gate(ModuleType):
    """Holds an import until it is opened."""

    def __init__(self) -> None:
        super().__init__("held_gate")
        self.reached = threading.Event()
        self.open = threading.Event()


async def test_an_import_that_does_not_end_holds_nothing_else(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    gate = Gate()
    monkeypatch.setitem(sys.modules, "held_gate", gate)
    monkeypatch.syspath_prepend(str(host.folder))
    (host.folder / "plan_held.py").write_text(HELD + PLAN.format(version="1", score=0.25, seconds=0))
    host.write("plan_free")
    loader = Loader(bind)
    try:
        with pytest.raises(StartupError, match=r"did not end within 0.01 s; mend the module, and restart the server"):
            await loader.load("plan_held:plan", 0.01)
        await asyncio.to_thread(gate.reached.wait)
        assert (await loader.load("plan_free:plan", 120.0)).identity.name == "acme/plan"
        with pytest.raises(StartupError, match="an earlier import of plan_held has not ended"):
            await loader.load("plan_held:plan", 120.0)
        before = threading.enumerate()
    finally:
        gate.open.set()
    for thread in before:
        if thread.name == "load plan_held:plan":
            await asyncio.to_thread(thread.join)
    await asyncio.sleep(0)
    assert (await loader.load("plan_held:plan", 120.0)).identity.name == "acme/plan"


async def test_what_a_caller_has_left_is_not_loaded_twice_at_once(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    gate = Gate()
    monkeypatch.setitem(sys.modules, "held_gate", gate)
    monkeypatch.syspath_prepend(str(host.folder))
    (host.folder / "plan_left.py").write_text(HELD + PLAN.format(version="1", score=0.25, seconds=0))
    loader = Loader(bind)
    left = asyncio.create_task(loader.load("plan_left:plan", 120.0))
    try:
        while not gate.reached.is_set():
            await asyncio.sleep(0.01)
        left.cancel()
        with pytest.raises(asyncio.CancelledError):
            await left
        with pytest.raises(StartupError, match="an earlier import of plan_left has not ended"):
            await loader.load("plan_left:plan", 120.0)
    finally:
        gate.open.set()


async def test_a_module_that_only_one_process_can_load_holds_nothing_else(host: Host) -> None:
    (host.folder / "locked.py").write_text(
        "import fcntl, os\nfcntl.flock(os.open(__file__ + '.lock', os.O_RDWR | os.O_CREAT), fcntl.LOCK_EX)\n"
        + GOOD.replace("acme/plan", "acme/locked")
    )
    host.write("plan_l")
    async with host.serving(timeout_s=20.0) as server:
        with pytest.raises(grpc.aio.AioRpcError, match="was ready within 20 s"):
            await register(server.address, "locked:plan")
        for _ in range(5):  # a busy host may take longer than that for any
            with contextlib.suppress(grpc.aio.AioRpcError):
                await register(server.address, "plan_l:plan")
                break
        async with client(server.address) as asker:
            assert await scores(asker) == [0.25] * 8


CLOSES = """
from reward_servers import Rollout, verifier


@verifier("acme/plan", version="{version}")
class Plan:
    async def score(self, rollout: Rollout) -> float:
        return 1.0

    async def close(self) -> None:
        {body}
"""


async def test_a_verifier_whose_close_fails_or_does_not_end_is_retired_all_the_same(
    host: Host, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("reward_servers.core.executors._loop._LONGEST_CLOSE", 0.1)
    bodies = ("raise RuntimeError('is closed already')", "import asyncio; await asyncio.sleep(3600)")
    for number, body in enumerate(bodies):
        (host.folder / f"closes_{number}.py").write_text(CLOSES.format(version=number, body=body))
    async with host.serving() as server:
        for number in range(2):
            await register(server.address, f"closes_{number}:Plan")
            answer = await retire(server.address, "acme/plan")
            assert [one.version for one in answer.retired] == [str(number)]
        for number in range(2):  # and when the server ends
            (host.folder / f"also_{number}.py").write_text(
                CLOSES.format(version=1, body=bodies[number]).replace("acme/plan", f"acme/also{number}")
            )
            await register(server.address, f"also_{number}:Plan")
    for words in ("has failed", "has not ended within 0.1 s"):
        assert caplog.text.count(words) == 2, words


async def test_a_worker_that_is_never_ready_is_given_up(host: Host) -> None:
    (host.folder / "stuck.py").write_text(
        "import time\nfrom reward_servers import Rollout, verifier\n\n"
        "@verifier('acme/stuck', version='1')\nclass Stuck:\n"
        "    def setup(self) -> None:\n        time.sleep(600)\n    def score(self, rollout: Rollout) -> float:\n"
        "        return 1.0\n"
    )
    async with host.serving(timeout_s=20.0) as server:
        with pytest.raises(grpc.aio.AioRpcError, match="was ready within 20 s"):
            await register(server.address, "stuck:Stuck")
        assert "acme/stuck" not in server.scorer.hosted
