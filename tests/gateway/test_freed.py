"""What a body held is freed when its request is answered, and not when the garbage collector comes by."""

from __future__ import annotations

import asyncio
import gc
import json
import time
from collections.abc import Iterator
from typing import Any

import pytest
from fastapi import FastAPI
from starlette.types import Message

from reward_servers.gateway import app as gateway_app
from reward_servers.gateway import load_gateway_config
from tests.gateway.test_routes import GYM
from trainer_client import AsyncRewardClient, Recipe, Reward, Rollout
from trainer_client.testing import FakeServer, Verdict

_PATIENCE_S = 60.0
"""Seconds after which what is not freed never is. What is freed costs the turns of a loop."""
ROLLOUTS = [{"prompt": "p", "response": f"{n}", "reference": {"answer": "x"}} for n in range(5)]
CHAT = [{"role": "user", "content": "p"}, {"role": "assistant", "content": "r"}]
BODIES: list[tuple[str, Any]] = [
    ("/v1/score", {"rollouts": ROLLOUTS}),
    ("/v1/score", {"rollouts": ROLLOUTS, "detail": True}),
    ("/v1/score", {"rollouts": ROLLOUTS, "stream": True}),
    ("/openrlhf", {"query": ["pr"] * 4, "prompts": ["p"] * 4, "labels": ["x"] * 4}),
    ("/slime", {"prompt": "p", "response": "r", "label": "x"}),
    ("/score", {"text_1": "p", "text_2": ["2", "3"]}),
    ("/aws", [{"id": "1", "messages": CHAT, "reference_answer": "x"}] * 2),
    ("/fireworks", {"messages": CHAT, "ground_truth": "x"}),
    ("/verify", GYM),
]
_LONG_S = 0.1
"""Seconds that an answer takes, longer than a caller goes without being watched."""


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with FakeServer({"v": lambda item: Verdict(1.0), "slow": lambda item: Verdict(1.0, delay_s=_LONG_S)}) as server:
        yield server.address


async def ask(app: FastAPI, path: str, body: Any) -> int:
    """Post a body without a client of HTTP, which makes circles of its own."""
    told: list[Message] = [{"type": "http.request", "body": json.dumps(body).encode(), "more_body": False}]
    answered: list[int] = []

    async def receive() -> Message:
        if not told:
            await asyncio.Event().wait()  # a caller who stays
        return told.pop()

    async def send(message: Message) -> None:
        if message["type"] == "http.response.start":
            answered.append(message["status"])

    scope = {
        "type": "http", "method": "POST", "path": path, "raw_path": path.encode(), "query_string": b"", "headers": [],
        "client": ("127.0.0.1", 1), "server": ("x", 80), "scheme": "http", "root_path": "", "http_version": "1.1",
        "asgi": {"version": "3.0"},
    }  # fmt: skip
    await app(scope, receive, send)
    return answered[0]


def living() -> int:
    return sum(type(one) is Rollout for one in gc.get_objects())


async def check_freed(app: FastAPI, client: AsyncRewardClient, path: str, body: Any) -> None:
    gc.collect()
    gc.disable()
    try:
        before = living()
        first = await ask(app, path, body)
        assert await ask(app, path, body) == first
        ends = time.monotonic() + _PATIENCE_S
        while living() > before and time.monotonic() < ends:
            await client.waits()  # a turn of the client's loop, which may still be ending the call
            await asyncio.sleep(0)
        assert living() <= before, path
    finally:
        gc.enable()


@pytest.mark.parametrize("verifier", ["v", "unknown"], ids=["answered", "rejected"])
async def test_what_was_read_of_a_body_is_freed_with_its_answer(address: str, verifier: str) -> None:
    async with AsyncRewardClient(Recipe(rewards=(Reward("main", verifier),)), address) as client:
        app = gateway_app.create_app(client, load_gateway_config())
        for path, body in BODIES:
            await check_freed(app, client, path, body)


async def test_so_is_that_of_a_caller_who_was_watched(address: str) -> None:
    async with AsyncRewardClient(Recipe(rewards=(Reward("main", "slow"),)), address) as client:
        app = gateway_app.create_app(client, load_gateway_config())
        for path, body in BODIES[:1] + BODIES[3:5]:
            await check_freed(app, client, path, body)
