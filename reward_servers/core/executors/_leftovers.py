"""What an item has started and left: ended with the item where it has left the worker's session."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time

from reward_servers.core.executors._process_tree import (
    children_of,
    descendants_of,
    is_helper,
    kill_descendants,
    state_of,
)

_REAPED_WITHIN = 0.1
_LOOKS = 25
_LOOK = 0.02
"""Seconds between looks at what runs although no item does: for longer than the 0.2 s in which threads of numerical
libraries spin after their work."""
_MISSES = 5
"""Looks at which nothing may be found able to run where something computes."""


class Leftovers:
    """The children of this worker that are not its helpers.

    Kept for later items are the children that were there before the first item, those that stay in the worker's
    session, and those that are marked as helpers.

    Attributes:
        compute: Whether threads or processes that items have left may compute, so that time is counted as a later
            item's which is not: all but the threads and children that were there before, and helpers.
    """

    def __init__(self) -> None:
        self._me = os.getpid()
        self._session = os.getsid(0)
        self._kept = set(children_of(self._me))
        self._threads = threading.active_count()
        self.compute = False

    def end(self) -> None:
        """End what has left the session, with everything that it has started."""
        self.compute = threading.active_count() > self._threads
        try:
            os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        except ChildProcessError:
            return  # the usual case, at the price of one system call
        children = children_of(self._me)
        self._kept &= set(children)
        for pid in children:
            if pid in self._kept:
                continue
            if is_helper(pid):
                self._kept.add(pid)
            elif self._in_session(pid):
                self.compute = True
            else:
                _end(pid)

    def compute_now(self) -> bool:
        """Whether what items have left computes at this moment, in which no item runs.

        Who computes can run whenever it is looked at, however small a share of a processor a crowded host gives it.
        """
        missed = 0
        for _ in range(_LOOKS):
            time.sleep(_LOOK)
            missed += not self._can_run()
            if missed > _MISSES:
                return False
        return True

    def _can_run(self) -> bool:
        me = self._me
        threads = [f"{me}/task/{thread}" for thread in os.listdir(f"/proc/{me}/task") if int(thread) != me]
        # What those that are kept have started, as a sandbox its spare processes, is theirs.
        left = [child for child in children_of(me) if child not in self._kept and not is_helper(child)]
        below = [process for child in left for process in descendants_of(child)]
        return any(state_of(process) == "R" for process in (*threads, *map(str, left + below)))

    def _in_session(self, pid: int) -> bool:
        try:
            return os.getsid(pid) == self._session
        except ProcessLookupError:
            return True


def _end(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(pid, signal.SIGSTOP)
        kill_descendants(pid)
        os.kill(pid, signal.SIGKILL)
    until = time.monotonic() + _REAPED_WITHIN
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(pid, os.WNOHANG) == (0, 0) and time.monotonic() < until:
            time.sleep(0.001)
