"""What is announced, until when, by whom."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

from reward_servers.registry._state import Entry, State

SHORTEST_LEASE, LONGEST_LEASE = 2.0, 300.0
"""Seconds: a shorter lease is ended by a pause of a busy host, a longer one keeps the dead in the list."""
MOST_SERVERS, MOST_BYTES = 10_000, 32 << 20
"""Entries and their bytes at most, so that no caller fills the memory; clients take answers of twice the size."""
MOST_OF_ONE = 1_000
"""Entries of one announcer at most, so that none takes the places of others, nor fills the lists of clients."""


class FullError(Exception):
    """There is no place for another server."""


class TakenError(Exception):
    """The address is that of a server which another caller has announced."""


class Registry:
    """Servers, each until its lease ends.

    What was announced before a restart is taken as announced at the restart: its servers have one lease to renew.

    Args:
        path: A SQLite file; None keeps everything in memory.
        clock: Seconds, never going back.

    Raises:
        sqlite3.Error: The file is no registry's, is damaged, or another process has it.
    """

    def __init__(self, path: Path | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._ends: dict[str, float] = {}
        self._entries: dict[str, Entry] = {}
        self._announcers: dict[str, str] = {}
        self._of_one: Counter[str] = Counter()
        self._bytes = 0
        self._revision = ""
        """Empty where the list has changed since it was computed."""
        self._state = State(path, clock)
        now = clock()
        for entry in self._state.load():
            self._hold(entry, now, entry.owner)

    def announce(self, entry: Entry, announcer: str = "") -> float:
        """Take an announcement, or the renewal of one.

        Args:
            entry: The server.
            announcer: Who announces it, also where that keeps nothing from others; empty for one without a bound.

        Returns:
            The lease that it got, in seconds.

        Raises:
            FullError: There are `MOST_SERVERS` others, or `MOST_BYTES` of them, or `MOST_OF_ONE` of this announcer.
            TakenError: The address is there, and another caller has announced it.
        """
        entry = entry._replace(lease=min(max(entry.lease, SHORTEST_LEASE), LONGEST_LEASE))
        if self._ends.get(entry.address, math.inf) <= self._clock():
            self._drop(entry.address)
        elif len(self._entries) >= MOST_SERVERS or self._bytes + len(entry.message) > MOST_BYTES:
            self._drop_ended()
        self._check_share(entry.address, announcer)
        before = self._entries.get(entry.address)
        if before is not None and before.owner != entry.owner:
            raise TakenError(
                f"server.address: {entry.address} was announced by another caller, whose lease has not ended"
            )
        left = len(self._entries) - (before is not None), self._bytes - (len(before.message) if before else 0)
        if left[0] >= MOST_SERVERS or left[1] + len(entry.message) > MOST_BYTES:
            raise FullError(f"{left[0]} servers are announced already, in {left[1]} bytes")
        self._hold(entry, self._clock(), announcer)
        if before is None or before[1:3] != entry[1:3] or before.lease != entry.lease:
            self._revision = ""
            self._state.put(entry, self._entries)
        else:
            self._state.catch_up(self._entries)
        return entry.lease

    def withdraw(self, address: str, instance: str, owner: str = "") -> bool:
        """Take a server out of the list, if this process of this caller is the one that announced it.

        Returns:
            Whether it was.
        """
        entry = self._entries.get(address)
        if entry is None or (entry.instance, entry.owner) != (instance, owner):
            return False
        self._drop(address)
        return True

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
        self._state.close()

    def _check_share(self, address: str, announcer: str) -> None:
        """Refuse one announcer more than its share; what it announces again it has already."""
        if not announcer or self._announcers.get(address) == announcer or self._of_one[announcer] < MOST_OF_ONE:
            return
        self._drop_ended()
        if self._of_one[announcer] >= MOST_OF_ONE:
            raise FullError(
                f"server: {announcer} has announced {MOST_OF_ONE} servers already; announce others with a token of "
                "their own, or withdraw some"
            )

    def _hold(self, entry: Entry, now: float, announcer: str) -> None:
        before = self._entries.get(entry.address)
        self._bytes += len(entry.message) - (len(before.message) if before is not None else 0)
        self._entries[entry.address] = entry
        self._ends[entry.address] = now + entry.lease
        self._release_share(entry.address)
        if announcer:
            self._announcers[entry.address] = announcer
            self._of_one[announcer] += 1

    def _release_share(self, address: str) -> None:
        announcer = self._announcers.pop(address, "")
        if announcer:
            self._of_one[announcer] -= 1
            if not self._of_one[announcer]:
                del self._of_one[announcer]

    def _drop_ended(self) -> None:
        now = self._clock()
        for address in [address for address, end in self._ends.items() if end <= now]:
            self._drop(address)

    def _drop(self, address: str) -> None:
        self._bytes -= len(self._entries[address].message)
        del self._entries[address], self._ends[address]
        self._release_share(address)
        self._revision = ""
        self._state.drop(address, self._entries)
