"""What a caller is told when no replica of a server can do what is asked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from trainer_client._errors import RequestRejectedError
from trainer_client._transport.replica import Replica
from trainer_client._transport.shortening import few


def _unknown_verifier(server: str, replicas: Sequence[Replica], name: str) -> RequestRejectedError:
    """No replica hosts a verifier of that name."""
    hosted = sorted({name for r in replicas if r.info for name in r.info.verifiers})
    return RequestRejectedError(
        f"is not hosted there; hosted are {', '.join(hosted) or 'none'}. Correct the name, or start the server with it",
        "unknown_verifier",
        server,
        few((r.address for r in replicas), ", "),
        name,
    )


def not_hosted(
    server: str, replicas: Sequence[Replica], up: Sequence[Replica], needs: Mapping[str, str]
) -> RequestRejectedError:
    """No replica hosts what is needed.

    Args:
        server: its name in the recipe.
        replicas: all of its replicas.
        up: those that are up.
        needs: digest by verifier, empty for any.
    """
    unhosted = [name for name in needs if not any(r.info and name in r.info.verifiers for r in up)]
    return _unknown_verifier(server, replicas, unhosted[0]) if unhosted else _wrong_version(server, up, needs)


def _wrong_version(server: str, replicas: Sequence[Replica], needs: Mapping[str, str]) -> RequestRejectedError:
    """No replica hosts the versions that the client has pinned.

    Args:
        server: its name in the recipe.
        replicas: those that are up.
        needs: pinned digest by verifier, empty for any.
    """
    wrong = [name for name, digest in needs.items() if not any(r.matches({name: digest}) for r in replicas)]
    pinned = ", ".join(f"{needs[name]} of {name}" for name in wrong)
    hosted = sorted(
        f"{r.address} hosts {r.info.verifiers[name].id.digest} of {name}"
        for r in replicas
        for name in wrong
        if r.info and name in r.info.verifiers
    )
    return RequestRejectedError(
        f"no replica hosts the version that this client has pinned ({pinned}; {few(hosted)}). Start the version "
        "that the run began with, or make a new client (pin=False accepts any version)",
        "digest_mismatch",
        server,
        verifier=", ".join(wrong),
    )
