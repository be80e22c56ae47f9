"""Loads a verifier in a process of its own first: what hangs there, or ends the process, costs the server nothing."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from typing import Any, NamedTuple

import grpc

from reward_servers.core.executors import kill_tree
from reward_servers.hosting._errors import RegistrationError

_LONGEST = 1 << 20
LONGEST_REASON = 1500
_PROGRAM = "reward_servers.hosting._trial_main"


class LoadedVerifier(NamedTuple):
    """A verifier that could be loaded.

    Attributes:
        name: Its name.
        version: Its version.
        digest: Its digest with its settings.
        path: ``module:attribute``.
        origin: The package that it comes with, and its path.
        owner: Another verifier of its name that is installed here; empty where there is none.
    """

    name: str
    version: str
    digest: str
    path: str
    origin: str
    owner: str


async def try_to_load(target: str, settings: Mapping[str, Mapping[str, Any]], seconds: float) -> LoadedVerifier:
    """Load a verifier in another process and say what it is.

    Args:
        target: Name or ``module:attribute``.
        settings: Settings of verifiers, by name.
        seconds: How long it may take.

    Raises:
        RegistrationError: There is no such verifier, or it cannot be loaded; the message says why.
    """
    reading, writing = os.pipe()
    try:
        process = _start({"target": target, "settings": settings, "path": sys.path, "answer": writing}, writing)
    except BaseException:
        os.close(reading)
        raise
    finally:
        os.close(writing)
    stream, pipe = asyncio.StreamReader(limit=_LONGEST), None
    try:
        async with asyncio.timeout(seconds):
            pipe, _ = await asyncio.get_running_loop().connect_read_pipe(
                lambda: asyncio.StreamReaderProtocol(stream), os.fdopen(reading, "rb")
            )
            line = await stream.readline()
    except TimeoutError:
        raise _refused(
            f"{target} was not loaded within {seconds:g} s: its module, or its setup, does not end"
        ) from None
    except ValueError:
        raise _refused(f"{target} answers with more than {_LONGEST} bytes") from None
    finally:
        if pipe is not None:
            pipe.close()
        kill_tree(process.pid)
        code = await asyncio.shield(asyncio.to_thread(process.wait))
    return _read(target, line, code)


def _start(orders: Mapping[str, Any], answer: int) -> subprocess.Popen[bytes]:
    """Start the process. Not by the loop: that forks, and gRPC's own handlers, run in the child, may end it."""
    # A file in memory: a pipe would have to be written to while the process may have ended.
    with os.fdopen(os.memfd_create("orders"), "w+b") as file:
        file.write(json.dumps(orders).encode())
        file.seek(0)
        return subprocess.Popen(
            [sys.executable, "-P", "-m", _PROGRAM],
            stdin=file,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            pass_fds=(answer,),
            start_new_session=True,
        )


def _read(target: str, line: bytes, code: int) -> LoadedVerifier:
    try:
        reply = json.loads(line)
        if "found" in reply:
            return LoadedVerifier(**reply["found"])
        reason, missing = str(reply["reason"])[:LONGEST_REASON], bool(reply["missing"])
    except (ValueError, TypeError, KeyError):
        raise _refused(f"{target} ends the process that loads it (exit code {code})") from None
    if missing:
        raise RegistrationError(grpc.StatusCode.NOT_FOUND, reason)
    raise _refused(reason)


def _refused(reason: str) -> RegistrationError:
    return RegistrationError(grpc.StatusCode.FAILED_PRECONDITION, reason)
