"""Who is to blame when the wall limit ends a run: one more try, and a probe of our own while nothing of it exists.

What the kernel counts of a run's tasks was caused by the run as well as by the host. The probe is a program of ours
that wants a processor for a known time. It is started when the run is gone, in the same slot and so with the same
share of the host, and shows how many times slower the host is than it should be. The second try is given that much
more time, and what it has not done by then is its own doing.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Generic, TypeVar

from sandbox._errors import SandboxFailure
from sandbox._ns._meter import HARD_CAP
from sandbox._types import Limits, Program, RunResult

_T = TypeVar("_T")
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
_STARVED = 2.0
"""With less than half a processor for a program that wants one, what the clock excuses is believed, and what it does
not excuse is doubted."""


@dataclasses.dataclass(frozen=True, slots=True)
class Attempt(Generic[_T]):
    """One try.

    Attributes:
        value: What came of it.
        elapsed_s: How long it took on the clock.
        late: Whether the wall limit ended it.
        doubtful: Whether, of one that is late, the kernel's account of its tasks leaves open who is to blame.
        excused: Whether its wall limit was not reached, less what other processes are known to have taken.
    """

    value: _T
    elapsed_s: float
    late: bool = False
    doubtful: bool = False
    excused: bool = False


def slowness(probe: RunResult) -> float:
    """How many times slower the host was for a probe; the largest that matters if it could not even end."""
    return max(1.0, float(probe.stdout)) if probe.ok else HARD_CAP


def settle(attempt: Callable[[float], Attempt[_T]], measure: Callable[[], float], wall_s: float) -> tuple[_T, float]:
    """Try, and if the host may be to blame try once more with as much more time as it is slower.

    The kernel's account of a run's tasks may leave no doubt and still be wrong: it counts the waiting of a task when
    the task gets a processor, and what a task waits for within the kernel, where others hold a lock, never. So a run
    that is late without a doubt stays late only where a probe finds a host that is not starved.

    Args:
        attempt: Makes one try, with a factor on the wall limit.
        measure: Runs the probe and returns how many times slower the host is.
        wall_s: The limit.

    Returns:
        What came of it, and the slowness that it was judged by.

    Raises:
        SandboxFailure: The host was too slow to tell, before and after.
    """
    first = attempt(1.0)
    if not first.late:
        return first.value, 1.0
    before = measure()
    if not first.doubtful and before < _STARVED:
        return first.value, 1.0
    second = attempt(before)
    if not second.doubtful:
        return second.value, 1.0
    slow = min(before, measure())
    if second.elapsed_s < slow * wall_s or (second.excused and slow >= _STARVED):
        detail = f"{second.elapsed_s:.1f} s passed on a host that is {slow:.1f} times slower than it should be"
        raise SandboxFailure("starved", detail)
    return second.value, slow
