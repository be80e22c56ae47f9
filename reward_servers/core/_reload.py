"""Loads the code of a verifier as its files are now, into a process that may have loaded it before."""

from __future__ import annotations

import contextlib
import importlib
import sys
from collections.abc import Iterable, Set
from importlib.util import cache_from_source
from pathlib import Path
from types import ModuleType

from reward_servers.core._bound import load_path
from reward_servers.core._digest import judging_modules
from reward_servers.core._errors import VerifierNotFoundError
from reward_servers.core._verifier import Verifier

OURS = frozenset({"reward_servers", "trainer_client", "sandbox"})
"""Packages that the process itself runs on, which are never loaded twice."""
_GRAIN = 2.0
"""Seconds within which two states of a file may bear the same time."""


def module_of(path: str) -> str:
    """The module of ``module:name``, also with a style before it."""
    return path.partition(":")[0].rpartition("+")[2]


def load_fresh(path: str) -> Verifier:
    """Import a verifier again from its files, with the package that its module is of and what it judges with beside it.

    What was loaded before goes on as it was: objects keep their code. If the import fails, nothing has changed.
    Two calls at once must be of different packages.

    Args:
        path: ``module:name``, also with a style before it.

    Raises:
        VerifierNotFoundError: It cannot be imported, or is no verifier; the message says why.
    """
    module = module_of(path)
    package = module.partition(".")[0]
    may_drop = package not in OURS and package not in sys.stdlib_module_names
    packages: set[str] = set()
    importlib.invalidate_caches()
    before: dict[str, ModuleType] = {}
    if may_drop:
        judging = _judging(module)
        _drop_stale_bytecode(judging.values())
        packages = {package, *(name.partition(".")[0] for name in judging)} - OURS
        before = _forget(packages)
    try:
        return load_path(path)
    except BaseException as error:
        _forget(packages)
        for name, loaded in before.items():
            sys.modules.setdefault(name, loaded)
        if isinstance(error, VerifierNotFoundError):
            raise
        # A module that ends the process, or is interrupted, ends nothing here.
        raise VerifierNotFoundError(f"{path} cannot be loaded: {type(error).__name__}: {error}") from error


def _judging(module: str) -> dict[str, Path]:
    """A module and what judges with it, each with its file; none where one of them cannot be read."""
    with contextlib.suppress(SyntaxError, ValueError):  # said by the import, with its place
        return judging_modules([module])
    return {}


def _forget(packages: Set[str]) -> dict[str, ModuleType]:
    """Take packages out of what is loaded."""
    names = [name for name in list(sys.modules) if name.partition(".")[0] in packages]
    return {name: sys.modules.pop(name) for name in names}


def _drop_stale_bytecode(files: Iterable[Path]) -> None:
    """Remove what was compiled of files that have changed within the grain of their times."""
    for file in files:
        # A file that is gone is not stale, and an interpreter without a cache has none.
        with contextlib.suppress(OSError, NotImplementedError):
            compiled = Path(cache_from_source(str(file)))
            if compiled.stat().st_mtime < file.stat().st_mtime + _GRAIN:
                compiled.unlink()
