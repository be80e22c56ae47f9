"""The process around a registry."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc.aio

from reward_servers.config import ServerConfig
from reward_servers.process.termination import ending_signals
from reward_servers.registry._registry import Registry
from reward_servers.registry._servicer import RegistryServicer
from reward_servers.rpc import Clients, Lenient, ServerCertificates, add_standard_services, listen
from trainer_client.contract.v1 import registry_service_pb2 as registry_pb2
from trainer_client.contract.v1 import registry_service_pb2_grpc as registry_grpc

_log = logging.getLogger("assay.server")
_LARGEST_MESSAGE = 1 << 20


@asynccontextmanager
async def serving(config: ServerConfig, state: Path | None = None) -> AsyncIterator[str]:
    """Serve a registry on the current loop.

    Args:
        config: Address, TLS and tokens, from the sections ``server`` and ``auth``.
        state: SQLite file; None keeps everything in memory.

    Yields:
        The address it listens on.

    Raises:
        SettingsError: A setting is wrong.
        sqlite3.Error: The file is not a registry's.
    """
    clients = Clients(config.auth.tokens, without=("score", "register"))
    registry = Registry(state)
    server = grpc.aio.server(
        options=[
            ("grpc.max_receive_message_length", _LARGEST_MESSAGE),
            ("grpc.so_reuseport", 0),
            ("grpc.max_concurrent_streams", config.server.max_streams),
            ("grpc.max_allowed_incoming_connections", config.server.max_connections),
            ("grpc.max_metadata_size", 16 << 10),
        ]
    )
    try:
        certificates = ServerCertificates(config.server.tls)
        address = listen(server, config, certificates)
        lenient: Any = Lenient(server)
        registry_grpc.add_RegistryServiceServicer_to_server(RegistryServicer(registry, clients), lenient)
        service = registry_pb2.DESCRIPTOR.services_by_name["RegistryService"]
        probe = await add_standard_services(server, [service], with_reflection=config.server.reflection)
        await server.start()
        certificates.follow()
        try:
            yield address
        finally:
            certificates.close()
            await probe.enter_graceful_shutdown()
            await server.stop(grace=1.0)
    finally:
        registry.close()


async def serve_registry(config: ServerConfig, state: Path | None, ready: Callable[[str], None]) -> None:
    """Serve a registry until SIGTERM, SIGINT or SIGHUP.

    Args:
        config: As for `serving`.
        state: As for `serving`.
        ready: Called with the address once it answers.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in ending_signals():
        loop.add_signal_handler(number, stop.set)
    async with serving(config, state) as address:
        ready(address)
        await stop.wait()
        _log.info("the registry ends; servers and clients go on without it")
