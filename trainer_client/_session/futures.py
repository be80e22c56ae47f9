"""Futures of single samples, which tell when they are cancelled and cost little each.

A future of ``concurrent.futures`` makes a lock, a condition and two lists; hundreds of thousands of them are what a
trainer's threads spend their time on. Here neighbours share a condition, and the lists are made when they are needed.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import logging
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures._base import CANCELLED, CANCELLED_AND_NOTIFIED, FINISHED, PENDING
from typing import Any, TypeVar

from trainer_client.result.rollout_result import RolloutResult

logger = logging.getLogger("trainer_client")

_T = TypeVar("_T")
_SHARERS = 256


class _Condition(threading.Condition):
    """A condition that many futures share; its lock may be taken several times by one thread, as `wait` does."""

    def __init__(self, cancelled: Callable[[], None]) -> None:
        super().__init__(threading.RLock())
        self.cancelled = cancelled
        self.left = _SHARERS


class ThreadFuture(concurrent.futures.Future[RolloutResult]):
    """A future for threads. Waits, callbacks, `wait` and `as_completed` work as of any other."""

    _state: str = PENDING
    _result: RolloutResult | None = None
    _exception: BaseException | None = None

    def __init__(self, condition: _Condition) -> None:
        # Not the base's: it makes what is shared here.
        self._condition: _Condition = condition

    def __getattr__(self, name: str) -> Any:
        if name not in ("_waiters", "_done_callbacks"):
            raise AttributeError(name)
        values: list[Any] = []
        setattr(self, name, values)
        return values

    def cancel(self) -> bool:
        """Cancel: the rollout is not judged any more, if it was not yet."""
        was = self._state
        cancelled = super().cancel()
        if cancelled and was == PENDING:
            self._condition.cancelled()
        return cancelled

    def result(self, timeout: float | None = None) -> RolloutResult:
        """The result: see `concurrent.futures.Future.result`."""
        if self._state == FINISHED and self._result is not None:
            return self._result  # no lock is needed to read what never changes again
        self._wait(timeout)
        # Done, so that the base does not wait on a condition whose wake-ups are for others too.
        return super().result(0)

    def exception(self, timeout: float | None = None) -> BaseException | None:
        """The error: see `concurrent.futures.Future.exception`."""
        self._wait(timeout)
        return super().exception(0)

    def _invoke_callbacks(self) -> None:
        """Call the callbacks. They run where all work of the client is done, which must not end with one of them."""
        for callback in self._done_callbacks:
            try:
                callback(self)
            except BaseException:
                logger.exception("a callback of the future of a rollout has failed")

    def _wait(self, timeout: float | None) -> None:
        ends = None if timeout is None else time.monotonic() + timeout
        with self._condition:
            while self._state not in (FINISHED, CANCELLED, CANCELLED_AND_NOTIFIED):
                left = None if ends is None else ends - time.monotonic()
                if left is not None and left <= 0:
                    raise TimeoutError
                self._condition.wait(left)


class ThreadFutures:
    """Makes futures for threads.

    Args:
        cancelled: called, on any thread, when one of them is cancelled.
    """

    def __init__(self, cancelled: Callable[[], None]) -> None:
        self._cancelled = cancelled
        self._condition = _Condition(cancelled)

    def make(self) -> ThreadFuture:
        """One more."""
        condition = self._condition
        if condition.left <= 0:
            condition = self._condition = _Condition(self._cancelled)
        condition.left -= 1
        return ThreadFuture(condition)


def settle(futures: Sequence[ThreadFuture], results: Sequence[RolloutResult | BaseException]) -> None:
    """Settle futures, those that share a condition under one hold of its lock; cancelled ones are left."""
    at = 0
    while at < len(futures):
        condition = futures[at]._condition
        done: list[ThreadFuture] = []
        with condition:
            while at < len(futures) and futures[at]._condition is condition:
                future, result = futures[at], results[at]
                at += 1
                if future._state != PENDING:
                    if future._state == CANCELLED:
                        future.set_running_or_notify_cancel()
                    continue
                if isinstance(result, BaseException):
                    future._exception = result
                else:
                    future._result = result
                future._state = FINISHED
                if len(future.__dict__) > _PLAIN:
                    done.append(future)
            for future in done:
                for waiter in future._waiters:
                    if future._exception is not None:
                        waiter.add_exception(future)
                    else:
                        waiter.add_result(future)
            condition.notify_all()
        for future in done:
            future._invoke_callbacks()


_PLAIN = 3
"""Attributes of a settled future that nothing else was asked of: condition, state, result or error."""


class LoopFuture(asyncio.Future[_T]):
    """A future for one event loop.

    Attributes:
        tell: called when it is cancelled. Set by its maker: an ``__init__`` here would cost as much as the rest of it.
    """

    tell: Callable[[], None]

    def cancel(self, msg: Any | None = None) -> bool:
        """Cancel: the rollout is not judged any more, if it was not yet."""
        cancelled = super().cancel(msg)
        if cancelled:
            self.tell()
        return cancelled
