"""Says what is wrong with a connection that fails for its encryption, or since what answers speaks something else.

gRPC reports such mistakes as servers that cannot be reached, some as "Socket closed". A handshake of our own, made
once when a replica is not reached at the first try, tells which mistake it is.
"""

from __future__ import annotations

import asyncio
import ssl
from typing import Final

import grpc
import grpc.aio

from trainer_client._settings import TLS, is_encrypted, target_of

_TIMEOUT: Final = 3.0
_ALERT_WAIT: Final = 0.5
"""Seconds that a server gets to refuse the client's certificate after the handshake, as TLS 1.3 has it."""

_NOT_HTTP2: Final = ("parsing HTTP/2", "http1.x server")
"""What gRPC says of a server that does not speak HTTP/2."""

_UNREACHED: Final = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)
_CA: Final = "TLS(ca=...)"
_PAIR: Final = "TLS(cert=..., key=...)"

_ALERTS: Final = {
    "CERTIFICATE_REQUIRED": f"it asks for a certificate of the client; give {_PAIR}",
    "HANDSHAKE_FAILURE": f"it asks for a certificate of the client; give {_PAIR}",
    "UNKNOWN_CA": "it does not trust the authority that signed the client's certificate",
    "BAD_CERTIFICATE": "it does not accept the client's certificate",
    "CERTIFICATE_EXPIRED": "the client's certificate has expired",
    "CERTIFICATE_UNKNOWN": "it does not accept the client's certificate",
    "WRONG_VERSION_NUMBER": "it speaks plain text; write grpc:// before its address, or give it certificates",
}


async def why_unanswered(error: Exception, address: str, tls: TLS | None, *, look: bool = True) -> str:
    """Why a call was not answered, in words.

    Args:
        error: what it ended with.
        address: whom it asked.
        tls: the client's files.
        look: whether mistakes of encryption are looked for where nothing was reached.
    """
    if not isinstance(error, grpc.aio.AioRpcError):
        return str(error)
    if look and error.code() in _UNREACHED and (mistake := await find_mistake(address, tls)):
        return mistake
    return f"{error.code().name}: {error.details()}"


def in_words_of(reason: str, *, ca: str, pair: str) -> str:
    """A reason for those who give the files otherwise than as `TLS`.

    Args:
        reason: what was found.
        ca: what they give an authority by.
        pair: what they give a certificate and its key by.
    """
    return reason.replace(_CA, ca).replace(_PAIR, pair)


async def find_mistake(address: str, tls: TLS | None, authority: str = "", grpc_message: str = "") -> str:
    """What is wrong with the encryption or the protocol of a connection; empty where nothing is found.

    Args:
        address: a replica's address.
        tls: the client's files.
        authority: the name that the address was found under, which the certificate has to bear.
        grpc_message: what gRPC says of the connection.
    """
    target = target_of(address)
    if ":" not in target or target.startswith(("unix", "xds:")):
        return ""
    host, _, port = target.removeprefix("dns:").removeprefix("ipv4:").removeprefix("ipv6:").lstrip("/").rpartition(":")
    name = (authority.rpartition(":")[0] if authority else host).strip("[]")
    if not port.isdigit():
        return ""
    try:
        async with asyncio.timeout(_TIMEOUT):
            if not is_encrypted(address, tls):
                return await _try_plain(host.strip("[]"), int(port), grpc_message)
            return await _try_encrypted(host.strip("[]"), int(port), name, tls or TLS())
    except (OSError, ValueError, OverflowError):
        # Nothing listens there, or it does not speak, or none can have such a name: no mistake of encryption.
        return ""


async def _try_plain(host: str, port: int, grpc_message: str) -> str:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols(["h2"])
    try:
        _, writer = await asyncio.open_connection(host, port, ssl=context)
    except (ssl.SSLError, ConnectionError):
        # A proxy that speaks HTTP/2 too is asked again instead: what is behind it may be starting.
        return await _try_http(host, port) if any(sign in grpc_message for sign in _NOT_HTTP2) else ""
    writer.transport.abort()
    return "TLS: the server is encrypted and this client is not; give " + _CA + ", or write grpcs:// before its address"


async def _try_http(host: str, port: int) -> str:
    reader, writer = await asyncio.open_connection(host, port)
    try:
        writer.write(b"GET / HTTP/1.0\r\n\r\n")
        answer = await reader.read(7)
    finally:
        writer.transport.abort()
    # A server of gRPC begins with a frame of HTTP/2, whose first bytes are its length.
    if not answer.startswith(b"HTTP/1."):
        return ""
    return (
        "an HTTP server answers there, and reward servers speak gRPC; give the address that `assay serve` printed. "
        "What speaks HTTP, such as a model, is named in the settings of the verifier that asks it"
    )


async def _try_encrypted(host: str, port: int, name: str, tls: TLS) -> str:
    context = ssl.create_default_context(cafile=tls.ca)
    context.set_alpn_protocols(["h2"])
    if tls.cert:
        context.load_cert_chain(tls.cert, tls.key, password="")
    try:
        reader, writer = await asyncio.open_connection(host, port, ssl=context, server_hostname=name)
    except ssl.SSLCertVerificationError as error:
        return f"TLS: {_of_certificate(error, name, tls)}"
    except ssl.SSLError as error:
        return _of_alert(error)
    try:
        # A server of gRPC speaks first. Some end the connection without a word when they want another certificate.
        async with asyncio.timeout(_ALERT_WAIT):
            if await reader.read(1):
                return ""
    except ssl.SSLError as error:
        return _of_alert(error)
    except TimeoutError:
        return ""
    except OSError:
        pass
    finally:
        writer.transport.abort()
    if tls.cert is None:
        return f"TLS: the server ends the connection after the handshake, so {_ALERTS['CERTIFICATE_REQUIRED']}"
    return "TLS: the server ends the connection after the handshake: it does not accept the client's certificate"


def _of_certificate(error: ssl.SSLCertVerificationError, name: str, tls: TLS) -> str:
    reason = error.verify_message or str(error)
    if "Hostname mismatch" in reason or "IP address mismatch" in reason:
        return f"the server's certificate is not for {name!r} ({reason}); ask it by a name that is in its certificate"
    if "expired" in reason or "not yet valid" in reason:
        return f"the server's certificate is not valid now ({reason}); give the server one that is"
    trusted = f"the authorities in {tls.ca}" if tls.ca else "an authority that this system trusts"
    return f"the server's certificate is not signed by {trusted} ({reason}); give the one that signed it: {_CA}"


def _of_alert(error: ssl.SSLError) -> str:
    reason = (error.reason or "").upper()
    for alert, words in _ALERTS.items():
        if alert in reason:
            return f"TLS: the server refuses the handshake: {words} ({error.reason})"
    return f"TLS: the handshake failed ({error.reason or error})"
