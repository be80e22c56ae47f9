"""A server that takes registrations, a folder of verifiers, and those who ask."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest

from reward_servers.config import ServerConfig, load_config
from reward_servers.server import Running, running
from trainer_client import AsyncRewardClient, Recipe, Retries, Reward, Rollout, Server
from trainer_client.contract.v1 import hosting_service_pb2 as pb
from trainer_client.contract.v1 import hosting_service_pb2_grpc as rpc

REGISTER, SCORE = "r" * 20, "s" * 20
PATIENT = Retries(unavailable_timeout_s=120.0)
PLAN = """
import time

from reward_servers import Rollout, verifier


@verifier("acme/plan", version="{version}")
def plan(rollout: Rollout) -> float:
    time.sleep({seconds})
    return {score}
"""
GOOD = PLAN.format(version="1", score=0.25, seconds=0)


class Host:
    """What a test has to do with: a folder of verifiers, and a server that may take them."""

    def __init__(self, tmp_path: Path) -> None:
        self.folder = tmp_path / "verifiers"
        self.folder.mkdir()
        self.tokens = tmp_path / "tokens.toml"
        self.tokens.write_text(
            f'[clients.t]\ntoken = "{SCORE}"\n[clients.m]\ntoken = "{REGISTER}"\nscopes = ["score", "register"]\n'
        )

    def write(self, module: str, version: str = "1", score: float = 0.25, seconds: float = 0.0) -> None:
        """Write a verifier that gives everything the same score."""
        (self.folder / f"{module}.py").write_text(PLAN.format(version=version, score=score, seconds=seconds))

    def config(self, **registration: Any) -> ServerConfig:
        """Settings of a server that takes modules of the folder."""
        told = {"folders": [self.folder], "timeout_s": 120.0, **registration}
        base = load_config(None, workers=1).model_dump(exclude_unset=True)
        return ServerConfig.model_validate({**base, "auth": {"tokens": self.tokens}, "registration": told})

    @asynccontextmanager
    async def serving(self, names: Sequence[str] = ("exact",), **registration: Any) -> AsyncIterator[Running]:
        """A server."""
        async with running(self.config(**registration), names) as server:
            yield server


@pytest.fixture
def host(tmp_path: Path) -> Host:
    """A folder and settings."""
    return Host(tmp_path)


@pytest.fixture(autouse=True)
def _path_as_it_was() -> object:
    before = list(sys.path)
    yield
    sys.path[:] = before


async def register(address: str, verifier: str, token: str = REGISTER) -> pb.RegisterResponse:
    """Ask a server to host a verifier."""
    return await _ask(address, "Register", pb.RegisterRequest(verifier=verifier), token)  # type: ignore[no-any-return]


async def retire(address: str, verifier: str, token: str = REGISTER, **which: str) -> pb.RetireResponse:
    """Ask a server to host a verifier no more."""
    return await _ask(address, "Retire", pb.RetireRequest(verifier=verifier, **which), token)  # type: ignore[no-any-return]


async def _ask(address: str, method: str, request: Any, token: str) -> Any:
    metadata = (("authorization", f"Bearer {token}"),) if token else ()
    async with grpc.aio.insecure_channel(address) as channel:
        stub: Any = rpc.HostingServiceStub(channel)
        return await getattr(stub, method)(request, metadata=metadata, timeout=240)


def client(address: str, verifier: str = "acme/plan", **more: Any) -> AsyncRewardClient:
    """A client of one verifier."""
    recipe = Recipe((Reward("r", verifier),), servers=(Server("s", (verifier.partition("@")[0],)),))
    return AsyncRewardClient(recipe, {"s": address}, retries=PATIENT, token=SCORE, **more)


def rollouts(count: int = 8) -> list[Rollout]:
    """Rollouts that differ."""
    return [
        Rollout(rollout_id=f"r{n}", group_id="g", prompt="?", response=str(n), reference={"answer": "0"})
        for n in range(count)
    ]


async def scores(asker: AsyncRewardClient, count: int = 8) -> list[float]:
    """What a client gets for rollouts, all of which have a score."""
    batch = await asker.score(rollouts(count))
    assert batch.valid.all(), batch.outcomes
    return list(batch.scores[:, 0])
