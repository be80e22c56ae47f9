"""What is announced, until when, and on disk so that a restart of the registry costs nothing."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

SHORTEST_LEASE, LONGEST_LEASE = 2.0, 300.0
"""Seconds: a shorter lease is ended by a pause of a busy host, a longer one keeps the dead in the list."""
MOST_SERVERS = 10_000
"""Entries at most, so that one caller cannot fill the memory."""

_TABLE = """
CREATE TABLE IF NOT EXISTS servers (
    address TEXT PRIMARY KEY, instance TEXT NOT NULL, identity BLOB NOT NULL, message BLOB NOT NULL, lease REAL NOT NULL
)
"""


class FullError(Exception):
    """There is no place for another server."""


class Entry(NamedTuple):
    """A server that was announced.

    Attributes:
        address: Where clients reach it.
        instance: The process that announced it.
        identity: What changes when clients have to look again: all of the announcement but its load.
        message: The announcement.
        lease: Seconds that it counts as there without a renewal.
    """

    address: str
    instance: str
    identity: bytes
    message: bytes
    lease: float


class Registry:
    """Servers, each until its lease ends.

    What was announced before a restart is taken as announced at the restart: its servers have one lease to renew.

    Args:
        path: A SQLite file; None keeps everything in memory.
        clock: Seconds, never going back.
    """

    def __init__(self, path: Path | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._ends: dict[str, float] = {}
        self._entries: dict[str, Entry] = {}
        self._revision = ""
        """Empty where the list has changed since it was computed."""
        # Announcements are few and small. In a write-ahead log a commit without a sync survives the process, and what a
        # lost host loses is renewed by the servers.
        self._base = sqlite3.connect(path if path is not None else ":memory:", isolation_level=None)
        self._base.execute("PRAGMA journal_mode = WAL")
        self._base.execute("PRAGMA synchronous = NORMAL")
        self._base.execute(_TABLE)
        now = clock()
        for row in self._base.execute("SELECT address, instance, identity, message, lease FROM servers"):
            entry = Entry(*row)
            self._entries[entry.address] = entry
            self._ends[entry.address] = now + entry.lease

    def announce(self, entry: Entry) -> float:
        """Take an announcement, or the renewal of one.

        Returns:
            The lease that it got, in seconds.

        Raises:
            FullError: There are `MOST_SERVERS` others.
        """
        entry = entry._replace(lease=min(max(entry.lease, SHORTEST_LEASE), LONGEST_LEASE))
        before = self._entries.get(entry.address)
        if before is None:
            self._drop_ended()
            if len(self._entries) >= MOST_SERVERS:
                raise FullError(f"{MOST_SERVERS} servers are announced already")
        if before is None or before[1:3] != entry[1:3] or before.lease != entry.lease:
            self._base.execute("INSERT OR REPLACE INTO servers VALUES (?, ?, ?, ?, ?)", entry)
            self._revision = ""
        self._entries[entry.address] = entry
        self._ends[entry.address] = self._clock() + entry.lease
        return entry.lease

    def withdraw(self, address: str, instance: str) -> None:
        """Take a server out of the list, if this process is the one that announced it."""
        entry = self._entries.get(address)
        if entry is not None and entry.instance == instance:
            self._drop(address)

    def instance_at(self, address: str) -> str:
        """The process that has announced an address; empty where none has, or its lease has ended."""
        ends = self._ends.get(address)
        return self._entries[address].instance if ends is not None and ends > self._clock() else ""

    def servers(self) -> list[Entry]:
        """The servers whose lease has not ended, by address."""
        self._drop_ended()
        return [self._entries[address] for address in sorted(self._entries)]

    def revision(self) -> str:
        """What changes with the list of servers: with who is there and what they host, and with nothing else."""
        self._drop_ended()
        if not self._revision:
            digest = sha256()
            for entry in self.servers():
                for field in (entry.address.encode(), entry.instance.encode(), entry.identity):
                    digest.update(len(field).to_bytes(8, "big") + field)
            self._revision = digest.hexdigest()
        return self._revision

    def close(self) -> None:
        """Close the file."""
        self._base.close()

    def _drop_ended(self) -> None:
        now = self._clock()
        for address in [address for address, end in self._ends.items() if end <= now]:
            self._drop(address)

    def _drop(self, address: str) -> None:
        del self._entries[address], self._ends[address]
        self._base.execute("DELETE FROM servers WHERE address = ?", (address,))
        self._revision = ""
