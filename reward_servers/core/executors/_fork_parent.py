"""Imported by the process that worker processes are forked from, and by no other: makes it outlive signals to all.

A terminal, a job scheduler and ``killpg`` send SIGTERM and SIGHUP to every process. Only the server acts on them; it
still needs its workers to finish what was admitted, and they end when the process that forked them does.
"""

from __future__ import annotations

import atexit
import json
import os
import signal
import sys
import warnings

from reward_servers.core.executors._fork_server import TOLD
from reward_servers.core.executors._process_tree import adopt_orphans, kill_descendants

_PID = os.getpid()
_told = json.loads(os.environ.pop(TOLD, "{}"))
judging: list[str] = _told.get("judging", [])
sys.path[:] = _told.get("path", sys.path)


def _end_all() -> None:
    """The server has ended: nothing that a worker or an item has started outlives it."""
    if os.getpid() == _PID:
        kill_descendants(_PID)


signal.signal(signal.SIGTERM, signal.SIG_IGN)
signal.signal(signal.SIGHUP, signal.SIG_IGN)
adopt_orphans()
# The orphans of workers end as children of this process, which Python's fork server takes for a mistake of its own.
warnings.filterwarnings("ignore", message="forkserver: waitpid returned unexpected pid")
atexit.register(_end_all)
