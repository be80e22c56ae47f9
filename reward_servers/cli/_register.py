"""``assay register`` and ``assay retire``: what running servers host, changed without a restart."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from reward_servers.cli._access import Ca, Cert, Key, Token, tls_of
from reward_servers.cli._console import print_line
from reward_servers.cli._errors import EXIT_NO, UserError
from reward_servers.cli._numbers import seconds

if TYPE_CHECKING:
    from trainer_client import TLS

_Servers = Annotated[
    list[str], typer.Option("--endpoint", metavar="HOST:PORT", help="A running server. Repeatable.", show_default=False)
]
_Timeout = Annotated[float, seconds("Seconds to wait for each server.", least=0.1)]


def register(
    verifier: Annotated[str, typer.Argument(metavar="VERIFIER", help="Name, or module:attribute.")],
    endpoint: _Servers,
    timeout_s: _Timeout = 120.0,
    ca: Ca = None,
    cert: Cert = None,
    key: Key = None,
    token: Token = None,
) -> int:
    """Let running servers host another verifier, or a verifier as its code is now.

    The servers load it from their own host: a name that a package installed there announces, or module:attribute in a
    folder that their settings name. They take it from callers whose token has the scope `register`. Runs that have
    pinned what was hosted before keep it until it is retired. The exit code is 1 when a server refuses.
    """
    from trainer_client.contract.v1 import hosting_service_pb2 as hosting

    def ask(stub: Any, **call: Any) -> str:
        answer = stub.Register(hosting.RegisterRequest(verifier=verifier), **call)
        identity = answer.verifier.identity
        earlier_versions = "".join(
            f"; {kept_version.version} {kept_version.digest} is kept for runs that have pinned it"
            for kept_version in answer.earlier
        )
        done = "was hosted already:" if answer.unchanged else "hosts"
        return f"{done} {identity.name}@{identity.version} {identity.digest}{earlier_versions}"

    return _ask_all(endpoint, ask, timeout_s, tls_of(ca, cert, key), token)


def retire(
    verifier: Annotated[
        str, typer.Argument(metavar="VERIFIER", help="NAME for all its versions, NAME@VERSION, or NAME@sha256:DIGEST.")
    ],
    endpoint: _Servers,
    timeout_s: _Timeout = 120.0,
    ca: Ca = None,
    cert: Cert = None,
    key: Key = None,
    token: Token = None,
) -> int:
    """Let running servers host a verifier no more.

    What they have admitted is judged before they answer. The exit code is 1 when a server refuses.
    """
    from trainer_client.contract.v1 import hosting_service_pb2 as hosting

    name, at, version = verifier.partition("@")
    if at and version in ("", "sha256:"):
        raise UserError(
            f"VERIFIER {verifier}: there is no version after the @; write {name} for all its versions, {name}@VERSION, "
            f"or {name}@sha256:DIGEST"
        )
    chosen = {"digest": version} if version.startswith("sha256:") else {"version": version}

    def ask(stub: Any, **call: Any) -> str:
        answer = stub.Retire(hosting.RetireRequest(verifier=name, **chosen), **call)
        removed = ", ".join(f"{retired.name}@{retired.version} {retired.digest}" for retired in answer.retired)
        left = f"; current is {answer.current.version} {answer.current.digest}" if answer.HasField("current") else ""
        return f"retired {removed}{left}"

    return _ask_all(endpoint, ask, timeout_s, tls_of(ca, cert, key), token)


def _ask_all(
    addresses: Sequence[str], ask: Callable[..., str], timeout_s: float, tls: TLS | None, token: str | None
) -> int:
    """Ask one server after the other, and say what each answers."""
    from reward_servers.cli._remote import not_one_server

    for address in addresses:
        if mistake := not_one_server(address):
            raise UserError(f"--endpoint {address}: {mistake}")
    refused = [address for address in addresses if not _ask(address, ask, timeout_s, tls, token)]
    return EXIT_NO if refused else 0


def _ask(address: str, ask: Callable[..., str], timeout_s: float, tls: TLS | None, token: str | None) -> bool:
    import grpc

    from trainer_client import read_token
    from trainer_client._settings import check_address, is_exposed, token_source
    from trainer_client._transport.credentials import Credentials
    from trainer_client.contract.v1 import hosting_service_pb2_grpc as hosting_grpc

    check_address(address, "--endpoint")
    source = token_source(token)
    if source and is_exposed(address, tls):
        raise UserError(f"--endpoint {address}: a token is not sent unencrypted to another host; give --ca")
    secret = read_token(source) if source else ""
    metadata = (("authorization", f"Bearer {secret}"),) if secret else ()
    target, credentials = Credentials(tls).of(address)
    channel = grpc.secure_channel(target, credentials) if credentials else grpc.insecure_channel(target)
    with channel:
        try:
            answer = ask(hosting_grpc.HostingServiceStub(channel), timeout=timeout_s, metadata=metadata)
        except grpc.RpcError as error:
            print_line(f"{address}  refused: {_reason(error, address, tls)}")
            return False
    print_line(f"{address}  {answer}")
    return True


def _reason(error: Any, address: str, tls: TLS | None) -> str:
    import grpc

    code, details = error.code(), error.details()
    if code is grpc.StatusCode.UNAUTHENTICATED:
        return f"{details}; give --token"
    if code is grpc.StatusCode.UNAVAILABLE:
        return _mistake(address, tls) or f"no server answers ({details})"
    if code is grpc.StatusCode.UNIMPLEMENTED:
        return "this address takes no registrations: it is not a reward server, or has an earlier version"
    if code is grpc.StatusCode.DEADLINE_EXCEEDED:
        return _mistake(address, tls) or "it has not answered in time (--timeout-s); what was admitted is still judged"
    return str(details)


def _mistake(address: str, tls: TLS | None) -> str:
    """What is wrong with the encryption, which gRPC reports as a server that is away; empty where nothing is."""
    import asyncio

    from reward_servers.cli._remote import in_options
    from trainer_client._transport.tls_check import find_mistake

    return in_options(asyncio.run(find_mistake(address, tls)))
