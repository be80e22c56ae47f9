"""Where verifiers run: on the event loop, in worker processes, or in a worker of a device."""

from reward_servers.core.executors._loop import LoopExecutor
from reward_servers.core.executors._processes import ProcessExecutor

__all__ = ["LoopExecutor", "ProcessExecutor"]
