"""Asks running servers how they are: for ``assay health`` and ``assay top``."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from reward_servers.cli._errors import UserError
from reward_servers.cli._fleet import read_endpoints
from reward_servers.cli._remote import reason_of
from trainer_client import TLS, RecipeError, RequestRejectedError, ServerInfo, ServerUnavailableError, describe_server


@dataclass(frozen=True)
class ServerView:
    """What one server says of itself.

    Attributes:
        address: Where it was asked.
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


def addresses_of(endpoints: Sequence[str], file: Path | None) -> list[str]:
    """The servers that a command was told of, on its command line and in a file.

    Raises:
        UserError: There are none.
    """
    listed = [address for endpoint in endpoints for address in endpoint.split(",") if address]
    if file is not None:
        listed += [address for addresses in read_endpoints(file).values() for address in addresses]
    if not listed:
        raise UserError("name at least one server (HOST:PORT), or give --endpoints-file")
    return list(dict.fromkeys(listed))


def look(addresses: Sequence[str], tls: TLS | None, token: str | None, timeout: float) -> list[ServerView]:
    """Ask all servers at once.

    Args:
        addresses: Where they are.
        tls: Files for asking them over TLS; None for plain text.
        token: A token, for servers that ask for one.
        timeout: Seconds after which a server counts as one that does not answer.
    """
    with ThreadPoolExecutor(min(32, len(addresses))) as pool:
        return list(pool.map(lambda address: _look_at(address, tls, token, timeout), addresses))


def _look_at(address: str, tls: TLS | None, token: str | None, timeout: float) -> ServerView:
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
