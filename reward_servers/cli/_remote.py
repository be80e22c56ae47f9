"""Asks a running server what it hosts, over TLS when files for it are given."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import grpc
from google.protobuf.duration_pb2 import Duration

from reward_servers.cli._errors import UserError
from trainer_client import TLS
from trainer_client._settings import credentials_of
from trainer_client.contract.v1 import reward_service_pb2 as service_pb2
from trainer_client.contract.v1 import reward_service_pb2_grpc as service_grpc

__all__ = ["ask", "require"]

_TIMEOUT = 10.0


def ask(endpoint: str, tls: TLS | None = None) -> list[dict[str, Any]]:
    """What a server says of each verifier that it hosts.

    Args:
        endpoint: ``host:port``.
        tls: Files for asking it over TLS; None for plain text.

    Raises:
        UserError: Nothing that speaks the contract answers there.
    """
    try:
        listing = _listing(endpoint, tls)
    except grpc.RpcError as error:
        raise UserError(f"--endpoint {endpoint}: {_reason(error)}") from None
    return [_row(info) for info in listing.verifiers]


def require(endpoints: Mapping[str, Sequence[str]], tls: TLS | None = None) -> None:
    """Makes sure that each server answers at one of its addresses at least.

    In training a client waits for servers that are away; at a command line an address is rather mistyped.

    Raises:
        UserError: A server does not.
    """
    for name, addresses in endpoints.items():
        reasons = []
        for address in addresses:
            try:
                _listing(address, tls)
            except grpc.RpcError as error:
                reasons.append(f"{address}: {_reason(error)}")
            else:
                break
        else:
            raise UserError(f"server {name!r}: {'; '.join(reasons)}")


def _listing(endpoint: str, tls: TLS | None) -> service_pb2.ListVerifiersResponse:
    target, credentials = credentials_of(endpoint, tls)
    with grpc.insecure_channel(target) if credentials is None else grpc.secure_channel(target, credentials) as channel:
        stub = service_grpc.RewardServiceStub(channel)
        return stub.ListVerifiers(service_pb2.ListVerifiersRequest(), timeout=_TIMEOUT)


def _reason(error: Any) -> str:
    code = error.code()
    if code is grpc.StatusCode.UNIMPLEMENTED:
        return "it is not a reward server"
    return f"no reward server answers ({code.name}: {error.details()}); start one with `assay serve`"


def _row(info: service_pb2.VerifierInfo) -> dict[str, Any]:
    limits = info.limits
    return {
        "name": info.identity.name,
        "version": info.identity.version,
        "digest": info.identity.digest,
        "scope": service_pb2.Scope.Name(info.scope).removeprefix("SCOPE_").lower(),
        "cost": service_pb2.CostClass.Name(info.cost_class).removeprefix("COST_CLASS_").lower(),
        "description": info.description,
        "origin": info.origin,
        "deterministic": info.deterministic,
        "score_range": [info.score_min, info.score_max],
        "floor": info.floor,
        "limits": {
            "cpu": _seconds(limits.cpu),
            "wall": _seconds(limits.wall),
            "memory": limits.memory_bytes,
            "response": limits.response_bytes,
        },
        "reference_schema": json.loads(info.reference_schema_json or b"null"),
        "options_schema": json.loads(info.options_schema_json or b"null"),
    }


def _seconds(duration: Duration) -> float:
    return duration.ToNanoseconds() / 1e9
