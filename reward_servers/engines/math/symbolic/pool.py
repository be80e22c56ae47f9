"""The last stage: sympy in worker processes that can be killed.

A worker is a fresh interpreter with a cap on its memory and a CPU-time limit for each question, so the
outcome of a question depends on the question and not on the load.  The process that owns a pool owns
its workers: they end with `stop`, with the interpreter, and when the owner dies, because their input ends.
"""

from __future__ import annotations

import atexit
import json
import os
import select
import signal
import subprocess
import sys
import threading
from pathlib import Path
from queue import SimpleQueue
from types import TracebackType
from typing import Any

from reward_servers.engines.math.errors import LimitExceededError, SymbolicUnavailableError
from reward_servers.engines.math.nodes import Call, Const, Node, Num, Sym

_WORKER = Path(__file__).with_name("worker.py")
_WALL_SECONDS = 60.0
"""A worker that has not answered by then was not given the processor, or sleeps: a failure of ours."""


class NoFormError(Exception):
    """The node is no scalar expression; nothing can be said about it symbolically."""


def tree(node: Node) -> list[Any]:
    """A scalar expression as nested lists, the only thing that crosses to a worker.

    Raises:
        NoFormError: The node is no scalar expression.
    """
    match node:
        case Num(value):
            return ["num", hex(value.numerator), hex(value.denominator)]
        case Sym(name):
            return ["sym", name]
        case Const(name):
            return ["const", name]
        case Call(head, args):
            return [head, *(tree(a) for a in args)]
        case _:
            raise NoFormError


class _Worker:
    """One interpreter; used by one thread at a time."""

    def __init__(self, memory_mib: int) -> None:
        env = {k: os.environ[k] for k in ("PATH", "LANG", "LD_LIBRARY_PATH", "SYSTEMROOT") if k in os.environ}
        env.update(
            PYTHONPATH=os.pathsep.join(p for p in sys.path if p),
            PYTHONHASHSEED="0",
            SYMPY_GROUND_TYPES="python",
            ASSAY_HELPER="1",
        )
        self.process = subprocess.Popen(
            [sys.executable, "-P", str(_WORKER), str(memory_mib)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=env,
            start_new_session=True,
        )

    def ask(self, question: bytes, wall_seconds: float) -> dict[str, Any]:
        """Send one question and wait for its answer.

        Raises:
            SymbolicUnavailableError: The worker ended, or did not answer in time.
            LimitExceededError: The question used up its CPU time.
        """
        process = self.process
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            process.stdin.write(question)
            process.stdin.flush()
        except OSError as exc:
            raise SymbolicUnavailableError("the symbolic worker has ended") from exc
        ready, _, _ = select.select([process.stdout], [], [], wall_seconds)
        if not ready:
            self.kill()
            raise SymbolicUnavailableError(f"no answer from the symbolic worker in {wall_seconds:.0f} s")
        line = process.stdout.readline()
        if not line:
            code = process.wait()
            if code == -signal.SIGPROF:
                raise LimitExceededError("cpu_seconds", "the symbolic stage used up its CPU time")
            raise SymbolicUnavailableError(f"the symbolic worker ended with code {code}")
        try:
            reply: dict[str, Any] = json.loads(line)
        except ValueError as exc:
            self.kill()
            raise SymbolicUnavailableError("the symbolic worker answered with something else") from exc
        return reply

    def kill(self) -> None:
        """End the process and reap it."""
        self.process.kill()
        self.process.wait()
        for stream in (self.process.stdin, self.process.stdout):
            if stream is not None:
                stream.close()

    @property
    def alive(self) -> bool:
        """Whether the process still runs."""
        return self.process.poll() is None


class SymbolicPool:
    """Workers for the symbolic stage; safe to share between threads.

    Args:
        workers: How many questions may run at once; further ones wait.
        cpu_seconds: CPU time of one question; passing it is the candidate's `limit`.
        memory_mib: What a worker may use beyond sympy itself.

    Workers start when first needed, or with `start`.  The pool may be stopped and used again.
    """

    def __init__(self, workers: int = 1, *, cpu_seconds: float = 0.8, memory_mib: int = 192) -> None:
        self.cpu_seconds = cpu_seconds
        self.memory_mib = memory_mib
        self._owner = os.getpid()
        self._slots: SimpleQueue[_Worker | None] = SimpleQueue()
        self._all: set[_Worker] = set()
        self._lock = threading.Lock()
        self._size = workers
        for _ in range(workers):
            self._slots.put(None)

    @property
    def pids(self) -> list[int]:
        """Process ids of the workers that were started and not stopped."""
        with self._lock:
            return [worker.process.pid for worker in self._all]

    def start(self) -> None:
        """Start the workers now, so that the first question does not wait for an interpreter."""
        workers = [self._slots.get() for _ in range(self._size)]
        for worker in workers:
            self._slots.put(worker if worker is not None and worker.alive else self._new())

    def stop(self) -> None:
        """End all workers; questions in progress fail with `SymbolicUnavailableError`."""
        with self._lock:
            workers, self._all = self._all, set()
        for worker in workers:
            worker.kill()

    def __enter__(self) -> SymbolicPool:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _new(self) -> _Worker:
        try:
            worker = _Worker(self.memory_mib)
        except OSError as exc:
            raise SymbolicUnavailableError(f"a symbolic worker could not start: {exc}") from exc
        with self._lock:
            self._all.add(worker)
        return worker

    def same(self, left: Node, right: Node) -> bool | None:
        """Whether two scalar expressions are equal; None where sympy cannot tell within its bounds.

        Raises:
            LimitExceededError: CPU time or memory ran out: the expressions are too hard.
            SymbolicUnavailableError: A worker could not answer for a reason of ours.
        """
        if os.getpid() != self._owner:
            raise SymbolicUnavailableError("a symbolic pool does not survive a fork; build one in the child")
        try:
            question = json.dumps({"left": tree(left), "right": tree(right), "cpu": self.cpu_seconds}).encode() + b"\n"
        except NoFormError:
            return None
        try:
            reply = self._ask(question)
        except SymbolicUnavailableError:
            reply = self._ask(question)  # once more, on a fresh worker
        if reply.get("error") == "memory":
            raise LimitExceededError("memory_mib", "the symbolic stage used up its memory")
        if "error" in reply:
            raise SymbolicUnavailableError(str(reply["error"]))
        is_same: bool | None = reply["same"]
        return is_same

    def _ask(self, question: bytes) -> dict[str, Any]:
        worker = self._slots.get()
        try:
            if worker is None or not worker.alive or worker not in self._all:
                worker = self._new()
            return worker.ask(question, _WALL_SECONDS)
        finally:
            alive = worker is not None and worker.alive
            if worker is not None and not alive:
                with self._lock:
                    self._all.discard(worker)
                worker.kill()
            self._slots.put(worker if alive else self._replacement())

    def _replacement(self) -> _Worker | None:
        """A new worker in place of a dead one, which imports sympy before a question waits for it."""
        try:
            return self._new()
        except SymbolicUnavailableError:
            return None


_default: SymbolicPool | None = None
_default_lock = threading.Lock()


def default_pool() -> SymbolicPool:
    """The pool of this process, made on first use and stopped at exit."""
    global _default
    with _default_lock:
        if _default is None or _default._owner != os.getpid():
            _default = SymbolicPool()
            atexit.register(_default.stop)
        return _default
