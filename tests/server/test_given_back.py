"""What a call takes is given back, wherever it is cut off."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any, cast

import pytest

from reward_servers.config import ServerConfig
from reward_servers.core import Scorer, SettingsError
from reward_servers.rpc import RewardServicer
from reward_servers.server import running
from tests.core import unruly
from tests.core.helpers import scoring
from trainer_client.contract.v1 import reward_service_pb2 as pb
from trainer_client.contract.v1 import types_pb2 as types

_LARGE = 2500
"""Rollouts of a message that is taken in over several turns."""


class _Caller:
    """The part of a call's context that the servicer uses; nothing is refused here."""

    def time_remaining(self) -> float | None:
        return None

    def invocation_metadata(self) -> tuple[()]:
        return ()

    def auth_context(self) -> dict[str, list[bytes]]:
        return {}

    def peer(self) -> str:
        return "ipv4:127.0.0.1:1"


def _message(verifier: str, rollouts: int, text: str) -> bytes:
    request = pb.ScoreRequest(evaluations=[types.Evaluation(verifier=verifier)])
    for first in range(0, rollouts, 8):
        group = request.groups.add(group_id=str(first), reference_json=b'{"answer": "a"}')
        for index in range(first, min(first + 8, rollouts)):
            group.rollouts.add(index=index, response=types.Content(text=text))
    return request.SerializeToString()


async def _chunk(data: bytes) -> AsyncIterator[bytes]:
    yield pb.ScoreStreamRequest(chunk=pb.ScoreRequest.FromString(data)).SerializeToString()


async def _stream(servicer: RewardServicer, data: bytes) -> None:
    async for _ in servicer.score_stream(_chunk(data), cast("Any", _Caller())):
        pass


async def _cut_off(work: Any, steps: int) -> None:
    """Run work and cancel it after so many turns of the loop."""
    task = asyncio.create_task(work)
    for _ in range(steps):
        await asyncio.sleep(0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


@pytest.mark.parametrize("method", ["score", "stream"])
@pytest.mark.parametrize(("verifier", "text"), [("test/equal", "a"), ("test/patient", "600")])
async def test_a_call_that_is_cancelled_at_any_await_gives_back_all_that_it_took(
    method: str, verifier: str, text: str
) -> None:
    data, other = _message(verifier, _LARGE, text), _message(verifier, _LARGE, text)
    async with scoring(unruly.equal, unruly.patient, workers=1) as scorer:
        servicer = RewardServicer(scorer, {}, {})
        whole = await servicer.score(_message("test/equal", 20, "a"), cast("Any", _Caller()))
        assert len(whole.results) == 20
        for steps in (*range(60), 100, 200):
            work = [
                servicer.score(one, cast("Any", _Caller())) if method == "score" else _stream(servicer, one)
                for one in (data, other)
            ]
            beside = asyncio.create_task(cast("Any", work[1]))
            await _cut_off(work[0], steps)
            beside.cancel()
            await asyncio.gather(beside, return_exceptions=True)
            for _ in range(20):
                await asyncio.sleep(0)
            assert (scorer.admission.items, scorer.admission.bytes) == (0, 0), f"cut off at turn {steps}"
        await asyncio.wait_for(scorer.drain(), 60)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"metrics": {"port": 9, "host": "203.0.113.7"}}, "metrics.port"),
        ({"registry": {"endpoints": ["127.0.0.1:1"], "address": "grpc://h:1"}}, "registry.address"),
        (
            {"registry": {"endpoints": ["192.0.2.9:50040"], "address": "h:1", "token": "t" * 20}},
            "a token is not sent unencrypted to 192.0.2.9:50040",
        ),
    ],
)
async def test_a_server_whose_settings_are_refused_ends_what_it_has_started(
    settings: dict[str, Any], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended: list[Scorer] = []
    close = Scorer.close

    async def noted(scorer: Scorer) -> None:
        await close(scorer)
        ended.append(scorer)

    monkeypatch.setattr(Scorer, "close", noted)
    config = ServerConfig.model_validate({"server": {"port": 0, "workers": 1}, **settings})
    with pytest.raises(SettingsError, match=said):
        async with running(config, ["exact"]):
            raise AssertionError("it serves")
    assert len(ended) == 1
