"""What a registry keeps on disk, so that its restart costs nothing."""

from __future__ import annotations

import logging
import sqlite3
import time
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import NamedTuple

from google.protobuf.message import DecodeError

from trainer_client.contract.v1 import registry_service_pb2 as registry_pb2

_log = logging.getLogger("assay.server")
_PATIENCE = 1.0
"""Seconds to wait for a file that a registry which ends still has."""
_AGAIN = 1.0
"""Seconds between attempts to write to a disk that has refused."""

_TABLE = """
CREATE TABLE IF NOT EXISTS servers (
    address TEXT PRIMARY KEY, instance TEXT NOT NULL, identity BLOB NOT NULL, message BLOB NOT NULL,
    lease REAL NOT NULL, owner TEXT NOT NULL DEFAULT ''
)
"""
_FIELDS = "address, instance, identity, message, lease, owner"
_INSERT = f"INSERT OR REPLACE INTO servers ({_FIELDS}) VALUES (?, ?, ?, ?, ?, ?)"  # noqa: S608 (names of ours)


class Entry(NamedTuple):
    """A server that was announced.

    Attributes:
        address: Where clients reach it.
        instance: The process that announced it.
        identity: What changes when clients have to look again: all of the announcement but its load.
        message: The announcement.
        lease: Seconds that it counts as there without a renewal.
        owner: Who announced it; empty where callers are not told apart.
    """

    address: str
    instance: str
    identity: bytes
    message: bytes
    lease: float
    owner: str = ""


class State:
    """The SQLite file of a registry, which is its own as long as it runs.

    A file that cannot be written, because its disk is full or gone, costs what a restart would have read: the registry
    goes on, and writes everything once it can.

    Args:
        path: The file; None keeps nothing.
        clock: Seconds, never going back.

    Raises:
        sqlite3.Error: It is no registry's, is damaged, or another process has it.
    """

    def __init__(self, path: Path | None, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._behind = False
        self._tried = 0.0
        self._base: sqlite3.Connection | None = None
        if path is None:
            return
        self._base = sqlite3.connect(path, timeout=_PATIENCE, isolation_level=None)
        try:
            # Two registries with one file would each undo what the other has written, and hold each other up.
            self._base.execute("PRAGMA locking_mode = EXCLUSIVE")
            # Announcements are few and small. In a write-ahead log a commit without a sync survives the process, and
            # what a lost host loses is renewed by the servers.
            self._base.execute("PRAGMA journal_mode = WAL")
            self._base.execute("PRAGMA synchronous = NORMAL")
            self._base.execute("BEGIN EXCLUSIVE")
            self._base.execute(_TABLE)
            if "owner" not in {row[1] for row in self._base.execute("PRAGMA table_info(servers)")}:
                self._base.execute("ALTER TABLE servers ADD COLUMN owner TEXT NOT NULL DEFAULT ''")
            self._base.execute("COMMIT")
        except sqlite3.Error:
            self._base.close()
            raise

    def load(self) -> list[Entry]:
        """What was there.

        Raises:
            sqlite3.Error: It is damaged.
        """
        if self._base is None:
            return []
        return [_checked(row) for row in self._base.execute(f"SELECT {_FIELDS} FROM servers")]  # noqa: S608 (ours)

    def put(self, entry: Entry, everything: Mapping[str, Entry]) -> None:
        """Keep a server.

        Args:
            entry: It.
            everything: All servers, for a file that has missed some.
        """
        self._write(lambda base: base.execute(_INSERT, entry), everything.values())

    def drop(self, address: str, everything: Mapping[str, Entry]) -> None:
        """Keep a server no more."""
        self._write(lambda base: base.execute("DELETE FROM servers WHERE address = ?", (address,)), everything.values())

    def catch_up(self, everything: Mapping[str, Entry]) -> None:
        """Write what the file has missed, if it has missed something and can be written again."""
        if self._behind:
            self._write(lambda base: None, everything.values())

    def _write(self, change: Callable[[sqlite3.Connection], object], entries: Collection[Entry]) -> None:
        base = self._base
        if base is None or (self._behind and self._clock() - self._tried < _AGAIN):
            return
        self._tried = self._clock()
        try:
            if self._behind:
                base.execute("BEGIN")
                base.execute("DELETE FROM servers")
                base.executemany(_INSERT, entries)
                base.execute("COMMIT")
                self._behind = False
                _log.info("--state is written again, and holds all servers")
            else:
                change(base)
        except sqlite3.Error as error:
            if base.in_transaction:
                base.rollback()
            if not self._behind:
                _log.error("--state cannot be written (%s): a restart would not know of changes since", error)
            self._behind = True

    def close(self) -> None:
        """Close the file."""
        if self._base is not None:
            self._base.close()


def _checked(row: tuple[object, ...]) -> Entry:
    address, instance, identity, message, lease, owner = row
    if (
        isinstance(address, str)
        and isinstance(instance, str)
        and isinstance(identity, bytes)
        and isinstance(message, bytes)
        and isinstance(lease, float)
        and isinstance(owner, str)
    ):
        try:
            registry_pb2.ServerEntry.FromString(message)
        except DecodeError:
            pass
        else:
            return Entry(address, instance, identity, message, lease, owner)
    raise sqlite3.DatabaseError(f"what it holds of {str(address)[:80]!r} is no announcement")
