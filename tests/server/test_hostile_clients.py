"""What one client can do to a server that others use: nothing."""

from __future__ import annotations

import asyncio
import gc
import io
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import psutil
import pytest
from grpc_health.v1 import health_pb2

from reward_servers.config import load_config
from reward_servers.core import RequestError, SettingsError
from reward_servers.observe import set_up_logging
from reward_servers.rpc import Clients
from reward_servers.rpc._scan import check_density
from reward_servers.server import Running, running
from tests.server.gated import BEGUN, GATES, PLACES
from tests.typed import changed, stub_of
from trainer_client.contract.v1 import reward_service_pb2 as pb
from trainer_client.contract.v1 import types_pb2 as types

_NAMES = ("tests.server.gated:gated", "tests.core.unruly:equal", "tests.core.unruly:wait", "tests.core.unruly:patient")
_OPTIONS = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
_SERVICE = pb.DESCRIPTOR.services_by_name["RewardService"].full_name


@asynccontextmanager
async def _serving(tokens: Path | None = None, **limits: int) -> AsyncIterator[tuple[Running, Any]]:
    config = load_config(workers=1)
    config = changed(config, limits=changed(config.limits, **limits), auth=changed(config.auth, tokens=tokens))
    async with (
        running(config, _NAMES) as server,
        grpc.aio.insecure_channel(server.address, options=_OPTIONS) as channel,
    ):
        yield server, channel


def _score(verifier: str = "test/equal", **fields: Any) -> pb.ScoreRequest:
    request = pb.ScoreRequest(evaluations=[types.Evaluation(verifier=verifier, **fields)])
    group = request.groups.add(group_id="g", reference_json=b'{"answer": "a"}')
    group.rollouts.add(index=0, response=types.Content(text="a"))
    return request


async def _refused(channel: Any, method: str, data: bytes, service: str = _SERVICE) -> grpc.aio.AioRpcError:
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await channel.unary_unary(f"/{service}/{method}")(data)
    return refused.value


async def test_wrong_options_are_bounded_and_not_remembered() -> None:
    async with _serving() as (server, channel):
        for number in range(20):
            wrong = _score(options_json=b'{"marks": "' + b"x" * 200_000 + str(number).encode() + b'"}')
            assert (await _refused(channel, "Score", wrong.SerializeToString())).code() is (
                grpc.StatusCode.INVALID_ARGUMENT
            )
        large = await _refused(channel, "Score", _score(options_json=b" " * (1 << 20) + b"{}").SerializeToString())
        assert "the limit is" in (large.details() or "")
        assert not server.scorer._planner._known
        assert (await stub_of(channel).Score(_score())).results[0].verdict.score == 1.0


@pytest.mark.parametrize(
    ("data", "named"),
    [
        (b"\x12\x00" * 500_000, "groups"),
        (b"\x1a\x00" * 500_000, "evaluations"),
        (b"\x1a\x0c\x0a\x0atest/equal" * 500, "evaluations"),
        (b"\x12\x00" * 3_000_000, "groups"),
        (_score().SerializeToString() + b"\x12\x04\x32\x02\x1a\x00" * 600_000, "groups"),
        (_score().SerializeToString() + b"\x12\x84\xe2\x09" + b"\x2a\x00" * 80_002, "documents"),
    ],
    ids=["groups", "evaluations", "named evaluations", "megabytes", "rollouts", "documents"],
)
async def test_what_holds_too_much_is_refused_before_it_costs(data: bytes, named: str) -> None:
    async with _serving() as (server, channel):
        refused = await _refused(channel, "Score", data)
        assert (refused.code(), named in (refused.details() or "")) == (grpc.StatusCode.INVALID_ARGUMENT, True)
        assert (server.scorer.admission.items, server.scorer.admission.bytes) == (0, 0)


@pytest.mark.parametrize(
    "evaluation",
    [types.Evaluation(verifier="n" * 10**6), types.Evaluation(verifier="test/equal", expected_digest="d" * 10**6)],
    ids=["name", "digest"],
)
async def test_what_is_echoed_is_cut(evaluation: types.Evaluation) -> None:
    request = pb.ScoreRequest(evaluations=[evaluation], groups=_score().groups)
    async with _serving() as (_, channel):
        refused = await _refused(channel, "Score", request.SerializeToString())
    assert refused.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert 0 < len(refused.details() or "") < 2000


async def test_messages_that_are_none_are_refused_in_a_line_and_fill_no_log(caplog: pytest.LogCaptureFixture) -> None:
    garbage = b"\xff\xff\xff"
    with caplog.at_level(logging.WARNING):
        async with _serving() as (_, channel):
            for method in ("ListVerifiers", "GetServerInfo", "Score"):
                assert (await _refused(channel, method, garbage)).code() is grpc.StatusCode.INVALID_ARGUMENT
            raw: Any = channel.unary_unary("/grpc.health.v1.Health/Check")
            answer = health_pb2.HealthCheckResponse.FromString(await raw(garbage))
            assert answer.status == health_pb2.HealthCheckResponse.SERVING
    assert not [record for record in caplog.records if record.exc_info]


@pytest.mark.parametrize("streamed", [False, True], ids=["Score", "ScoreStream"])
async def test_what_was_refused_is_freed_without_the_garbage_collector(streamed: bool) -> None:
    """It counts objects and not bytes: two hundred refused calls hold hundreds of megabytes before it comes by."""
    wrong = _score(options_json=b"{}", verifier="none")
    wrong.groups[0].rollouts[0].response.text = "x" * (2 << 20)
    chunk, data = pb.ScoreStreamRequest(chunk=wrong).SerializeToString(), wrong.SerializeToString()
    async with _serving() as (_, channel):

        async def refuse(times: int) -> None:
            for _ in range(times):
                if streamed:
                    call = channel.stream_stream(f"/{_SERVICE}/ScoreStream")(iter([chunk]))
                    assert await call.code() is grpc.StatusCode.NOT_FOUND
                else:
                    await _refused(channel, "Score", data)

        await refuse(10)
        gc.collect()
        gc.disable()
        try:
            before = psutil.Process().memory_info().rss
            await refuse(80)
            grown = psutil.Process().memory_info().rss - before
        finally:
            gc.enable()
    assert grown < 80 << 20


def test_a_caller_that_has_gone_leaves_no_traceback() -> None:
    stream = io.StringIO()
    kept = logging.getLogger().handlers[:]
    try:
        set_up_logging(logging.INFO, "text", stream)
        gone = type("ExecuteBatchError", (Exception,), {})("Failed")
        logging.getLogger("grpc._cython.cygrpc").error("raised in core", exc_info=gone)
        logging.getLogger("grpc._cython.cygrpc").error("another", exc_info=ValueError("told"))
    finally:
        logging.getLogger().handlers[:] = kept
    assert "Failed" not in stream.getvalue()
    assert "ValueError: told" in stream.getvalue()


def test_what_a_client_names_is_no_line_of_the_log() -> None:
    stream = io.StringIO()
    kept = logging.getLogger().handlers[:]
    try:
        set_up_logging(logging.INFO, "text", stream)
        fields = {"run": "r\n2026-11-30 INFO assay.audit: registered", "step": 0, "client": "\x1b[2J"}
        logging.getLogger("assay.calls").info("scored\rrefused", extra={"fields": fields})
        try:
            raise ValueError("\x1b[2J")
        except ValueError:
            logging.getLogger("assay.calls").exception("a defect", extra={"fields": {"run": "r"}})
    finally:
        logging.getLogger().handlers[:] = kept
    first, second, *traceback = stream.getvalue().splitlines()
    told = "scored\\rrefused run=r\\n2026-11-30 INFO assay.audit: registered client=\\x1b[2J"
    assert first.endswith(f"INFO assay.calls: {told}")
    assert second.endswith("ERROR assay.calls: a defect run=r")
    assert traceback[-1] == "ValueError: \\x1b[2J"


def test_messages_within_messages_are_counted_at_every_depth() -> None:
    kind: Any = pb.ScoreRequest.DESCRIPTOR
    turn = types.Message(role="user", parts=[types.Part(text="x")] * 10)
    request = _score()
    request.groups[0].prompt.messages.messages.extend([turn] * 10)
    data = request.SerializeToString()
    check_density(kind, data, 200)
    with pytest.raises(RequestError, match="more than 100"):
        check_density(kind, data, 100)
    with pytest.raises(RequestError, match="cannot be read"):
        check_density(kind, data[:-3], 200)
    with pytest.raises(RequestError, match="cannot be read"):
        check_density(kind, b"\xff" * 1000, 200)


async def test_one_client_cannot_fill_a_server() -> None:
    async with _serving(max_items=64) as (server, _):
        admission = server.scorer.admission
        admission.admit(50, "greedy")
        for _ in range(3):
            admission.admit(2, "greedy")
        with pytest.raises(RequestError, match="in flight"):
            admission.admit(2, "greedy")
        admission.admit(8, "modest")
        admission.give_back("greedy", 56)
        admission.give_back("modest", 8)
        assert (admission.items, admission.shares) == (0, {})
        admission.admit(64, "alone")


async def test_a_client_has_a_quota_where_one_is_set() -> None:
    async with _serving(max_items=64, max_client_items=10) as (server, _):
        server.scorer.admission.admit(10, "a")
        with pytest.raises(RequestError, match="in flight"):
            server.scorer.admission.admit(1, "a")
        server.scorer.admission.admit(10, "b")
        with pytest.raises(RequestError, match="the limit is 10"):
            server.scorer.admission.admit(11, "c")


def _write_tokens(path: Path, **tokens: str) -> None:
    path.write_text("".join(f'[clients.{name}]\ntoken = "{token}"\n' for name, token in tokens.items()))


async def test_tokens_are_asked_for_compared_and_read_again(tmp_path: Path) -> None:
    file, first, second = tmp_path / "tokens.toml", "first-secret-of-ours", "second-secret-of-ours"
    _write_tokens(file, trainer=first)
    with file.open("a") as written:
        written.write(f'[clients.registrar]\ntoken = "{second}"\nscopes = ["register"]\n')
    async with _serving(file) as (server, channel):
        stub = stub_of(channel)

        async def status(token: str | None) -> grpc.StatusCode:
            metadata = () if token is None else (("authorization", f"Bearer {token}"),)
            call = stub.Score(_score(), metadata=metadata)
            return await call.code()

        assert await status(first) is grpc.StatusCode.OK
        assert await status(None) is grpc.StatusCode.UNAUTHENTICATED
        assert await status("another-secret-text") is grpc.StatusCode.UNAUTHENTICATED
        assert await status(second) is grpc.StatusCode.PERMISSION_DENIED
        for method in ("ListVerifiers", "GetServerInfo"):
            assert (await _refused(channel, method, b"")).code() is grpc.StatusCode.UNAUTHENTICATED
        _write_tokens(file, trainer=second)
        assert await status(first) is grpc.StatusCode.UNAUTHENTICATED
        assert await status(second) is grpc.StatusCode.OK
        file.write_text("[clients")
        assert await status(second) is grpc.StatusCode.OK
        assert server.scorer.admission.shares == {}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[clients.a]\n", "either token or token_sha256"),
        ('[clients.a]\ntoken = "short"\n', "16 characters"),
        ('[clients.a]\ntoken = "long enough as a token"\nscopes = ["all"]\n', "scopes"),
        ("[", "tokens.toml"),
        (f"clients = {'[' * 3000}{']' * 3000}", "tokens.toml: it is nested too deeply"),
        (f"clients = 1{'0' * 5000}", "tokens.toml: not TOML: Exceeds the limit"),
    ],
    ids=lambda text: text[:40],
)
def test_a_file_of_tokens_that_is_wrong_is_said_to_be(tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "tokens.toml"
    file.write_text(text)
    with pytest.raises(SettingsError, match=said) as refused:
        Clients(file)
    assert "long enough" not in str(refused.value)


async def test_calls_of_one_client_have_one_turn_among_those_of_others(tmp_path: Path) -> None:
    file, tokens = tmp_path / "tokens.toml", {"many": "many-calls-at-once", "one": "one-single-call-here"}
    _write_tokens(file, **tokens)
    BEGUN.clear()
    GATES.append(asyncio.Event())

    async with _serving(file) as (server, channel):
        stub = stub_of(channel)

        async def send(name: str, admitted: int) -> asyncio.Future[Any]:
            """Send forty items, and wait until so many are admitted."""
            request = pb.ScoreRequest(evaluations=[types.Evaluation(verifier="test/gated")])
            for place in range(40):
                request.groups.add().rollouts.add(index=place, response=types.Content(text=name))
            call = asyncio.ensure_future(stub.Score(request, metadata=(("authorization", f"Bearer {tokens[name]}"),)))
            while server.scorer.admission.items < admitted:
                assert not call.done(), await call
                await asyncio.sleep(0.01)
            return call

        calls = [await send("many", 40 * (number + 1)) for number in range(8)]
        calls.append(await send("one", 360))
        GATES[-1].set()
        await asyncio.gather(*calls)
    # What ran already when the single call came, and then one of the others' for each of its own.
    assert BEGUN[: PLACES + 2 * 40 + PLACES].count("one") == 40
