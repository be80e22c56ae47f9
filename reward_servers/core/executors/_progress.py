"""Where a worker is, in memory that it shares with the server: what it was on is known even when it has died."""

from __future__ import annotations

import contextlib
import fcntl
import mmap
import os
import struct

_SEAL_LATER_WRITES = 0x10
_PLACE = struct.Struct("<II?")


class Progress:
    """The chunk and the place in it of the item that a worker has begun last, and whether others disturb it."""

    def __init__(self, descriptor: int, *, last: bool = False) -> None:
        """Map the memory; the descriptor stays open.

        Args:
            descriptor: A file of at least one page.
            last: Whether no other process will map it.
        """
        self._memory = mmap.mmap(descriptor, mmap.PAGESIZE)
        if not last:
            return
        with contextlib.suppress(OSError):
            # What is mapped goes on; bytes written to the descriptor by mistake are refused.
            fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, _SEAL_LATER_WRITES)

    @staticmethod
    def create() -> int:
        """Make the memory.

        Returns:
            Its descriptor, which the caller closes.
        """
        descriptor = os.memfd_create("assay-progress", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        os.ftruncate(descriptor, mmap.PAGESIZE)
        return descriptor

    def begin(self, chunk: int, place: int, *, disturbed: bool = False) -> None:
        """Say that an item begins, and whether threads or processes are there that earlier items have left."""
        _PLACE.pack_into(self._memory, 0, chunk, place, disturbed)

    def read(self) -> tuple[int, int, bool]:
        """The chunk and the place of the item that began last, and what was said of it; chunk 0 when none has."""
        chunk, place, disturbed = _PLACE.unpack_from(self._memory, 0)
        return int(chunk), int(place), bool(disturbed)

    def close(self) -> None:
        """Release the memory."""
        self._memory.close()
