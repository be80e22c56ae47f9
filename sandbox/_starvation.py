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

from sandbox._errors import SandboxInternalError

_T = TypeVar("_T")
_STARVED = 2.0
"""With less than half a processor for a program that wants one, what the clock excuses is believed."""
_TRIES = 3
"""Of a run that the host's stalls decide: they do not come every time."""
_HELD_UP = 4.0
"""Below this no wait is known to be left out of the kernel's account, so what the clock does not excuse is final."""


@dataclasses.dataclass(frozen=True, slots=True)
class Attempt(Generic[_T]):
    """One try.

    Attributes:
        value: What came of it.
        elapsed_s: How long it took on the clock, in seconds.
        wall_s: The same, less what other processes are known to have taken.
        least_s: The same, less all that any task of it waited for a processor.
        stalled_s: How long the host stood still meanwhile, which the two before leave out.
        late: Whether the wall limit ended it.
        doubtful: Whether, of one that is late, the kernel's account of its tasks leaves open who is to blame.
        proven: Whether another limit ended it, for which no host is to blame.
    """

    value: _T
    elapsed_s: float
    wall_s: float
    least_s: float
    _: dataclasses.KW_ONLY
    stalled_s: float = 0.0
    late: bool = False
    doubtful: bool = False
    proven: bool = False

    def answers(self, wall_s: float) -> bool:
        """Whether it ended by itself within a limit, all its waiting for a processor left out."""
        return not self.late and self.least_s <= wall_s

    def hinges_on_a_stall(self, wall_s: float) -> bool:
        """Whether it ended within a limit by the host's stall alone. One that sleeps goes on sleeping in a stall."""
        return not self.proven and self.answers(wall_s) and self.least_s + self.stalled_s > wall_s


def settle(attempt: Callable[[float], Attempt[_T]], measure: Callable[[], float], wall_s: float) -> tuple[_T, float]:
    """Try, and if the host may be to blame try once more with as much more time as it is slower.

    The kernel's account of a run's tasks may leave no doubt and still be wrong: it counts the waiting of a task when
    the task gets a processor, and what a task waits for within the kernel, where others hold a lock, never. So a run
    that is late without a doubt stays late only where a probe finds a host that is not starved.

    More time is given to tell a program that was kept waiting from one that waits. It is no higher limit: what is
    late although every wait for a processor is left out is not in time, or a program that only sleeps too long would
    be right on a slow host and wrong on a fast one. For the same reason a run that is in time only because a stall of
    the whole host is left out is no answer, and is tried again. Where the account itself is in question it gets a
    third try: the host's own stalls do not come every time, a program's do.

    Args:
        attempt: Makes one try, with a factor on the wall limit.
        measure: Runs the probe and returns how many times slower the host is.
        wall_s: The limit.

    Returns:
        What came of it, and the slowness that it was judged by.

    Raises:
        SandboxInternalError: The host was too slow to tell, before and after.
    """

    def tried(wall_factor: float) -> Attempt[_T]:
        for _ in range(_TRIES):
            one = attempt(wall_factor)
            if not one.hinges_on_a_stall(wall_s):
                return one
        raise SandboxInternalError("starved", f"the host stood still for a while in each of {_TRIES} tries")

    first = tried(1.0)
    if not first.late:
        return first.value, 1.0
    slow = measure()
    if not first.doubtful:
        slow = min(slow, measure()) if slow >= _HELD_UP else slow
        if slow < _HELD_UP:
            return first.value, 1.0
    second = tried(slow)
    if second.answers(wall_s) or second.proven or (second.late and not second.doubtful):
        return second.value, 1.0
    if not second.late:
        third = tried(slow) if slow >= _HELD_UP else second
        return third.value if third.answers(wall_s) or third.proven else first.value, 1.0
    slow = min(slow, measure())
    if second.elapsed_s < slow * wall_s or (second.wall_s <= wall_s and slow >= _STARVED):
        detail = f"{second.elapsed_s:.1f} s passed on a host that is {slow:.1f} times slower than it should be"
        raise SandboxInternalError("starved", detail)
    return second.value, slow
