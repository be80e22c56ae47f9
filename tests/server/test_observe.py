"""What an operator sees of a server: metrics, logs without content, slow items, spans."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import re
import shutil
import subprocess
import urllib.request
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc.aio
import pytest

from reward_servers.config import load_config
from reward_servers.observe import CallLog, FloodFilter, JsonFormatter, Tracing, exposition, server_families
from reward_servers.server import running
from tests.client.hostile_server import Hostile, serve
from tests.core import unruly
from tests.core.helpers import group, outcomes, request, scoring
from tests.typed import stub_of
from trainer_client import AsyncRewardClient, Recipe, Reward, RewardClient, Rollout
from trainer_client.contract.v1 import reward_service_pb2 as pb
from trainer_client.contract.v1 import types_pb2 as types

_NAMES = tuple(f"tests.core.unruly:{name}" for name in ("equal", "unruly", "wait", "exact_text"))


@asynccontextmanager
async def _serving(port: int = 0) -> AsyncIterator[tuple[Any, Any]]:
    config = load_config(workers=1).with_metrics(port)
    async with running(config, _NAMES) as server, grpc.aio.insecure_channel(server.address) as channel:
        yield server, stub_of(channel)


def _request(verifier: str, *responses: str, **fields: Any) -> pb.ScoreRequest:
    asked = pb.ScoreRequest(evaluations=[types.Evaluation(verifier=verifier)], **fields)
    asked.groups.add(group_id="g", size=len(responses), reference_json=b'{"answer": "a"}')
    for place, text in enumerate(responses):
        asked.groups[0].rollouts.add(index=place, rollout_id=f"r{place}", response=types.Content(text=text))
    return asked


def _samples(text: str) -> dict[str, float]:
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    assert all(re.fullmatch(r'[a-z_]+(\{([a-z_]+="[^"]*",?)*\})? \S+', line) for line in lines)
    return {line.rpartition(" ")[0]: float(line.rpartition(" ")[2]) for line in lines}


async def _metrics(address: str, path: str = "/metrics") -> str:
    def get() -> str:
        with urllib.request.urlopen(f"http://{address}{path}", timeout=120) as answer:
            return str(answer.read().decode())

    return await asyncio.to_thread(get)


async def test_metrics_count_what_happened(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, logger="assay"):
        async with _serving() as (_, stub):
            told = " ".join(record.getMessage() for record in caplog.records)
            (address,) = re.findall(r"http://(\S+)/metrics", told)
            await stub.Score(_request("test/equal", "a", "b", "a"))
            await stub.Score(_request("test/unruly", "fault", "sleep 1.2", "abort"))
            with pytest.raises(grpc.aio.AioRpcError):
                await stub.Score(_request("nobody", "a"))
            found = _samples(await _metrics(address))
            slow = json.loads(await _metrics(address, "/slow"))
    items = 'assay_items_total{verifier="test/equal",outcome="verdict",party="",code="%s"}'
    assert (found[items % "accepted"], found[items % "wrong"]) == (2, 1)
    down = 'assay_items_total{verifier="test/unruly",outcome="fault",party="upstream",code="down"}'
    crashed = 'assay_items_total{verifier="test/unruly",outcome="verdict",party="",code="crashed_verifier"}'
    assert (found[down], found[crashed]) == (1, 1)
    assert found['assay_worker_deaths_total{pool="shared",cause="crash"}'] == 2
    # The third is like the first, which answers for it.
    assert found['assay_item_run_seconds_count{verifier="test/equal"}'] == 2
    assert found['assay_cached_items_total{verifier="test/equal"}'] == 1
    assert found['assay_calls_total{method="Score",status="OK"}'] == 2
    assert found['assay_calls_total{method="Score",status="NOT_FOUND"}'] == 1
    assert found['assay_client_items_total{client="addr:127.0.0.1"}'] == 7
    assert found["assay_items_in_flight"] == 0
    assert found["assay_received_bytes_total"] > 0 < found["assay_sent_bytes_total"]
    assert [one["why"] for one in slow if (one["verifier"], one["rollout_id"]) == ("test/unruly", "r1")] == ["waiting"]


async def test_what_is_judged_at_once_is_counted_as_well() -> None:
    async with _serving() as (server, stub):
        rows = await stub.Score(_request("test/text", "a", "b", "a"))
        columns = await stub.Score(_request("test/text", "a", "b", "a", result_form=pb.RESULT_FORM_COLUMNS))
        stats = server.scorer.stats.verifiers["test/text"]
    assert [(one.index, one.verdict.score) for one in rows.results] == [(0, 1.0), (1, 0.0), (2, 1.0)]
    assert (list(columns.columns.index), list(columns.columns.score), len(columns.results)) == ([0, 1, 2], [1, 0, 1], 0)
    assert [columns.columns.codes[code] for code in columns.columns.code] == ["accepted", "wrong", "accepted"]
    assert stats.outcomes == {("verdict", "", "accepted"): 4, ("verdict", "", "wrong"): 2}
    assert stats.run.cumulative[-1] == 6


async def test_the_state_of_a_server_tells_what_verifiers_did_and_who_asks() -> None:
    async with _serving() as (_, stub):
        await stub.Score(_request("test/wait", "0.4", run="r", step=7, request_id="q"))
        info = await stub.GetServerInfo(pb.GetServerInfoRequest(with_activity=True))
        plain = await stub.GetServerInfo(pb.GetServerInfoRequest())
    assert {one.verifier: one.verdicts for one in info.activity}["test/wait"] == 1
    (slow,) = info.slow_items
    assert (slow.rollout_id, slow.request_id, slow.run, slow.step, slow.why) == ("r0", "q", "r", 7, "waiting")
    assert info.client.name == "addr:127.0.0.1"
    assert list(info.result_forms) == [pb.RESULT_FORM_COLUMNS, pb.RESULT_FORM_SCORES]
    assert not plain.activity


async def test_logs_are_lines_of_json_with_ids_and_without_content() -> None:
    stream, secret = io.StringIO(), "secret-words"
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonFormatter())
    logger = logging.getLogger("assay")
    logger.addHandler(handler)
    level = logger.level
    logger.setLevel(logging.DEBUG)
    try:
        async with _serving() as (_, stub):
            asked = _request("test/equal", secret, request_id="id-1", run="run-1", step=3)
            asked.groups[0].prompt.text = secret
            asked.groups[0].reference_json = json.dumps({"answer": secret}).encode()
            await stub.Score(asked, metadata=(("authorization", f"Bearer {secret}"),))
            asked.groups[0].reference_json = b'{"answer": 5, "%s": 1}' % secret.encode()
            await stub.Score(asked)
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)
    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    calls = [line for line in lines if line["logger"] == "assay.access"]
    assert secret not in stream.getvalue()
    assert {(one["request_id"], one["run"], one["step"], one["items"], one["status"]) for one in calls} == {
        ("id-1", "run-1", 3, 1, "OK")
    }
    (started,) = (line for line in lines if line["message"] == "started")
    assert "test/equal@3" in started["verifiers"]


def test_a_flood_of_records_is_cut_and_said_to_be() -> None:
    allowed = FloodFilter(per_second=0.0, burst=5.0)

    def record(name: str) -> logging.LogRecord:
        return logging.LogRecord(name, logging.INFO, "", 0, "text", None, None)

    assert [allowed.filter(record("assay.a")) for _ in range(8)] == [True] * 5 + [False] * 3
    assert allowed.filter(record("assay.b"))
    allowed._allowed["assay.a"]._rate = 1e9
    later = record("assay.a")
    assert allowed.filter(later)
    assert later.getMessage() == "[3 records of assay.a were left out] text"


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed")
async def test_promtool_finds_nothing_wrong_with_the_metrics() -> None:
    async with scoring(unruly.unruly, unruly.equal) as scorer:
        await outcomes(scorer, request("test/unruly", group("fine", "fault")))
        text = exposition(server_families(scorer, "1", draining=False))
    done = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, timeout=60)
    assert done.returncode == 0, done.stdout.decode() + done.stderr.decode()


async def test_a_client_tells_servers_the_span_that_its_caller_is_in() -> None:
    trace = pytest.importorskip("opentelemetry.trace")
    pytest.importorskip("opentelemetry.sdk")
    from opentelemetry.sdk.trace import TracerProvider

    sent: list[str] = []

    class Noting(Hostile):
        async def _admit(self, context: Any) -> None:
            sent.append(dict(context.invocation_metadata()).get("traceparent", ""))

    tracer = TracerProvider().get_tracer("trainer")
    rollouts = [Rollout("r", "p", "1.0")]
    async with (
        serve(Noting("works", trivial=True)) as address,
        AsyncRewardClient(Recipe(rewards=(Reward("main", "echo"),)), address) as client,
    ):
        await client.score(rollouts)
        assert not any(sent)
        with tracer.start_as_current_span("step") as span:
            await client.score(rollouts)
            tables = [table async for table in client.stream(rollouts, group_size=1)]
            await client.submit(rollouts[0])
            await client.submit(rollouts[0], group_size=1)
            with RewardClient(Recipe(rewards=(Reward("main", "echo"),)), address) as blocking:
                for size in (None, 1):
                    # Off this thread, where the replica runs, but within the caller's context.
                    future = blocking.submit(rollouts[0], group_size=size)
                    await asyncio.wrap_future(future)
        await client.score(rollouts)
        await client.submit(rollouts[0])
    assert len(tables) == 1
    told = [one for one in sent if one]
    expected = format(span.get_span_context().trace_id, "032x")
    assert len(told) == 6
    assert all(one.split("-")[1] == expected for one in told)
    assert trace.get_current_span().get_span_context().is_valid is False


async def test_calls_are_spans_below_the_span_of_the_trainers_step() -> None:
    pytest.importorskip("opentelemetry.sdk")
    from opentelemetry import trace
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

    provider, exporter = TracerProvider(), InMemorySpanExporter()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    async with scoring(unruly.equal) as scorer:
        log = CallLog(scorer.stats, Tracing(provider))
        parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
        with log.recorded("Score", [("traceparent", parent)]) as record:
            record.request_id, record.items = "id", 3
        with pytest.raises(ValueError, match="no such"), log.recorded("Score", []):
            raise ValueError("no such")
        # A trainer that samples its steps decides for the servers.
        with log.recorded("Score", [("traceparent", f"{parent[:-2]}00")]):
            assert not trace.get_current_span().is_recording()
        assert not trace.get_current_span().get_span_context().is_valid
    span, failed = exporter.get_finished_spans()
    attributes: Any = span.attributes
    assert format(span.context.trace_id, "032x") == "0af7651916cd43dd8448eb211c80319c"
    assert (span.name, attributes["assay.request_id"], attributes["assay.items"]) == ("assay.Score", "id", 3)
    assert "assay.run" not in attributes
    assert (failed.status.status_code.name, failed.events[0].name, failed.parent) == ("ERROR", "exception", None)
