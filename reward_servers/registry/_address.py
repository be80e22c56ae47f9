"""The address that a server announces."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Sequence

from trainer_client._settings import is_loopback, target_of


class OwnAddress:
    """The address under which others reach a server.

    A server on all addresses of its host announces the one from which the host reaches a registry: the first registry
    that lies elsewhere, since others reach nothing by an address of this host alone.

    Args:
        listening: ``host:port`` that it listens on.
        registries: ``host:port`` of each.
        told: What the settings say; empty to find it out.
    """

    def __init__(self, listening: str, registries: Sequence[str], told: str = "") -> None:
        self._listening = listening
        self._registries = registries
        self._found = told or ("" if _is_unspecified(_host(listening)) else listening)
        self._told = told
        self._turn = asyncio.Lock()

    def warning(self) -> str:
        """What is wrong with announcing it, for those who run the server; empty where nothing is."""
        if self._told or not is_loopback(_host(self._listening)):
            return ""
        away = next((registry for registry in self._registries if not is_loopback(_host(target_of(registry)))), "")
        if not away:
            return ""
        return (
            f"{self._listening}, which only this host can reach, is announced at the registry {away}: clients on other "
            "hosts will not find the server there. Listen for them (--host 0.0.0.0, or server.host), or say in "
            "registry.address where they reach it"
        )

    async def find(self) -> str:
        """Find it out; once found it stays, so that all registries list the server alike.

        Raises:
            OSError: No registry's name can be resolved now, or none can be reached from here.
        """
        async with self._turn:
            return self._found or await self._look()

    async def _look(self) -> str:
        problems: list[str] = []
        local = ""
        for registry in self._registries:
            host, _, port = target_of(registry).rpartition(":")
            try:
                source = await _source(host.strip("[]"), int(port))
            except OSError as error:
                problems.append(f"{registry}: {error.strerror}")
                continue
            address = f"[{source}]" if ":" in source else source
            address = f"{address}:{self._listening.rpartition(':')[2]}"
            if not is_loopback(source):
                self._found = address
                return address
            local = local or address
        if not local:
            raise OSError(
                f"the address of this server is not known, since no registry can be looked up ({'; '.join(problems)}); "
                "say in registry.address where clients reach it"
            )
        if not problems:
            self._found = local
        return local


async def _source(host: str, port: int) -> str:
    """The address of this host from which it reaches another.

    Raises:
        OSError: The other's name cannot be resolved, or there is no way to it.
    """
    # On a thread: a name service that does not answer must not hold up the server.
    try:
        infos = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_DGRAM)
    except UnicodeError:
        raise socket.gaierror(socket.EAI_NONAME, "no host can have such a name") from None
    family, _, _, _, where = infos[0]
    with socket.socket(family, socket.SOCK_DGRAM) as probe:  # connecting sends nothing
        probe.connect(where)
        return str(probe.getsockname()[0])


def _host(address: str) -> str:
    return address.rpartition(":")[0]


def _is_unspecified(host: str) -> bool:
    try:
        return ipaddress.ip_address(host.strip("[]")).is_unspecified
    except ValueError:
        return False  # a name
