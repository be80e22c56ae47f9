"""A run that is talked to."""

from __future__ import annotations

import struct
import threading

from sandbox._errors import SandboxClosedError
from sandbox._ns._running import Running
from sandbox._types import Limits, RunResult

_LENGTH = struct.Struct("!I")


class NsSession:
    """See `Session`. The messages travel with their length in front of them."""

    def __init__(self, running: Running, limits: Limits, lock: threading.Lock, *, raw: bool = False) -> None:
        self._running = running
        self._raw = raw
        self._largest = limits.reply_bytes
        self._lock = lock
        self._result: RunResult | None = None
        self._closed = False

    @property
    def open(self) -> bool:
        """Whether `finish` is still to come."""
        return not self._closed

    def send(self, message: bytes) -> None:
        """See `Session.send`."""
        with self._lock:
            self._check()
            self._running.feed(message if self._raw else _LENGTH.pack(len(message)) + message, last=False)

    def receive(self, timeout_s: float | None = None) -> bytes | None:
        """See `Session.receive`."""
        with self._lock:
            self._check()
            data = self._running.reply.data
            if not self._running.drive(self._decided, timeout_s):
                raise TimeoutError(f"no message within {timeout_s} s")
            if self._raw:
                message = bytes(data)
                del data[:]
                return message or None
            size = self._size()
            if size is None or size > self._largest or len(data) < _LENGTH.size + size:
                return None
            message = bytes(data[_LENGTH.size : _LENGTH.size + size])
            del data[: _LENGTH.size + size]
            return message

    def finish(self, *, kill: bool = False) -> RunResult:
        """See `Session.finish`."""
        with self._lock:
            if self._result is not None:
                return self._result
            self._check()
            try:
                if kill:
                    self._running.kill()
                else:
                    self._running.end_input()
                self._running.drive(lambda: False)
                self._result = self._running.result()
                return self._result
            finally:
                self.abandon()

    def abandon(self) -> None:
        """End the run without an account of it."""
        if not self._closed:
            self._closed = True
            self._running.close()

    def _check(self) -> None:
        if self._closed:
            raise SandboxClosedError("the session is over")

    def _size(self) -> int | None:
        data = self._running.reply.data
        return _LENGTH.unpack(data[: _LENGTH.size])[0] if len(data) >= _LENGTH.size else None

    def _decided(self) -> bool:
        """Whether the next message is there, or can never come."""
        if not self._running.reply.open:
            return True
        if self._raw:
            return bool(self._running.reply.data)
        size = self._size()
        if size is None:
            return False
        if size > self._largest:
            self._running.refuse_reply()
            return False
        return len(self._running.reply.data) >= _LENGTH.size + size
