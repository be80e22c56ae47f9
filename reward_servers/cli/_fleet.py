"""Files that say where servers are, and what is printed of what servers say."""

from __future__ import annotations

import contextlib
import json
import re
import socket
import sys
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reward_servers.cli._console import print_note
from reward_servers.cli._errors import UserError
from reward_servers.cli._whole_file import remove_file, whole_file
from trainer_client._settings import check_address, is_host_port, listed_addresses, target_of

if TYPE_CHECKING:
    from trainer_client import Server

_PATIENCE = 2.0
"""Seconds for a connection to what may be a server of another run."""
_EXPECTED = 'expected an object such as {"math": ["127.0.0.1:50051"]}'
_ROUTINE = re.compile(r" (INFO|DEBUG) |^error: ")


def read_endpoints(path: Path, servers: Iterable[Server] | None = None) -> dict[str, list[str]]:
    """Read a file that says where servers are: an object of lists of ``host:port``, by the server's name.

    One address may stand without a list. A list may be empty: the server has no replica at present.

    Args:
        path: The file.
        servers: Servers of the recipe; None where any name will do.

    Raises:
        UserError: The file does not hold that, names a server that the recipe does not have, or has no address of one
            that it has.
    """
    try:
        table = json.loads(path.read_text("utf-8"))
    except ValueError as error:
        raise UserError(f"{path}: not JSON: {error}") from None
    except RecursionError:
        raise UserError(f"{path}: JSON that is nested too deep; {_EXPECTED}") from None
    if not isinstance(table, dict):
        raise UserError(f"{path}: {_EXPECTED}")
    listed: dict[str, list[str]] = {}
    for name, value in table.items():
        addresses = listed_addresses(value)
        if addresses is None:
            raise UserError(f"{path}: {_EXPECTED}")
        listed[name] = addresses
    if servers is not None:
        names = [server.name for server in servers]
        _check_names(path, listed, names)
        for name in names:
            if not listed.get(name, [name]):
                raise UserError(f"{path}: {without_address(name)}; wait until one of its replicas serves")
    return listed


def without_address(name: str) -> str:
    """What is said of a server whose list is empty, as when its last replica drains."""
    return f"server {name!r} has no address at present"


def _check_names(path: Path, addresses: Mapping[str, Any], names: Sequence[str]) -> None:
    """Refuse what looks like a mistyped name. A file may say more than a recipe needs: that is remarked."""
    lacking = [name for name in names if name not in addresses]
    unknown = [name for name in addresses if name not in names]
    for name in unknown:
        close = get_close_matches(name, lacking, n=1, cutoff=0.5)
        if close:
            raise UserError(f"{path}: {name!r} is not a server of the recipe; did you mean {close[0]!r}?")
    if unknown and len(lacking) == len(names):
        raise UserError(
            f"{path}: it names {', '.join(map(repr, unknown))}, but the recipe's servers are "
            f"{', '.join(map(repr, names))}"
        )
    if unknown:
        print_note(f"{path}: {', '.join(map(repr, unknown))} not needed by the recipe")


def endpoints_of(
    servers: Iterable[Server], file: Path | None, endpoints: Sequence[str] | None
) -> dict[str, Sequence[str]]:
    """Where the command line says that a recipe's servers are, by name.

    Args:
        servers: Servers of the recipe.
        file: A file that says where they are.
        endpoints: Replicas of one server that hosts everything.

    Raises:
        UserError: Both are given, or one of them cannot be read.
    """
    if not endpoints:
        return dict(read_endpoints(file, servers)) if file is not None else {}
    if file is not None:
        raise UserError("--endpoint and --endpoints-file both give the addresses of servers; use only one of them")
    for address in endpoints:
        check_address(address, "--endpoint")
    return {server.name: list(endpoints) for server in servers}


@contextlib.contextmanager
def endpoints_written(path: Path | None, endpoints: Mapping[str, Sequence[str]]) -> Iterator[None]:
    """Keep such a file for as long as the block runs; who finds it finds it whole.

    At the end it is removed, unless another process has written it meanwhile, as a run does that takes over.
    """
    if path is None:
        yield
        return
    text = json.dumps({name: list(addresses) for name, addresses in endpoints.items()}, indent=1) + "\n"
    with whole_file(path) as file:
        file.write(text)
    try:
        yield
    finally:
        if path.is_file():
            _remove_own(path, text)


def _remove_own(path: Path, text: str) -> None:
    """Remove a file that holds what this process wrote; that it cannot be removed is no failure of the run."""
    try:
        if path.read_bytes() == text.encode():
            remove_file(path)
        else:
            print_note(f"{path}: not removed, since another process has written it")
    except FileNotFoundError:
        return
    except OSError as error:
        print_note(f"{path}: not removed: {error.strerror or error}")


def answering(path: Path, own: Collection[str]) -> list[str]:
    """Addresses in a file of another run at which something answers.

    Args:
        path: The file; there may be none, or one that holds something else.
        own: Addresses that this run has in common with others.
    """
    if not path.is_file():
        return []
    try:
        listed = read_endpoints(path).values()
    except (UserError, OSError):
        return []
    addresses = [address for addresses in listed for address in addresses if address not in own]
    if not addresses:
        return []
    with ThreadPoolExecutor(min(32, len(addresses))) as pool:
        return [address for address, found in zip(addresses, pool.map(_answers, addresses), strict=True) if found]


def _answers(address: str) -> bool:
    """Whether a connection is taken: a server that asks for TLS or a token answers as well."""
    host, _, port = target_of(address).rpartition(":")
    if not is_host_port(f"{host}:{port}"):
        return False
    try:
        with socket.create_connection((host.strip("[]"), int(port)), timeout=_PATIENCE):
            return True
    except OSError:
        return False


class PrefixedLog:
    """Prints what servers say, each line with the server's name before it."""

    def __init__(self, labels: Iterable[str]) -> None:
        self._width = max(map(len, labels), default=0)

    def __call__(self, label: str, line: str) -> None:
        """Print a line."""
        _print(f"{label:<{self._width}} | {line}")


class QuietLog:
    """Prints what servers say that were started on the side, without their routine."""

    def __init__(self, verbose: bool = False) -> None:
        self._verbose = verbose

    def __call__(self, label: str, line: str) -> None:
        """Print a line, unless it is routine or will be said as the command's own error."""
        if self._verbose or not _ROUTINE.search(line):
            _print(f"{label} | {line}")


def _print(line: str) -> None:
    # Servers are kept running and stopped also where the reader of their log has ended.
    with contextlib.suppress(BrokenPipeError):
        print(line, file=sys.stderr, flush=True)
