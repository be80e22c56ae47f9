"""What an item has started and left: ended with the item where it has left the worker's session."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time

from reward_servers.core.executors._process_tree import children_of, is_helper, kill_descendants

_REAPED_WITHIN = 0.1


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
