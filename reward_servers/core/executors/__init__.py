"""Where verifiers run: on the event loop, in worker processes, or in a worker of a device."""

from reward_servers.core.executors._loop import LoopExecutor
from reward_servers.core.executors._process_tree import (
    adopt_orphans,
    descendants_of,
    kill_descendants,
    kill_tree,
    state_of,
)
from reward_servers.core.executors._processes import ProcessExecutor

__all__ = [
    "LoopExecutor",
    "ProcessExecutor",
    "adopt_orphans",
    "descendants_of",
    "kill_descendants",
    "kill_tree",
    "state_of",
]
