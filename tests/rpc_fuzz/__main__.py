"""Sends a server everything but what it expects, for a while, and says what became of it.

Usage: ``python -m tests.rpc_fuzz --seconds 600 --seed 1``; a warm-up of 8,000 calls comes before. The exit code is 1
when the server crashed, wrote a traceback, did not give back what it took, did not answer, or kept more than 1.2 times
the memory of its warm-up.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import psutil

from tests.rpc_fuzz._frames import attack
from tests.rpc_fuzz._messages import broken, fill
from trainer_client.contract.v1 import reward_service_pb2 as pb
from trainer_client.contract.v1 import types_pb2 as types

_SERVICE = "/assay.rewards.v1.RewardService/"
_CALLS: dict[str, tuple[type[Any], bool]] = {
    "Score": (pb.ScoreRequest, False),
    "ScoreStream": (pb.ScoreStreamRequest, True),
    "ListVerifiers": (pb.ListVerifiersRequest, False),
    "GetServerInfo": (pb.GetServerInfoRequest, False),
}
_OTHERS = ("/grpc.health.v1.Health/Check", f"{_SERVICE}Nothing", "/a/b")
_EXPECTED = {
    *("OK", "INVALID_ARGUMENT", "NOT_FOUND", "FAILED_PRECONDITION", "RESOURCE_EXHAUSTED", "UNIMPLEMENTED"),
    *("CANCELLED", "DEADLINE_EXCEEDED", "UNAVAILABLE"),
}
_CUT_SHORT = "refused while it was being sent"
"""What gRPC's own client calls INTERNAL, `Internal error from Core`: a stream that any server refuses while a message
of it is on its way. The server's status is lost then."""
_PATIENCE = 30.0
_GROWTH = 1.2
_WARM = 8000
"""Calls before memory is looked at first: what a server keeps it has allocated by then, however busy the machine is."""


def _message(kind: type[Any], draw: random.Random) -> bytes:
    message: Any = fill(kind(), draw)
    request = message.chunk if kind is pb.ScoreStreamRequest else message
    if isinstance(request, pb.ScoreRequest) and draw.random() < 0.8:
        del request.evaluations[:]
        request.evaluations.append(types.Evaluation(verifier=draw.choice(("test/equal", "test/text", "test/lengths"))))
    data = bytes(message.SerializeToString())
    return broken(data, draw) if draw.random() < 0.4 else data


async def _status(call: Any, method: str) -> str:
    """How a call ended; of a status that no call should have, the words as well."""
    name = str((await call.code()).name)
    if name == "INTERNAL" and await call.details() == "Internal error from Core":
        return _CUT_SHORT
    return name if name in _EXPECTED else f"{name} of {method}: {(await call.details())[:200]}"


async def _call(channel: Any, draw: random.Random) -> str:
    timeout = draw.choice((0.001, 0.05, 5.0, 5.0, 5.0))
    if draw.random() < 0.1:
        other = draw.choice(_OTHERS)
        return await _status(channel.unary_unary(other)(draw.randbytes(draw.randrange(40)), timeout=timeout), other)
    name = draw.choice(tuple(_CALLS))
    kind, streams = _CALLS[name]
    if not streams:
        call = channel.unary_unary(_SERVICE + name)(_message(kind, draw), timeout=timeout)
    else:
        chunks = [_message(kind, draw) for _ in range(draw.randrange(4))]
        call = channel.stream_stream(_SERVICE + name)(_sent(chunks), timeout=timeout)
    if draw.random() < 0.1:
        await asyncio.sleep(draw.random() * 0.01)
        call.cancel()
    if streams:
        try:
            async for _ in call:
                pass
        except (grpc.aio.AioRpcError, asyncio.CancelledError):
            pass
    return await _status(call, name)


async def _sent(chunks: list[bytes]) -> Any:
    for chunk in chunks:
        yield chunk


async def _fuzz(address: str, seconds: float, draw: random.Random, found: Counter[str]) -> float:
    """Send for some seconds; the longest time that a call took."""
    ends, slowest = time.monotonic() + seconds, 0.0
    loop = asyncio.get_running_loop()
    while time.monotonic() < ends:
        async with grpc.aio.insecure_channel(address) as channel:
            for _ in range(50):
                if draw.random() < 0.05:
                    await loop.run_in_executor(None, attack, address, draw)
                    found["raw HTTP/2"] += 1
                began = time.monotonic()
                statuses = await asyncio.wait_for(asyncio.gather(*(_call(channel, draw) for _ in range(8))), _PATIENCE)
                found.update(statuses)
                slowest = max(slowest, time.monotonic() - began)
    return slowest


async def _at_rest(address: str) -> pb.GetServerInfoResponse:
    """The state of the server once everything that was sent is finished."""
    async with grpc.aio.insecure_channel(address) as channel:
        ask: Any = channel.unary_unary(
            f"{_SERVICE}GetServerInfo", response_deserializer=pb.GetServerInfoResponse.FromString
        )
        for _ in range(100):
            info: pb.GetServerInfoResponse = await ask(b"", timeout=_PATIENCE)
            if not info.load.items_in_flight and not info.load.bytes_in_flight:
                break
            await asyncio.sleep(0.05)
        return info


async def _run(address: str, process: psutil.Process, seconds: float, seed: int) -> list[str]:
    draw, found = random.Random(seed), Counter[str]()
    while sum(found.values()) < _WARM:
        await _fuzz(address, 5.0, draw, found)
    await _at_rest(address)
    before = process.memory_info().rss
    print(f"{sum(found.values())} calls of warm-up", flush=True)
    slowest = await _fuzz(address, seconds, draw, found)
    info = await _at_rest(address)
    after = process.memory_info().rss
    print(f"{sum(found.values())} calls and connections: {dict(found.most_common())}")
    print(f"longest round {slowest:.2f} s; memory {before >> 20} -> {after >> 20} MiB, {after / before:.2f} times")
    problems = [f"status {name}" for name in found if name not in _EXPECTED | {"raw HTTP/2", _CUT_SHORT}]
    if info.load.items_in_flight or info.load.bytes_in_flight:
        problems.append(f"{info.load.items_in_flight} items are in flight for ever")
    if after > _GROWTH * before:
        problems.append(f"memory grew to {after / before:.2f} times")
    return problems


def main() -> int:
    """Run a server and fuzzes it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=None)
    arguments = parser.parse_args()
    seed = random.SystemRandom().randrange(2**32) if arguments.seed is None else arguments.seed
    print(f"seed {seed}", flush=True)
    names = [f"tests.core.unruly:{name}" for name in ("equal", "exact_text", "lengths")]
    line = [sys.executable, "-P", "-m", "reward_servers", "serve", *names, "--workers", "1", "--cache-bytes", "0"]
    with tempfile.TemporaryDirectory() as folder, (Path(folder) / "log").open("w+", errors="replace") as log:
        with subprocess.Popen(line, stdout=subprocess.PIPE, stderr=log, text=True) as server:
            assert server.stdout is not None
            address = server.stdout.readline().split()[2]
            try:
                problems = asyncio.run(_run(address, psutil.Process(server.pid), arguments.seconds, seed))
            finally:
                alive = server.poll() is None
                server.terminate()
                server.communicate(timeout=90)
        log.seek(0)
        text = log.read()
    problems += [] if alive else ["the server has ended"]
    problems += ["a traceback in the log"] if "Traceback" in text else []
    if problems:
        print(text[-5000:])
    print("problems: " + ("; ".join(problems) or "none"))
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
