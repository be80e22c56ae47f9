"""Asks running servers how they are: for ``assay health`` and ``assay top``."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from reward_servers.cli._errors import UserError
from reward_servers.cli._fleet import read_endpoints
from trainer_client import TLS
from trainer_client._settings import credentials_of
from trainer_client.contract.v1 import reward_service_pb2 as service_pb2
from trainer_client.contract.v1 import reward_service_pb2_grpc as service_grpc

__all__ = ["Seen", "addresses_of", "look"]


@dataclass(frozen=True)
class Seen:
    """What one server says of itself.

    Attributes:
        address: Where it was asked.
        serving: Whether it takes work.
        problem: Why it does not answer; empty when it does.
        info: Its state; None when it does not answer.
    """

    address: str
    serving: bool
    problem: str = ""
    info: service_pb2.GetServerInfoResponse | None = None


def addresses_of(endpoints: Sequence[str], file: Path | None) -> list[str]:
    """The servers that a command was told of, on its command line and in a file.

    Raises:
        UserError: There are none.
    """
    found = [address for one in endpoints for address in one.split(",") if address]
    if file is not None:
        found += [address for addresses in read_endpoints(file).values() for address in addresses]
    if not found:
        raise UserError("name at least one server (HOST:PORT), or give --endpoints-file")
    return list(dict.fromkeys(found))


def look(addresses: Sequence[str], tls: TLS | None, token: str | None, timeout: float) -> list[Seen]:
    """Asks all servers at once.

    Args:
        addresses: Where they are.
        tls: Files for asking them over TLS; None for plain text.
        token: A token, for servers that ask for one.
        timeout: Seconds after which a server counts as one that does not answer.
    """
    with ThreadPoolExecutor(min(32, len(addresses))) as pool:
        return list(pool.map(lambda address: _look_at(address, tls, token, timeout), addresses))


def _look_at(address: str, tls: TLS | None, token: str | None, timeout: float) -> Seen:
    target, credentials = credentials_of(address, tls)
    metadata = (("authorization", f"Bearer {token}"),) if token else ()
    try:
        with (
            grpc.insecure_channel(target)
            if credentials is None
            else grpc.secure_channel(target, credentials) as channel
        ):
            health: Any = health_pb2_grpc.HealthStub(channel)
            state = health.Check(health_pb2.HealthCheckRequest(), timeout=timeout)
            rewards: Any = service_grpc.RewardServiceStub(channel)
            asked = service_pb2.GetServerInfoRequest(with_activity=True)
            info = rewards.GetServerInfo(asked, timeout=timeout, metadata=metadata)
    except grpc.RpcError as error:
        failure: Any = error
        return Seen(address, False, f"{failure.code().name}: {failure.details()}")
    serving = state.status == health_pb2.HealthCheckResponse.SERVING and not info.load.draining
    return Seen(address, serving, "" if serving else "draining", info)
