"""Settings of a server process: one TOML file, and what the command line adds.

[server]
host = "127.0.0.1"
port = 50051
workers = 4                     # worker processes; by default one per core that the process may use

[server.tls]                    # needed on an address that others can reach
certificate = "server.pem"
key = "server.key"
client_ca = "clients.pem"       # ask clients for a certificate

[limits]
max_items = 65536
max_client_items = 20000        # one client at most; without it, nearly all while it is alone

[metrics]
port = 9464                     # http://127.0.0.1:9464/metrics; without it, none

[tracing]
endpoint = "http://127.0.0.1:4317"  # takes spans as OTLP over gRPC; needs assay[otel]

[auth]
tokens = "tokens.toml"          # callers need a token of this file; see docs/operations.md

[verifiers.judge]               # settings of a verifier
base_url = "http://127.0.0.1:8000/v1"

[item_limits.math]              # bounds of one item
cpu_s = 5.0

[endpoints]                     # verifiers on other servers, for verifiers that ask others
judge = "127.0.0.1:50052"       # or a list of replicas

[registry]                      # announce this server; see docs/deploy.md
endpoints = ["10.0.0.9:50040"]
name = "checks"                 # what recipes call it; without it, it goes by its verifiers
address = "10.0.0.5:50051"      # where clients reach it; found out unless a proxy is between
token = "file:registry.token"   # with the scope "register", where the registry asks for one

[registration]                  # verifiers that callers with the scope "register" may add; see docs/deploy.md
packages = true                 # those that installed packages announce
folders = ["/srv/verifiers"]    # module:attribute of these folders

[client.tls]                    # asks those servers, and registries, over TLS
ca = "authority.pem"
certificate = "client.pem"      # for servers that ask for one
key = "client.key"
"""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import asdict
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Protocol, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, JsonValue, ValidationError, model_validator

from reward_servers.core import BoundVerifier, ItemLimits, ServerLimits, SettingsError, Verifier, bind, check_settings
from reward_servers.core._schemas import explain
from reward_servers.process.processors import MOST_WORKERS, usable_processors
from trainer_client._settings import is_host_port, is_loopback, target_of
from trainer_client._toml import TomlError, read_toml

_T = TypeVar("_T", bound=BaseModel)


class Section(BaseModel):
    """A table of a settings file, in which a key that is not known is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class TlsConfig(Section):
    """Files of the server's certificate."""

    certificate: Path
    key: Path
    client_ca: Path | None = None


class ClientTls(Section):
    """Files for asking other servers over TLS."""

    ca: Path | None = None
    certificate: Path | None = None
    key: Path | None = None

    @model_validator(mode="after")
    def _check(self) -> ClientTls:
        if (self.certificate is None) != (self.key is None):
            raise ValueError("certificate and key go together")
        return self


class _Client(Section):
    tls: ClientTls | None = None


class _Server(Section):
    host: str = "127.0.0.1"
    port: int = Field(default=0, ge=0, le=65535)
    workers: int = Field(default_factory=usable_processors, ge=1, le=MOST_WORKERS)
    insecure: bool = False
    drain_timeout_s: float = Field(default=60.0, gt=0)
    tls: TlsConfig | None = None
    max_connections: int = Field(default=1024, ge=1)
    max_streams: int = Field(default=256, ge=1)
    reflection: bool = True


class _Metrics(Section):
    host: str = "127.0.0.1"
    port: int | None = Field(default=None, ge=0, le=65535)


class _Tracing(Section):
    endpoint: str | None = None


class AuthConfig(Section):
    """Who may ask."""

    tokens: Path | None = None


def _registry_address(address: str) -> str:
    if not is_host_port(target_of(address)):
        raise ValueError(
            f"{address!r} is not the address of a registry; write HOST:PORT, without registry://, "
            "such as 10.0.0.9:50040 or [2001:db8::9]:50040"
        )
    return address


class _Registry(Section):
    endpoints: tuple[Annotated[str, AfterValidator(_registry_address)], ...] = ()
    name: str = Field(default="", max_length=200)
    address: str = ""
    lease_s: float = Field(default=15.0, ge=2, le=300)
    token: str = Field(default="", repr=False)


class RegistrationConfig(Section):
    """What may be hosted while the server runs, beside what it was started with."""

    packages: bool = False
    folders: tuple[Path, ...] = ()
    max_verifiers: int = Field(default=32, ge=1, le=1024)
    timeout_s: float = Field(default=60.0, gt=0, le=3600)

    @property
    def allowed(self) -> bool:
        """Whether anything may be."""
        return self.packages or bool(self.folders)


_DEFAULTS = ServerLimits()


class _Limits(Section):
    max_items: int = Field(default=_DEFAULTS.max_items, ge=1)
    max_bytes: int = Field(default=_DEFAULTS.max_bytes, ge=1)
    max_client_items: int = Field(default=_DEFAULTS.max_client_items, ge=0)
    max_client_bytes: int = Field(default=_DEFAULTS.max_client_bytes, ge=0)
    max_call_items: int = Field(default=_DEFAULTS.max_call_items, ge=1)
    max_message_bytes: int = Field(default=_DEFAULTS.max_message_bytes, ge=1 << 16, le=1 << 30)
    suggested_items: int = Field(default=_DEFAULTS.suggested_items, ge=1)
    cache_bytes: int = Field(default=_DEFAULTS.cache_bytes, ge=0)


class _ItemLimits(Section):
    cpu_s: float | None = Field(default=None, gt=0)
    wall_s: float | None = Field(default=None, gt=0)
    memory_bytes: int | None = Field(default=None, ge=0)
    response_bytes: int | None = Field(default=None, ge=1)


class ServerConfig(Section):
    """All settings of a server process; the sections are those of the file."""

    server: _Server = Field(default_factory=_Server)
    limits: _Limits = Field(default_factory=_Limits)
    auth: AuthConfig = Field(default_factory=AuthConfig)
    metrics: _Metrics = Field(default_factory=_Metrics)
    tracing: _Tracing = Field(default_factory=_Tracing)
    verifiers: dict[str, dict[str, JsonValue]] = Field(default_factory=dict)
    item_limits: dict[str, _ItemLimits] = Field(default_factory=dict)
    endpoints: dict[str, str | list[str]] = Field(default_factory=dict)
    client: _Client = Field(default_factory=_Client)
    registry: _Registry = Field(default_factory=_Registry)
    registration: RegistrationConfig = Field(default_factory=RegistrationConfig)

    @model_validator(mode="after")
    def _check(self) -> ServerConfig:
        if self.registration.allowed and self.auth.tokens is None:
            raise ValueError('registration: needs [auth] tokens, a file in which a caller has the scope "register"')
        return self

    def server_limits(self) -> ServerLimits:
        """The bounds of the server."""
        return ServerLimits(**self.limits.model_dump())

    def without_tls(self) -> ServerConfig:
        """The same for a server that only this host can reach."""
        return self.model_copy(update={"server": self.server.model_copy(update={"tls": None})})

    def with_cache(self, size: int) -> ServerConfig:
        """The same with a cache of verdicts of that many bytes."""
        return self.model_copy(update={"limits": self.limits.model_copy(update={"cache_bytes": size})})

    def with_metrics(self, port: int) -> ServerConfig:
        """The same with metrics on a port."""
        return self.model_copy(update={"metrics": self.metrics.model_copy(update={"port": port})})

    def with_registry(self, endpoints: Sequence[str], name: str) -> ServerConfig:
        """The same announced at registries, under a name.

        Raises:
            SettingsError: A registry's address is none, or the name is too long.
        """
        said = {"endpoints": tuple(endpoints) or self.registry.endpoints, "name": name or self.registry.name}
        try:
            registry = _Registry.model_validate({**self.registry.model_dump(), **said})
        except ValidationError as error:
            raise SettingsError(explain(error, "registry", _Registry)) from None
        return self.model_copy(update={"registry": registry})

    def host(self, verifier: Verifier) -> BoundVerifier:
        """Bind a verifier to its settings.

        Raises:
            SettingsError: The settings do not fit; the message names the key.
        """
        changed = self.item_limits.get(verifier.name, _ItemLimits()).model_dump(exclude_none=True)
        limits = ItemLimits(**{**asdict(verifier.limits), **changed})
        self.check(verifier, "the settings file (--config)")
        return bind(verifier, self.verifiers.get(verifier.name), limits)

    def check(self, verifier: Verifier, file: str) -> None:
        """Look at the settings of a verifier.

        Args:
            verifier: It.
            file: Where they are, in words.

        Raises:
            SettingsError: They do not fit; the message names the key.
        """
        try:
            check_settings(verifier, self.verifiers.get(verifier.name))
        except SettingsError as error:
            table = verifier.name if "/" not in verifier.name else f'"{verifier.name}"'
            raise SettingsError(f"{error}; see [verifiers.{table}] in {file}") from None

    def check_names(self, served: Sequence[str], installed: Container[str]) -> None:
        """Look for a table whose verifier is mistyped. One of another server may share the file.

        Args:
            served: Names of the verifiers that are served.
            installed: Names of those that are installed.

        Raises:
            SettingsError: A table names no verifier, and nearly names one that is served.
        """
        for section, tables in (("verifiers", self.verifiers), ("item_limits", self.item_limits)):
            for name in tables:
                close = [] if name in served or name in installed else get_close_matches(name, served, n=1)
                if close:
                    raise SettingsError(f"{section}.{name}: there is no such verifier; did you mean {close[0]}?")


def load_config(path: Path | None = None, **overrides: Any) -> ServerConfig:
    """Read the settings.

    Args:
        path: A TOML file; None for the defaults.
        overrides: Keys of the ``server`` section that replace the file's; None leaves a key alone.

    Returns:
        The settings.

    Raises:
        SettingsError: The file cannot be read or a key is wrong; the message names both.
    """
    return read_settings(ServerConfig, path, {"server": overrides})


def read_settings(kind: type[_T], path: Path | None, overrides: Mapping[str, Any]) -> _T:
    """Read settings of a kind.

    Args:
        kind: What the settings are.
        path: A TOML file; None for the defaults.
        overrides: Keys that replace the file's; of a table those that are not None.

    Raises:
        SettingsError: The file cannot be read or a key is wrong; the message names both.
    """
    data: dict[str, Any] = {}
    if path is not None:
        try:
            data = read_toml(path.read_text("utf-8"))
        except OSError as error:
            raise SettingsError(f"{path}: {error.strerror}; give the path of a TOML file") from None
        except (TomlError, UnicodeDecodeError) as error:
            raise SettingsError(f"{path}: {error}") from None
    for name, value in overrides.items():
        table = data.get(name)
        if isinstance(value, Mapping) and isinstance(table, dict | None):
            data[name] = {**(table or {}), **{key: part for key, part in value.items() if part is not None}}
        elif not isinstance(value, Mapping):
            data[name] = value
    try:
        return kind.model_validate(data)
    except ValidationError as error:
        problem = explain(error, "" if path is not None else "settings", kind)
        raise SettingsError(f"{path}: {problem}" if path is not None else problem) from None


def drain_timeout_s(files: Iterable[str | None]) -> float:
    """How long servers with these settings files may take to finish what they have admitted."""
    longest = 0.0
    for file in files:
        # Settings that cannot be read are the server's to refuse.
        with contextlib.suppress(SettingsError):
            longest = max(longest, load_config(Path(file) if file is not None else None).server.drain_timeout_s)
    return longest


class Listening(Protocol):
    """Where something listens."""

    host: str
    insecure: bool
    tls: TlsConfig | None


def bind_refusal(server: Listening) -> str | None:
    """Why the address must not be served in plain text; None when it may be."""
    if server.tls is not None or server.insecure or is_loopback(server.host):
        return None
    # Of a host name it is not known here who reaches it. One that no one knows is refused when it is listened on.
    try:
        socket.getaddrinfo(server.host.strip("[]"), None)
    except socket.gaierror:
        return None
    return (
        f"server.host {server.host} can be reached by others and [server.tls] is not set: "
        "set it, or pass --insecure to serve in plain text"
    )
