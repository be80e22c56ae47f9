"""Fixtures: scripted reward servers, in the test's loop or as processes."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.client.scripted_server import Scripted
from trainer_client import Recipe, Retries, Rollout

ROOT = Path(__file__).parents[2]


@pytest.fixture
def recipe() -> Recipe:
    return Recipe.loads('[rewards.main]\nverifier = "echo"\ndeadline_s = 600.0\n')


@pytest.fixture
def quick() -> Retries:
    return Retries(initial_backoff_s=0.005, max_backoff_s=0.05)


def rollouts_of(scripts: list[str], group: int = 4, prefix: str = "r") -> list[Rollout]:
    """Rollouts with the given responses, in groups."""
    return [
        Rollout(f"{prefix}{n}", f"prompt {n // group}", text, group_id=f"{prefix}g{n // group}")
        for n, text in enumerate(scripts)
    ]


@pytest.fixture
async def serve() -> AsyncIterator[Callable[..., object]]:
    """Start scripted servers in this process; gives an address."""
    async with contextlib.AsyncExitStack() as servers:

        async def start(service: Scripted) -> str:
            return (await servers.enter_async_context(service)).address

        yield start


@dataclass
class Process:
    """A scripted server in a process of its own."""

    handle: subprocess.Popen[str]
    address: str

    def kill(self) -> None:
        self.handle.kill()
        self.handle.wait()
        assert self.handle.stdout is not None
        self.handle.stdout.close()


@pytest.fixture
def spawn() -> Iterator[Callable[..., Process]]:
    """Start scripted servers as processes."""
    started: list[Process] = []

    def start(port: int = 0, verifier: str = "echo", digest: str = "d1") -> Process:
        handle = subprocess.Popen(
            [sys.executable, "-m", "tests.client.scripted_server", str(port), verifier, digest],
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
        assert handle.stdout is not None
        process = Process(handle, f"127.0.0.1:{handle.stdout.readline().strip()}")
        started.append(process)
        return process

    yield start
    for process in started:
        if process.handle.poll() is None:
            process.kill()
        elif process.handle.stdout is not None:
            process.handle.stdout.close()
