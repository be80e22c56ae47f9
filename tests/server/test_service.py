"""The gRPC face against real servers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import grpc
import grpc.aio
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from reward_servers.config import load_config
from reward_servers.core import SettingsError, VerifierNotFoundError
from reward_servers.server import Running, running
from tests.core.unruly import TOLD
from tests.typed import changed, stub_of
from trainer_client.contract.v1 import reward_service_pb2 as pb
from trainer_client.contract.v1 import reward_service_pb2_grpc as rpc
from trainer_client.contract.v1 import types_pb2 as types

_NAMES = (
    "tests.core.unruly:equal", "tests.core.unruly:unruly", "tests.core.unruly:wait", "tests.core.unruly:patient",
    "tests.core.unruly:told",
)  # fmt: skip
_OPTIONS = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]


@asynccontextmanager
async def _serving(
    names: Sequence[str] = _NAMES, **limits: int
) -> AsyncIterator[tuple[Running, rpc.RewardServiceAsyncStub]]:
    config = load_config(workers=2)
    config = changed(config, limits=changed(config.limits, **limits))
    async with running(config, names) as server, grpc.aio.insecure_channel(server.address, options=_OPTIONS) as channel:
        yield server, stub_of(channel)


def _group(*responses: str, reference: bytes = b'{"answer": "a"}', first: int = 0, name: str = "g") -> types.Group:
    group = types.Group(group_id=name, size=len(responses), reference_json=reference)
    for place, text in enumerate(responses):
        group.rollouts.add(index=first + place, rollout_id=f"{name}-{place}", response=types.Content(text=text))
    return group


def _request(*groups: types.Group, verifier: str = "test/equal", **fields: bytes) -> pb.ScoreRequest:
    return pb.ScoreRequest(groups=groups, evaluations=[types.Evaluation(verifier=verifier, **fields)])  # type: ignore[arg-type]


async def _chunks(*requests: pb.ScoreRequest) -> AsyncIterator[pb.ScoreStreamRequest]:
    for request in requests:
        yield pb.ScoreStreamRequest(chunk=request)


async def test_a_batch_is_answered_in_order_with_versions_and_load() -> None:
    async with _serving() as (_, stub):
        response = await stub.Score(_request(_group("a", "b", first=7), _group("a", first=3, name="h")))
    assert [(one.index, one.verdict.score, one.verdict.code) for one in response.results] == [
        (7, 1.0, "accepted"),
        (8, 0.0, "wrong"),
        (3, 1.0, "accepted"),
    ]
    assert [(one.name, one.version) for one in response.verifiers] == [("test/equal", "3")]
    assert response.verifiers[0].digest.startswith("sha256:")
    assert (response.load.items_in_flight, response.load.items_limit > 0) == (0, True)


@pytest.mark.parametrize(
    ("request_", "status", "words"),
    [
        (_request(_group("a"), verifier="nobody"), grpc.StatusCode.NOT_FOUND, "'nobody' is not hosted here"),
        (
            _request(_group("a"), options_json=b'{"endpoint": "x"}'),
            grpc.StatusCode.INVALID_ARGUMENT,
            "options.endpoint",
        ),
        (_request(_group("a"), expected_digest=b"x"), grpc.StatusCode.FAILED_PRECONDITION, "expected_digest"),
        (_request(_group("a"), _group("b", name="h")), grpc.StatusCode.INVALID_ARGUMENT, "index 0 is used twice"),
        (pb.ScoreRequest(groups=[_group("a")]), grpc.StatusCode.INVALID_ARGUMENT, "evaluations"),
        (_request(_group(*"abcdefghi")), grpc.StatusCode.INVALID_ARGUMENT, "the limit is 8"),
    ],
)
async def test_what_is_wrong_with_a_call_is_named(
    request_: pb.ScoreRequest, status: grpc.StatusCode, words: str
) -> None:
    async with _serving(max_call_items=8) as (_, stub):
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await stub.Score(request_)
        with pytest.raises(grpc.aio.AioRpcError) as refused_stream:
            async for _response in stub.ScoreStream(_chunks(request_)):
                pass
    for one in (refused.value, refused_stream.value):
        assert one.code() is status
        assert words in (one.details() or "")


@pytest.mark.parametrize("method", ["Score", "ScoreStream"])
async def test_bytes_that_are_no_message_are_refused_as_such(method: str) -> None:
    name = f"/{pb.DESCRIPTOR.services_by_name['RewardService'].full_name}/{method}"

    async def garbage() -> AsyncIterator[bytes]:
        yield b"\xff\xff\xff"

    async with _serving() as (server, _), grpc.aio.insecure_channel(server.address) as channel:
        raw: Any = channel
        sent = raw.unary_unary(name)(b"\xff\xff\xff") if method == "Score" else raw.stream_stream(name)(garbage())
        assert await sent.code() is grpc.StatusCode.INVALID_ARGUMENT
        assert f"cannot be read as assay.rewards.v1.{method}Request" in (await sent.details() or "")
        assert server.scorer.admission.bytes == 0


async def test_calls_of_thousands_beside_small_ones_are_answered_whole() -> None:
    large = _request(*(_group("a", "b", first=2 * place, name=f"g{place}") for place in range(1500)))
    async with _serving() as (server, stub):
        answers = await asyncio.gather(stub.Score(large), *(stub.Score(_request(_group("a", "b"))) for _ in range(20)))
        assert (server.scorer.admission.items, server.scorer.admission.bytes) == (0, 0)
    assert [one.index for one in answers[0].results] == list(range(3000))
    for answer in answers:
        assert [one.verdict.score for one in answer.results] == [1.0, 0.0] * (len(answer.results) // 2)


async def test_what_is_over_the_limit_of_bytes_is_refused_or_skipped_and_gives_its_bytes_back() -> None:
    held = "x" * 3000
    TOLD.clear()
    first, second = _request(_group(held), verifier="test/told"), _request(_group(" " * 3000))
    async with _serving(max_bytes=5000) as (server, stub):
        busy = stub.Score(first)
        await stub.GetServerInfo(pb.GetServerInfoRequest())
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await stub.Score(second)
        assert refused.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        async for response in stub.ScoreStream(_chunks(second)):
            assert response.results[0].skip.reason == types.SKIP_REASON_OVERLOADED
        TOLD.add(held)
        assert (await busy).results[0].WhichOneof("outcome") == "verdict"
        assert (server.scorer.admission.items, server.scorer.admission.bytes) == (0, 0)


async def test_a_full_server_says_when_to_come_back() -> None:
    async with _serving(max_items=2) as (_, stub):
        TOLD.clear()
        busy = stub.Score(_request(_group("held", "held"), verifier="test/told"))
        await stub.GetServerInfo(pb.GetServerInfoRequest())
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await stub.Score(_request(_group("0"), verifier="test/wait"))
        assert refused.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert int(dict(refused.value.trailing_metadata() or ())["grpc-retry-pushback-ms"]) > 0
        async for response in stub.ScoreStream(_chunks(_request(_group("0"), verifier="test/wait"))):
            assert response.results[0].skip.reason == types.SKIP_REASON_OVERLOADED
        TOLD.add("held")
        assert len((await busy).results) == 2


async def test_a_stream_answers_each_item_when_it_is_done() -> None:
    chunks = _chunks(
        _request(_group("the first", "", name="one"), verifier="test/told"),
        pb.ScoreRequest(groups=[_group("", first=2, name="two")]),
    )
    order: list[int] = []
    headers = 0
    TOLD.clear()
    async with _serving() as (_, stub):
        async for response in stub.ScoreStream(chunks):
            order += [one.index for one in response.results]
            # What it waits for comes after all others have.
            TOLD.update({"the first"} if len(order) == 2 else ())
            headers += bool(response.verifiers)
    assert sorted(order) == [0, 1, 2]
    assert order[-1] == 0
    assert headers == 1


async def test_messages_far_beyond_four_mebibytes_work() -> None:
    texts = [f"{place}" + "x" * 3_000_000 for place in range(8)]
    async with _serving() as (_, stub):
        response = await stub.Score(_request(_group(*texts)))
    assert [one.verdict.code for one in response.results] == ["limit"] * 8


async def test_a_deadline_gives_what_is_done_and_skips_the_rest() -> None:
    async with _serving() as (_, stub):
        response = await stub.Score(_request(_group("0", "300"), verifier="test/patient"), timeout=10)
    assert [one.WhichOneof("outcome") for one in response.results] == ["verdict", "skip"]
    assert response.results[1].skip.reason == types.SKIP_REASON_DEADLINE


async def test_cancelling_a_call_frees_its_place() -> None:
    async with _serving() as (server, stub):
        call = stub.Score(_request(_group("300"), verifier="test/patient"))
        await stub.GetServerInfo(pb.GetServerInfoRequest())
        call.cancel()
        while server.scorer.admission.items:
            await stub.GetServerInfo(pb.GetServerInfoRequest())


async def test_faults_carry_party_code_and_delay() -> None:
    async with _serving() as (_, stub):
        response = await stub.Score(_request(_group("fault"), verifier="test/unruly"))
    fault = response.results[0].fault
    assert (fault.party, fault.code, fault.retryable) == (types.PARTY_UPSTREAM, "down", True)
    assert fault.retry_after.ToMilliseconds() == 500


async def test_verifiers_describe_themselves() -> None:
    async with _serving() as (_, stub):
        listed = {one.identity.name: one for one in (await stub.ListVerifiers(pb.ListVerifiersRequest())).verifiers}
        info = await stub.GetServerInfo(pb.GetServerInfoRequest())
    equal = listed["test/equal"]
    assert equal.description == "Whether the response is the reference."
    assert (equal.scope, equal.deterministic) == (pb.SCOPE_ROLLOUT, True)
    assert b'"answer"' in equal.reference_schema_json
    assert b'"marks"' in equal.options_schema_json
    assert (listed["test/unruly"].score_min, listed["test/unruly"].floor) == (-1.0, -1.0)
    assert equal.limits.cpu.ToMilliseconds() == 500
    assert info.contract == "assay.rewards.v1"
    assert info.limits.max_message_bytes >= 64 << 20


async def test_health_and_reflection_are_standard() -> None:
    async with _serving() as (server, _), grpc.aio.insecure_channel(server.address) as channel:
        health = health_pb2_grpc.HealthStub(channel)
        for service in ("", "test/equal", "assay.rewards.v1.RewardService"):
            answer = await health.Check(health_pb2.HealthCheckRequest(service=service))
            assert answer.status == health_pb2.HealthCheckResponse.SERVING
        reflection = reflection_pb2_grpc.ServerReflectionStub(channel)
        listing = reflection_pb2.ServerReflectionRequest(list_services="")

        async def ask() -> AsyncIterator[reflection_pb2.ServerReflectionRequest]:
            yield listing

        names = [
            one.name
            async for answer in reflection.ServerReflectionInfo(ask())
            for one in answer.list_services_response.service
        ]
    assert "assay.rewards.v1.RewardService" in names


async def test_servers_that_cannot_start_name_the_remedy() -> None:
    with pytest.raises(VerifierNotFoundError, match="nobody"):
        async with running(load_config(), ["nobody"]):
            pass
    with pytest.raises(SettingsError, match="--insecure"):
        async with running(load_config(host="0.0.0.0"), _NAMES[:1]):
            pass
    async with _serving() as (server, _):
        port = int(server.address.rpartition(":")[2])
        with pytest.raises(SettingsError, match="is in use by another process"):
            async with running(load_config(port=port), _NAMES[:1]):
                pass
