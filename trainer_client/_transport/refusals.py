"""What a caller is told when no replica of a server can do what is asked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from trainer_client._errors import RequestRejectedError
from trainer_client._transport.replica import Replica


def unknown_verifier(server: str, replicas: Sequence[Replica], name: str) -> RequestRejectedError:
    """No replica hosts a verifier of that name."""
    hosted = sorted({known for r in replicas if r.facts for known in r.facts.verifiers})
    return RequestRejectedError(
        f"is not hosted there; hosted are {', '.join(hosted) or 'none'}. Correct the name, or start the server with it",
        "unknown_verifier",
        server,
        ", ".join(r.address for r in replicas),
        name,
    )


def wrong_version(server: str, replicas: Sequence[Replica], needs: Mapping[str, str]) -> RequestRejectedError:
    """No replica hosts the versions that the client has pinned.

    Args:
        server: its name in the recipe.
        replicas: those that are up.
        needs: pinned digest by verifier, empty for any.
    """
    found = {
        f"{r.address} hosts {v.id.digest}"
        for r in replicas
        if r.facts
        for v in r.facts.verifiers.values()
        if needs.get(v.id.name) not in (None, "", v.id.digest)
    }
    return RequestRejectedError(
        f"no replica hosts the version that this client has pinned ({'; '.join(sorted(found))}). Start the version "
        "that the run began with, or make a new client (pin=False accepts any version)",
        "digest_mismatch",
        server,
        verifier=", ".join(name for name in needs if not any(r.matches({name: needs[name]}) for r in replicas)),
    )
