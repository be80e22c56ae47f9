"""A server process that is told to stop finishes what it has admitted."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from functools import partial
from pathlib import Path
from typing import Any, Literal

import grpc
import grpc.aio
import psutil
import pytest

from tests.typed import stub_of
from trainer_client.contract.v1 import reward_service_pb2 as pb
from trainer_client.contract.v1 import types_pb2 as types


async def _run(
    *arguments: str, hangs_up: Literal[signal.Handlers.SIG_DFL, signal.Handlers.SIG_IGN] = signal.SIG_DFL
) -> asyncio.subprocess.Process:
    """Start a server, with what is done at the end of a terminal."""
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "reward_servers", "serve", *arguments, "--workers", "2"),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        start_new_session=True,
        preexec_fn=partial(signal.signal, signal.SIGHUP, hangs_up),
    )


async def _start(name: str = "gated", **how: Any) -> tuple[asyncio.subprocess.Process, str]:
    process = await _run(f"tests.core.unruly:{name}", **how)
    assert process.stdout is not None
    line = (await process.stdout.readline()).decode()
    return process, line.split()[2]


def _request(*texts: object, request_id: str = "", verifier: str = "test/gated") -> pb.ScoreRequest:
    request = pb.ScoreRequest(request_id=request_id, evaluations=[types.Evaluation(verifier=verifier)])
    group = request.groups.add(group_id="g")
    for place, text in enumerate(map(str, texts)):
        group.rollouts.add(index=place, rollout_id=str(place), response=types.Content(text=text))
    return request


async def _end_of(process: asyncio.subprocess.Process) -> int | None:
    """The exit code, once it has ended and nothing holds its pipes any more: one left open is told in a later test."""
    await asyncio.wait_for(process.communicate(), 240)
    return process.returncode


def _to_all(group: int, number: signal.Signals) -> None:
    """What a terminal, a job scheduler or ``killpg`` does: the signal reaches the server and all its processes."""
    for one in psutil.Process(group).children(recursive=True):
        one.send_signal(number)
    os.killpg(group, number)


@pytest.mark.parametrize("everyone", [False, True])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
async def test_being_told_to_stop_loses_no_admitted_item_and_takes_no_new_one(
    number: signal.Signals, everyone: bool, tmp_path: Path
) -> None:
    gate, opened = tmp_path / "gate", tmp_path / "opened"
    opened.touch()
    process, address = await _start()
    async with grpc.aio.insecure_channel(address) as channel:
        stub = stub_of(channel)
        admitted = stub.Score(_request(gate, gate, gate, gate))
        while (await stub.GetServerInfo(pb.GetServerInfoRequest())).load.items_in_flight < 4:
            await asyncio.sleep(0.01)
        if everyone:
            _to_all(process.pid, number)
        else:
            process.send_signal(number)
        while True:
            try:
                await stub.Score(_request(opened))
            except grpc.aio.AioRpcError as error:
                assert error.code() is grpc.StatusCode.UNAVAILABLE
                break
        gate.touch()
        response = await admitted
    assert [one.verdict.score for one in response.results] == [1.0] * 4
    # Each ran once.
    evidence = [json.loads(one.verdict.evidence_json) for one in response.results]
    assert len({one["pid"] for one in evidence}) <= 2
    assert await _end_of(process) == 0


async def test_a_server_that_was_started_with_nohup_outlives_its_terminal(tmp_path: Path) -> None:
    process, address = await _start(hangs_up=signal.SIG_IGN)
    async with grpc.aio.insecure_channel(address) as channel:
        stub = stub_of(channel)
        _to_all(process.pid, signal.SIGHUP)
        response = await stub.Score(_request(tmp_path))
        assert response.results[0].verdict.score == 1.0
        assert not (await stub.GetServerInfo(pb.GetServerInfoRequest())).load.draining
    status = Path(f"/proc/{process.pid}/status").read_text()
    ignored = next(line for line in status.splitlines() if line.startswith("SigIgn"))
    assert int(ignored.split()[1], 16) >> (signal.SIGHUP - 1) & 1
    process.send_signal(signal.SIGTERM)
    assert await _end_of(process) == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_server_that_does_not_serve_yet_ends_at_once(tmp_path: Path, number: signal.Signals) -> None:
    begun, settings = tmp_path / "begun", tmp_path / "settings.toml"
    settings.write_text(f'[verifiers."test/never-ready"]\nbegun = "{begun}"\n')
    process = await _run("tests.server.slow_start:NeverReady", "--config", str(settings))
    while not begun.exists():
        assert process.returncode is None
        await asyncio.sleep(0.02)
    process.send_signal(number)
    said, log = await asyncio.wait_for(process.communicate(), 240)
    assert (process.returncode, said) == (0, b"")
    assert b"ended before it served" in log
    assert b"Traceback" not in log


async def test_a_second_ctrl_c_ends_a_server_that_drains_and_no_other_signal_that_comes_twice() -> None:
    process, address = await _start("patient")
    async with grpc.aio.insecure_channel(address) as channel:
        stub = stub_of(channel)
        admitted = asyncio.ensure_future(stub.Score(_request("600", verifier="test/patient")))
        while not (await stub.GetServerInfo(pb.GetServerInfoRequest())).load.items_in_flight:
            await asyncio.sleep(0.01)
        for number in (signal.SIGTERM, signal.SIGTERM, signal.SIGINT):
            process.send_signal(number)
        while not (await stub.GetServerInfo(pb.GetServerInfoRequest())).load.draining:
            await asyncio.sleep(0.01)
        assert (await stub.GetServerInfo(pb.GetServerInfoRequest())).load.items_in_flight == 1
        process.send_signal(signal.SIGINT)
        with pytest.raises(grpc.aio.AioRpcError):
            await admitted
    _, log = await asyncio.wait_for(process.communicate(), 240)
    assert process.returncode == 0
    assert b"draining; items held: 1;" in log
    assert b"told twice to end" in log
    assert b"Traceback" not in log


async def test_calls_that_wait_to_be_read_are_admitted_too(tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    process, address = await _start()
    large = _request(*[gate] * 4000)
    async with grpc.aio.insecure_channel(address) as channel:
        stub = stub_of(channel)
        sent = [stub.Score(large), stub.Score(_request(gate))]
        while (await stub.GetServerInfo(pb.GetServerInfoRequest())).load.bytes_in_flight <= large.ByteSize():
            await asyncio.sleep(0)
        process.send_signal(signal.SIGTERM)
        gate.touch()
        answers = [await call for call in sent]
    assert [len(answer.results) for answer in answers] == [4000, 1]
    assert all(one.HasField("verdict") for answer in answers for one in answer.results)
    assert await _end_of(process) == 0


@pytest.mark.skipif(sys.platform != "linux", reason="workers end with the server by a feature of Linux")
async def test_workers_end_with_a_server_that_is_killed(tmp_path: Path) -> None:
    process, address = await _start()
    async with grpc.aio.insecure_channel(address) as channel:
        response = await stub_of(channel).Score(_request(tmp_path))
    worker = int(response.results[0].verdict.evidence_json.split(b'"pid": ')[1].split(b"}")[0])
    process.kill()
    await _end_of(process)
    for _ in range(6000):
        try:
            with open(f"/proc/{worker}/stat", encoding="ascii") as file:
                if file.read().split()[2] == "Z":
                    break
        except FileNotFoundError:
            break
        await asyncio.sleep(0.01)
    else:
        pytest.fail("a worker outlived its server")
