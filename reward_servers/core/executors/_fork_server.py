"""A process of its own that the workers of one pool are forked from.

`multiprocessing` has one such process for all, which keeps the code that it was started with. A verifier that comes
later needs another, and one that is served in two versions needs one for each: such a process holds the code that was
registered, whatever becomes of the files.
"""

from __future__ import annotations

import io
import json
import os
import sys
import threading
from collections.abc import Sequence
from multiprocessing import forkserver, popen_forkserver, reduction, spawn, util
from multiprocessing.context import BaseContext, ForkServerContext, ForkServerProcess, set_spawning_popen
from typing import Any

from reward_servers.core.executors._process_tree import kill_tree

TOLD = "ASSAY_FORK_PARENT"
"""The variable by which the process is told its import path and the modules of its verifiers."""
_FOLDER = "reward_servers.core.executors."
_environment = threading.Lock()


class OwnForkServer(ForkServerContext):
    """Starts processes by forking one that no other pool uses.

    Args:
        module: What the verifier is a function of.
        judging: Modules whose code judges. Where there are others than the first, nothing of them is loaded here: code
            of others may start threads, which no fork survives.
        preload: Other modules that are imported before.
    """

    def __init__(self, module: str, judging: Sequence[str], preload: Sequence[str] = ()) -> None:
        super().__init__()
        self._server: Any = forkserver.ForkServer()
        # The first takes the import path over, which the others are found by; the last says what was loaded.
        modules = [_FOLDER + "_fork_parent", module, *preload, _FOLDER + "_loaded_code"]
        self._server.set_forkserver_preload(modules)
        self._judging = list(judging) if tuple(judging) == (module,) else []
        self._ended = False

    def Process(self, *args: Any, **options: Any) -> ForkServerProcess:  # type: ignore[override]
        """A process that is forked when it is started."""
        process = _Forked(*args, **options)
        process.origin = self
        return process

    def launch(self, descriptors: Sequence[int]) -> tuple[int, int]:
        """Fork a process that is given descriptors; the two ends for its exit code and for what it is to do."""
        with _environment:
            if self._ended:
                raise ProcessLookupError("the pool is closed")
            os.environ[TOLD] = json.dumps({"path": sys.path, "judging": self._judging})
            try:
                sentinel, orders = self._server.connect_to_new_process(list(descriptors))
            finally:
                del os.environ[TOLD]
        return sentinel, orders

    @property
    def pid(self) -> int:
        """The process that is forked from; 0 while there is none."""
        return self._server._forkserver_pid or 0

    def kill(self) -> None:
        """Kill the process that is forked from: its modules may never be loaded. Whoever waits for it gets an error."""
        with _environment:
            self._ended = True
            if self.pid:
                kill_tree(self.pid)

    def close(self) -> None:
        """Wait for its end, and give back what it was reached by."""
        self._server._stop()


def fork_parent(context: BaseContext) -> int:
    """The process that a context forks its processes from; 0 where it starts them in another way."""
    if isinstance(context, OwnForkServer):
        return context.pid
    shared: Any = forkserver._forkserver
    return (shared._forkserver_pid or 0) if context.get_start_method() == "forkserver" else 0


def _close(*descriptors: int) -> None:
    for descriptor in descriptors:
        os.close(descriptor)


class _Forked(ForkServerProcess):
    origin: OwnForkServer | None = None

    @staticmethod
    def _Popen(process_obj: Any) -> Any:
        return _Popen(process_obj)

    def __getstate__(self) -> dict[str, Any]:
        """What the process itself is told."""
        return {name: value for name, value in self.__dict__.items() if name != "origin"}


class _Popen(popen_forkserver.Popen):
    def _launch(self, process_obj: Any) -> None:
        buffer = io.BytesIO()
        set_spawning_popen(self)
        try:
            reduction.dump(spawn.get_preparation_data(process_obj._name), buffer)
            reduction.dump(process_obj, buffer)
        finally:
            set_spawning_popen(None)
        own: Any = self
        own.sentinel, orders = process_obj.origin.launch(own._fds)
        # The process ends by itself once this end of the pipe is gone, wherever it is held.
        own.finalizer = util.Finalize(self, _close, (os.dup(orders), own.sentinel))
        with open(orders, "wb") as pipe:
            pipe.write(buffer.getbuffer())
        own.pid = forkserver.read_signed(own.sentinel)
