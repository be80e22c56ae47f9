"""Programs judged per second through our gRPC server, beside a running SandboxFusion server with its isolation off.

Ours isolates every test, theirs none. Each round judges new programs both ways in turn: ours in one batch, theirs by
`/run_code`, a request per test as verl's client sends them, at several widths, and by `/submit`, a request per program;
the fastest of theirs counts. CPU is that of the server with all that it started, where it can be read.

    python -m benchmarks.code.sandbox_fusion http://127.0.0.1:8080

`docs/benchmarks.md` says how to start theirs.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import json
import statistics
import threading
import time
import urllib.parse
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import psutil

from benchmarks.sandbox._measure import Cpu
from benchmarks.server._common import our_server
from trainer_client import Recipe, RewardClient, Rollout

_RECIPE = Recipe.loads('[rewards.tests]\nverifier = "code"\n')
_WIDTHS = (4, 32)
_SUM = "count = int(input())\nprint(sum(int(input()) ** 2 for _ in range(count)))\n"


@dataclass(frozen=True)
class Task:
    """A program, and inputs with the outputs expected for them."""

    source: str
    tests: tuple[tuple[str, str], ...]

    @property
    def response(self) -> str:
        """What a model would have answered."""
        return f"```python\n{self.source}```"


@dataclass(frozen=True)
class Measured:
    """One way in one round: programs per second, and CPU seconds of the server per program, None where unknown."""

    rate: float
    cpu_s: float | None


def hello(number: int) -> Task:
    """A program without input."""
    return Task(f"print('hello {number}')\n", (("", f"hello {number}\n"),))


def rollout(number: int) -> Task:
    """A program with ten tests on standard input."""
    tests = [(f"3\n{number}\n{n}\n{n + 1}\n", f"{number**2 + n**2 + (n + 1) ** 2}\n") for n in range(10)]
    return Task(f"# {number}\n{_SUM}", tuple(tests))


class Theirs:
    """A running SandboxFusion server."""

    def __init__(self, url: str) -> None:
        parts = urllib.parse.urlsplit(url)
        self._host, self._port = parts.hostname or "127.0.0.1", parts.port or 8080
        self._process = _listener(self._port)

    def cpu_s(self) -> float | None:
        """CPU seconds of the server and of all programs that it has waited for."""
        return sum(self._process.cpu_times()[:4]) if self._process else None

    def run_code(self, tasks: Sequence[Task], width: int) -> None:
        """A request per test, so many at once."""
        bodies = [
            {"code": task.source, "language": "python", "stdin": stdin, "run_timeout": 30}
            for task in tasks
            for stdin, _ in task.tests
        ]
        expected = [output for task in tasks for _, output in task.tests]
        answers = self._post("/run_code", bodies, width)
        assert [answer["run_result"]["stdout"] for answer in answers] == expected

    def submit(self, tasks: Sequence[Task], width: int) -> None:
        """A request per program, so many at once."""
        answers = self._post("/submit", [self._submission(task) for task in tasks], width)
        assert all(answer["accepted"] for answer in answers)

    @staticmethod
    def _submission(task: Task) -> dict[str, Any]:
        tests = [{"input": {"stdin": stdin}, "output": {"stdout": output}} for stdin, output in task.tests]
        config = {
            "language": "python",
            "dataset_type": "CommonOJDataset",
            "provided_data": {"test": tests},
            "extra": {"run_all_cases": True},
        }
        return {"dataset": "benchmark", "id": "1", "completion": task.response, "config": config}

    def _post(self, path: str, bodies: Sequence[dict[str, Any]], width: int) -> list[dict[str, Any]]:
        kept = threading.local()  # each thread keeps its connection

        def connect() -> None:
            connection = http.client.HTTPConnection(self._host, self._port, timeout=120)
            kept.connection = stack.enter_context(contextlib.closing(connection))

        def post(body: dict[str, Any]) -> dict[str, Any]:
            kept.connection.request("POST", path, json.dumps(body), {"Content-Type": "application/json"})
            answer: dict[str, Any] = json.loads(kept.connection.getresponse().read())
            return answer

        with contextlib.ExitStack() as stack, ThreadPoolExecutor(width, initializer=connect) as pool:
            return list(pool.map(post, bodies))


def _listener(port: int) -> psutil.Process | None:
    """The process of this machine that listens on a port."""
    for connection in psutil.net_connections("tcp"):
        listens = connection.status == psutil.CONN_LISTEN and connection.laddr and connection.laddr.port == port
        if listens and connection.pid:
            return psutil.Process(connection.pid)
    return None


def _ours(client: RewardClient, tasks: Sequence[Task]) -> None:
    rollouts = [
        Rollout(
            str(index),
            "",
            task.response,
            reference={"tests": [{"stdin": stdin, "stdout": output} for stdin, output in task.tests]},
        )
        for index, task in enumerate(tasks)
    ]
    assert client.score(rollouts).scores.min() == 1.0


def _timed(tasks: Sequence[Task], way: Callable[[Sequence[Task]], None], cpu_s: Callable[[], float | None]) -> Measured:
    before, start = cpu_s(), time.perf_counter()
    way(tasks)
    rate = len(tasks) / (time.perf_counter() - start)
    after = cpu_s()
    return Measured(rate, None if before is None or after is None else (after - before) / len(tasks))


def _ways(theirs: Theirs, client: RewardClient, cpu: Cpu) -> Iterator[tuple[str, Callable[..., Measured]]]:
    def our_cpu() -> float | None:
        return cpu.read() - time.process_time() if cpu.known else None

    yield "ours, one batch", lambda tasks: _timed(tasks, lambda given: _ours(client, given), our_cpu)
    for width in _WIDTHS:
        for name, way in (("/run_code", theirs.run_code), ("/submit", theirs.submit)):
            yield (
                f"theirs, {name}, {width} at once",
                lambda tasks, way=way, width=width: _timed(tasks, lambda given: way(given, width), theirs.cpu_s),
            )


def _report(title: str, measured: dict[str, list[Measured]]) -> None:
    rates = {name: statistics.median(one.rate for one in taken) for name, taken in measured.items()}
    ours, *others = rates
    fastest = max(others, key=lambda name: rates[name])
    print(f"{title}\n  {'way':34}{'programs/s':>12}{'server CPU ms each':>20}")
    costs: dict[str, float] = {}
    for name, taken in measured.items():
        known = [one.cpu_s for one in taken if one.cpu_s is not None]
        if known:
            costs[name] = 1000 * statistics.median(known)
        print(f"  {name:34}{rates[name]:12.1f}{costs.get(name, float('nan')):20.2f}")
    line = f"  ours / the fastest of theirs ({fastest}): {rates[ours] / rates[fastest]:.2f} times the programs/s"
    if ours in costs and fastest in costs:
        line += f", {costs[ours] / costs[fastest]:.2f} times the CPU"
    print(line, flush=True)


_WORKLOADS: dict[str, tuple[Callable[[int], Task], int]] = {
    "hello": (hello, 128),
    "stdin and stdout, ten tests": (rollout, 16),
}


def main() -> None:
    """Measure both workloads and print the ratios."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.code.sandbox_fusion", description=__doc__)
    parser.add_argument("url", help="of a running SandboxFusion server")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    theirs = Theirs(options.url)
    numbers = iter(range(1, 1 << 30))
    cpu = Cpu()
    try:
        with our_server("code") as server, RewardClient(_RECIPE, {"code": server.address}) as client:
            for title, (task, count) in _WORKLOADS.items():
                measured: dict[str, list[Measured]] = {}
                for turn in range(options.rounds + 1):
                    for name, way in _ways(theirs, client, cpu):
                        taken = way([task(next(numbers)) for _ in range(count)])
                        if turn:  # the first round warms both
                            measured.setdefault(name, []).append(taken)
                _report(title, measured)
    finally:
        cpu.close()


if __name__ == "__main__":
    main()
