"""What the server's benchmarks share: servers in processes of their own, their CPU time, and realistic text."""

from __future__ import annotations

import contextlib
import random
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

_PIECES = (
    "Let $x_{i} = \\frac{a_i}{b_i}$ be given.\n",
    "Then $\\sum_{i=1}^{n} x_i \\le \\sqrt{n}\\,\\left(\\sum x_i^2\\right)^{1/2}$, ",
    "so the “bound” holds for α ≥ 0.\n",
    "\\begin{align} y &= mx + b \\\\ &= 7 \\end{align}\n",
    "We conclude that the answer is \\boxed{\\frac{3}{4}}.\n",
)


def latex(length: int, seed: int) -> str:
    """Text like a solution's, of ``length`` characters, different for each seed."""
    draw = random.Random(seed)
    text = f"{seed} "
    while len(text) < length:
        text += draw.choice(_PIECES)
    return text[:length]


@dataclass
class ServerProcess:
    """A server under measurement."""

    address: str
    pid: int

    def cpu(self, *, tree: bool = False) -> float:
        """CPU seconds of the server process, or of it and its workers."""
        process = psutil.Process(self.pid)
        pids = [self.pid, *(child.pid for child in process.children(recursive=True) if tree)]
        # The scheduler counts nanoseconds; the times that `ps` shows are in ticks of ten milliseconds.
        threads = (path for pid in pids for path in Path(f"/proc/{pid}/task").glob("*/schedstat"))
        return sum(int(path.read_text().split()[0]) for path in threads) * 1e-9

    def resident(self) -> dict[str, int]:
        """Bytes of memory that only the server holds, and that all its workers hold together."""
        process = psutil.Process(self.pid)
        workers = sum(one.memory_full_info().uss for one in process.children(recursive=True))
        return {"server": process.memory_full_info().uss, "workers": workers}


@contextlib.contextmanager
def _started(command: Sequence[str]) -> Iterator[ServerProcess]:
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        yield ServerProcess(line.split()[2], process.pid)
    finally:
        process.terminate()
        process.wait()


@contextlib.contextmanager
def our_server(
    *names: str, workers: int = 2, config: str | None = None, options: Sequence[str] = ()
) -> Iterator[ServerProcess]:
    """``assay serve``."""
    serve = [sys.executable, "-m", "reward_servers", "serve", *names, "--workers", str(workers), *options]
    if config is not None:
        serve += ["--config", config]
    with _started(serve) as server:
        yield server


@contextlib.contextmanager
def bare_server() -> Iterator[ServerProcess]:
    """The bare echo."""
    with _started([sys.executable, "-m", "benchmarks.server.bare"]) as server:
        yield server
