"""`Pool`: the replicas of a server. Who gets the next call, who is left out, who is asked again.

The replica with the fewest items outstanding gets the next call. One that fails is left out and probed until it
answers; its work goes to others, or waits for it. A server counts as unavailable when none has answered for
``Retries.unavailable_timeout_s`` seconds.
"""

from __future__ import annotations

import asyncio
import logging
import math
import random
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import grpc
import grpc.aio

from trainer_client._errors import RequestRejectedError, RewardError, ServerUnavailableError
from trainer_client._settings import TLS, Retries
from trainer_client._transport import refusals
from trainer_client._transport.liveness import LivenessProbe
from trainer_client._transport.replica import CallFailure, Health, Interrupted, Replica, breakage, task_is_cancelled
from trainer_client._transport.wire import ServerInfo

logger = logging.getLogger("trainer_client")

_FAILURES_TO_EJECT = 3
_SMALLEST_WINDOW = 16.0
_DEFAULT_WINDOW = 8192
"""Items outstanding at a replica that tells no limit: messages are built when they are sent, and memory is finite."""
_PROBE_FIRST = 0.1
_PROBE_LONGEST = 2.0
_REFUSALS = {
    grpc.StatusCode.UNIMPLEMENTED: "is not a reward server",
    grpc.StatusCode.UNAUTHENTICATED: "asks for credentials",
    grpc.StatusCode.PERMISSION_DENIED: "denies access",
}


class Expired(RewardError):
    """The deadline passed while work waited for a replica."""


@dataclass(slots=True, eq=False)
class _Waiting:
    """A call that waits for a replica; its turn comes with one, or with None when it should look again."""

    needs: Mapping[str, str]
    items: int
    avoid: Replica | None
    suspect: bool
    turn: asyncio.Future[Replica | None] | None = None


class Pool:
    """Replicas of one server.

    Args:
        server: its name in the recipe.
        addresses: its endpoints.
        pins: digest by verifier; the first seen is added, unless ``pin`` is False.
        pin: whether to hold on to the digests first seen.
        retries: patience.
        tls: files for encrypted connections.
    """

    def __init__(
        self,
        server: str,
        addresses: Sequence[str],
        pins: dict[str, str],
        pin: bool,
        retries: Retries,
        tls: TLS | None,
    ) -> None:
        self.server = server
        self.replicas = [Replica(address, tls) for address in addresses]
        self.pins = pins
        self._pin = pin
        self._retries = retries
        self._probes: dict[Replica, asyncio.Task[None]] = {}
        self._liveness = {
            replica: LivenessProbe(replica, retries.heartbeat_timeout_s, self._hung) for replica in self.replicas
        }
        self._changed: asyncio.Future[None] | None = None
        self._unavailable_since: float | None = None
        self._paused = False
        self._calls = 0
        self._waiting: deque[_Waiting] = deque()

    async def facts(self, expires: float) -> ServerInfo:
        """What the server says of itself, from whichever replica answers first.

        Raises:
            ServerUnavailableError: no replica has answered for the time of patience.
            RequestRejectedError: every replica refuses to be asked.
            Expired: the deadline passed first.
        """
        self._start_probes()
        while True:
            for replica in self.replicas:
                if replica.health is Health.UP and replica.facts is not None:
                    return replica.facts
            self._raise_if_unavailable(expires)
            await self._until_health_changes(self._until(expires))

    async def acquire(
        self,
        needs: Mapping[str, str],
        items: int,
        expires: float,
        *,
        avoid: Replica | None = None,
        suspect: bool = False,
    ) -> Replica:
        """Wait for a replica that can take a call, and count the items as outstanding there.

        Args:
            needs: digest by verifier, empty for any.
            items: size of the call.
            expires: when to give up, on the loop's clock.
            avoid: a replica that is taken only when there is no other.
            suspect: whether the call may break the server; of such calls a replica gets one at a time, so that the
                next break tells which it was.

        Raises:
            ServerUnavailableError: no replica has answered for the time of patience.
            RequestRejectedError: every replica refuses, or none hosts what is needed.
            Expired: the deadline passed first.
        """
        self._start_probes()
        wish = _Waiting(needs, items, avoid, suspect)
        patient_until = math.inf
        while True:
            chosen = self._take(wish)
            if chosen is not None:
                return chosen
            mismatch = self._check_hosted(needs)
            now = asyncio.get_running_loop().time()
            if mismatch is None:
                patient_until = math.inf
            elif now >= patient_until:
                raise mismatch
            else:
                patient_until = min(patient_until, now + self._retries.unavailable_timeout_s)
            self._raise_if_unavailable(expires)
            chosen = await self._wait_turn(wish, min(self._until(expires), patient_until))
            if chosen is not None:
                return chosen

    @property
    def usable(self) -> int:
        """Number of replicas that are not known to be down; at least 1."""
        return max(1, sum(replica.health is not Health.DOWN for replica in self.replicas))

    def release(self, replica: Replica, items: int, *, suspect: bool = False) -> None:
        """The call has ended."""
        replica.outstanding -= items
        replica.suspects -= suspect
        self._calls -= 1
        if self._paused:
            self._notify()
        else:
            self._serve_waiting()

    def _take(self, wish: _Waiting) -> Replica | None:
        """The replica with the fewest items outstanding of those that can take the call, its items counted."""
        if self._paused:
            return None
        able = [r for r in self.replicas if r.health is Health.UP and r.matches(wish.needs)]
        if len(able) > 1 and wish.avoid in able:
            able.remove(wish.avoid)
        free = [r for r in able if r.has_room(wish.items) and not (wish.suspect and r.suspects)]
        if not free:
            return None
        least = min(r.outstanding for r in free)
        chosen = random.choice([r for r in free if r.outstanding == least])  # noqa: S311 (breaks ties, guards nothing)
        chosen.outstanding += wish.items
        chosen.suspects += wish.suspect
        self._calls += 1
        self._liveness[chosen].watch()
        return chosen

    def _serve_waiting(self) -> None:
        """Give what has become free to those who wait, the first first."""
        for waiting in list(self._waiting):
            if not any(r.health is Health.UP and r.has_room(1) for r in self.replicas):
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
        try:
            await asyncio.wait((wish.turn,), timeout=_seconds(until - loop.time()))
        except asyncio.CancelledError:
            if wish.turn.done() and (given := wish.turn.result()) is not None:
                self.release(given, wish.items, suspect=wish.suspect)
            raise
        finally:
            self._waiting.remove(wish)
        return wish.turn.result() if wish.turn.done() else None

    def _check_hosted(self, needs: Mapping[str, str]) -> RequestRejectedError | None:
        """Refuse at once a verifier that no replica hosts; return the refusal when all host other versions of it.

        The latter may pass: in the middle of a rolling upgrade, replicas come and go.
        """
        up = [r for r in self.replicas if r.health is Health.UP]
        if not up or any(r.matches(needs) for r in up):
            return None
        if len(up) == len(self.replicas):
            for name in needs:
                if not any(r.facts and name in r.facts.verifiers for r in up):
                    raise self.unknown_verifier(name)
        return refusals.wrong_version(self.server, up, needs)

    def unknown_verifier(self, name: str) -> RequestRejectedError:
        """The error for a verifier that the server does not host."""
        return refusals.unknown_verifier(self.server, self.replicas, name)

    def _raise_if_unavailable(self, expires: float) -> None:
        """Raise when waiting is of no use any more.

        Raises:
            Expired: the deadline has passed.
            ServerUnavailableError: no replica has answered for the time of patience.
            RequestRejectedError: every replica refuses to be asked.
        """
        now = asyncio.get_running_loop().time()
        if not self._paused and all(r.refuses for r in self.replicas):
            raise RequestRejectedError(self._reasons(), "refused", self.server)
        if now >= expires:
            raise Expired
        if not self._paused and now >= self._until(math.inf):
            raise ServerUnavailableError(
                self.server,
                f"no replica has answered for {self._retries.unavailable_timeout_s:g} s ({self._reasons()})",
            )

    def _until(self, expires: float) -> float:
        """When to look at a hopeless situation again."""
        if self._unavailable_since is None or self._paused:
            return expires
        return min(expires, self._unavailable_since + self._retries.unavailable_timeout_s)

    async def _until_health_changes(self, until: float) -> None:
        loop = asyncio.get_running_loop()
        if self._changed is None:
            self._changed = loop.create_future()
        await asyncio.wait((self._changed,), timeout=_seconds(until - loop.time()))

    def _reasons(self) -> str:
        return "; ".join(f"{r.address}: {r.reason or r.health.value}" for r in self.replicas)

    def _notify(self) -> None:
        """Something about the replicas has changed: all who wait look again."""
        if self._changed is not None:
            self._changed.set_result(None)
            self._changed = None
        for waiting in self._waiting:
            if waiting.turn is not None and not waiting.turn.done():
                waiting.turn.set_result(None)

    # Health

    def _start_probes(self) -> None:
        """Ask replicas that were never asked."""
        for replica in self.replicas:
            if replica.health is Health.UNKNOWN and replica not in self._probes:
                self._probe(replica)
        if self._unavailable_since is None and not any(r.health is Health.UP for r in self.replicas):
            self._unavailable_since = asyncio.get_running_loop().time()

    def _probe(self, replica: Replica) -> None:
        if replica not in self._probes:
            task = asyncio.get_running_loop().create_task(self._probe_until_up(replica))
            self._probes[replica] = task
            task.add_done_callback(lambda _: self._probes.pop(replica, None))

    async def _probe_until_up(self, replica: Replica) -> None:
        delay = _PROBE_FIRST
        while True:
            if not self._paused:
                try:
                    facts = await replica.describe()
                except grpc.aio.AioRpcError as error:
                    self._mark_down(replica, breakage(error))
                except OSError as error:
                    # A file of certificates that was there when the client was made.
                    self._mark_down(replica, CallFailure(grpc.StatusCode.UNAVAILABLE, str(error)))
                except Interrupted:
                    pass
                except asyncio.CancelledError:
                    if task_is_cancelled():
                        raise
                else:
                    if not facts.draining:
                        self._mark_up(replica, facts)
                        return
                    self._mark_down(replica, CallFailure(grpc.StatusCode.UNAVAILABLE, "is draining"))
            await asyncio.sleep(delay * random.uniform(0.5, 1.0))  # noqa: S311 (spreads probes)
            delay = min(_PROBE_LONGEST, delay * 1.6)

    def _mark_up(self, replica: Replica, facts: ServerInfo) -> None:
        replica.health = Health.UP
        replica.refuses = False
        replica.failures = 0
        replica.reason = ""
        replica.window = float(facts.items_limit or _DEFAULT_WINDOW)
        self._unavailable_since = None
        if self._pin:
            for name, verifier in facts.verifiers.items():
                self.pins.setdefault(name, verifier.id.digest)
        self._notify()

    def _mark_down(self, replica: Replica, cause: CallFailure) -> None:
        reason = f"{_REFUSALS.get(cause.status, cause.status.name)} {cause.details}".strip()
        if replica.health is not Health.DOWN:
            logger.warning("server %r: replica %s is down: %s", self.server, replica.address, reason)
        replica.health = Health.DOWN
        replica.reason = reason
        replica.refuses = cause.status in _REFUSALS
        if self._unavailable_since is None and not any(r.health is Health.UP for r in self.replicas):
            self._unavailable_since = asyncio.get_running_loop().time()
        self._notify()

    def succeeded(self, replica: Replica) -> None:
        """A call ended well: let a little more be outstanding there."""
        replica.failures = 0
        limit = float((replica.facts.items_limit if replica.facts else 0) or _DEFAULT_WINDOW)
        replica.window = min(limit, replica.window * 1.1)

    def overloaded(self, replica: Replica, accepted: int) -> None:
        """The server was full: let no more be outstanding than it took."""
        smaller = min(replica.window, max(replica.outstanding, 1) * 0.5)
        replica.window = max(_SMALLEST_WINDOW, smaller, float(accepted))

    def failed(self, replica: Replica, cause: CallFailure) -> None:
        """A call broke: leave the replica out until it answers a probe."""
        replica.failures += 1
        if cause.status is grpc.StatusCode.UNAVAILABLE or replica.failures >= _FAILURES_TO_EJECT:
            self._mark_down(replica, cause)
            self._probe(replica)

    def _hung(self, replica: Replica, cause: CallFailure) -> None:
        """The replica does not say any more that it is alive: its work goes to others."""
        self._mark_down(replica, cause)
        self._probe(replica)
        replica.cancel_calls(cause)

    def reprobe(self, replica: Replica) -> None:
        """The replica answered as another version would: ask what it hosts now before giving it more."""
        replica.health = Health.DOWN
        replica.reason = "hosts another version than the one pinned"
        self._probe(replica)

    # Life

    async def pause(self) -> None:
        """End all calls and close the channels; work waits until `resume`."""
        self._paused = True
        for replica in self.replicas:
            replica.paused = True
            await replica.close()
        while self._calls:
            await self._until_health_changes(math.inf)

    def resume(self) -> None:
        """Go on after `pause`."""
        self._paused = False
        for replica in self.replicas:
            replica.paused = False
        self._notify()

    async def close(self) -> None:
        """End everything."""
        for pulse in self._liveness.values():
            await pulse.stop()
        for task in list(self._probes.values()):
            task.cancel()
        await asyncio.gather(*self._probes.values(), return_exceptions=True)
        for replica in self.replicas:
            await replica.close()


def _seconds(left: float) -> float | None:
    return None if left == math.inf else max(0.0, left)
