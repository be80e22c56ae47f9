"""Asks running servers what they host, through the client."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from reward_servers.cli._errors import UserError
from trainer_client import TLS, RequestRejectedError, RewardError, ServerUnavailableError, VerifierInfo, describe_server
from trainer_client._settings import is_list


def ask(endpoint: str, tls: TLS | None = None, token: str | None = None) -> list[dict[str, Any]]:
    """What a server says of each verifier that it hosts.

    Args:
        endpoint: ``host:port``.
        tls: Files for asking it over TLS; None for plain text.
        token: Token, where it asks for one.

    Raises:
        UserError: Nothing that speaks the contract answers there.
    """
    if mistake := not_one_server(endpoint):
        raise UserError(f"--endpoint {endpoint}: {mistake}")
    try:
        return [_row(info) for info in describe_server(endpoint, tls=tls, token=token).verifiers.values()]
    except RewardError as error:
        raise UserError(f"--endpoint {endpoint}: {reason_of(error)}") from None


def not_one_server(address: str) -> str:
    """Why a server cannot be asked at an address that is a list of servers; empty for others."""
    return "that is a list of servers; give HOST:PORT of one server" if is_list(address) else ""


def require(
    name: str,
    addresses: Sequence[str],
    tls: TLS | None = None,
    token: str | None = None,
    *,
    may_be_away: bool = False,
) -> None:
    """Make sure that a server answers at one of its addresses at least.

    In training a client waits for servers that are away; at a command line an address is rather mistyped. Which servers
    a registry or a file lists is the client's to find out.

    Args:
        name: The server's name in the recipe.
        addresses: Its addresses.
        tls: Files for asking it over TLS; None for plain text.
        token: Token, where it asks for one.
        may_be_away: Whether one that does not answer may come later. What answers must be a reward server that may be
            asked all the same: no waiting mends that.

    Raises:
        UserError: It does not.
    """
    if any(map(is_list, addresses)):
        return
    reasons = []
    for address in addresses:
        try:
            describe_server(address, tls=tls, token=token)
        except RewardError as error:
            if may_be_away and isinstance(error, ServerUnavailableError):
                return
            reasons.append(f"{address}: {reason_of(error)}")
        else:
            return
    raise UserError(f"server {name!r}: {'; '.join(reasons)}")


def in_options(reason: str) -> str:
    """What code gives a client, as the options that a command has for it."""
    from trainer_client._transport.tls_check import in_words_of

    return in_words_of(reason, ca="--ca FILE", pair="--cert FILE --key FILE")


def reason_of(error: RewardError) -> str:
    """Why a server could not be asked, in the words of the command line."""
    reason = in_options(str(getattr(error, "reason", error)))
    if isinstance(error, RequestRejectedError) and error.code == "unauthenticated":
        return f"{reason}; give --token or --cert"
    return reason


def _row(info: VerifierInfo) -> dict[str, Any]:
    return {
        "name": info.id.name,
        "version": info.id.version,
        "digest": info.id.digest,
        "scope": "group" if info.judges_groups else "rollout",
        "cost": info.cost,
        "description": info.description,
        "origin": info.origin,
        "deterministic": info.is_deterministic,
        "score_range": [info.score_min, info.score_max],
        "floor": info.floor,
        "limits": dict(info.limits),
        "reference_schema": info.reference_schema,
        "options_schema": info.options_schema,
    }
