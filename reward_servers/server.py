"""One server process: builds it, serves, and drains on SIGTERM without losing an admitted item."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import grpc
import grpc.aio
from grpc_health.v1 import health

from reward_servers import __version__
from reward_servers.config import ClientTls, ServerConfig
from reward_servers.core import BoundVerifier, Scorer, SettingsError, Verifier, find, installed
from reward_servers.hosting import HostingServicer, Registrar, follow_files
from reward_servers.observe import (
    CONTENT_TYPE,
    CallLog,
    MetricsServer,
    Tracing,
    exposition,
    server_families,
    slow_report,
)
from reward_servers.process.gc_policy import freeze_garbage
from reward_servers.process.loop_watch import watched_loop
from reward_servers.process.termination import ending_signals
from reward_servers.registry import Announcer, OwnAddress
from reward_servers.remote import Peers
from reward_servers.rpc import (
    Clients,
    RewardServicer,
    ServerCertificates,
    add_standard_services,
    listen,
    say_hosted,
)
from trainer_client import TLS, RecipeError, read_token
from trainer_client._settings import is_exposed, is_host_port
from trainer_client.contract.v1 import hosting_service_pb2 as hosting_pb2
from trainer_client.contract.v1 import reward_service_pb2 as service_pb2

_log = logging.getLogger("assay.server")
_SERVICES = (
    service_pb2.DESCRIPTOR.services_by_name["RewardService"],
    hosting_pb2.DESCRIPTOR.services_by_name["HostingService"],
)


class Running:
    """A server that is serving.

    Attributes:
        address: ``host:port`` that it listens on.
        scorer: Its core.
        registrar: Changes what it hosts.
    """

    def __init__(
        self,
        server: grpc.aio.Server,
        address: str,
        scorer: Scorer,
        servicer: RewardServicer,
        probe: health.aio.HealthServicer,
        registrar: Registrar,
    ) -> None:
        self.address = address
        self.scorer = scorer
        self.registrar = registrar
        self._server = server
        self._servicer = servicer
        self._probe = probe
        self._hurried = asyncio.Event()

    def hurry(self) -> None:
        """Do not wait, or no longer, for what was admitted: it is lost."""
        self._hurried.set()

    async def drain(self, seconds: float) -> None:
        """Say not serving, take nothing new, finish what was admitted, and stop.

        Args:
            seconds: How long to wait for what was admitted.
        """
        await self._servicer.drain()
        await self._probe.enter_graceful_shutdown()
        waits = [asyncio.create_task(wait) for wait in (self.scorer.drain(), self._hurried.wait())]
        done, _ = await asyncio.wait(waits, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        for wait in waits:
            wait.cancel()
        if waits[0] not in done:
            why = f"after {seconds:g} s of draining" if not self._hurried.is_set() else "when it was told twice to end"
            _log.error("items were still running %s; they are lost", why)
        await self._server.stop(grace=2.0)
        await self.scorer.close()


def _options(config: ServerConfig) -> list[tuple[str, int]]:
    size = config.limits.max_message_bytes
    return [
        ("grpc.max_receive_message_length", size),
        ("grpc.max_send_message_length", -1),
        # Two servers on one port would share its connections at random: a port that is taken is an error.
        ("grpc.so_reuseport", 0),
        # What has not arrived whole is counted by no one: bounded are the messages that a connection may send at once.
        ("grpc.max_concurrent_streams", config.server.max_streams),
        ("grpc.max_allowed_incoming_connections", config.server.max_connections),
        ("grpc.max_metadata_size", 16 << 10),
        # Clients of a quiet period keep their connection alive with pings.
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.min_ping_interval_without_data_ms", 5000),
    ]


def _client_tls(files: ClientTls | None) -> TLS | None:
    """The files for asking other servers, which must be there before anything is asked."""
    if files is None:
        return None
    for name, path in files.model_dump(exclude_none=True).items():
        if not path.is_file():
            raise SettingsError(f"client.tls.{name}: {path} is not a file")
    tls = TLS(*(str(path) if path is not None else None for path in (files.ca, files.certificate, files.key)))
    try:
        tls.check()
    except RecipeError as error:
        raise SettingsError(f"client.tls: {error.reason}") from None
    return tls


@asynccontextmanager
async def running(config: ServerConfig, names: Sequence[str], *, peers: Path | None = None) -> AsyncIterator[Running]:
    """Serve verifiers on the current loop.

    Args:
        config: Settings of the process.
        names: Verifiers to host, by name or ``module:name``.
        peers: A file that says where verifiers on other servers are; see `Peers`.

    Yields:
        The server. It is drained on the way out.

    Raises:
        VerifierNotFoundError: A verifier is not installed.
        SettingsError: A setting is wrong.
        StartupError: What a verifier needs is missing here.
    """
    verifiers = [find(name) for name in dict.fromkeys(names)]
    _say_unused(config, verifiers)
    _find_folders(config)
    hosted = [config.host(verifier) for verifier in verifiers]
    clients = Clients(config.auth.tokens)
    scorer = _scorer(hosted, config, peers)
    server = grpc.aio.server(options=_options(config))
    certificates = ServerCertificates(config.server.tls)
    address = listen(server, config, certificates)
    tracing = Tracing.to(config.tracing.endpoint)
    try:
        await scorer.start()
        origins = _origins(hosted)
        servicer = RewardServicer(scorer, origins, {}, clients, CallLog(scorer.stats, tracing))
        servicer.register(server)
        announcer = _announcer(config, address, servicer)
        probe = await add_standard_services(server, _SERVICES, scorer.hosted, with_reflection=config.server.reflection)

        async def changed(names: list[str], removed: list[str]) -> None:
            await say_hosted(probe, names, removed)
            announcer.announce_again()

        registrar = Registrar(scorer, config, origins, changed)
        HostingServicer(registrar, scorer, origins, clients, allowed=config.registration.allowed).register(server)
        pages = await _serve_metrics(config, scorer, servicer, certificates)
        await server.start()
        alive = Running(server, address, scorer, servicer, probe, registrar)
        _say_started(config, address, scorer)
        announcer.start()
        certificates.follow()
    except BaseException:
        await scorer.close()
        await server.stop(None)
        tracing.close()
        raise
    try:
        yield alive
    finally:
        await announcer.withdraw()
        await alive.drain(config.server.drain_timeout_s)
        certificates.close()
        tracing.close()
        if pages is not None:
            await pages.close()


def _scorer(hosted: Sequence[BoundVerifier], config: ServerConfig, peers: Path | None) -> Scorer:
    remotes = Peers(config.endpoints, peers, _client_tls(config.client.tls))
    workers = config.server.workers
    return Scorer(hosted, config.server_limits(), workers=workers, remotes=remotes, preload=["reward_servers.wire"])


def _say_unused(config: ServerConfig, verifiers: Sequence[Verifier]) -> None:
    config.check_names([verifier.name for verifier in verifiers], installed())
    unused = sorted((set(config.verifiers) | set(config.item_limits)) - {verifier.name for verifier in verifiers})
    if unused and config.registration.allowed:
        _log.info("settings of %s wait: they are not served here yet", ", ".join(unused))
    elif unused:
        _log.info("settings of %s are not used: they are not served here", ", ".join(unused))


def _find_folders(config: ServerConfig) -> None:
    """Let modules of the folders that verifiers may come from be found; at the end of the path they shadow nothing."""
    for folder in config.registration.folders:
        if not folder.is_dir():
            raise SettingsError(f"registration.folders: {folder} is not a folder")
        if folder.stat().st_mode & 0o002:
            raise SettingsError(f"registration.folders: every user of this host may write to {folder}; chmod o-w it")
        if str(folder.resolve()) not in sys.path:
            sys.path.append(str(folder.resolve()))


def _origins(hosted: Sequence[BoundVerifier]) -> dict[str, str]:
    """Where verifiers come from, by digest."""
    entries = installed()
    return {
        bound.identity.digest: f"{entries[bound.identity.name].distribution}, {bound.verifier.path}"
        if bound.identity.name in entries
        else bound.verifier.path
        for bound in hosted
    }


def _announcer(config: ServerConfig, address: str, servicer: RewardServicer) -> Announcer:
    """What announces the server at the registries of its settings."""
    settings = config.registry
    describe = partial(servicer.describe_entry, name=settings.name)
    own = OwnAddress(address, settings.endpoints, settings.address)
    if not settings.endpoints:
        return Announcer((), describe, own)
    if settings.address and not is_host_port(settings.address):
        raise SettingsError(f"registry.address: {settings.address!r} is not host:port, without a scheme")
    try:
        read_token(settings.token)
    except OSError as error:
        raise SettingsError(f"registry.token: {error}; give the path of its file") from None
    tls = _client_tls(config.client.tls)
    exposed = next((registry for registry in settings.endpoints if is_exposed(registry, tls)), None)
    if settings.token and exposed is not None:
        raise SettingsError(
            f"registry.token: a token is not sent unencrypted to {exposed}, which is another host; set [client.tls] ca"
        )
    return Announcer(
        settings.endpoints,
        describe,
        own,
        lease_s=settings.lease_s,
        tls=tls,
        token=settings.token,
    )


async def _serve_metrics(
    config: ServerConfig, scorer: Scorer, servicer: RewardServicer, certificates: ServerCertificates
) -> MetricsServer | None:
    """Serve metrics where the settings name a port for them."""
    metrics = config.metrics
    if metrics.port is None:
        return None

    def page() -> tuple[str, bytes]:
        families = server_families(scorer, __version__, draining=servicer.draining, certificate_ends=certificates.ends)
        return CONTENT_TYPE, exposition(families)

    server = MetricsServer(
        {
            "/metrics": page,
            "/slow": lambda: ("application/json", slow_report(scorer.stats.slow)),
        }
    )
    try:
        address = await server.start(metrics.host, metrics.port)
    except OSError as error:
        raise SettingsError(f"metrics.port: {metrics.host}:{metrics.port}: {error.strerror}") from None
    _log.info("metrics at http://%s/metrics", address)
    return server


def _say_started(config: ServerConfig, address: str, scorer: Scorer) -> None:
    """Write what an operator wants to know of a server once: what it is and what bounds it."""
    server, limits = config.server, config.limits
    _log.info(
        "started",
        extra={
            "fields": {
                "address": address,
                "version": __version__,
                "pid": os.getpid(),
                "workers": server.workers,
                "verifiers": ",".join(
                    f"{bound.identity.name}@{bound.identity.version}" for bound in scorer.hosted.values()
                ),
                "digests": ",".join(bound.identity.digest for bound in scorer.hosted.values()),
                "tls": "mutual" if server.tls and server.tls.client_ca else "server" if server.tls else "none",
                "tokens": config.auth.tokens is not None,
                "items": limits.max_items,
                "bytes": limits.max_bytes,
                "message_bytes": limits.max_message_bytes,
                "drain_timeout_s": server.drain_timeout_s,
            }
        },
    )


async def serve(
    config: ServerConfig,
    names: Sequence[str],
    *,
    peers: Path | None = None,
    ready: Callable[[str], None] | None = None,
    follow: bool = False,
) -> None:
    """Serve until SIGTERM, SIGINT or SIGHUP, then drain. Such a signal ends a server at once that does not serve yet.

    A server also drains when a device of its verifiers can no longer be used.

    Args:
        config: Settings of the process.
        names: Verifiers to host.
        peers: A file that says where verifiers on other servers are; see `Peers`.
        ready: Called with the address once the server answers.
        follow: Host verifiers again whenever their files change.

    Raises:
        VerifierNotFoundError: A verifier is not installed.
        SettingsError: A setting is wrong.
        StartupError: What a verifier needs is missing here.
    """
    ending = _Ending()
    try:
        async with running(config, names, peers=peers) as server, watched_loop():
            ending.served(server)
            server.scorer.hosting.when_unusable = ending.told.set
            freeze_garbage()
            if ready is not None:
                ready(server.address)
            following = asyncio.create_task(follow_files(server.registrar)) if follow else None
            await ending.told.wait()
            _log.info("draining; items held: %d; Ctrl-C ends at once", server.scorer.admission.items)
            if following is not None:
                following.cancel()
    except asyncio.CancelledError:
        if not ending.told.is_set():
            raise
        _log.info("ended before it served")


class _Ending:
    """Listens to the signals that end a server: at once while it starts, by draining while it serves.

    A second Ctrl-C ends the draining. Other signals may come twice by themselves: from a terminal or a job scheduler,
    and from what has started the server.

    Attributes:
        told: Whether one has come.
    """

    def __init__(self) -> None:
        self.told = asyncio.Event()
        self._interrupts = 0
        self._server: Running | None = None
        self._task = asyncio.current_task()
        loop = asyncio.get_running_loop()
        for number in ending_signals():
            loop.add_signal_handler(number, self._tell, number)

    def served(self, server: Running) -> None:
        """The server has started."""
        self._server = server

    def _tell(self, number: signal.Signals) -> None:
        self.told.set()
        self._interrupts += number == signal.SIGINT
        if self._server is None:
            assert self._task is not None
            self._task.cancel()
        elif self._interrupts > 1:
            self._server.hurry()
