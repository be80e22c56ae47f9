"""Makes a gRPC server listen where the settings say."""

from __future__ import annotations

import errno
import socket

import grpc.aio

from reward_servers.config import ServerConfig, bind_refusal
from reward_servers.core import SettingsError
from reward_servers.rpc._certificates import ServerCertificates

_ANOTHER_PORT = "choose another port, or 0 for any free one"


def listen(server: grpc.aio.Server, config: ServerConfig, certificates: ServerCertificates) -> str:
    """Make a server listen where the settings say.

    Args:
        server: The server.
        config: Its settings.
        certificates: Its certificate.

    Returns:
        The address, ``host:port``.

    Raises:
        SettingsError: The address cannot be used, or must not be in plain text.
    """
    refusal = bind_refusal(config.server)
    if refusal is not None:
        raise SettingsError(refusal)
    host, port = config.server.host.strip("[]"), config.server.port
    problem = bind_problem(host, port)
    if problem:
        raise SettingsError(problem)
    host = f"[{host}]" if ":" in host else host
    address = f"{host}:{port}"
    try:
        credentials = certificates.credentials()
        if credentials is not None:
            port = server.add_secure_port(address, credentials)
        else:
            port = server.add_insecure_port(address)
    except RuntimeError:
        port = 0
    if port == 0:
        raise SettingsError(f"server.port: {address} cannot be bound; {_ANOTHER_PORT}")
    return f"{host}:{port}"


def bind_problem(host: str, port: int) -> str:
    """Why an address cannot be listened on, with the remedy; empty when it can.

    Args:
        host: A name or an address, IPv6 without brackets.
        port: The port; 0 for any.
    """
    try:
        infos = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except socket.gaierror as error:
        return f"server.host: {host!r} is not known here ({error.strerror}); give an address of this host"
    family, kind, protocol, _, address = infos[0]
    try:
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        return _bind_error(host, port, error)
    return ""


def _bind_error(host: str, port: int, error: OSError) -> str:
    where = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    match error.errno:
        case errno.EADDRINUSE:
            return f"server.port: {where} is in use by another process; {_ANOTHER_PORT}"
        case errno.EADDRNOTAVAIL:
            return f"server.host: {host} is no address of this host; 0.0.0.0 or :: listens on all of them"
        case errno.EAFNOSUPPORT:
            return f"server.host: {host} is an address of IPv6, which this host does not speak; give one of IPv4"
        case errno.EACCES:
            return f"server.port: {where} needs privileges; choose a port from 1024 on, or 0 for any free one"
        case _:
            return f"server.port: {where} cannot be bound: {error.strerror}; {_ANOTHER_PORT}"
