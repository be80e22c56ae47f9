"""Follows the files of verifiers that are being written."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sys
from pathlib import Path

from reward_servers.core import BoundVerifier, judging_files
from reward_servers.hosting._errors import RegistrationError
from reward_servers.hosting._registrar import Registrar

_log = logging.getLogger("assay.server")
_PERIOD = 0.3
_OURS = "reward_servers."

Stamp = tuple[tuple[Path, int, int], ...]


async def follow_files(registrar: Registrar) -> None:
    """Host verifiers again whenever their files change, until cancelled.

    A change that cannot be loaded is said, and what was hosted goes on.
    """
    followed = _Followed(registrar)
    watched = [bound for bound in registrar.hosting if not bound.verifier.path.startswith(_OURS)]
    if not watched:
        _log.warning("--reload: nothing to follow: the verifiers of assay itself are not loaded again")
    while True:
        for bound in {bound.verifier.path: bound for bound in registrar.hosting}.values():
            if not bound.verifier.path.startswith(_OURS):
                await followed.look(bound)
        await asyncio.sleep(_PERIOD)


class _Followed:
    """What the files were when they were looked at last."""

    def __init__(self, registrar: Registrar) -> None:
        self._registrar = registrar
        self._stamps: dict[str, Stamp] = {}
        self._files: dict[str, list[Path]] = {}
        self._failing: set[str] = set()

    async def look(self, hosted: BoundVerifier) -> None:
        """Host a verifier again if its files have changed. What goes wrong is said once, and tried again."""
        path = hosted.verifier.path
        try:
            await self._look(path, hosted)
        except Exception:  # noqa: BLE001 - else no later change would be seen
            if path not in self._failing:
                _log.exception("the files of %s cannot be followed; trying again", hosted.identity.name)
            self._failing.add(path)
        else:
            self._failing.discard(path)

    async def _look(self, path: str, hosted: BoundVerifier) -> None:
        if path not in self._files:
            self._files[path] = await _files_of(hosted, _own_file(hosted))
        now = _stamp(self._files[path])
        if self._stamps.setdefault(path, now) != now:
            await asyncio.sleep(_PERIOD)  # an editor may still be writing
            files = await _files_of(hosted, self._files[path])
            now = _stamp(files)
            await _reload(self._registrar, hosted)
            self._files[path], self._stamps[path] = files, now


def _own_file(hosted: BoundVerifier) -> list[Path]:
    """The file that the verifier itself is in: what it imports is not known while that cannot be read."""
    file = getattr(sys.modules.get(hosted.verifier.target.__module__), "__file__", None)
    return [Path(file)] if file else []


async def _files_of(hosted: BoundVerifier, last: list[Path]) -> list[Path]:
    """The files that a verifier judges with; the last list where one of them cannot be read as it is now."""
    with contextlib.suppress(SyntaxError, ValueError, OSError, RecursionError, MemoryError):
        return await asyncio.to_thread(judging_files, hosted.verifier.modules)
    return last


async def _reload(registrar: Registrar, hosted: BoundVerifier) -> None:
    identity = hosted.identity
    try:
        registered = await registrar.reload(hosted.verifier.path)
    except RegistrationError as error:
        _log.error("%s goes on as it was: %s", identity.name, error)
        return
    now = registered.hosted.identity
    if registered.unchanged:
        _log.info("%s judges as before: only comments or layout have changed", identity.name)
    else:
        _log.info("%s is served as its files are now: version %s, %s", now.name, now.version, now.digest)


def _stamp(files: list[Path]) -> Stamp:
    stamps: list[tuple[Path, int, int]] = []
    for file in files:
        with contextlib.suppress(OSError):
            status = file.stat()
            stamps.append((file, status.st_mtime_ns, status.st_size))
    return tuple(stamps)
