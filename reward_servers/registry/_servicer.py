"""The gRPC face of a registry."""

from __future__ import annotations

import logging
from typing import Any, NoReturn

import grpc
import grpc.aio

from reward_servers.registry._registry import FullError, Registry, TakenError
from reward_servers.registry._state import Entry
from reward_servers.rpc import Clients, NotAllowedError
from trainer_client._printable import printable
from trainer_client._settings import is_host_port
from trainer_client.contract.v1 import registry_service_pb2 as registry_pb2
from trainer_client.contract.v1 import registry_service_pb2_grpc as registry_grpc

_audit = logging.getLogger("assay.audit")
_LONGEST_NAME, _MOST_VERIFIERS, _LARGEST_ENTRY = 256, 256, 64 << 10

Context = grpc.aio.ServicerContext[Any, Any]


class RegistryServicer(registry_grpc.RegistryServiceServicer):
    """Answers from a registry; every change and every refusal is a line of the audit log.

    Args:
        registry: What is announced.
        clients: Who may announce (scope ``register``) and who may ask (``score``).
    """

    def __init__(self, registry: Registry, clients: Clients) -> None:
        self._registry = registry
        self._clients = clients

    async def Announce(self, request: registry_pb2.AnnounceRequest, context: Context) -> registry_pb2.AnnounceResponse:
        """Take an announcement."""
        caller = await self._check(context, "register", f"announce {_address_text(request.server.address)}")
        server = request.server
        problem = _problem(server)
        if problem:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, problem)
        without_load = registry_pb2.ServerEntry()
        without_load.CopyFrom(server)
        without_load.ClearField("load")
        before = self._registry.instance_at(server.address)
        entry = Entry(
            server.address,
            server.instance,
            without_load.SerializeToString(deterministic=True),
            server.SerializeToString(deterministic=True),
            request.lease.seconds + request.lease.nanos / 1e9,
            _owner(caller),
        )
        try:
            lease = self._registry.announce(entry, caller)
        except FullError as error:
            await context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, str(error))
        except TakenError as error:
            _audit.warning("%s was refused to take over %s", caller, server.address)
            await context.abort(grpc.StatusCode.PERMISSION_DENIED, str(error))
        if before != server.instance:
            names = ",".join(f"{verifier.name}@{verifier.version}" for verifier in server.verifiers)
            action = "took over" if before else "announced"
            _audit.info("%s %s %s: %s", caller, action, server.address, names)
        response = registry_pb2.AnnounceResponse()
        response.lease.FromMilliseconds(int(lease * 1000))
        return response

    async def Withdraw(self, request: registry_pb2.WithdrawRequest, context: Context) -> registry_pb2.WithdrawResponse:
        """Take a server out of the list."""
        caller = await self._check(context, "register", f"withdraw {_address_text(request.address)}")
        if self._registry.withdraw(request.address, request.instance, _owner(caller)):
            _audit.info("%s withdrew %s", caller, request.address)
        return registry_pb2.WithdrawResponse()

    async def ListServers(
        self, request: registry_pb2.ListServersRequest, context: Context
    ) -> registry_pb2.ListServersResponse:
        """List the servers."""
        await self._check(context, "score", "list servers")
        revision = self._registry.revision()
        response = registry_pb2.ListServersResponse(revision=revision)
        if request.known_revision != revision:
            for entry in self._registry.servers():
                response.servers.add().MergeFromString(entry.message)
        return response

    async def _check(self, context: Context, scope: Any, action: str) -> str:
        try:
            return self._clients.check(context, scope).name
        except NotAllowedError as error:
            _audit.warning("refused to %s: %s", action, error)
            await _refuse(context, error)


async def _refuse(context: Context, error: NotAllowedError) -> NoReturn:
    await context.abort(error.status, str(error))
    raise AssertionError("abort raises")


def _owner(caller: str) -> str:
    """Who keeps an address to itself: callers that are told apart by a token or a certificate."""
    return "" if caller.startswith("addr:") else caller


def _address_text(address: str) -> str:
    """An address that was not looked at yet, for a line of a log."""
    return printable(address[:_LONGEST_NAME], line=True)


def _problem(server: registry_pb2.ServerEntry) -> str:
    """What is wrong with an announcement; empty when nothing is."""
    if not is_host_port(server.address):
        return f"server.address: {_address_text(server.address)!r} is not host:port, without a scheme"
    if not server.instance or len(server.instance) > _LONGEST_NAME:
        return "server.instance: is missing or too long; name the process, with a random text"
    if len(server.name) > _LONGEST_NAME or len(server.verifiers) > _MOST_VERIFIERS:
        return f"server: at most {_MOST_VERIFIERS} verifiers, and names of at most {_LONGEST_NAME} characters"
    for verifier in server.verifiers:
        if not verifier.name or max(len(verifier.name), len(verifier.version), len(verifier.digest)) > _LONGEST_NAME:
            return f"server.verifiers: name, version and digest have 1 to {_LONGEST_NAME} characters"
    names = [server.instance, server.name, server.version]
    names += [text for v in server.verifiers for text in (v.name, v.version, v.digest)]
    if not all(name.isprintable() for name in names):
        return "server: names, versions and digests are printable characters on one line"
    if server.ByteSize() > _LARGEST_ENTRY:
        return f"server: an announcement has {_LARGEST_ENTRY} bytes at most; this one has {server.ByteSize()}"
    return ""
