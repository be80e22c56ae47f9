"""Who asks: a name from a client certificate, from a token, or from the address that a call comes from.

Tokens are in a TOML file, which is read again when it changes:

    [clients.trainer-a]
    token = "a long random text"        # or token_sha256, its digest in hex
    scopes = ["score"]                  # score, register, admin
"""

from __future__ import annotations

import hmac
import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, Literal

import grpc
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from reward_servers.core import SettingsError
from trainer_client._toml import TomlError, read_toml

_log = logging.getLogger("assay.server")
_LONGEST_TOKEN = 4096

Scope = Literal["score", "register", "admin"]


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks.

    Attributes:
        name: Its name, for its share of the server and for logs: ``cert:NAME``, ``token:NAME`` or ``addr:ADDRESS``.
        scopes: What it may do.
    """

    name: str
    scopes: frozenset[str]


class NotAllowedError(Exception):
    """A call that its caller may not make.

    Attributes:
        status: The status that says so.
    """

    def __init__(self, status: grpc.StatusCode, message: str) -> None:
        super().__init__(message)
        self.status = status


class _Entry(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    token: str = Field(default="", repr=False)
    token_sha256: str = Field(default="", pattern="^([0-9a-f]{64})?$", repr=False)
    scopes: tuple[Scope, ...] = ("score",)

    @model_validator(mode="after")
    def _check(self) -> _Entry:
        if bool(self.token) == bool(self.token_sha256):
            raise ValueError("give either token or token_sha256")
        if self.token and len(self.token) < 16:
            raise ValueError("a token has at least 16 characters")
        return self

    @property
    def digest(self) -> bytes:
        return bytes.fromhex(self.token_sha256) if self.token_sha256 else sha256(self.token.encode()).digest()


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    clients: dict[str, _Entry] = Field(default_factory=dict)


class Clients:
    """Tells callers apart, and says what they may do."""

    def __init__(self, tokens: Path | None = None, *, without: Iterable[Scope] = ("score",)) -> None:
        """Read the tokens.

        Args:
            tokens: The file of tokens; None where callers need none.
            without: What every caller may do where there is no file.

        Raises:
            SettingsError: The file cannot be read.
        """
        self._path = tokens
        self._without = frozenset[str](without)
        self._stamp: tuple[int, int] | None = None
        self._known: list[tuple[bytes, Caller]] = []
        if tokens is not None:
            self._known = _read(tokens)
            self._stamp = _stamp(tokens)

    @property
    def told_apart(self) -> bool:
        """Whether callers need tokens."""
        return self._path is not None

    def check(self, context: Any, scope: Scope = "score") -> Caller:
        """The caller of a call.

        Args:
            context: The call's context.
            scope: What it wants to do; ``admin`` may do everything.

        Raises:
            NotAllowedError: It gives no token that is known, or may not do this.
        """
        token = _token(context.invocation_metadata() or ())
        return self.admit(token, _certified_name(context), _address(context.peer()), scope)

    def admit(self, token: bytes | None, certified: str, address: str, scope: Scope = "score") -> Caller:
        """The caller behind a token, a certificate's name and an address, as any transport gives them.

        Args:
            token: The bearer token; None where none came.
            certified: Name in the caller's certificate; empty without one.
            address: Host that it calls from.
            scope: What it wants to do.

        Raises:
            NotAllowedError: It gives no token that is known, or may not do this.
        """
        caller = self._identify(token, certified, address)
        if scope not in caller.scopes and "admin" not in caller.scopes:
            message = f"the token of {caller.name} lacks the scope {scope!r}"
            raise NotAllowedError(grpc.StatusCode.PERMISSION_DENIED, message)
        return caller

    def _identify(self, token: bytes | None, certified: str, address: str) -> Caller:
        if self._path is None:
            name = f"cert:{certified}" if certified else f"addr:{address}"
            return Caller(name, self._without)
        self._follow()
        if token is not None:
            caller_found: Caller | None = None
            digest = sha256(token).digest()
            for known_digest, caller in self._known:  # all of them: how long it takes says nothing
                if hmac.compare_digest(known_digest, digest):
                    caller_found = caller
            if caller_found is not None:
                return caller_found
        elif certified:
            return Caller(f"cert:{certified}", frozenset({"score"}))
        problem = "the token is not known" if token is not None else "a token is needed"
        message = f"{problem}; send `authorization: Bearer TOKEN` with one of the server's file of tokens"
        raise NotAllowedError(grpc.StatusCode.UNAUTHENTICATED, message)

    def _follow(self) -> None:
        """Read the file again when it has changed; one that cannot be read leaves the tokens as they were."""
        assert self._path is not None
        stamp = _stamp(self._path)
        if stamp == self._stamp:
            return
        self._stamp = stamp
        try:
            self._known = _read(self._path)
        except SettingsError as error:
            _log.error("the tokens are left as they were: %s", error)
        else:
            _log.info("tokens of %d clients were read again", len(self._known))


def _stamp(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_ino


def _read(path: Path) -> list[tuple[bytes, Caller]]:
    try:
        entries = _File.model_validate(read_toml(path.read_text("utf-8"))).clients
    except OSError as error:
        raise SettingsError(f"auth.tokens: {path}: {error.strerror}") from None
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise SettingsError(f"auth.tokens: {path}: {where}: {first['msg']}") from None
    except (TomlError, UnicodeDecodeError) as error:
        raise SettingsError(f"auth.tokens: {path}: {error}") from None
    return [(entry.digest, Caller(f"token:{name}", frozenset(entry.scopes))) for name, entry in entries.items()]


def _token(metadata: Iterable[Any]) -> bytes | None:
    for key, value in metadata:
        if key == "authorization" and isinstance(value, str):
            return bearer(value)
    return None


def bearer(header: str) -> bytes | None:
    """The token of an ``authorization`` header; None where it holds none."""
    kind, _, token = header.partition(" ")
    if len(header) > _LONGEST_TOKEN or kind.lower() != "bearer":
        return None
    return token.strip().encode("utf-8", "replace")


def _certified_name(context: Any) -> str:
    auth = context.auth_context() or {}
    if not auth.get("x509_common_name") and not auth.get("x509_subject_alternative_name"):
        return ""
    names: Sequence[bytes] = auth.get("x509_common_name") or auth["x509_subject_alternative_name"]
    return names[0].decode("utf-8", "replace")[:200]


def _address(peer: str) -> str:
    """The host of a peer such as ``ipv4:10.0.0.3:51234`` or ``ipv6:%5B::1%5D:51234``."""
    kind, _, address = peer.partition(":")
    if kind not in ("ipv4", "ipv6"):
        return kind or "unknown"
    return address.rpartition(":")[0].replace("%5B", "").replace("%5D", "").strip("[]") or address
