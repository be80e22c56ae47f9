"""CPU per item of a server that is observed against one that is not: access log, metrics, traces, and all of them.

All servers are asked in turn within one run, 512 items a call, and medians are compared; a second server that is not
observed says what two equal ones differ by. Equal processes differ by some per cent for as long as they live, so all
servers are started again several times. In each round, which is about half a second of a server's CPU, metrics are
scraped once, and spans go to a collector in this process. Counting itself cannot be turned off: what it takes of a call
is timed apart. The goal is 5 % at most.

Usage: ``python -m benchmarks.server.observation [--starts 5] [--rounds 3] [--items 98304]``
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import tempfile
import time
import urllib.request
from collections.abc import AsyncIterator
from pathlib import Path
from statistics import median
from typing import Any

import grpc
import grpc.aio

from benchmarks.server._common import ServerProcess, our_server
from benchmarks.server.overhead import drive, our_batch
from reward_servers.core import PlainVerdicts, Stats
from reward_servers.observe import CallLog
from trainer_client.contract.v1 import reward_service_pb2 as pb

_SIZE = 512
_DISTINCT = 8192
"""Items that are different; verdicts of the verifier are not kept, so that the same may come again."""
_SILENT = ("--log-level", "error")
_LOGGED = ("--log-level", "info", "--log-format", "json")
_EXPORT = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
_SCORE = f"/{pb.DESCRIPTOR.services_by_name['RewardService'].full_name}/Score"


class _Collector(grpc.GenericRpcHandler):
    """Takes spans in and throws them away."""

    def __init__(self) -> None:
        self.batches = 0

    def service(self, handler_call_details: Any) -> Any:
        """Answer every export with an empty message."""

        async def export(data: bytes, context: Any) -> bytes:
            self.batches += 1
            return b""

        return grpc.unary_unary_rpc_method_handler(export) if handler_call_details.method == _EXPORT else None


@contextlib.asynccontextmanager
async def _collector() -> AsyncIterator[tuple[str, _Collector]]:
    server, collector = grpc.aio.server(), _Collector()
    server.add_generic_rpc_handlers((collector,))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield f"http://127.0.0.1:{port}", collector
    finally:
        await server.stop(1.0)


class _Mode:
    def __init__(self, name: str, server: ServerProcess, metrics: int | None) -> None:
        self.name, self.server, self.metrics = name, server, metrics

    async def measure(self, batches: list[bytes]) -> float:
        """Microseconds of the server's CPU per item."""
        await drive(self.server, _SCORE, pb.ScoreResponse.FromString, batches[:2])
        before = self.server.cpu()
        await drive(self.server, _SCORE, pb.ScoreResponse.FromString, batches)
        if self.metrics is not None:
            url = f"http://127.0.0.1:{self.metrics}/metrics"
            await asyncio.to_thread(lambda: urllib.request.urlopen(url, timeout=10).read())
        return (self.server.cpu() - before) / len(batches) / _SIZE * 1e6


def _counting() -> float:
    """Microseconds that counting, the record of a call and its log line that is not written take per item."""
    stats = Stats(["bench"])
    log, calls = CallLog(stats), 400
    verdicts = PlainVerdicts(range(128), [1.0] * 128, ["accepted"] * 128, [100] * 128, [1] * 128)
    started = time.process_time()
    for _ in range(calls):
        with log.recorded("Score", ()) as record:
            record.client, record.items = "addr:127.0.0.1", _SIZE
            for _ in range(_SIZE // 128):
                stats.verifiers["bench"].note_plain(verdicts)
    return (time.process_time() - started) / calls / _SIZE * 1e6


def _start(started: contextlib.ExitStack, config: str, ports: int) -> list[_Mode]:
    verifier = "benchmarks.server.verifiers:inline"
    return [
        _Mode(kind, started.enter_context(our_server(verifier, config=file, options=options)), metrics)
        for kind, file, options, metrics in (
            ("unobserved", None, _SILENT, None),
            ("so, again", None, _SILENT, None),
            ("access log", None, _LOGGED, None),
            ("metrics", None, (*_SILENT, "--metrics-port", str(ports)), ports),
            ("traces", config, _SILENT, None),
            ("all", config, (*_LOGGED, "--metrics-port", str(ports + 1)), ports + 1),
        )
    ]


async def _run(starts: int, rounds: int, items: int, ports: int) -> None:
    build = our_batch("bench/inline", pb.RESULT_FORM_COLUMNS)
    batches = [build(_SIZE, start) for start in range(0, _DISTINCT, _SIZE)]
    batches *= -(-items // _DISTINCT)
    costs: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as name:
        async with _collector() as (endpoint, collector):
            config = Path(name) / "traced.toml"
            config.write_text(f'[tracing]\nendpoint = "{endpoint}"\n')
            for _ in range(starts):
                with contextlib.ExitStack() as started:
                    modes = _start(started, str(config), ports)
                    for turn in range(rounds):
                        for mode in modes if turn % 2 == 0 else reversed(modes):
                            costs.setdefault(mode.name, []).append(await mode.measure(batches))
            assert collector.batches, "no span has come"
    floor = median(costs["unobserved"])
    for kind, found in costs.items():
        middle = median(found)
        print(f"{kind:<12}{middle:>8.2f} us per item {100 * (middle / floor - 1):>+6.1f} %")
    print(f"counting, in all of them: {_counting():.3f} us per item, {100 * _counting() / floor:.1f} %")


def main() -> None:
    """Measure and print one line for each way to observe."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--starts", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=3, help="of each start")
    parser.add_argument("--items", type=int, default=98304)
    parser.add_argument("--ports", type=int, default=29464, help="the first of two free ports for metrics")
    arguments = parser.parse_args()
    asyncio.run(_run(arguments.starts, arguments.rounds, arguments.items, arguments.ports))


if __name__ == "__main__":
    main()
