"""The servers that a command starts for a recipe."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from reward_servers.cli._errors import UserError
from reward_servers.cli._whole_file import whole_file
from reward_servers.supervisor import ServerProcess

if TYPE_CHECKING:
    from trainer_client import Server

__all__ = [
    "PrefixedLog",
    "QuietLog",
    "addresses_elsewhere",
    "programs_of",
    "read_endpoints",
    "verifiers_elsewhere",
    "write_endpoints",
]

_ROUTINE = re.compile(r" (INFO|DEBUG) |^error: ")


def addresses_elsewhere(servers: Iterable[Server], given: Mapping[str, Sequence[str]]) -> dict[str, Sequence[str]]:
    """Where the servers are that run elsewhere, by name: where the command line says, else where the recipe does."""
    found = {server.name: given.get(server.name) or server.endpoints for server in servers}
    return {name: addresses for name, addresses in found.items() if addresses}


def verifiers_elsewhere(servers: Iterable[Server], addresses: Mapping[str, Sequence[str]]) -> dict[str, Sequence[str]]:
    """The same, by the names of the verifiers that they host."""
    return {
        verifier: addresses[server.name]
        for server in servers
        if server.name in addresses
        for verifier in server.verifiers
    }


def programs_of(
    servers: Iterable[Server],
    folder: Path,
    *,
    host: str | None = None,
    port: int | None = None,
    workers: int | None = None,
    insecure: bool = False,
    plain: bool = False,
) -> list[ServerProcess]:
    """What to start for servers that do not run elsewhere.

    Args:
        servers: Servers of a recipe.
        folder: Folder that paths of settings files are relative to.
        host: Address to listen on.
        port: Port of the first process; the others follow. 0: any free ones. None: what the settings say.
        workers: Worker processes of each.
        insecure: Whether plain text is accepted on an address that others can reach.
        plain: Whether they speak plain text even where their settings have certificates.
    """
    programs: list[ServerProcess] = []
    for server in servers:
        if server.endpoints:
            continue
        config = str(folder / server.config) if server.config is not None else None
        for replica in range(server.replicas):
            if port:
                given: int | None = port + len(programs)
            else:
                # A port of the settings file can be taken once.
                given = port if replica == 0 else 0
            number = replica + 1 if server.replicas > 1 else 0
            programs.append(
                ServerProcess(server.name, server.verifiers, config, host, given, workers, insecure, number, plain)
            )
    return programs


def read_endpoints(path: Path) -> dict[str, list[str]]:
    """Reads a file that says where servers are: an object of lists of ``host:port``, by the server's name.

    Raises:
        UserError: The file does not hold that.
    """
    try:
        found = json.loads(path.read_text("utf-8"))
    except ValueError as error:
        raise UserError(f"{path}: not JSON: {error}") from None
    if not isinstance(found, dict) or not all(
        isinstance(addresses, list) and addresses and all(isinstance(one, str) for one in addresses)
        for addresses in found.values()
    ):
        raise UserError(f'{path}: expected an object such as {{"math": ["127.0.0.1:50051"]}}')
    return found


def write_endpoints(path: Path, endpoints: Mapping[str, Sequence[str]]) -> None:
    """Writes such a file; who finds it finds it whole."""
    with whole_file(path) as file:
        json.dump({name: list(addresses) for name, addresses in endpoints.items()}, file, indent=1)
        file.write("\n")


class PrefixedLog:
    """Prints what servers say, each line with the server's name before it."""

    def __init__(self, labels: Iterable[str]) -> None:
        self._width = max(map(len, labels), default=0)

    def __call__(self, label: str, line: str) -> None:
        """Prints a line."""
        print(f"{label:<{self._width}} | {line}", file=sys.stderr, flush=True)


class QuietLog:
    """Prints what servers say that were started on the side, without their routine."""

    def __init__(self, verbose: bool = False) -> None:
        self._verbose = verbose

    def __call__(self, label: str, line: str) -> None:
        """Prints a line, unless it is routine or will be said as the command's own error."""
        if self._verbose or not _ROUTINE.search(line):
            print(f"{label} | {line}", file=sys.stderr, flush=True)
