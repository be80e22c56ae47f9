"""A program of ours that shows how many times slower a host is than it should be."""

from __future__ import annotations

from sandbox._ns._meter import HARD_CAP
from sandbox._types import Limits, Program, RunResult

PROBE = Program(
    "python",
    b"import time\nwall, cpu = time.perf_counter(), time.thread_time()\n"
    b"while time.thread_time() - cpu < 0.05: pass\n"
    b"print((time.perf_counter() - wall) / (time.thread_time() - cpu))",
)
_WORK = b"for _ in range(1_500_000): pass\n"
WORK = Program(
    "python",
    b"import time\nstart = time.perf_counter()\n" + _WORK + b"print(time.perf_counter() - start)",
)
"""A probe for where processor time cannot be read: how long a piece of work takes."""
WORK_COST = b"import time\nstart = time.thread_time()\n" + _WORK + b"print(time.thread_time() - start)"
"""What the same piece of work costs, by a clock that can be trusted."""
PROBE_LIMITS = Limits(cpu_s=5.0, wall_s=10.0)


def slowness(probe: RunResult) -> float:
    """How many times slower the host was for a probe; the largest that matters if it could not even end."""
    return max(1.0, float(probe.stdout)) if probe.ok else HARD_CAP
