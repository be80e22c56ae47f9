"""Files that say where servers are, and what is printed of what servers say."""

from __future__ import annotations

import contextlib
import json
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reward_servers.cli._console import print_note
from reward_servers.cli._errors import UserError
from reward_servers.cli._whole_file import whole_file
from trainer_client._settings import check_address

if TYPE_CHECKING:
    from trainer_client import Server

_ROUTINE = re.compile(r" (INFO|DEBUG) |^error: ")


def read_endpoints(path: Path, servers: Iterable[Server] | None = None) -> dict[str, list[str]]:
    """Read a file that says where servers are: an object of lists of ``host:port``, by the server's name.

    Args:
        path: The file.
        servers: Servers of the recipe; None where any name will do.

    Raises:
        UserError: The file does not hold that, or names a server that the recipe does not have.
    """
    try:
        table = json.loads(path.read_text("utf-8"))
    except ValueError as error:
        raise UserError(f"{path}: not JSON: {error}") from None
    except RecursionError:
        example = '{"math": ["127.0.0.1:50051"]}'
        raise UserError(f"{path}: JSON that is nested too deep; expected an object such as {example}") from None
    if not isinstance(table, dict) or not all(
        isinstance(addresses, list) and addresses and all(isinstance(address, str) for address in addresses)
        for addresses in table.values()
    ):
        raise UserError(f'{path}: expected an object such as {{"math": ["127.0.0.1:50051"]}}')
    if servers is not None:
        _check_names(path, table, [server.name for server in servers])
    return table


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


def write_endpoints(path: Path, endpoints: Mapping[str, Sequence[str]]) -> None:
    """Write such a file; who finds it finds it whole."""
    with whole_file(path) as file:
        json.dump({name: list(addresses) for name, addresses in endpoints.items()}, file, indent=1)
        file.write("\n")


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
