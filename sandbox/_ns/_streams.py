"""What a run writes, kept up to a limit."""

from __future__ import annotations

import math
import os
import time

_CHUNK = 1 << 16  # as much as a pipe holds
_SMALL = 4096
_MANY_PARTS = 256
_IN_A_ROW_S = 0.02
_GATHER_S = 0.001


class Stream:
    """One output of a run, kept up to its limit."""

    def __init__(self, descriptor: int, limit: int) -> None:
        self.descriptor = descriptor
        self.data = bytearray()
        self.truncated = False
        self.open = True
        self.was_full = False
        self.was_small = False
        self._limit = limit

    def read(self) -> bool:
        """Take what is there; False when nothing more was."""
        self.was_full = self.was_small = False
        try:
            part = os.read(self.descriptor, _CHUNK)
        except BlockingIOError:
            return False
        except ConnectionResetError:
            part = b""
        if not part:
            self.open = False
            return False
        self.was_full = len(part) == _CHUNK
        self.was_small = len(part) < _SMALL
        room = self._limit - len(self.data)
        self.data += part[:room]
        if len(part) > room:
            self.truncated = True
        return True

    def overflows(self) -> bool:
        """Whether more has been written than is kept, where this can be seen without reading."""
        return self.truncated

    def drain(self) -> None:
        """Take all that is left, when no process can write any more."""
        while self.open and not self.truncated and self.read():
            pass


class FileStream(Stream):
    """One output of a run that goes to a file: the program neither waits for a reader nor sees that it should."""

    def overflows(self) -> bool:
        """See `Stream.overflows`."""
        self.truncated = self.truncated or os.fstat(self.descriptor).st_size > self._limit
        return self.truncated

    def drain(self) -> None:
        """See `Stream.drain`."""
        self.overflows()
        while len(self.data) < self._limit:
            part = os.pread(self.descriptor, self._limit - len(self.data), len(self.data))
            if not part:
                break
            self.data += part
        self.open = False


class Trickle:
    """Small parts in a row: a program that writes byte by byte would cost its reader a turn for each of them."""

    def __init__(self) -> None:
        self._parts = 0
        self._latest = -math.inf

    def note(self, stream: Stream) -> None:
        """A stream was read."""
        now = time.monotonic()
        follows = stream.was_small and now - self._latest < _IN_A_ROW_S
        self._parts, self._latest = self._parts + 1 if follows else 0, now

    def let_gather(self) -> None:
        """Wait a moment, in which more is written, where there were many; no pipe is full so soon."""
        if self._parts > _MANY_PARTS:
            time.sleep(_GATHER_S)
