"""Asks running servers how they are: for ``assay health`` and ``assay top``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from reward_servers.cli._errors import UserError
from reward_servers.cli._fleet import read_endpoints, without_address
from reward_servers.cli._remote import not_one_server, reason_of
from trainer_client import TLS, RecipeError, RequestRejectedError, ServerInfo, ServerUnavailableError, describe_server


@dataclass(frozen=True)
class ServerView:
    """What one server says of itself.

    Attributes:
        address: Where it was asked; the server's name where it has no address.
        state: ``"serving"``, ``"draining"``, ``"unavailable"``, ``"not asked"``, or the code of its refusal.
        problem: Why it takes no work; empty when it does.
        info: What it says; None when it does not answer.
    """

    address: str
    state: str
    problem: str = ""
    info: ServerInfo | None = None

    @property
    def serving(self) -> bool:
        """Whether it takes work."""
        return self.state == "serving"


@dataclass(frozen=True)
class Told:
    """The servers that a command was told of.

    Attributes:
        addresses: Where they are, each once.
        absent: Names of those that have no address at present.
    """

    addresses: Sequence[str]
    absent: Sequence[str] = ()


def servers_told(endpoints: Sequence[str], file: Path | None) -> Told:
    """The servers of a command line and of a file.

    Raises:
        UserError: There are none.
    """
    addresses = [address for endpoint in endpoints for address in endpoint.split(",") if address]
    listed: Mapping[str, Sequence[str]] = read_endpoints(file) if file is not None else {}
    addresses += [address for places in listed.values() for address in places]
    if not addresses and not listed:
        raise UserError("name at least one server (HOST:PORT), or give --endpoints-file")
    return Told(list(dict.fromkeys(addresses)), [name for name, places in listed.items() if not places])


def look(told: Told, tls: TLS | None, token: str | None, timeout: float) -> list[ServerView]:
    """Ask all servers at once.

    Args:
        told: The servers.
        tls: Files for asking them over TLS; None for plain text.
        token: A token, for servers that ask for one.
        timeout: Seconds after which a server counts as one that does not answer.
    """
    absent = [ServerView(name, "unavailable", without_address(name)) for name in told.absent]
    with ThreadPoolExecutor(min(32, len(told.addresses) or 1)) as pool:
        return [*pool.map(lambda address: _look_at(address, tls, token, timeout), told.addresses), *absent]


def _look_at(address: str, tls: TLS | None, token: str | None, timeout: float) -> ServerView:
    if mistake := not_one_server(address):
        return ServerView(address, "not asked", mistake)
    try:
        info = describe_server(address, tls=tls, token=token, with_activity=True, timeout_s=timeout)
    except ServerUnavailableError as error:
        return ServerView(address, "unavailable", reason_of(error))
    except RequestRejectedError as error:
        return ServerView(address, error.code, reason_of(error))
    except RecipeError as error:
        return ServerView(address, "not asked", reason_of(error))
    if info.draining:
        return ServerView(address, "draining", "it finishes what it has, and takes no more work", info)
    return ServerView(address, "serving", info=info)
