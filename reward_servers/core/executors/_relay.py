"""What worker processes print, as lines of the server's log, bounded so that no verifier fills the disk."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import time

_log = logging.getLogger("assay.worker")
_BURST = 64 << 10
"""Bytes that a worker may print at once."""
_RATE = 8 << 10
"""Bytes per second that it may print in the long run."""
_READ = 1 << 16


class Relay:
    """Reads what one worker prints."""

    def __init__(self, descriptor: int) -> None:
        """Begin to read.

        Args:
            descriptor: The reading end of a pipe; closed by this object.
        """
        self._descriptor = descriptor
        self._allowed = float(_BURST)
        self._filled = time.monotonic()
        self._dropped = 0
        self._open = True
        os.set_blocking(descriptor, False)
        asyncio.get_running_loop().add_reader(descriptor, self._read)

    def close(self) -> None:
        """Read what is left and end."""
        while self._open and self._read():
            pass
        self._end()

    def _read(self) -> bool:
        try:
            data = os.read(self._descriptor, _READ)
        except BlockingIOError:
            return False
        except OSError:
            data = b""
        if not data:
            self._end()
            return False
        self._tell(data)
        return True

    def _end(self) -> None:
        if self._open:
            self._open = False
            with contextlib.suppress(RuntimeError):
                asyncio.get_running_loop().remove_reader(self._descriptor)
            os.close(self._descriptor)
            self._tell_dropped()

    def _tell(self, data: bytes) -> None:
        now = time.monotonic()
        self._allowed = min(_BURST, self._allowed + _RATE * (now - self._filled))
        self._filled = now
        passed = data[: int(self._allowed)]
        self._allowed -= len(passed)
        if passed:
            self._tell_dropped()
            for line in passed.decode("utf-8", "replace").splitlines():
                _log.info("%s", line)
        self._dropped += len(data) - len(passed)

    def _tell_dropped(self) -> None:
        if self._dropped:
            _log.warning("%d bytes that a worker printed are left out", self._dropped)
            self._dropped = 0
