"""Files of certificates (PEM): taken when they can be used, and followed when they change.

What is there is tried before it is taken, by a handshake with itself: a key that is not the certificate's, a file that
is half written or a certificate that has expired leave in use what was read before.
"""

from __future__ import annotations

import logging
import ssl
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, TypeAlias

from trainer_client._errors import RecipeError

_Content: TypeAlias = tuple[bytes | None, bytes | None, bytes | None]
_ROUNDS: Final = 6
"""Exchanges after which a handshake of two sides in one process has ended."""


@dataclass(frozen=True, slots=True)
class PemFiles:
    """What the files hold, found usable.

    Attributes:
        ca: authorities to trust; None for the system's, or for none where a server asks for no certificates.
        certificate: the certificate with its chain; None for none.
        key: its private key.
        ends: when the certificate ends, in seconds since 1970; infinite without one.
    """

    ca: bytes | None
    certificate: bytes | None
    key: bytes | None = field(repr=False)
    ends: float

    @property
    def last_day(self) -> str:
        """When the certificate ends, as text; empty without one."""
        return "" if self.certificate is None else time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(self.ends))


class FollowedCertificates:
    """The content of files of certificates, as it was when it could last be used.

    Args:
        ca: file of authorities.
        certificate: file of this side's certificate.
        key: file of its private key.
        is_server: whether this side is the server of connections.
        logger: who is told of changes.
        name: what the files are called there.

    Raises:
        OSError: a file cannot be read.
        RecipeError: what it holds cannot be used.

    Attributes:
        pems: the content.
        generation: how often it has changed.
    """

    def __init__(
        self,
        ca: str | Path | None,
        certificate: str | Path | None,
        key: str | Path | None,
        *,
        is_server: bool,
        logger: logging.Logger,
        name: str,
    ) -> None:
        self._paths = tuple(Path(path) if path else None for path in (ca, certificate, key))
        self._is_server = is_server
        self._logger = logger
        self._name = name
        self._problem = ""
        self._said = ""
        self.pems = read_usable(*self._paths, is_server=is_server)
        self.generation = 0

    def look(self) -> bool:
        """Read the files again; whether there is something new that can be used.

        What cannot be used is logged when it is still so at the next look: files are replaced one after the other.
        """
        try:
            certificates = read_usable(*self._paths, is_server=self._is_server, last=self.pems)
        except (OSError, RecipeError) as error:
            problem = error.reason if isinstance(error, RecipeError) else f"{error.filename}: {error.strerror}"
            if problem == self._problem and problem != self._said:
                self._said = problem
                until = f", which ends {self.pems.last_day}" if self.pems.certificate else ""
                self._logger.warning("%s: what was read before stays in use%s: %s", self._name, until, problem)
            self._problem = problem
            return False
        self._problem = self._said = ""
        if certificates is self.pems:
            return False
        self.pems = certificates
        self.generation += 1
        until = f"; the certificate ends {certificates.last_day}" if certificates.certificate else ""
        self._logger.info("%s: read again, for connections from now on%s", self._name, until)
        return True


def read_usable(
    ca: Path | None, certificate: Path | None, key: Path | None, *, is_server: bool, last: PemFiles | None = None
) -> PemFiles:
    """Read files of certificates, and try what they hold.

    Args:
        ca: file of authorities.
        certificate: file of a certificate.
        key: file of its private key.
        is_server: whether the certificate is a server's.
        last: what was read before, which is given back where the files hold the same.

    Raises:
        OSError: a file cannot be read.
        RecipeError: what it holds cannot be used.
    """
    if (certificate is None) != (key is None):
        raise RecipeError("cert and key go together; give both", "tls")
    content = _content(ca, certificate, key)
    if last is not None and content == (last.ca, last.certificate, last.key):
        return last
    if ca is not None:
        try:
            ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(ca)
        except ssl.SSLError:
            raise RecipeError(f"{ca} holds no certificate of an authority in PEM", "tls.ca") from None
    ends = _try(certificate, key, is_server=is_server) if certificate and key else float("inf")
    if _content(ca, certificate, key) != content:
        raise RecipeError("the files are being written", "tls")
    return PemFiles(*content, ends)


def _content(ca: Path | None, certificate: Path | None, key: Path | None) -> _Content:
    authorities, own, secret = (path.read_bytes() if path else None for path in (ca, certificate, key))
    return authorities, own, secret


def _try(certificate: Path, key: Path, *, is_server: bool) -> float:
    """Make a connection between two sides in memory, of which one has the certificate and the other trusts it alone.

    Returns:
        When the certificate ends, in seconds since 1970.
    """
    server, client = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname = False
    client.verify_mode = ssl.CERT_NONE
    judge = client if is_server else server
    for context in (server, client):
        # Which keys are long enough is for the other side of real connections to say.
        context.set_ciphers("DEFAULT:@SECLEVEL=0")
    for context in (server,) if is_server else (server, client):
        _load_pair(context, certificate, key)
    judge.load_verify_locations(certificate)
    judge.verify_flags |= ssl.VerifyFlags.VERIFY_X509_PARTIAL_CHAIN
    judge.verify_mode = ssl.CERT_REQUIRED
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    sides = (client.wrap_bio(to_client, to_server), server.wrap_bio(to_server, to_client, server_side=True))
    try:
        for side in sides * _ROUNDS:
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue
    except ssl.SSLCertVerificationError as error:
        raise RecipeError(f"{certificate} cannot be used now: {error.verify_message}", "tls.cert") from None
    except ssl.SSLError as error:
        raise RecipeError(f"{certificate} cannot be used: {error.reason or error}", "tls.cert") from None
    peer = sides[0 if is_server else 1].getpeercert()
    if not peer:
        raise RecipeError(f"{certificate} cannot be used: a handshake with it does not end", "tls.cert")
    return float(ssl.cert_time_to_seconds(str(peer["notAfter"])))


def _load_pair(context: ssl.SSLContext, certificate: Path, key: Path) -> None:
    try:
        # An encrypted key is not asked a password for: gRPC could not read it.
        context.load_cert_chain(certificate, key, password="")
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            raise RecipeError(f"{key} is not the key of {certificate}; give its own", "tls.key") from None
        raise RecipeError(
            f"{certificate} and {key} are not a certificate and its unencrypted private key in PEM", "tls"
        ) from None
