"""Makes a gRPC server listen where the settings say."""

from __future__ import annotations

import grpc
import grpc.aio

from reward_servers.config import ServerConfig, TlsConfig, bind_refusal
from reward_servers.core import SettingsError


def listen(server: grpc.aio.Server, config: ServerConfig) -> str:
    """Make a server listen where the settings say.

    Returns:
        The address, ``host:port``.

    Raises:
        SettingsError: The address cannot be used, or must not be in plain text.
    """
    refusal = bind_refusal(config.server)
    if refusal is not None:
        raise SettingsError(refusal)
    host = config.server.host
    wanted = f"{host}:{config.server.port}"
    try:
        if config.server.tls is not None:
            port = server.add_secure_port(wanted, _credentials(config.server.tls))
        else:
            port = server.add_insecure_port(wanted)
    except RuntimeError:
        port = 0
    if port == 0:
        raise SettingsError(f"server.port: {wanted} cannot be bound; choose another port, or 0 for any free one")
    return f"{host}:{port}"


def _credentials(tls: TlsConfig) -> grpc.ServerCredentials:
    try:
        pair = (tls.key.read_bytes(), tls.certificate.read_bytes())
        authority = tls.client_ca.read_bytes() if tls.client_ca is not None else None
    except OSError as error:
        raise SettingsError(f"server.tls: {error.filename}: {error.strerror}") from None
    return grpc.ssl_server_credentials([pair], authority, require_client_auth=authority is not None)
