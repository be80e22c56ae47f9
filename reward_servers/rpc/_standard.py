"""Health and reflection, as every gRPC server has them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import grpc
import grpc.aio
from google.protobuf.descriptor import ServiceDescriptor
from google.protobuf.message import DecodeError
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection


async def add_standard_services(
    server: grpc.aio.Server, services: Sequence[ServiceDescriptor], names: Iterable[str] = (), *, with_reflection: bool
) -> health.aio.HealthServicer:
    """Add health, and reflection where it is wanted.

    Args:
        server: The server.
        services: What it offers.
        names: Verifiers that health is asked for by name.
        with_reflection: Whether the server lists its services to every caller.

    Returns:
        The health service, which says serving.
    """
    probe = health.aio.HealthServicer()
    lenient: Any = Lenient(server)
    health_pb2_grpc.add_HealthServicer_to_server(probe, lenient)
    offered = [service.full_name for service in services]
    for name in ("", *offered, *names):
        await probe.set(name, health_pb2.HealthCheckResponse.SERVING)
    if with_reflection:
        reflection.enable_server_reflection((*offered, health.SERVICE_NAME, reflection.SERVICE_NAME), lenient)
    return probe


async def say_hosted(probe: health.aio.HealthServicer, hosted: Sequence[str], gone: Sequence[str]) -> None:
    """Let health say of verifiers that came that they serve, and of those that went that they do not."""
    for name in hosted:
        await probe.set(name, health_pb2.HealthCheckResponse.SERVING)
    for name in gone:
        await probe.set(name, health_pb2.HealthCheckResponse.NOT_SERVING)


class Lenient:
    """Takes handlers for a server, and makes them read a message that is none as an empty one.

    gRPC answers such a message with UNKNOWN and writes a traceback for each, which would fill the log.
    """

    def __init__(self, server: grpc.aio.Server) -> None:
        self._server = server

    def add_generic_rpc_handlers(self, handlers: Sequence[grpc.GenericRpcHandler]) -> None:
        """Add handlers of services."""
        self._server.add_generic_rpc_handlers(tuple(map(_LenientHandler, handlers)))

    def add_registered_method_handlers(self, service: str, handlers: Mapping[str, Any]) -> None:
        """Do nothing: what is registered by method comes as a generic handler as well."""


class _LenientHandler(grpc.GenericRpcHandler):
    def __init__(self, inner: grpc.GenericRpcHandler) -> None:
        self._inner = inner

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> Any:
        """The handler of a method, as the service has it but for how it reads."""
        handler: Any = self._inner.service(handler_call_details)
        if handler is None or handler.request_deserializer is None:
            return handler
        deserialize = handler.request_deserializer

        def lenient(data: bytes) -> Any:
            try:
                return deserialize(data)
            except DecodeError:
                return deserialize(b"")

        return handler._replace(request_deserializer=lenient)
