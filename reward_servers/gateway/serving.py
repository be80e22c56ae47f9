"""Listens: plain or over TLS, until it is told to stop."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
import ssl
from collections.abc import Callable, Generator

import uvicorn
from fastapi import FastAPI

from reward_servers.config import TlsConfig, bind_refusal
from reward_servers.core import SettingsError
from reward_servers.gateway.app import create_app
from reward_servers.gateway.asked_servers import AskedServers
from reward_servers.gateway.header_limit import BoundedHeaderProtocol
from reward_servers.gateway.idle_connections import IdleLimit
from reward_servers.gateway.run_code import Slots
from reward_servers.gateway.settings import GatewayConfig
from reward_servers.process.gc_policy import freeze_garbage
from reward_servers.process.termination import ending_signals
from reward_servers.rpc import ServerCertificates, bind_problem
from trainer_client import AsyncRewardClient


class _Server(uvicorn.Server):
    """A server that ends on signals without passing them on: who started it has more to close."""

    def __init__(self, settings: uvicorn.Config, idle_limit: IdleLimit) -> None:
        super().__init__(settings)
        self._idle_limit = idle_limit

    async def on_tick(self, counter: int) -> bool:
        """Look at the connections once a second; uvicorn ticks ten times."""
        if counter % 10 == 0:
            self._idle_limit.look(self.server_state.connections)
        return await super().on_tick(counter)

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """Note signals while serving."""
        before = {number: signal.signal(number, self.handle_exit) for number in ending_signals()}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


async def serve(
    client: AsyncRewardClient,
    config: GatewayConfig,
    ready: Callable[[str], None],
    servers: AskedServers | None = None,
) -> None:
    """Serve until SIGTERM or Ctrl-C; what is under way is finished.

    Args:
        client: Asks the reward servers.
        config: Settings.
        ready: Called with the URL once it listens.
        servers: What is known of the servers of the client's recipe.

    Raises:
        SettingsError: The address cannot be bound, or must not be served in plain text.
    """
    freeze_garbage()
    servers = servers or AskedServers(client)
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(_bind(config))
        slots = await asyncio.to_thread(Slots, config.run_code.slots) if config.run_code.slots else None
        if slots is not None:
            stack.callback(slots.close)
        app = create_app(client, config, slots, servers)
        watching = asyncio.create_task(servers.watch())
        try:
            await _serve(app, config, listener, ready)
        finally:
            watching.cancel()
            await asyncio.wait([watching])


async def _serve(app: FastAPI, config: GatewayConfig, listener: socket.socket, ready: Callable[[str], None]) -> None:
    tls, certificates = config.server.tls, ServerCertificates(config.server.tls)
    settings = uvicorn.Config(
        app,
        loop="none",
        http=BoundedHeaderProtocol,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        limit_concurrency=config.server.max_connections,
        timeout_graceful_shutdown=int(config.server.drain_timeout_s) + 1,
        ssl_certfile=str(tls.certificate) if tls else None,
        ssl_keyfile=str(tls.key) if tls else None,
        ssl_ca_certs=str(tls.client_ca) if tls and tls.client_ca else None,
        ssl_cert_reqs=ssl.CERT_REQUIRED if tls and tls.client_ca else ssl.CERT_NONE,
    )
    try:
        settings.load()
        if tls is not None and settings.ssl is not None:
            _serve_newest(settings.ssl, tls, certificates)
    except (OSError, ssl.SSLError) as error:
        raise SettingsError(f"server.tls: {error}") from None
    host, port = listener.getsockname()[:2]
    ready(f"{'https' if tls else 'http'}://{f'[{host}]' if ':' in host else host}:{port}")
    try:
        await _Server(settings, IdleLimit(config.limits.body_timeout_s)).serve(sockets=[listener])
    finally:
        certificates.close()


def _serve_newest(listening: ssl.SSLContext, tls: TlsConfig, certificates: ServerCertificates) -> None:
    """Give every new connection the context of what was last read; the one that listens stays as it was."""
    newest = [_context(tls)]

    def chosen(connection: ssl.SSLSocket | ssl.SSLObject, _name: str | None, _listening: ssl.SSLContext) -> None:
        connection.context = newest[0]

    def changed() -> None:
        newest[0] = _context(tls)

    # Called for every handshake, whether or not it names a server.
    listening.sni_callback = chosen
    certificates.follow(changed)


def _context(tls: TlsConfig) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tls.certificate, tls.key, password="")
    if tls.client_ca is not None:
        context.load_verify_locations(tls.client_ca)
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def check_address(config: GatewayConfig) -> None:
    """Refuse plain text on an address that others can reach, before anything is started.

    Raises:
        SettingsError: It would be.
    """
    refusal = bind_refusal(config.server)
    if refusal is not None:
        raise SettingsError(refusal)


def _bind(config: GatewayConfig) -> socket.socket:
    check_address(config)
    host, port = config.server.host.strip("[]"), config.server.port
    problem = bind_problem(host, port)
    if problem:
        raise SettingsError(problem)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(1024)
    except OSError as error:
        listener.close()
        raise SettingsError(f"server.port: {host}:{port} cannot be bound: {error.strerror}") from None
    return listener
