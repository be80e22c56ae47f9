"""What to start for the servers of a recipe."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from reward_servers.supervisor import ServerProcess
from trainer_client import Server

REPLICA = "{replica}"
"""Stands in a variable of a server's environment for the number of the replica, from 0 on: each has its own device."""


def addresses_elsewhere(servers: Iterable[Server], endpoints: Mapping[str, Sequence[str]]) -> dict[str, Sequence[str]]:
    """Where the servers are that run elsewhere, by name: where the command line says, else where the recipe does."""
    elsewhere = {server.name: endpoints.get(server.name) or server.endpoints for server in servers}
    return {name: addresses for name, addresses in elsewhere.items() if addresses}


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
        folder: Folder that paths of settings files are relative to, and where modules of verifiers may be that no
            package announces.
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
                given_port: int | None = port + len(programs)
            else:
                # A port of the settings file can be taken once.
                given_port = port if replica == 0 else 0
            number = replica + 1 if server.replicas > 1 else 0
            has_paths = any(":" in verifier for verifier in server.verifiers)
            programs.append(
                ServerProcess(
                    server.name,
                    server.verifiers,
                    config,
                    host,
                    given_port,
                    workers or server.workers,
                    insecure,
                    number,
                    plain,
                    env={name: value.replace(REPLICA, str(replica)) for name, value in server.env.items()},
                    import_path=(os.path.abspath(folder),) if has_paths else (),
                )
            )
    return programs
