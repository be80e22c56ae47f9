"""A server process that is told to stop finishes what it has admitted."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys

import grpc
import grpc.aio
import psutil
import pytest

from tests.typed import stub_of
from trainer_client.contract.v1 import reward_service_pb2 as pb
from trainer_client.contract.v1 import types_pb2 as types


async def _start() -> tuple[asyncio.subprocess.Process, str]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "reward_servers", "serve", "tests.core.unruly:pid", "--workers", "2"),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        start_new_session=True,
    )
    assert process.stdout is not None
    line = (await process.stdout.readline()).decode()
    return process, line.split()[2]


def _request(*seconds: str, request_id: str = "") -> pb.ScoreRequest:
    request = pb.ScoreRequest(request_id=request_id, evaluations=[types.Evaluation(verifier="test/pid")])
    group = request.groups.add(group_id="g")
    for place, text in enumerate(seconds):
        group.rollouts.add(index=place, rollout_id=str(place), response=types.Content(text=text))
    return request


def _to_all(group: int, number: signal.Signals) -> None:
    """What a terminal, a job scheduler or ``killpg`` does: the signal reaches the server and all its processes."""
    for one in psutil.Process(group).children(recursive=True):
        one.send_signal(number)
    os.killpg(group, number)


@pytest.mark.parametrize("everyone", [False, True])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
async def test_being_told_to_stop_loses_no_admitted_item_and_takes_no_new_one(
    number: signal.Signals, everyone: bool
) -> None:
    process, address = await _start()
    async with grpc.aio.insecure_channel(address) as channel:
        stub = stub_of(channel)
        admitted = stub.Score(_request("1", "1", "1", "1"))
        while (await stub.GetServerInfo(pb.GetServerInfoRequest())).load.items_in_flight < 4:
            await asyncio.sleep(0.01)
        if everyone:
            _to_all(process.pid, number)
        else:
            process.send_signal(number)
        while True:
            try:
                await stub.Score(_request("0"))
            except grpc.aio.AioRpcError as error:
                assert error.code() is grpc.StatusCode.UNAVAILABLE
                break
        response = await admitted
    assert [one.verdict.score for one in response.results] == [1.0] * 4
    # Each ran once.
    evidence = [json.loads(one.verdict.evidence_json) for one in response.results]
    assert len({one["pid"] for one in evidence}) <= 2
    assert await asyncio.wait_for(process.wait(), 30) == 0


async def test_calls_that_wait_to_be_read_are_admitted_too() -> None:
    process, address = await _start()
    large = _request(*["0"] * 4000)
    async with grpc.aio.insecure_channel(address) as channel:
        stub = stub_of(channel)
        sent = [stub.Score(large), stub.Score(_request("1.5"))]
        while (await stub.GetServerInfo(pb.GetServerInfoRequest())).load.bytes_in_flight <= large.ByteSize():
            await asyncio.sleep(0)
        process.send_signal(signal.SIGTERM)
        answers = [await call for call in sent]
    assert [len(answer.results) for answer in answers] == [4000, 1]
    assert all(one.HasField("verdict") for answer in answers for one in answer.results)
    assert await asyncio.wait_for(process.wait(), 30) == 0


@pytest.mark.skipif(sys.platform != "linux", reason="workers end with the server by a feature of Linux")
async def test_workers_end_with_a_server_that_is_killed() -> None:
    process, address = await _start()
    async with grpc.aio.insecure_channel(address) as channel:
        response = await stub_of(channel).Score(_request("0"))
    worker = int(response.results[0].verdict.evidence_json.split(b'"pid": ')[1].split(b",")[0])
    process.kill()
    await process.wait()
    for _ in range(500):
        try:
            with open(f"/proc/{worker}/stat", encoding="ascii") as file:
                if file.read().split()[2] == "Z":
                    break
        except FileNotFoundError:
            break
        await asyncio.sleep(0.01)
    else:
        pytest.fail("a worker outlived its server")
