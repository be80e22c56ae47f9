"""What a client can be told: batching, retries, TLS. Immutable, picklable, with defaults that suit most runs."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from numbers import Integral, Real
from typing import TYPE_CHECKING, TypeAlias

from trainer_client._errors import RecipeError
from trainer_client._numbers import is_number
from trainer_client._printable import printable

if TYPE_CHECKING:
    from trainer_client._certificates import FollowedCertificates

Endpoints: TypeAlias = str | Sequence[str] | Mapping[str, str | Sequence[str]]
"""``"host:port"``; several for replicas; or a mapping from names of servers in the recipe to either.

A name that has several addresses stands for as many replicas, and is looked up again every few seconds.
``"file:endpoints.json"`` is a JSON object of lists of addresses by server, as ``assay up --endpoints-file`` writes it.
It is read again when it changes. ``"registry://host:port"`` asks a registry and follows it,
``"registry://host:port/math@>=8"`` for servers with such a verifier; ``"ray:math"`` follows the actors of a Ray cluster
that this process is in. An IPv6 host is written in brackets:
``"[::1]:50051"``.

``"grpcs://host:port"`` is always encrypted and ``"grpc://host:port"`` never; without a scheme it depends on whether the
client has `TLS` files.
"""

ROLLOUT_FIELDS = (
    "rollout_id", "group_id", "task", "prompt", "response", "reference", "metadata", "finish_reason",
    "documents", "token_ids", "expected",
)  # fmt: skip
_ROLLOUT_OBJECTS = ("reference", "metadata", "expected")

_ADDRESS = re.compile(
    r"(?:\[[0-9A-Fa-f:.]+(?:%\w+)?\]|[^/\s:\[\]]+):[0-9]{1,5}|(?:unix|unix-abstract|dns|ipv4|ipv6|xds):\S+|file:.+"
    r"|registry://(?:\[[0-9A-Fa-f:.]+\]|[^/\s:\[\]]+):[0-9]{1,5}(?:/\S+)?|ray:[\w.-]*"
)
"""A host with its port, a name that gRPC resolves (its naming document), a file of addresses, a registry, or Ray."""

_HOST_PORT = re.compile(
    r"(?:\[[0-9A-Fa-f:.]+(?:%\w+)?\]|(?!(?:unix|unix-abstract|dns|ipv4|ipv6|xds|vsock|passthrough):)[A-Za-z0-9._-]+)"
    r":([0-9]{1,5})"
)
_LONGEST_ADDRESS = 256

_ABOVE_ZERO = ("max_items", "max_bytes", "max_attempts", "max_crashes", "heartbeat_timeout_s", "report_interval_s")


def amount_mistake(name: str, value: object, *, whole: bool) -> str:
    """Why something cannot be an amount among `Batching` and `Retries`; empty where it can."""
    if isinstance(value, bool) or not isinstance(value, Integral if whole else Real):
        return f"{value!r} is not a {'whole ' if whole else ''}number"
    if not is_number(value) and abs(value) != math.inf:
        return f"{value!r:.100} is not a number that can be counted with"
    if value < 0:
        return f"{value:g} is negative"
    return "0 is too little" if not value and name in _ABOVE_ZERO else ""


def _check_amounts(settings: Batching | Retries, table: str) -> None:
    for setting in fields(settings):
        value = getattr(settings, setting.name)
        if mistake := amount_mistake(setting.name, value, whole=isinstance(setting.default, int)):
            raise RecipeError(mistake, f"{table}.{setting.name}")


@dataclass(frozen=True, slots=True)
class Batching:
    """How work is cut into calls, and single samples are merged into batches.

    Attributes:
        max_items: rollouts times rewards in one call.
        max_bytes: size of a message; a larger rollout travels alone.
        max_delay_s: seconds that a single sample waits for others at most; where nothing is under way it does not wait.
        group_timeout_s: seconds that the first sample of a group waits for the last, where groups are judged as a
            whole.
    """

    max_items: int = 256
    max_bytes: int = 2 << 20
    max_delay_s: float = 0.005
    group_timeout_s: float = 60.0

    def __post_init__(self) -> None:
        _check_amounts(self, "batching")


@dataclass(frozen=True, slots=True)
class Retries:
    """When an item is sent again.

    Attributes:
        max_attempts: how often an item is sent whose faults may pass.
        max_crashes: how often a server may break under an item before the item counts as not scorable. Only breaks
            count that no other item can have caused.
        budget_ratio: items sent again after faults, as a share of the items sent.
        budget_floor: items that may be sent again beyond that share.
        initial_backoff_s: seconds before the first repetition; doubles each time, with jitter.
        max_backoff_s: seconds between repetitions, at most.
        unavailable_timeout_s: seconds to wait for a server of which no replica answers.
        describe_timeout_s: seconds of it that a question about verifiers waits, as adapters ask before their first
            sample, while no replica can be reached at all: nothing is lost yet, and the address may be wrong.
        heartbeat_timeout_s: seconds that a replica with work may leave the question unanswered whether it is alive.
            Its work then goes to others.
        stall_timeout_s: seconds without a result, and at least five times what 99 of 100 calls take, after which a
            replica's open items go to one that has time.
        hedge_ratio: items that two replicas may judge at once when one of them stalls, as a share of the items sent.
            Only verifiers that always give the same verdict are asked twice; of others the first call is ended.
        report_interval_s: seconds after which waiting work is logged, and again every so many.
    """

    max_attempts: int = 3
    max_crashes: int = 2
    budget_ratio: float = 0.1
    budget_floor: int = 64
    initial_backoff_s: float = 0.05
    max_backoff_s: float = 5.0
    unavailable_timeout_s: float = 60.0
    describe_timeout_s: float = 10.0
    heartbeat_timeout_s: float = 10.0
    stall_timeout_s: float = 10.0
    hedge_ratio: float = 0.05
    report_interval_s: float = 10.0

    def __post_init__(self) -> None:
        _check_amounts(self, "retries")


@dataclass(frozen=True, slots=True)
class TLS:
    """Files for encrypted connections (PEM). They are read again for new connections once they have changed.

    Attributes:
        ca: authorities to trust; None for the system's.
        cert: certificate of this client, for servers that ask for one.
        key: its private key.
    """

    ca: str | None = None
    cert: str | None = None
    key: str | None = None

    def followed(self) -> FollowedCertificates:
        """The files' content, which can be looked at again.

        Raises:
            OSError: a file cannot be read.
            RecipeError: one does not hold what it should.
        """
        # Imported where they are needed: most clients have no certificates, and every trainer imports this.
        import logging

        from trainer_client._certificates import FollowedCertificates

        return FollowedCertificates(
            self.ca, self.cert, self.key, is_server=False, logger=logging.getLogger("trainer_client"), name="TLS"
        )

    def absolute(self) -> TLS:
        """The same files wherever the process, or one that gets this by pickle, goes later."""
        return TLS(*(os.path.abspath(file) if file else None for file in (self.ca, self.cert, self.key)))

    def within(self, folder: str) -> TLS:
        """The same files with paths that are relative to a folder."""
        return TLS(*(os.path.join(folder, file) if file else None for file in (self.ca, self.cert, self.key)))

    def check(self) -> None:
        """Refuse files of which gRPC would only say that no handshaker can be made, or that the server is away.

        Raises:
            OSError: one cannot be read.
            RecipeError: one does not hold what it should, or what cannot be used now.
        """
        self.followed()


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything a client was told."""

    endpoints: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    default_endpoints: tuple[str, ...] = ()
    pin: bool = True
    batching: Batching = field(default_factory=Batching)
    retries: Retries = field(default_factory=Retries)
    tls: TLS | None = None
    token: str = field(default="", repr=False)

    @classmethod
    def make(
        cls,
        endpoints: Endpoints | None,
        *,
        pin: bool,
        batching: Batching | None,
        retries: Retries | None,
        tls: TLS | None,
        token: str | None = None,
    ) -> Settings:
        """Settings from a client's arguments.

        Raises:
            RecipeError: an address is none, or files of certificates cannot be used.
            OSError: a file of certificates or of a token cannot be read.
        """
        token = token_source(token)
        if tls is not None:
            tls = tls.absolute()
            tls.check()
        names: dict[str, tuple[str, ...]] = {}
        default: tuple[str, ...] = ()
        if isinstance(endpoints, Mapping):
            names = {name: _addresses(value, f"endpoints.{name}") for name, value in endpoints.items()}
        elif endpoints is not None:
            default = _addresses(endpoints, "endpoints")
        return cls(names, default, pin, batching or Batching(), retries or Retries(), tls, token)


def read_token(source: str) -> str:
    """The bearer token that a client was given, read from its file where it was given one; empty for none.

    Raises:
        OSError: the file cannot be read.
    """
    if not source.startswith("file:"):
        return source
    with open(source.removeprefix("file:"), encoding="utf-8") as file:
        return file.read().strip()


def token_source(token: str | None) -> str:
    """Where a bearer token is read, wherever the process goes later; empty for none.

    Raises:
        RecipeError: it is no token.
        OSError: its file cannot be read.
    """
    token = token or ""
    source = f"file:{os.path.abspath(token.removeprefix('file:'))}" if token.startswith("file:") else token
    if source and (not read_token(source).isascii() or not read_token(source).isprintable()):
        raise RecipeError("is not a bearer token: one line of ASCII", "token")
    return source


def check_token_file(token: str, place: str) -> None:
    """Refuse a token itself where only its file may be named: a recipe is read by many.

    Raises:
        RecipeError: it names no file.
    """
    if not token.startswith("file:"):
        raise RecipeError('is a secret and must not be in a recipe; write the name of its file, "file:PATH"', place)


def token_within(folder: str, token: str | None) -> str | None:
    """A token's file with a path that is relative to a folder."""
    return None if token is None else f"file:{os.path.join(folder, token.removeprefix('file:'))}"


def is_encrypted(address: str, tls: TLS | None) -> bool:
    """Whether a connection to an address is encrypted."""
    return address.startswith("grpcs://") or (tls is not None and not address.startswith("grpc://"))


def target_of(address: str) -> str:
    """The address as gRPC takes it: without ``grpc://`` or ``grpcs://``."""
    return address.removeprefix("grpcs://").removeprefix("grpc://")


def is_exposed(address: str, tls: TLS | None) -> bool:
    """Whether what is sent to an address can be read on the way: neither encrypted nor on this host."""
    target = target_of(address)
    if is_encrypted(address, tls) or target.startswith("unix"):
        return False
    host = target.removeprefix("dns:").removeprefix("ipv4:").removeprefix("ipv6:").lstrip("/").rpartition(":")[0]
    return not is_loopback(host)


def is_loopback(host: str) -> bool:
    """Whether a host, as it is written, can be reached from this one alone; names are not looked up."""
    import ipaddress

    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host.lower().rstrip(".") == "localhost"


def is_host_port(address: str) -> bool:
    """Whether an address is a host and its port and nothing else: what others may tell a client.

    A scheme would let them choose how a client connects, in plain text for one.
    """
    match = _HOST_PORT.fullmatch(address)
    return match is not None and len(address) <= _LONGEST_ADDRESS and 0 < int(match[1]) < 1 << 16


def is_list(address: str) -> bool:
    """Whether an address is that of a list of servers, a registry, a file or Ray, and not of a server."""
    return address.startswith(("registry://", "file:", "ray:"))


def listed_addresses(value: object) -> list[str] | None:
    """What a file of endpoints says of one server: a list of addresses, which may be empty, or one; None if neither."""
    addresses = [value] if isinstance(value, str) else value
    if not isinstance(addresses, list) or not all(isinstance(address, str) and address for address in addresses):
        return None
    return addresses


def check_address(address: str, key: str) -> None:
    """Refuse what cannot be the address of a server.

    Raises:
        RecipeError: it has no port, or one that cannot be, or characters that no address has.
    """
    target = target_of(address)
    # A file may have any name that the system takes.
    unfit = "\0" in target if target.startswith("file:") else printable(target, line=True) != target
    if unfit or not _ADDRESS.fullmatch(target):
        remedy = _address_remedy(target)
        raise RecipeError(f'{address!r} is not an address such as "127.0.0.1:50051" or "[::1]:50051"{remedy}', key)
    for port in _ports(target):
        # Not int() before its length is known: Python refuses to read thousands of digits.
        if port.isdigit() and not (port.isascii() and len(port) <= 5 and 0 < int(port) < 1 << 16):
            raise RecipeError(f"{address!r}: the port must be between 1 and 65535", key)


def _ports(target: str) -> list[str]:
    """What stands where an address has its ports; a name that gRPC resolves may have none."""
    if target.startswith(("unix", "file:", "xds:", "ray:")):
        return []
    if target.startswith("registry://"):
        places = [target.removeprefix("registry://").partition("/")[0]]
    elif target.startswith("dns:"):
        # dns:HOST:PORT, dns:///HOST:PORT, dns://NAME-SERVER/HOST:PORT
        places = [target.removeprefix("dns:").rpartition("/")[2]]
    else:
        places = target.split(",") if target.startswith(("ipv4:", "ipv6:")) else [target]
    return [place.rpartition(":")[2] for place in places]


def _address_remedy(target: str) -> str:
    """What to do about a text that is no address."""
    if target.lower().startswith(("http://", "https://")):
        # Where a judge or a gateway answers is a URL; people give it here.
        place = target.partition("://")[2].partition("/")[0]
        begin = "grpcs://" if target.lower().startswith("https") else ""
        where = begin + (place if _ADDRESS.fullmatch(place) else "HOST:PORT")
        return (
            f'; that is a URL, and reward servers speak gRPC: write "{where}" where `assay serve` runs. What speaks '
            "HTTP, such as a model, is named in the settings of the verifier that asks it"
        )
    if target.endswith(".json"):
        return f'; a file of addresses, as `assay up --endpoints-file` writes it, is "file:{target}"'
    return "; an IPv6 host is written in brackets" if target.count(":") > 1 else ""


def _addresses(value: str | Sequence[str], key: str) -> tuple[str, ...]:
    if not isinstance(value, str) and not (
        isinstance(value, Sequence) and all(isinstance(address, str) for address in value)
    ):
        raise RecipeError(f'expected addresses such as "127.0.0.1:50051", or a list of them, found {value!r}', key)
    addresses = (value,) if isinstance(value, str) else tuple(value)
    for address in addresses:
        check_address(address, key)
    # A file is the same one wherever the process, or one that gets this by pickle, goes later.
    return tuple(
        f"file:{os.path.abspath(address.removeprefix('file:'))}" if address.startswith("file:") else address
        for address in addresses
    )


def field_mistake(name: str) -> str:
    """Say why a text names no field of a rollout, nor a key of one that is an object; empty where it does."""
    field_name, dot, key = name.partition(".")
    if field_name in ROLLOUT_FIELDS and (not dot or (field_name in _ROLLOUT_OBJECTS and key)):
        return ""
    return f"{name!r} is not a field of a rollout; fields are {', '.join(ROLLOUT_FIELDS)}"
