"""`Offers`: the verifiers that a recipe's rewards will get, as they are installed or as running servers host them."""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cached_property
from typing import Any

from reward_servers.config import ServerConfig
from reward_servers.core import AssayServerError, SettingsError, Verifier, find, installed
from reward_servers.core._schemas import decode
from reward_servers.recipes.schema import schema_problem
from trainer_client import TLS, Reward, RewardError, Server, VerifierInfo, describe_server
from trainer_client._settings import is_list

_UNBOUNDED = 1e300
"""Bounds beyond this are those of a server that declares none."""


class NotOfferedError(Exception):
    """A verifier is not there; the message says what to do about it."""


@dataclass(frozen=True, slots=True)
class Offer:
    """A verifier as it is there.

    Attributes:
        name: Its name.
        version: Its version.
        place: Where: the package that it is installed with, or the address of the server that hosts it.
        judges_groups: Whether it judges the rollouts of a prompt together.
        low: Lowest score; None where it declares no range.
        high: Highest score; None where it declares no range.
        aspects: Names of the parts of its verdicts.
        option_problem: Says what is wrong with options, as ``options.PATH: reason``; empty for nothing.
    """

    name: str
    version: str
    place: str
    judges_groups: bool
    low: float | None
    high: float | None
    aspects: tuple[str, ...]
    option_problem: Callable[[Mapping[str, Any]], str]


class Offers:
    """Finds what a recipe's rewards will get.

    Args:
        elsewhere: Addresses of the servers that run already, by name; the others' verifiers are those installed here.
        tls: Files for asking running servers over TLS.
        token: Token, where they ask for one.
        folder: Where modules may be that no package announces, besides the working directory.
        ask: Whether to ask running servers at all; their verifiers are not checked otherwise.

    Attributes:
        silent: What kept running servers from saying what they host, by name; what is asked of those is not checked.
    """

    def __init__(
        self,
        elsewhere: Mapping[str, Sequence[str]],
        tls: TLS | None = None,
        token: str | None = None,
        *,
        folder: str | os.PathLike[str] = "",
        ask: bool = True,
    ) -> None:
        self._elsewhere = elsewhere
        self._tls = tls
        self._token = token
        self._asks = ask
        self._folder = folder
        self._hosted: dict[str, dict[str, Mapping[str, VerifierInfo]] | None] = {}
        self._found: dict[str, Offer | NotOfferedError] = {}
        self._loaded: dict[str, Verifier] = {}
        self.silent: dict[str, str] = {}

    def runs_elsewhere(self, server: Server) -> bool:
        """Whether a server runs already."""
        return server.name in self._elsewhere

    def addresses(self, server: Server) -> Sequence[str]:
        """Where a server runs already."""
        return self._elsewhere.get(server.name, ())

    def of(self, server: Server, verifier: str) -> Offer | None:
        """The verifier of that name on a server; None where a running server does not say what it hosts.

        Raises:
            NotOfferedError: There is none.
        """
        if not self.runs_elsewhere(server):
            return self._installed(verifier)
        if server.name not in self._hosted:
            self._hosted[server.name] = self._ask(server)
        hosted = self._hosted[server.name]
        if hosted is None:
            return None
        for address in self._elsewhere[server.name]:
            # What replicas host may differ, as while they are replaced one by one.
            if address not in hosted:
                hosted[address] = self._ask_replica(server, address)
            if verifier in hosted[address]:
                return _of_info(hosted[address][verifier], address)
        where = ", ".join(self._elsewhere[server.name])
        names = sorted({name for one in hosted.values() for name in one})
        raise NotOfferedError(
            f"server {server.name!r} ({where}) does not host {verifier!r};{_near(verifier, names)} it hosts "
            f"{', '.join(names) or 'nothing'}"
        )

    def ask_again(self, server: str) -> None:
        """Ask a running server once more at the next look."""
        self._hosted.pop(server, None)
        self.silent.pop(server, None)

    def leave_out(self, server: str, reason: str) -> None:
        """Do not check what is asked of a running server, for that reason."""
        self._hosted[server] = None
        self.silent[server] = reason

    def of_reward(self, server: Server, reward: Reward) -> Offer | None:
        """The verifier of a reward: see `of`."""
        return self.of(server, reward.verifier_name)

    def path_of(self, verifier: str) -> str:
        """The ``module:attribute`` by which a server's table names a verifier of that name; empty where none does."""
        return next((path for path, offer in self._loaded.items() if ":" in path and offer.name == verifier), "")

    def settings_problems(self, server: Server, config: ServerConfig, file: str) -> Iterator[str]:
        """What is wrong with the settings of the verifiers that a server is started with.

        Args:
            server: The server.
            config: Its settings.
            file: Where they are, in words.
        """
        loaded = [self._loaded[name] for name in server.verifiers if name in self._loaded]
        try:
            config.check_names([bound.name for bound in loaded], self._names)
        except SettingsError as error:
            yield str(error)
            return
        for bound in loaded:
            try:
                config.check(bound, file)
            except SettingsError as error:
                yield str(error)

    @cached_property
    def _names(self) -> Mapping[str, Any]:
        return installed()

    def _installed(self, name: str) -> Offer:
        if name not in self._found:
            try:
                self._found[name] = self._load(name)
            except AssayServerError as error:
                self._found[name] = NotOfferedError(str(error))
            except Exception as error:  # noqa: BLE001 - whatever a module does when it is imported
                self._found[name] = NotOfferedError(f"{name} cannot be loaded: {type(error).__name__}: {error}")
        offer = self._found[name]
        if isinstance(offer, NotOfferedError):
            raise offer
        return offer

    def _load(self, name: str) -> Offer:
        if ":" in name:
            # Where its server will find it.
            find_modules_in(self._folder)
        loaded = self._loaded[name] = find(name)
        place = self._names[name].distribution if name in self._names else name
        return _of_verifier(loaded, place)

    def _ask(self, server: Server) -> dict[str, Mapping[str, VerifierInfo]] | None:
        """What replicas of a running server host, by address, up to the first that answers."""
        hosted: dict[str, Mapping[str, VerifierInfo]] = {}
        reasons = []
        for address in self._elsewhere[server.name] if self._asks else ():
            hosted[address] = {}
            if is_list(address):
                reasons.append(f"{address}: which servers it lists is the client's to find out")
                continue
            try:
                hosted[address] = self._describe(server, address)
                return hosted
            except RewardError as error:
                reasons.append(f"{address}: {getattr(error, 'reason', error)}")
        if reasons:
            self.silent[server.name] = "; ".join(reasons)
        return None

    def _ask_replica(self, server: Server, address: str) -> Mapping[str, VerifierInfo]:
        """What one more replica hosts: nothing where it does not say."""
        with contextlib.suppress(RewardError):
            if not is_list(address):
                return self._describe(server, address)
        return {}

    def _describe(self, server: Server, address: str) -> Mapping[str, VerifierInfo]:
        tls, token = server.access(self._tls, self._token)
        return describe_server(address, tls=tls, token=token).verifiers


def find_modules_in(folder: str | os.PathLike[str]) -> None:
    """Let modules of a folder and of the working directory be imported; at the end of the path they shadow nothing."""
    folders = (os.path.abspath(folder), os.getcwd())
    sys.path += [folder for folder in folders if folder not in sys.path]


def _of_verifier(verifier: Verifier, place: str) -> Offer:
    def option_problem(options: Mapping[str, Any]) -> str:
        if verifier.options is None:
            return f"options: {verifier.name} takes none; remove {', '.join(options)}" if options else ""
        try:
            decode(verifier.options, json.dumps(options).encode(), "options")
        except ValueError as error:
            return str(error)
        return ""

    return Offer(
        verifier.name,
        verifier.version,
        place,
        verifier.scope == "group",
        verifier.low,
        verifier.high,
        verifier.aspects,
        option_problem,
    )


def _of_info(info: VerifierInfo, address: str) -> Offer:
    def option_problem(options: Mapping[str, Any]) -> str:
        if info.options_schema is None:
            return f"options: {info.id.name} takes none; remove {', '.join(options)}" if options else ""
        return schema_problem(info.options_schema, options, "options")

    bounded = max(-info.score_min, info.score_max) < _UNBOUNDED
    return Offer(
        info.id.name,
        info.id.version,
        address,
        info.judges_groups,
        info.score_min if bounded else None,
        info.score_max if bounded else None,
        info.id.aspects,
        option_problem,
    )


def _near(name: str, names: Iterable[str]) -> str:
    close = get_close_matches(name, names, n=1)
    return f" did you mean {close[0]!r}?" if close else ""
