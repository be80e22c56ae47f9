"""Fixtures: a reward server and gateways before it, each a process of its own, as users run them."""

from __future__ import annotations

import contextlib
import functools
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

ROOT = Path(__file__).parents[2]
Start = Callable[..., str]
PATIENCE = 240.0
"""Seconds that an answer may take on a machine that does much besides; httpx waits for five where it is not told."""
post, get = functools.partial(httpx.post, timeout=PATIENCE), functools.partial(httpx.get, timeout=PATIENCE)


class Served:
    """A process of this project's command, with what it says on standard error."""

    def __init__(self, log: Path, *arguments: str) -> None:
        self._log = log
        self._arguments = arguments
        command = [sys.executable, "-m", "reward_servers", *arguments]
        with log.open("w") as said:
            self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=said, text=True, cwd=ROOT)
        self.address = ""

    def wait_for_address(self) -> None:
        """Wait until it listens."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if line.startswith("listening on "):
                self.address = line.split()[2]
                return
        kind = TimeoutError if "timed out" in self.said else AssertionError
        raise kind(f"assay {' '.join(self._arguments)} did not start: {self.said}")

    @property
    def said(self) -> str:
        """What it has said on standard error."""
        return self._log.read_text()

    def stop(self) -> None:
        """End it, and wait for its end."""
        self.process.terminate()
        self.process.wait(PATIENCE)
        assert self.process.stdout is not None
        self.process.stdout.close()


class Processes:
    """Commands that are started, and ended with the tests."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._running: list[Served] = []

    def start(self, *arguments: str) -> str:
        """Start ``assay ...`` and give what it says to listen on. A machine that is busy gets three tries."""
        for _ in range(2):
            with contextlib.suppress(TimeoutError):
                return self._start(*arguments)
        return self._start(*arguments)

    def _start(self, *arguments: str) -> str:
        started = Served(self._folder / f"{len(self._running)}.log", *arguments)
        self._running.append(started)
        started.wait_for_address()
        return started.address

    def stop(self) -> None:
        """End them, the last first."""
        for started in reversed(self._running):
            started.stop()


@pytest.fixture(scope="package")
def processes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Processes]:
    started = Processes(tmp_path_factory.mktemp("processes"))
    yield started
    started.stop()


@pytest.fixture(scope="package")
def reward_server(processes: Processes) -> str:
    """Address of a server that hosts what the tests ask."""
    return processes.start(
        "serve", "exact", "length", "agreement", "tests.gateway.verifiers:Frail", "--port", "0", "--workers", "1"
    )


@pytest.fixture(scope="package")
def gateway(processes: Processes, reward_server: str, tmp_path_factory: pytest.TempPathFactory) -> Start:
    """Start a gateway of the recipe's rewards; gives its URL."""
    folder = tmp_path_factory.mktemp("gateways")
    known: dict[tuple[str, ...], str] = {}

    def start(rewards: str, *arguments: str, settings: str = "", head: str = "") -> str:
        key = (rewards, settings, head, *arguments)
        if key not in known:
            recipe = folder / f"{len(known)}.toml"
            hosted = '["exact", "length", "agreement", "test/frail"]'
            servers = f'[servers.all]\nverifiers = {hosted}\nendpoints = ["{reward_server}"]\n'
            recipe.write_text(f'name = "answers"\n{head}\n{servers}{rewards}')
            config = folder / f"gateway-{len(known)}.toml"
            config.write_text(settings)
            known[key] = processes.start("gateway", str(recipe), "--config", str(config), "--port", "0", *arguments)
        return known[key]

    return start


ANSWERS = """
[rewards.correct]
verifier = "exact"
[rewards.short]
verifier = "length"
options = { max = 100 }
weight = 0.5
"""
FRAIL = '[rewards.good]\nverifier = "test/frail"\n'


@pytest.fixture(scope="package")
def url(gateway: Start) -> str:
    """A gateway that tells a missing reward as an error."""
    return gateway(ANSWERS)
