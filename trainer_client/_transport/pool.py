"""`Pool`: who gets the next call to a server, and who waits for a replica.

The replica with the fewest items outstanding gets the next call; `Fleet` knows which of them can be given any.
"""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from trainer_client._errors import RequestRejectedError
from trainer_client._settings import TLS, Retries
from trainer_client._transport.addresses import AddressBook
from trainer_client._transport.choice import choose, has_time, joint_info
from trainer_client._transport.credentials import Credentials
from trainer_client._transport.discovery import Discovery
from trainer_client._transport.fleet import Fleet
from trainer_client._transport.progress import ProgressWatch
from trainer_client._transport.replica import Health, Replica
from trainer_client.result.verifiers import ServerInfo

_SMALLEST_WINDOW = 16.0
_LOOK_AGAIN = 0.25
"""Seconds between looks for a replica with time, while another asks to wait."""


@dataclass(slots=True, eq=False)
class _Waiting:
    """A call that waits for a replica; its turn comes with one, or with None when it should look again."""

    needs: Mapping[str, str]
    items: int
    avoid: Collection[str]
    suspect: bool
    since: float
    turn: asyncio.Future[Replica | None] | None = None


class Pool:
    """Replicas of one server, and those who wait for one.

    Args:
        server: its name in the recipe.
        addresses: its endpoints, as users write them: see `AddressBook`.
        pins: digest by verifier; the first seen is added, unless ``pin`` is False.
        pin: whether to keep to the digests first seen.
        retries: patience.
        tls: files for encrypted connections.
        token: bearer token, or where it is read: see `read_token`.

    Attributes:
        server: its name in the recipe.
        fleet: its replicas.
    """

    def __init__(
        self,
        server: str,
        addresses: Sequence[str],
        pins: dict[str, str],
        pin: bool,
        retries: Retries,
        tls: TLS | None,
        token: str = "",
    ) -> None:
        self.server = server
        credentials = Credentials(tls)
        self.fleet = Fleet(server, pins, pin, retries, credentials, token, self._notify)
        book = AddressBook(server, addresses, credentials, token)
        self._discovery = Discovery(book, self.fleet, lambda: bool(self._asking or self._waiting))
        self._retries = retries
        self._progress = ProgressWatch(self.fleet, retries, self._waits)
        self._changed: asyncio.Future[None] | None = None
        self._calls = 0
        self._asking: dict[object, float] = {}
        self._waiting: deque[_Waiting] = deque()

    async def info(self, names: Collection[str], expires: float) -> ServerInfo:
        """What the server says of itself, when every replica has answered or had a moment for it.

        Args:
            names: verifiers that it has to host.
            expires: when to give up, on the loop's clock.

        Raises:
            ServerUnavailableError: no replica has answered for the time of patience.
            RequestRejectedError: every replica refuses to be asked, or none hosts a verifier.
            DeadlineExpiredError: the deadline passed first.
        """
        fleet, loop = self.fleet, asyncio.get_running_loop()
        if not self._calls and not self._waiting:
            fleet.begin()
        await self._discovery.use(expires)
        fleet.start_probes()
        patience = _Patience(self._retries.unavailable_timeout_s)
        needs = dict.fromkeys(names, "")
        token, looked = object(), False
        self._asking[token] = loop.time()
        self._progress.watch()
        try:
            while True:
                info = joint_info(fleet.replicas, names, fleet.pins)
                if info is None and not looked:
                    looked = True
                    await fleet.describe_again(needs)
                    continue
                if info is not None and not fleet.is_starting:
                    return info
                until = min(expires, loop.time() + 0.02) if info is not None else expires
                if info is None:
                    until = patience.until(fleet.check_hosted(needs), loop.time(), expires)
                fleet.raise_if_unavailable(expires)
                await self._until_health_changes(fleet.until(until))
        finally:
            del self._asking[token]

    async def acquire(
        self,
        needs: Mapping[str, str],
        items: int,
        expires: float,
        *,
        avoid: Collection[str] = (),
        suspect: bool = False,
    ) -> Replica:
        """Wait for a replica that can take a call, and count the items as outstanding there.

        Args:
            needs: digest by verifier, empty for any.
            items: size of the call.
            expires: when to give up, on the loop's clock.
            avoid: addresses of replicas that are taken only when there is no other.
            suspect: whether the call may break the server; of such calls a replica gets one at a time, so that the
                next break tells which it was.

        Raises:
            ServerUnavailableError: no replica has answered for the time of patience.
            RequestRejectedError: every replica refuses, or none hosts what is needed.
            DeadlineExpiredError: the deadline passed first.
        """
        fleet, loop = self.fleet, asyncio.get_running_loop()
        fleet.start_probes()
        wish = _Waiting(needs, items, avoid, suspect, loop.time())
        patience, looked = _Patience(self._retries.unavailable_timeout_s), False
        while True:
            chosen = self._take(wish)
            if chosen is not None:
                return chosen
            if not looked:
                looked = True
                await fleet.describe_again(needs)
                continue
            until = patience.until(fleet.check_hosted(needs), loop.time(), expires)
            fleet.raise_if_unavailable(expires)
            chosen = await self._wait_turn(wish, fleet.until(until))
            if chosen is not None:
                return chosen

    def release(self, replica: Replica, items: int, *, suspect: bool = False) -> None:
        """The call has ended."""
        replica.outstanding -= items
        replica.suspects -= suspect
        self._calls -= 1
        if self.fleet.paused:
            self._notify()
        else:
            self._serve_waiting()

    def overloaded(self, replica: Replica, accepted: int) -> None:
        """The server was full: let no more be outstanding than it took."""
        smaller = min(replica.window, max(replica.outstanding, 1) * 0.5)
        replica.window = max(_SMALLEST_WINDOW, smaller, float(accepted))

    def heard(self, replica: Replica, verdicts: int, scoreless: int, seconds: float) -> None:
        """A call has given results that can be used, so many seconds after it was sent."""
        replica.note(verdicts, scoreless, asyncio.get_running_loop().time())
        self.fleet.useful()
        self._progress.note(seconds)

    def _take(self, wish: _Waiting) -> Replica | None:
        if self.fleet.paused:
            return None
        chosen = choose(self.fleet.replicas, wish.needs, wish.avoid, wish.suspect, wish.items)
        if chosen is not None:
            self.count(chosen, wish.items, suspect=wish.suspect)
        return chosen

    def count(self, replica: Replica, items: int, *, suspect: bool = False) -> None:
        """A call of that many items begins at a replica; `release` ends it."""
        replica.outstanding += items
        replica.suspects += suspect
        self._calls += 1
        self.fleet.watch(replica)
        self._progress.watch()

    def _serve_waiting(self) -> None:
        """Give what has become free to those who wait, the first first."""
        for waiting in list(self._waiting):
            if not any(r.health is Health.UP and r.has_room(1) for r in self.fleet.replicas):
                return
            if waiting.turn is not None and not waiting.turn.done():
                chosen = self._take(waiting)
                if chosen is not None:
                    waiting.turn.set_result(chosen)

    async def _wait_turn(self, wish: _Waiting, until: float) -> Replica | None:
        """Wait for a replica, for a change of health, or until the given time; None in the latter cases."""
        loop = asyncio.get_running_loop()
        wish.turn = loop.create_future()
        self._waiting.append(wish)
        self._progress.watch()
        try:
            await asyncio.wait((wish.turn,), timeout=_seconds(until - loop.time()))
        except asyncio.CancelledError:
            if wish.turn.done() and (replica := wish.turn.result()) is not None:
                self.release(replica, wish.items, suspect=wish.suspect)
            raise
        finally:
            self._waiting.remove(wish)
        return wish.turn.result() if wish.turn.done() else None

    async def wait_for_another(self, needs: Mapping[str, str], replica: Replica, until: float) -> None:
        """Wait until the given time, or until another replica has time for work that this one does not want yet."""
        loop = asyncio.get_running_loop()
        while loop.time() < until and not has_time(self.fleet.replicas, needs, replica, 1, math.inf):
            await self._until_health_changes(min(until, loop.time() + _LOOK_AGAIN))

    async def _until_health_changes(self, until: float) -> None:
        loop = asyncio.get_running_loop()
        if self._changed is None:
            self._changed = loop.create_future()
        await asyncio.wait((self._changed,), timeout=_seconds(until - loop.time()))

    def _notify(self) -> None:
        """Something about the replicas has changed: all who wait look again."""
        if self._changed is not None:
            self._changed.set_result(None)
            self._changed = None
        for waiting in self._waiting:
            if waiting.turn is not None and not waiting.turn.done():
                waiting.turn.set_result(None)

    def _waits(self) -> tuple[int, float]:
        """How many items wait for a replica, and since when; a batch that waits for the first answer counts as one."""
        times = [waiting.since for waiting in self._waiting] + list(self._asking.values())
        return sum(waiting.items for waiting in self._waiting) + len(self._asking), min(times, default=math.inf)

    # Life

    async def pause(self) -> None:
        """End all calls and close the channels; work waits until `resume`."""
        await self.fleet.pause()
        while self._calls:
            await self._until_health_changes(math.inf)

    def resume(self) -> None:
        """Go on after `pause`."""
        self.fleet.resume()

    async def close(self) -> None:
        """End everything."""
        await self._progress.stop()
        await self._discovery.close()
        await self.fleet.close()


class _Patience:
    """How long to wait while no replica that is up hosts what is needed, and one that is not reached may."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._ends = math.inf

    def until(self, mismatch: RequestRejectedError | None, now: float, expires: float) -> float:
        """When to look again.

        Raises:
            RequestRejectedError: the given one, when patience has ended.
        """
        if mismatch is None:
            self._ends = math.inf
        elif now >= self._ends:
            raise mismatch
        else:
            self._ends = min(self._ends, now + self._seconds)
        return min(self._ends, expires)


def _seconds(left: float) -> float | None:
    return None if left == math.inf else max(0.0, left)
