"""The short way past the framework: it answers what the long way answers, and reads bodies as any JSON reader does."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest
from fastapi import APIRouter, Depends, FastAPI, Request
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.responses import Response

from reward_servers.gateway import app as gateway_app
from reward_servers.gateway import load_gateway_config
from reward_servers.gateway.json_codec import holds_long_number, read_json
from reward_servers.gateway.middleware import direct_routes
from tests.gateway.conftest import ANSWERS
from tests.gateway.test_routes import GYM
from trainer_client import AsyncRewardClient, Recipe

BODIES: dict[str, Any] = {
    "/v1/score": {"rollouts": [{"response": "2", "reference": {"answer": "2"}}, {"response": "3"}], "detail": True},
    "/openrlhf": {"query": ["p: 1+1?2", "p: 1+1?2"], "prompts": ["p: 1+1?", "p: 1+1?"], "labels": ["2", None]},
    "/slime": {"prompt": "1+1?", "response": "2", "label": "2"},
    "/slime/number": {"prompt": "1+1?", "response": "2", "label": {"answer": 2}},
    "/evaluate": {"history": [{"role": "user", "content": "?"}], "label": "a", "task_unfinished": True,
                  "remote_env_info": {}},
    "/verify": GYM,
    "/score": {"text_1": "p", "text_2": ["2", "3"]},
    "/pooling": {"input": ["2", "3"]},
}  # fmt: skip
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=4,
)


@st.composite
def requests(draw: st.DrawFn) -> tuple[str, bytes]:
    """A body that a route knows, with keys lost, replaced or added, or bytes cut off; or anything at all."""
    path = draw(st.sampled_from(sorted(BODIES)))
    if draw(st.integers(0, 5)) == 0:
        return path, draw(st.binary(max_size=30) | JSON.map(lambda value: json.dumps(value).encode()))
    body = json.loads(json.dumps(BODIES[path]))
    places = [body, *(one for one in body.get("rollouts", ()))]
    for place in draw(st.lists(st.sampled_from(range(len(places))), max_size=2)):
        held = places[place]
        key = draw(st.sampled_from([*held, "step", "extra", "group_id", "token_ids", "x"]))
        if draw(st.booleans()):
            held.pop(key, None)
        else:
            held[key] = draw(JSON)
    text = json.dumps(body).encode()
    return path, text[: draw(st.integers(0, len(text)))] if draw(st.integers(0, 7)) == 0 else text


@pytest.fixture
async def client(reward_server: str) -> AsyncIterator[AsyncRewardClient]:
    servers = f'[servers.all]\nverifiers = ["exact", "length"]\nendpoints = ["{reward_server}"]\n'
    async with AsyncRewardClient(Recipe.loads(servers + ANSWERS)) as made:
        yield made


async def answered(app: FastAPI, path: str, body: bytes) -> tuple[int, str, Any]:
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://x") as caller:
        response = await caller.post(path, content=body)
    told = response.json()
    if isinstance(told, dict):
        told = {name: value for name, value in told.items() if name not in ("id", "created")}
    text = re.sub(r'"(queue|run)_seconds": [^,}]+', "", json.dumps(told))
    return response.status_code, response.headers["content-type"], text


async def test_both_ways_answer_the_same(
    client: AsyncRewardClient, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "gateway.toml").write_text("max_missing = 1.0\n")
    config = load_gateway_config(tmp_path / "gateway.toml", on_missing="null")
    short = gateway_app.create_app(client, config)
    with monkeypatch.context() as patch:
        patch.setattr(gateway_app, "direct_routes", lambda routes: {})
        long = gateway_app.create_app(client, config)
    statuses: set[int] = set()
    for path, body in BODIES.items():
        assert (await answered(short, path, json.dumps(body).encode()))[0] == 200

    @settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
    @given(asked=requests())
    def same(asked: tuple[str, bytes]) -> None:
        drawn.append(asked)

    drawn: list[tuple[str, bytes]] = []
    same()
    for path, body in drawn:
        ours = await answered(short, path, body)
        assert ours == await answered(long, path, body), (path, body)
        statuses.add(ours[0])
    assert {200, 400, 422} <= statuses


def test_which_routes_have_a_short_way() -> None:
    router = APIRouter()

    @router.post("/short")
    async def short(request: Request) -> Response:
        return Response()

    @router.post("/guarded", dependencies=[Depends(lambda: None)])
    async def guarded(request: Request) -> Response:
        return Response()

    @router.post("/of-a-parameter")
    async def of_a_parameter(request: Request, number: int) -> Response:
        return Response()

    @router.post("/of-a-model")
    async def of_a_model(request: Request) -> dict[str, str]:
        return {}

    @router.get("/got")
    async def got(request: Request) -> Response:
        return Response()

    assert set(direct_routes(router.routes)) == {"/short"}


def test_the_hot_routes_have_it(client: AsyncRewardClient) -> None:
    found: dict[str, Any] = {}

    def note(routes: Any) -> dict[str, Any]:
        found.update(direct_routes(routes))
        return found

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gateway_app, "direct_routes", note)
        gateway_app.create_app(client, load_gateway_config())
    assert set(BODIES) <= set(found)


def test_the_description_has_no_body_of_a_route_that_is_not_served(client: AsyncRewardClient) -> None:
    described = gateway_app.create_app(client, load_gateway_config()).openapi()
    assert "/run_code" not in described["paths"]
    assert "RunCodeBody" not in described["components"]["schemas"]
    assert "ScoreBody" in described["components"]["schemas"]


@given(st.lists(st.one_of(st.text("0123456789", max_size=25), st.text("a 1.-", max_size=8))).map("".join))
def test_a_sample_of_the_bytes_finds_every_long_number(text: str) -> None:
    body = text.encode()
    assert holds_long_number(body) is (re.search(rb"[0-9]{19}", body) is not None)


@settings(max_examples=200)
@given(JSON)
def test_a_body_is_read_as_any_json(value: Any) -> None:
    text = json.dumps(value)
    read = read_json(text.encode())
    assert json.dumps(read) == text
    if not holds_long_number(text.encode()) and "\\u" not in text:
        assert read == orjson.loads(text)
