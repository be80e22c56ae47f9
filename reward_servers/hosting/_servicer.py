"""The gRPC face of a registrar."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any, NoReturn

import grpc
import grpc.aio

from reward_servers import wire
from reward_servers.core import Scorer, VerifierId
from reward_servers.hosting._errors import RegistrationError
from reward_servers.hosting._registrar import Registrar
from reward_servers.rpc import Clients, Lenient, NotAllowedError
from trainer_client.contract.v1 import hosting_service_pb2 as hosting_pb2
from trainer_client.contract.v1 import hosting_service_pb2_grpc as hosting_grpc
from trainer_client.contract.v1 import types_pb2

_audit = logging.getLogger("assay.audit")
_LONGEST_NAME = 256
_LONGEST_MESSAGE = 1500

Context = grpc.aio.ServicerContext[Any, Any]


class HostingServicer(hosting_grpc.HostingServiceServicer):
    """Lets callers change what is hosted; every change and every refusal is a line of the audit log.

    Args:
        registrar: Makes the changes.
        scorer: What is hosted.
        origins: Where verifiers come from, by digest.
        clients: Who may (scope ``register``).
        allowed: Whether the settings allow it at all.
    """

    def __init__(
        self, registrar: Registrar, scorer: Scorer, origins: Mapping[str, str], clients: Clients, *, allowed: bool
    ) -> None:
        self._registrar = registrar
        self._scorer = scorer
        self._origins = origins
        self._clients = clients
        self._allowed = allowed

    def register(self, server: grpc.aio.Server) -> None:
        """Let a server answer with this."""
        lenient: Any = Lenient(server)
        hosting_grpc.add_HostingServiceServicer_to_server(self, lenient)

    async def Register(self, request: hosting_pb2.RegisterRequest, context: Context) -> hosting_pb2.RegisterResponse:
        """Host a verifier."""
        action = f"register {request.verifier[:_LONGEST_NAME]!r}"
        client = await self._check(context, action)

        def record(identity: VerifierId) -> None:
            origin = self._origins.get(identity.digest, "")
            _audit.info("%s registered %s@%s %s: %s", client, identity.name, identity.version, identity.digest, origin)

        try:
            registered = await self._registrar.register(request.verifier, record)
        except RegistrationError as error:
            await _refuse(context, client, action, error.status, error)
        hosted = registered.hosted
        identity = hosted.identity
        earlier = self._scorer.hosting.versions(identity.name)[1:]
        return hosting_pb2.RegisterResponse(
            verifier=wire.describe(hosted, self._origins.get(identity.digest, "")),
            unchanged=registered.unchanged,
            earlier=[wire.identity(version, identity.name, ()) for version in earlier],
        )

    async def Retire(self, request: hosting_pb2.RetireRequest, context: Context) -> hosting_pb2.RetireResponse:
        """Host a verifier no more."""
        action = f"retire {request.verifier[:_LONGEST_NAME]!r}"
        client = await self._check(context, action)

        def record(identity: VerifierId) -> None:
            _audit.info("%s retired %s@%s %s", client, identity.name, identity.version, identity.digest)

        try:
            retired = await self._registrar.retire(request.verifier, request.version, request.digest, record)
        except RegistrationError as error:
            await _refuse(context, client, action, error.status, error)
        current = self._scorer.hosted.get(request.verifier)
        response = hosting_pb2.RetireResponse(
            retired=[
                types_pb2.VerifierIdentity(name=identity.name, version=identity.version, digest=identity.digest)
                for identity in retired
            ]
        )
        if current is not None:
            response.current.CopyFrom(wire.identity(current, request.verifier, ()))
        return response

    async def _check(self, context: Context, action: str) -> str:
        if not self._allowed:
            words = "this server takes no registrations; its settings allow them under [registration]"
            await _refuse(context, context.peer(), action, grpc.StatusCode.PERMISSION_DENIED, words)
        try:
            return self._clients.check(context, "register").name
        except NotAllowedError as error:
            await _refuse(context, context.peer(), action, error.status, error)


async def _refuse(context: Context, client: str, action: str, status: grpc.StatusCode, why: object) -> NoReturn:
    _audit.warning("%s was refused to %s: %s", client, action, why)
    await context.abort(status, str(why)[:_LONGEST_MESSAGE])
    raise AssertionError("abort raises")
