"""What callers may name: a verifier that a package announces, or a module in a folder that the settings name."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Sequence
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path

import grpc

from reward_servers.core import is_verifier_name, quoted
from reward_servers.hosting._errors import RegistrationError

_PATH = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*(\.[A-Za-z_]\w*)*", re.ASCII)
_LONGEST = 256


def check_target(target: str, packages: bool, folders: Sequence[Path]) -> None:
    """Refuse what may not be named, before anything of it is loaded.

    Args:
        target: Name or ``module:attribute``.
        packages: Whether verifiers of installed packages may be named.
        folders: Folders whose modules may be named.

    Raises:
        RegistrationError: It may not.
    """
    if len(target) > _LONGEST or not (is_verifier_name(target) or _PATH.fullmatch(target)):
        raise RegistrationError(
            grpc.StatusCode.INVALID_ARGUMENT, f"verifier: {quoted(target)} is neither a name nor module:attribute"
        )
    if ":" not in target:
        if not packages:
            raise RegistrationError(
                grpc.StatusCode.PERMISSION_DENIED,
                "verifier: this server takes none by name; set packages = true under [registration] in its settings",
            )
        return
    if not folders:
        raise RegistrationError(
            grpc.StatusCode.PERMISSION_DENIED,
            "verifier: this server takes no module:attribute; name its folder under [registration] in its settings",
        )
    _check_module(target.partition(":")[0], folders)


def _check_module(module: str, folders: Sequence[Path]) -> None:
    """Refuse a module that is not in one of the folders, links followed.

    Raises:
        RegistrationError: It is not.
    """
    top = module.partition(".")[0]
    # As on the import path, links followed.
    places = [folder.resolve() for folder in folders]
    inside = next((place for place in places if PathFinder.find_spec(top, [str(place)]) is not None), None)
    if inside is None:
        raise RegistrationError(
            grpc.StatusCode.NOT_FOUND, f"verifier: no folder of [registration] has a module {quoted(top)}"
        )
    place = [str(inside)]
    for name in _prefixes(module):
        # By the last part alone: of a folder without __init__.py the parent would be looked for among loaded modules.
        spec = PathFinder.find_spec(name.rpartition(".")[2], place)
        if spec is None:
            raise RegistrationError(grpc.StatusCode.NOT_FOUND, f"verifier: there is no module {quoted(name)}")
        if not all(file.resolve().is_relative_to(inside) for file in _files(spec)):
            raise RegistrationError(
                grpc.StatusCode.PERMISSION_DENIED, f"verifier: {quoted(name)} leads out of its folder"
            )
        place = list(spec.submodule_search_locations or ())
    first = PathFinder.find_spec(top, sys.path)
    local_spec = PathFinder.find_spec(top, [str(inside)])
    if (
        top in sys.stdlib_module_names
        or first is None
        or local_spec is None
        or list(_files(first)) != list(_files(local_spec))
    ):
        raise RegistrationError(
            grpc.StatusCode.FAILED_PRECONDITION,
            f"verifier: the server's host has another module {quoted(top)}, which it would hide; rename it",
        )


def _prefixes(module: str) -> Iterator[str]:
    parts = module.split(".")
    return (".".join(parts[: count + 1]) for count in range(len(parts)))


def _files(spec: ModuleSpec) -> Iterator[Path]:
    """Where a module is: its file, and the folders of a package."""
    if spec.origin is not None:
        yield Path(spec.origin)
    for folder in spec.submodule_search_locations or ():
        yield Path(folder)
