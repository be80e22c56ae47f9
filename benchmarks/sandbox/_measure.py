"""Clocks of the benchmark: time by turns, CPU of everything that was started."""

from __future__ import annotations

import contextlib
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping

from sandbox._ns import _cgroup

Action = Callable[[], object]
_SETTLE_S = 0.2
_FLOOR = """
import os, sys, time
while sys.stdin.readline():
    start = time.perf_counter()
    pid = os.fork()
    if not pid: os._exit(0)
    os.waitpid(pid, 0)
    print(time.perf_counter() - start, flush=True)
"""


def by_turns(ways: Mapping[str, Action], rounds: int) -> dict[str, list[float]]:
    """Time each way once per round, so that all of them meet the same minutes of the host.

    An action that returns a float has timed itself.
    """
    times: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, action in ways.items():
            start = time.perf_counter()
            own = action()
            times[name].append(own if isinstance(own, float) else time.perf_counter() - start)
            time.sleep(0.005)  # what one way leaves to be done in the background is not another one's
    return times


def p50(values: list[float]) -> float:
    """Median in milliseconds."""
    return statistics.median(values) * 1e3


def p99(values: list[float]) -> float:
    """99th percentile in milliseconds."""
    return sorted(values)[int(len(values) * 0.99)] * 1e3


@contextlib.contextmanager
def fork_floor(*argv: str, imports: str = "os") -> Iterator[Action]:
    """Fork, exit and wait in a small Python, timed in it.

    Args:
        *argv: The interpreter with its options.
        imports: What it has imported: the cost of a fork follows the size of the process.
    """
    process = subprocess.Popen(
        [*argv, "-c", f"import {imports}\n{_FLOOR}"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdin is not None
    assert process.stdout is not None
    sending, receiving = process.stdin, process.stdout

    def once() -> float:
        sending.write("\n")
        sending.flush()
        return float(receiving.readline())

    with process:
        yield once
        sending.close()


class Cpu:
    """CPU time of this process and all that it started, from a control group of their own."""

    def __init__(self) -> None:
        hierarchy = _cgroup.find()
        self._home: str | None = None
        self._group: str | None = None
        if hierarchy is not None and hierarchy.kind == "cgroup_v1" and hierarchy.cpu is not None:
            self._home = hierarchy.cpu
            self._group = f"{hierarchy.cpu}/benchmark-{os.getpid()}"
            os.mkdir(self._group)
            self._move(self._group)

    @property
    def known(self) -> bool:
        """Whether it can be read here."""
        return self._group is not None

    def _move(self, group: str) -> None:
        with open(f"{group}/cgroup.procs", "w") as file:
            file.write("0")

    def read(self) -> float:
        """Seconds up to now."""
        if self._group is None:
            return 0.0
        with open(f"{self._group}/cpuacct.usage") as file:
            return int(file.read()) / 1e9

    def per_call(self, action: Action, calls: int) -> float:
        """CPU milliseconds of one call, what it leaves to the background included."""
        action()
        time.sleep(_SETTLE_S)
        start = self.read()
        for _ in range(calls):
            action()
        time.sleep(_SETTLE_S)
        return (self.read() - start) / calls * 1e3

    def close(self) -> None:
        """Leave the group and remove it."""
        if self._group is None or self._home is None:
            return
        self._move(self._home)
        for _ in range(200):
            try:
                os.rmdir(self._group)
                return
            except OSError:
                time.sleep(0.01)
        print(f"could not remove {self._group}", file=sys.stderr)
