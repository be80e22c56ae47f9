"""Files that say where servers are, and what is printed of what servers say."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from reward_servers.cli._errors import UserError
from reward_servers.cli._whole_file import whole_file

__all__ = ["PrefixedLog", "QuietLog", "read_endpoints", "write_endpoints"]

_ROUTINE = re.compile(r" (INFO|DEBUG) |^error: ")


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
