"""The addresses of a server's replicas: given addresses, names with several addresses, and files that change.

gRPC connects a channel to one address of a name, or balances in a way in which a client cannot see which replica is
slow, full or broken. So a name with several addresses becomes several replicas here, looked up again now and then; a
name with one address is left to gRPC.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import socket
import stat
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final, NamedTuple

from trainer_client._errors import RecipeError
from trainer_client._settings import check_address, is_encrypted, is_list, listed_addresses, target_of
from trainer_client._transport.credentials import Credentials

if TYPE_CHECKING:
    from trainer_client._transport.ray_actors import RayView
    from trainer_client._transport.registry import RegistryView

logger = logging.getLogger("trainer_client")

FILE: Final = "file:"
SCHEME: Final = "registry://"
RAY: Final = "ray:"
_FILE_INTERVAL: Final = 1.0
_NAME_INTERVAL: Final = 5.0
"""Seconds between looks."""
_PATIENCE: Final = 1.0
"""Seconds that a look waits for names: one that no name server answers takes 10 s and more, and others are listed."""


class Place(NamedTuple):
    """One replica's address, and the name it was found under (empty where it is its own), which certificates bear."""

    address: str
    authority: str = ""


class AddressBook:
    """Addresses of one server.

    Args:
        server: its name, under which files list its addresses.
        told: addresses as users write them; ``file:PATH`` is a JSON object of lists of addresses, by server, and
            ``registry://HOST:PORT`` asks a registry; ``ray:NAME`` asks Ray.
        credentials: for encrypted connections to registries.
        token: bearer token for registries, or where it is read.

    Raises:
        RecipeError: what is asked of a registry cannot be read.

    What was found last counts for as long as a place cannot be looked at: a file that is being written, a name service
    that does not answer.

    Attributes:
        interval: seconds between looks; None where nothing can change.
        trouble: the problem with the places that were looked at; empty if there is none.
    """

    def __init__(self, server: str, entries: Sequence[str], credentials: Credentials, token: str = "") -> None:
        self._server = server
        self._told = tuple(entries)
        self._tls = credentials.tls
        self._views: dict[str, RegistryView | RayView] = {}
        self._listed: dict[str, list[str]] = {}
        self._named: dict[str, list[Place]] = {}
        self._asked: dict[str, asyncio.Task[None]] = {}
        for entry in entries:
            if entry.startswith(SCHEME):
                from trainer_client._transport.registry import RegistryView

                self._views[entry] = RegistryView(entry.removeprefix(SCHEME), server, credentials, token)
            elif entry.startswith(RAY):
                from trainer_client._transport.ray_actors import RayView

                self._views[entry] = RayView(entry.removeprefix(RAY) or server)
        self.trouble = ""
        self.interval: float | None = None
        if self._views or any(address.startswith(FILE) for address in entries):
            self.interval = _FILE_INTERVAL
        elif any(_name_of(address) for address in entries):
            self.interval = _NAME_INTERVAL

    async def look(self) -> list[Place]:
        """The present addresses, each once."""
        entries: list[str] = []
        troubles: list[str] = []
        # All at once: one registry that does not answer delays no other.
        told = await asyncio.gather(*map(self._told_at, self._told))
        for address, (listed, trouble) in zip(self._told, told, strict=True):
            for entry in listed:
                mistake = _mistake(entry) if is_list(address) else ""
                if mistake:
                    trouble = f"{address}: {mistake}"
                else:
                    entries.append(entry)
            if trouble:
                troubles.append(trouble)
        late = await self._look_up({entry: name for entry in entries if (name := _name_of(entry))})
        if late:
            names = f"{late[0]} and others do" if len(late) > 1 else f"{late[0]} does"
            troubles.append(f"{names} not resolve within {_PATIENCE:g} s; what was known last counts")
        places: dict[tuple[bool, str], Place] = {}
        for entry in entries:
            for place in self._named.get(entry) or _as_told(entry):
                places.setdefault((is_encrypted(place.address, self._tls), _target(place.address)), place)
        troubles_text = "; ".join(troubles)
        if troubles_text and troubles_text != self.trouble:
            logger.warning("server %r: %s", self._server, troubles_text)
        self.trouble = troubles_text
        return list(places.values())

    async def _told_at(self, address: str) -> tuple[Sequence[str], str]:
        """The addresses that an entry stands for, and the problem with it."""
        view = self._views.get(address)
        if view is not None:
            return await view.look(), view.trouble
        if not address.startswith(FILE):
            return (address,), ""
        path = address.removeprefix(FILE)
        try:
            self._listed[path] = self._read(path)
        except (OSError, ValueError, RecursionError) as error:
            last = self._listed.get(path, [])
            counts = "; what it said last counts" if last else ""
            return last, f"{path}: {error or type(error).__name__}{counts}"
        empty = f"{path}: lists no address of server {self._server!r}" if not self._listed[path] else ""
        return self._listed[path], empty

    def _read(self, path: str) -> list[str]:
        """The addresses in a file.

        Raises:
            OSError: it cannot be read.
            ValueError: it does not hold what it should.
            RecursionError: it is nested too deep.
        """
        with open(path, encoding="utf-8", opener=_open_at_once) as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise ValueError("is no regular file; write the list to a file, and rename that into its place")
            listed = json.load(file)
        addresses = listed_addresses(listed.get(self._server)) if isinstance(listed, dict) else None
        if addresses is None:
            example = f'{{"{self._server}": ["host:port"]}}'
            raise ValueError(f"names no addresses of server {self._server!r}, as {example} does")
        return addresses

    async def _look_up(self, names: Mapping[str, tuple[str, int]]) -> list[str]:
        """Ask for the addresses of names; those whose last answer did not come in time, for all to see what is slow.

        An answer that comes later counts from the next look on, and only then is the name asked for again.
        """
        before = set(self._asked)
        fresh = {
            address: asyncio.create_task(self._resolve(address, *name))
            for address, name in names.items()
            if address not in before
        }
        self._asked.update(fresh)
        if fresh:
            await asyncio.wait(fresh.values(), timeout=_PATIENCE)
        done = [address for address, task in self._asked.items() if task.done()]
        for task in [self._asked.pop(address) for address in done]:
            task.result()
        return [address for address in names if address in before or address in self._asked]

    async def _resolve(self, address: str, host: str, port: int) -> None:
        """Find the replicas at an address that is a name: several where it has several addresses."""
        try:
            entries = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (OSError, ValueError, OverflowError):
            # What was known counts. If a name was never found, gRPC reports it when it connects.
            return
        hosts = sorted({str(entry[4][0]) for entry in entries if entry[0] == socket.AF_INET})
        if not hosts:
            # A replica with an IPv4 and an IPv6 address is one replica.
            hosts = sorted({f"[{entry[4][0]}]" for entry in entries if entry[0] == socket.AF_INET6})
        scheme, _ = _parts(address)
        several = [Place(f"{scheme}{found}:{port}", f"{host}:{port}") for found in hosts]
        self._named[address] = several if len(hosts) > 1 else [Place(address)]


def _open_at_once(path: str, flags: int) -> int:
    """Open a file of the loop's: a named pipe would wait for who writes to it, and all work with it."""
    return os.open(path, flags | os.O_NONBLOCK)


def _mistake(address: str) -> str:
    """Why an entry of a list is no address of a server; empty if it is one."""
    if is_list(address):
        return f"{address!r} is a list of servers itself, and no address of one"
    try:
        check_address(address, "")
    except RecipeError as error:
        return error.reason
    return ""


def _target(address: str) -> str:
    """What an address has in common with others that are the same, differently written."""
    target = target_of(address)
    return target.removeprefix("dns:").lstrip("/") if target.startswith("dns:") else target


def _parts(address: str) -> tuple[str, str]:
    """The scheme that says whether a connection is encrypted, and the rest."""
    for scheme in ("grpcs://", "grpc://"):
        if address.startswith(scheme):
            return scheme, address.removeprefix(scheme)
    return "", address


def _name_of(address: str) -> tuple[str, int] | None:
    """Host and port of an address that is a name, and may stand for several."""
    _, target = _parts(address)
    if target.startswith("dns:"):
        target = target.removeprefix("dns:").lstrip("/")
    elif target.startswith(("unix", "xds:", "ipv4:", "ipv6:", FILE, SCHEME, RAY)):
        return None
    host, _, port = target.rpartition(":")
    if not host or not port.isdigit() or "/" in host or host.lower().rstrip(".") == "localhost":
        return None
    import ipaddress

    try:
        ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return host, int(port)
    return None


def _as_told(address: str) -> list[Place]:
    """The replicas at an address of which no name service has said anything."""
    scheme, target = _parts(address)
    for literal in ("ipv4:", "ipv6:"):
        if target.startswith(literal):
            return [Place(f"{scheme}{part}") for part in target.removeprefix(literal).split(",") if part]
    return [Place(address)]
