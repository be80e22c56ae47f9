"""The process in which a verifier is tried: orders come as JSON on its standard input, and one line answers them."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Mapping
from multiprocessing import resource_tracker
from typing import Any

from reward_servers.core import (
    AssayServerError,
    Entry,
    Instance,
    Placement,
    StartupError,
    Verifier,
    bind,
    find,
    installed,
    module_of,
    schema_of,
)
from reward_servers.core.executors import adopt_orphans, descendants_of, kill_descendants, state_of
from reward_servers.hosting._trial import LONGEST_REASON, LoadedVerifier


def _main() -> None:
    """Load what the orders name."""
    orders = json.load(sys.stdin)
    sys.path += [folder for folder in orders["path"] if folder not in sys.path]
    adopt_orphans()
    process = os.getpid()
    reply: dict[str, Any]
    try:
        reply = {"found": _load(orders["target"], orders["settings"])._asdict()}
    except SystemExit:
        raise
    except BaseException as error:  # noqa: BLE001 - whatever a verifier does when it is loaded is told in words
        missing = ":" not in orders["target"] and orders["target"] not in installed()
        reply = {"reason": _in_words(orders["target"], error)[:LONGEST_REASON], "missing": missing}
    while os.getpid() != process:
        # A copy that the module has made of this process answers nothing, and is there when it is looked for.
        signal.pause()
    os.write(orders["answer"], json.dumps(reply).encode() + b"\n")
    kill_descendants(process)
    # Threads that it has started do not keep the process.
    os._exit(0)


def _load(target: str, settings: Mapping[str, Mapping[str, Any]]) -> LoadedVerifier:
    verifier = find(target)
    _check_processes(target)
    bound = bind(verifier, settings.get(verifier.name))
    schema_of(verifier.reference)
    schema_of(verifier.options)
    if verifier.runs is Placement.LOOP:
        # In processes it is set up by a worker; this one would be set up where all calls are answered.
        Instance(verifier, bound.settings)
    announced = installed()
    entry = announced.get(target)
    origin = f"{entry.distribution}, {entry.path}" if entry is not None else verifier.path
    other = announced.get(verifier.name)
    owner = f"{other.path} of {other.distribution}" if other is not None and not _is_of(other, verifier) else ""
    identity = bound.identity
    return LoadedVerifier(identity.name, identity.version, identity.digest, verifier.path, origin, owner)


def _is_of(entry: Entry, verifier: Verifier) -> bool:
    """Whether a verifier is of the package that announces its name."""
    one, other = (module_of(path).partition(".")[0] for path in (entry.path, verifier.path))
    return one == other


def _check_processes(target: str) -> None:
    """Refuse a module whose import leaves processes: of a server it would be a copy that outlives it.

    Raises:
        StartupError: It has started some that are still there.
    """
    tracker: Any = resource_tracker._resource_tracker
    started = [
        pid for pid in descendants_of(os.getpid()) if pid != tracker._pid and state_of(pid) not in ("", "Z", "X")
    ]
    if started:
        raise StartupError(
            f"{target} starts processes when its module is imported ({len(started)} are there after it); start them in "
            "setup, which runs in a worker"
        )


def _in_words(target: str, error: BaseException) -> str:
    if isinstance(error, AssayServerError):
        return str(error)
    return f"{target} cannot be loaded: {type(error).__name__}: {error}"


if __name__ == "__main__":
    _main()
