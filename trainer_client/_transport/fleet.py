"""`Fleet`: the replicas of a server, which of them are up, trusted, and host what is needed.

One that fails is left out and probed until it answers; one whose replies cannot be used is taken only when there is
no other, for a while that doubles. A server counts as unavailable when no replica has answered, or given a reply that
can be used, for ``Retries.unavailable_timeout_s`` seconds.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import random
from collections.abc import Callable, Collection, Mapping, Sequence

import grpc
import grpc.aio

from trainer_client._errors import RecipeError, RequestRejectedError, RewardError, ServerUnavailableError
from trainer_client._settings import Retries, is_encrypted, is_exposed
from trainer_client._transport import refusals, tls_check
from trainer_client._transport.addresses import Place
from trainer_client._transport.credentials import Credentials
from trainer_client._transport.failures import (
    NOT_A_SERVICE,
    CallFailure,
    CallInterruptedError,
    FailureClass,
    UnusableReplyError,
    read_failure,
    unusable,
)
from trainer_client._transport.liveness import LivenessProbe
from trainer_client._transport.replica import Health, Replica, task_is_cancelled
from trainer_client._transport.shortening import few
from trainer_client.result.verifiers import ServerInfo

logger = logging.getLogger("trainer_client")

_FAILURES_TO_EJECT = 3
_DEFAULT_WINDOW = 8192
"""Items outstanding at a replica that tells no limit: messages are built when they are sent, and memory is finite."""
_MOST_PROBES = 64
"""Replicas that never answered and are asked at once, in turn: thousands would leave none the time to answer."""
_PROBE_FIRST = 0.1
_PROBE_LONGEST = 2.0
_START_GRACE = 0.5
"""Seconds that the first batch of a client waits for the other replicas once one has answered."""
_DISTRUST_FIRST = 1.0
_DISTRUST_LONGEST = 300.0


class DeadlineExpiredError(RewardError):
    """The deadline passed while work waited for a replica."""


class Fleet:
    """Replicas of one server.

    Args:
        server: its name in the recipe.
        pins: digest by verifier; the first seen is added, unless ``pin`` is False.
        pin: whether to keep to the digests first seen.
        retries: patience.
        credentials: for encrypted connections.
        token: bearer token, or where it is read.
        changed: called when something about the replicas has changed.

    Attributes:
        replicas: all of them, as far as their addresses are known.
        trouble: why no address is known, if none is.
        paused: whether no call may start, since the process is about to fork.
    """

    def __init__(
        self,
        server: str,
        pins: dict[str, str],
        pin: bool,
        retries: Retries,
        credentials: Credentials,
        token: str,
        changed: Callable[[], None],
    ) -> None:
        self.server = server
        self.pins = pins
        self.paused = False
        self._pin = pin
        self._retries = retries
        self._credentials = credentials
        self._token = token
        self._versions: dict[str, str] = {}
        self._changed = changed
        self.replicas: list[Replica] = []
        self.trouble = ""
        self._leaving: list[Replica] = []
        self._probes: dict[Replica, asyncio.Task[None]] = {}
        self._turn = asyncio.Semaphore(_MOST_PROBES)
        self._liveness: dict[Replica, LivenessProbe] = {}
        self._unavailable_since: float | None = None
        self._failing_since: float | None = None
        self._starting_until = math.inf

    @property
    def is_starting(self) -> bool:
        """Whether a replica was not reached yet that may answer in a moment."""
        unreached = any(r.health is Health.UNKNOWN for r in self.replicas)
        return unreached and asyncio.get_running_loop().time() < self._starting_until

    # What stands against waiting

    def check_hosted(self, needs: Mapping[str, str]) -> RequestRejectedError | None:
        """Refuse what no replica hosts; return the refusal while one that is not reached may still host it.

        Raises:
            RequestRejectedError: all replicas have answered, and none hosts it.
        """
        up = [r for r in self.replicas if r.health is Health.UP and not r.retired]
        if not up or any(r.matches(needs) for r in up):
            return None
        if all(r.health is Health.UP or r.refuses or r.retired for r in self.replicas):
            # Not from a name: an error and a frame that holds it are a circle.
            raise refusals.not_hosted(self.server, self.replicas, up, needs)
        return refusals.not_hosted(self.server, self.replicas, up, needs)

    async def describe_again(self, needs: Mapping[str, str]) -> None:
        """Ask replicas again where none hosts it: they may have been given it since."""
        up = [r for r in self.replicas if r.health is Health.UP and not r.retired]
        if not any(r.matches(needs) for r in up):
            await asyncio.gather(*map(self._describe, up))

    def raise_if_unavailable(self, expires: float) -> None:
        """Raise when waiting is of no use any more.

        Raises:
            DeadlineExpiredError: the deadline has passed.
            ServerUnavailableError: no replica has given a usable answer for the time of patience.
            RequestRejectedError: every replica refuses to be asked.
        """
        now = asyncio.get_running_loop().time()
        if not self.paused and self.replicas and all(r.refuses for r in self.replicas):
            raise RequestRejectedError(self.reasons(), "refused", self.server)
        if now >= expires:
            raise DeadlineExpiredError
        if not self.paused and now >= self.until(math.inf):
            raise ServerUnavailableError(
                self.server,
                f"no replica has given a usable answer for {self._retries.unavailable_timeout_s:g} s "
                f"({self.reasons()})",
            )

    def until(self, expires: float) -> float:
        """When to look at a hopeless situation again."""
        since = [t for t in (self._unavailable_since, self._failing_since) if t is not None]
        if not since or self.paused:
            return expires
        return min(expires, min(since) + self._retries.unavailable_timeout_s)

    def reasons(self) -> str:
        """Replicas, and what each said last."""
        return few(f"{r.address}: {r.reason or r.health.value}" for r in self.replicas) or self.trouble

    def follow_upgrades(self, names: Collection[str]) -> None:
        """Pin what replicas host now, for verifiers whose pinned digest none hosts, if the version is the same."""
        for name in names:
            hosted = [r.info.verifiers[name].id for r in self.replicas if r.can_serve({name: ""}) and r.info]
            pinned = self.pins.get(name)
            if pinned and hosted and not any(r.can_serve({name: pinned}) for r in self.replicas):
                for verifier in hosted:
                    if verifier.version == self._versions.get(name):
                        logger.warning(
                            "server %r: %s is followed from digest %s to %s, both of version %s",
                            self.server, name, pinned, verifier.digest, verifier.version,
                        )  # fmt: skip
                        self.pins[name] = verifier.digest
                        break

    # What calls tell

    def begin(self) -> None:
        """New work comes to a fleet at rest: what failed before is no sign of what will."""
        self._failing_since = None

    def watch(self, replica: Replica) -> None:
        """The replica has been given work: ask now and then whether it is alive."""
        probe = self._liveness.get(replica)
        if probe is None:
            timeout = self._retries.heartbeat_timeout_s
            probe = self._liveness[replica] = LivenessProbe(replica, timeout, self._hung)
        probe.watch()

    def useful(self) -> None:
        """Some replica has given a result that can be used."""
        self._failing_since = None

    def succeeded(self, replica: Replica) -> None:
        """A call ended well: let a little more be outstanding there."""
        replica.failures = 0
        replica.reason = ""
        if replica.strikes and replica.distrusted_until <= asyncio.get_running_loop().time():
            self.trust(replica)
        limit = float((replica.info.items_limit if replica.info else 0) or _DEFAULT_WINDOW)
        replica.window = min(limit, replica.window * 1.1)

    def failed(self, replica: Replica, failure: CallFailure) -> None:
        """A call broke: leave the replica out until it answers a probe."""
        replica.failures += 1
        if self._failing_since is None:
            self._failing_since = asyncio.get_running_loop().time()
        if failure.kind is FailureClass.UNUSABLE:
            self.distrust(replica, str(failure))
        elif failure.kind is FailureClass.GONE or replica.failures >= _FAILURES_TO_EJECT:
            self._mark_down(replica, failure)
            self._probe(replica)

    def distrust(self, replica: Replica, words: str, seconds: float = _DISTRUST_FIRST) -> None:
        """Its replies cannot be used, or do not come: prefer others, for longer each time."""
        now = asyncio.get_running_loop().time()
        replica.reason = words
        if replica.distrusted_until > now:
            return
        seconds = min(_DISTRUST_LONGEST, seconds * 2.0 ** min(replica.strikes, 20))
        replica.strikes += 1
        replica.distrusted_until = now + seconds
        logger.warning(
            "server %r: replica %s is not trusted for %g s: %s", self.server, replica.address, seconds, words
        )

    def trust(self, replica: Replica) -> None:
        """What it was blamed for was not its doing."""
        replica.strikes, replica.distrusted_until = 0, 0.0

    def trust_all(self, addresses: Collection[str]) -> None:
        """The same for several: see `trust`."""
        for replica in (r for r in self.replicas if r.address in addresses):
            self.trust(replica)

    def reprobe(self, replica: Replica) -> None:
        """The replica answered as another version would: ask what it hosts now before giving it more."""
        replica.health, replica.down_since = Health.DOWN, asyncio.get_running_loop().time()
        replica.reason = "hosts another version than the one pinned"
        self._probe(replica)

    def _hung(self, replica: Replica, failure: CallFailure) -> None:
        """The replica does not say any more that it is alive: its work goes to others."""
        self._mark_down(replica, failure)
        self._probe(replica)
        replica.cancel_calls(failure)

    # Health

    def start_probes(self) -> None:
        """Ask replicas that were never asked."""
        for replica in self.replicas:
            if replica.health is Health.UNKNOWN:
                self._probe(replica)
        self._note_unavailable()

    def _note_unavailable(self) -> None:
        if self._unavailable_since is None and not any(r.health is Health.UP for r in self.replicas):
            self._unavailable_since = asyncio.get_running_loop().time()

    def _probe(self, replica: Replica) -> None:
        running = self._probes.get(replica)
        # One that is done asks no more, though it may not have been taken out yet.
        if (running is None or running.done()) and not replica.retired:
            self._probes[replica] = asyncio.get_running_loop().create_task(self._probe_until_up(replica))

    async def _probe_until_up(self, replica: Replica) -> None:
        delay = _PROBE_FIRST
        while not replica.retired:
            async with self._turn if replica.info is None else contextlib.nullcontext():
                if not self.paused and await self._describe(replica):
                    return
            await asyncio.sleep(delay * random.uniform(0.5, 1.0))  # noqa: S311 (spreads probes)
            delay = min(_PROBE_LONGEST, delay * 1.6)

    async def _describe(self, replica: Replica) -> bool:
        """Ask a replica what it is; whether it can be given work."""
        tls = self._credentials.tls
        if self._token and is_exposed(replica.address, tls):
            refused = CallFailure(FailureClass.REFUSED, "refused", "")
            self._mark_down(replica, refused, "a token is not sent unencrypted to another host; give TLS(ca=...)")
            return False
        try:
            info = await replica.describe()
        except grpc.aio.AioRpcError as error:
            failure = read_failure(error)
            words = ""
            if failure.kind is FailureClass.GONE and (replica.info is None or is_encrypted(replica.address, tls)):
                words = await tls_check.find_mistake(replica.address, tls, replica.authority, failure.details)
            self._mark_down(replica, failure, words)
        except UnusableReplyError as error:
            self._mark_down(replica, unusable(str(error)))
        except CallInterruptedError:
            pass
        except Exception as error:  # noqa: BLE001 (a file of certificates that has gone, or what nobody foresaw)
            code = "certificates" if isinstance(error, OSError | RecipeError) else "client_error"
            self._mark_down(replica, CallFailure(FailureClass.GONE, code, str(error) or repr(error)))
        except asyncio.CancelledError:
            if task_is_cancelled():
                raise
        else:
            if not info.draining:
                self._mark_up(replica, info)
                return True
            self._mark_down(replica, CallFailure(FailureClass.GONE, "UNAVAILABLE", "is draining"))
        return False

    def _mark_up(self, replica: Replica, info: ServerInfo) -> None:
        replica.health = Health.UP
        replica.refuses = False
        replica.failures = 0
        if self._failing_since is None:
            replica.reason = ""
        replica.window = float(info.items_limit or _DEFAULT_WINDOW)
        self._unavailable_since = None
        if self._starting_until == math.inf:
            self._starting_until = asyncio.get_running_loop().time() + _START_GRACE
        for name, verifier in info.verifiers.items():
            digest = verifier.id.digest
            if self._pin and name not in self.pins:
                self._versions[name] = verifier.id.version
            if self._pin and info.find(name, self.pins.setdefault(name, digest)) is None:
                logger.warning(
                    "server %r: replica %s hosts %s with digest %s, and this client has pinned %s; it gets none of it",
                    self.server, replica.address, name, digest, self.pins[name],
                )  # fmt: skip
        self._changed()

    def _mark_down(self, replica: Replica, failure: CallFailure, mistake: str = "") -> None:
        words = NOT_A_SERVICE.get(failure.code)
        reason = mistake or f"{words or failure.status} {failure.details}".strip()
        if replica.health is not Health.DOWN:
            logger.warning("server %r: replica %s is down: %s", self.server, replica.address, reason)
            replica.down_since = asyncio.get_running_loop().time()
        replica.health = Health.DOWN
        replica.reason = reason
        # One that has answered before was a reward server then, and will be one again.
        replica.refuses = bool(mistake or words) and replica.info is None
        self._note_unavailable()
        self._changed()

    # Life

    @property
    def busy(self) -> bool:
        """Whether calls are under way, or one that has left is still to be closed."""
        return bool(self._leaving) or any(replica.calls for replica in self.replicas)

    async def update(self, places: Sequence[Place]) -> None:
        """Have one replica at each place; no place is no news. Others get no more work, and end with what they have."""
        replicas = {Place(replica.address, replica.authority): replica for replica in self.replicas}
        places = places or list(replicas)
        gone = [replica for place, replica in replicas.items() if place not in places]
        new = [Replica(*place, self._credentials, self._token) for place in places if place not in replicas]
        if (self._unavailable_since is not None and new) or gone:
            listed = few((replica.address for replica in new), ", ") or "none"
            logger.info("server %r: new addresses: %s; gone: %d", self.server, listed, len(gone))
        self.replicas = [replica for replica in self.replicas if replica not in gone] + new
        self._leaving += gone
        for replica in gone:
            replica.retired = True
            self._liveness.pop(replica, None)
            if (probe := self._probes.pop(replica, None)) is not None:
                probe.cancel()
        for replica in new:
            replica.paused = self.paused
        # Not by its calls: for work that was given to it and is not sent yet it would open a channel again.
        for replica in [r for r in self._leaving if not r.outstanding]:
            self._leaving.remove(replica)
            await replica.close()
        if gone or new or not replicas:
            self.start_probes()
            self._changed()

    async def pause(self) -> None:
        """End all calls and close the channels."""
        self.paused = True
        for replica in (*self.replicas, *self._leaving):
            replica.paused = True
            await replica.close()

    def resume(self) -> None:
        """Go on after `pause`."""
        self.paused = False
        for replica in self.replicas:
            replica.paused = False
        self._changed()

    async def close(self) -> None:
        """End everything."""
        for probe in self._liveness.values():
            await probe.stop()
        for task in list(self._probes.values()):
            task.cancel()
        await asyncio.gather(*self._probes.values(), return_exceptions=True)
        for replica in (*self.replicas, *self._leaving):
            await replica.close()
