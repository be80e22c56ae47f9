"""Takes verifiers into a running server, and retires them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any, NamedTuple, TypeAlias

import grpc

from reward_servers.config import ServerConfig
from reward_servers.core import (
    AssayServerError,
    BoundVerifier,
    Scorer,
    StartupError,
    VerifierId,
    VerifierNotFoundError,
    quoted,
)
from reward_servers.hosting._errors import NotHostedError, RegistrationError
from reward_servers.hosting._loader import Loader
from reward_servers.hosting._packages import PackageFolders
from reward_servers.hosting._targets import check_target
from reward_servers.hosting._trial import LoadedVerifier, try_to_load

_log = logging.getLogger("assay.server")
_ANY_DIGEST = "sha256:"
_MOST_WAITING = 8
"""Registrations that wait for their turn: each holds a call, and then starts processes."""


Record: TypeAlias = Callable[[VerifierId], None]
"""Told of a change when it is made, whether or not the caller still waits for the answer."""


class Registered(NamedTuple):
    """What a registration has led to.

    Attributes:
        hosted: The verifier.
        unchanged: Whether it was current before.
    """

    hosted: BoundVerifier
    unchanged: bool


class Registrar:
    """Changes what a scorer hosts.

    Args:
        scorer: The scorer.
        config: Settings of the server, those of verifiers among them.
        origins: Where verifiers come from, by digest; kept up to date.
        changed: Called after every change with the names that are hosted and those that no longer are.
    """

    def __init__(
        self,
        scorer: Scorer,
        config: ServerConfig,
        origins: dict[str, str],
        changed: Callable[[list[str], list[str]], Coroutine[Any, Any, None]],
    ) -> None:
        self._scorer = scorer
        self._config = config
        self._origins = origins
        self._changed = changed
        self._packages = PackageFolders()
        self._loader = Loader(config.host)
        self._turn = asyncio.Lock()
        self._waiting = 0
        self._under_way: set[asyncio.Task[None]] = set()
        self._taken: set[str] = set()

    @property
    def hosting(self) -> list[BoundVerifier]:
        """Every verifier in every version."""
        return self._scorer.hosting.all()

    async def register(self, target: str, record: Record) -> Registered:
        """Host a verifier that a caller names.

        Args:
            target: Name that an installed package announces, or ``module:attribute`` in a folder of the settings.
            record: Told what is hosted then, unless nothing has changed.

        Raises:
            RegistrationError: It is not taken; the message says why.
        """
        settings = self._config.registration
        check_target(target, settings.packages, settings.folders)
        return await self._in_turn(target, record, replaces=False)

    async def reload(self, path: str) -> Registered:
        """Host a verifier again whose files have changed, in place of what was hosted of them.

        Args:
            path: ``module:attribute``.

        Raises:
            RegistrationError: It cannot be loaded; what was hosted goes on.
        """
        registered = await self._in_turn(path, lambda identity: None, replaces=True)
        old = [bound for bound in self.hosting if bound.verifier.path == path and bound is not registered.hosted]
        for bound in old:
            self._retire_later(bound)
        await self._tell([bound.identity.name for bound in old])
        return registered

    async def _in_turn(self, target: str, record: Record, *, replaces: bool) -> Registered:
        if self._waiting >= _MOST_WAITING:
            raise RegistrationError(
                grpc.StatusCode.RESOURCE_EXHAUSTED, f"{_MOST_WAITING} registrations are under way; try again later"
            )
        self._waiting += 1
        try:
            async with self._turn:
                return await self._host(target, record, replaces=replaces)
        finally:
            self._waiting -= 1

    async def _host(self, target: str, record: Record, *, replaces: bool) -> Registered:
        settings = self._config.registration
        facts = await try_to_load(target, self._config.verifiers, settings.timeout_s)
        versions = self._scorer.hosting.versions(facts.name)
        for bound in versions:
            if bound.verifier.path != facts.path:
                raise RegistrationError(
                    grpc.StatusCode.ALREADY_EXISTS,
                    f"{facts.name} is the name of {bound.verifier.path} here, and not of {facts.path}; retire it first",
                )
            if bound.identity.digest == facts.digest:
                unchanged = bound is versions[0]
                if not unchanged:
                    self._scorer.hosting.promote(bound)
                    record(bound.identity)
                    await self._tell()
                return Registered(bound, unchanged)
        if facts.owner and not versions:
            raise RegistrationError(
                grpc.StatusCode.ALREADY_EXISTS,
                f"{facts.name} is the name of {facts.owner}, which is installed here, and not of {facts.path}; give it "
                "another name, such as one that begins with yours and a slash",
            )
        self._taken &= {bound.identity.digest for bound in self.hosting}
        replaced = {bound.identity.digest for bound in versions} if replaces else set()
        if len(self._taken - replaced) >= settings.max_verifiers:
            raise RegistrationError(
                grpc.StatusCode.RESOURCE_EXHAUSTED,
                f"{settings.max_verifiers} verifiers have been registered here; retire some, or raise "
                "registration.max_verifiers",
            )
        return Registered(await self._add(facts, record), False)

    async def _add(self, facts: LoadedVerifier, record: Record) -> BoundVerifier:
        seconds = self._config.registration.timeout_s
        self._packages.follow()
        try:
            hosted = await self._loader.load(facts.path, seconds)
            if hosted.identity.digest != facts.digest:
                raise StartupError(f"the files of {facts.path} changed while it was registered; register it again")
            await self._scorer.add(hosted, seconds)
        except VerifierNotFoundError as error:
            raise _refused(f"{facts.name} could be loaded alone, and not in this process: {error}") from None
        except TimeoutError:
            raise _refused(f"no worker of {facts.name} was ready within {seconds:g} s") from None
        except AssayServerError as error:
            raise _refused(str(error)) from None
        self._taken.add(facts.digest)
        self._origins[facts.digest] = facts.origin
        record(hosted.identity)
        await self._tell()
        return hosted

    async def retire(self, name: str, version: str, digest: str, record: Record) -> list[VerifierId]:
        """Host a verifier no more, and return when all that was admitted is judged.

        Args:
            name: Its name.
            version: The version that is meant; empty for any.
            digest: The digest that is meant, or its beginning; empty for any.
            record: Told each that takes nothing more.

        Raises:
            NotHostedError: It is not hosted.
            RegistrationError: The digest says nothing.
        """
        if digest and _ANY_DIGEST.startswith(digest):
            raise RegistrationError(
                grpc.StatusCode.INVALID_ARGUMENT,
                f"digest: {quoted(digest)} begins every digest; give more of it, or leave it empty for all",
            )
        versions = self._scorer.hosting.versions(name)
        matching = [
            bound
            for bound in versions
            if version in ("", bound.identity.version) and bound.identity.digest.startswith(digest)
        ]
        if not matching:
            listed = ", ".join(f"{bound.identity.version} {bound.identity.digest}" for bound in versions)
            raise NotHostedError(
                f"verifier: {quoted(name)} is hosted here as {listed}, and not as {quoted(version or digest)}"
                if versions
                else f"verifier: {quoted(name)} is not hosted here; hosted: {', '.join(sorted(self._scorer.hosted))}"
            )
        # The current one last, so that none of those that go becomes current in between.
        tasks = [self._retire_later(bound) for bound in reversed(matching)]
        for bound in matching:
            record(bound.identity)
        await self._tell([name])
        await asyncio.gather(*map(asyncio.shield, tasks))
        return [bound.identity for bound in matching]

    def _retire_later(self, hosted: BoundVerifier) -> asyncio.Task[None]:
        """Take nothing more for a verifier from now on; what was admitted is finished whoever waits for it."""
        self._scorer.hosting.remove(hosted)
        return self._begin(self._scorer.finish(hosted))

    async def _tell(self, removed: list[str] | None = None) -> None:
        """Say what is hosted now, also where the caller whose wish it was has gone."""
        names = list(self._scorer.hosted)
        gone = [name for name in removed or () if name not in names]
        await asyncio.shield(self._begin(self._changed(names, gone)))

    def _begin(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Start what ends whoever waits for it."""
        task = asyncio.get_running_loop().create_task(work)
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)
        return task


def _refused(reason: str) -> RegistrationError:
    return RegistrationError(grpc.StatusCode.FAILED_PRECONDITION, reason)
