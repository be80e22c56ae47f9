"""Follows the files of verifiers that are being written."""

from __future__ import annotations

import asyncio
import contextlib
import logging
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
    stamps: dict[str, Stamp] = {}
    files: dict[str, list[Path]] = {}
    watched = [bound for bound in registrar.hosting if not bound.verifier.path.startswith(_OURS)]
    if not watched:
        _log.warning("--reload: nothing to follow: the verifiers of assay itself are not loaded again")
    while True:
        for bound in {bound.verifier.path: bound for bound in registrar.hosting}.values():
            path = bound.verifier.path
            if path.startswith(_OURS):
                continue
            if path not in files:
                files[path] = await _files_of(bound, [])
            now = _stamp(files[path])
            if stamps.setdefault(path, now) != now:
                await asyncio.sleep(_PERIOD)  # an editor may still be writing
                files[path] = await _files_of(bound, files[path])
                stamps[path] = _stamp(files[path])
                await _reload(registrar, bound)
        await asyncio.sleep(_PERIOD)


async def _files_of(hosted: BoundVerifier, last: list[Path]) -> list[Path]:
    """The files that a verifier judges with; the last list where one of them is half written."""
    with contextlib.suppress(SyntaxError, ValueError, OSError):
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
