"""The process in which a verifier is tried: orders come as JSON on its standard input, and one line answers them."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from typing import Any

from reward_servers.core import AssayServerError, Instance, Placement, bind, find, installed, schema_of
from reward_servers.hosting._trial import LoadedVerifier


def _main() -> None:
    """Load what the orders name."""
    orders = json.load(sys.stdin)
    sys.path += [folder for folder in orders["path"] if folder not in sys.path]
    reply: dict[str, Any]
    try:
        reply = {"found": _load(orders["target"], orders["settings"])._asdict()}
    except Exception as error:  # noqa: BLE001 - whatever a verifier does when it is loaded is told in words
        missing = ":" not in orders["target"] and orders["target"] not in installed()
        reply = {"reason": _in_words(orders["target"], error), "missing": missing}
    os.write(orders["answer"], json.dumps(reply).encode() + b"\n")
    # Threads that it has started do not keep the process.
    os._exit(0)


def _load(target: str, settings: Mapping[str, Mapping[str, Any]]) -> LoadedVerifier:
    verifier = find(target)
    bound = bind(verifier, settings.get(verifier.name))
    schema_of(verifier.reference)
    schema_of(verifier.options)
    if verifier.runs is Placement.LOOP:
        # In processes it is set up by a worker; this one would be set up where all calls are answered.
        Instance(verifier, bound.settings)
    entry = installed().get(target)
    origin = f"{entry.distribution}, {entry.path}" if entry is not None else verifier.path
    identity = bound.identity
    return LoadedVerifier(identity.name, identity.version, identity.digest, verifier.path, origin)


def _in_words(target: str, error: Exception) -> str:
    if isinstance(error, AssayServerError):
        return str(error)
    return f"{target} cannot be loaded: {type(error).__name__}: {error}"


if __name__ == "__main__":
    _main()
