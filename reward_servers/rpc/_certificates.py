"""The certificate of a server, read again while it serves."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import cast

import grpc

from reward_servers.config import TlsConfig
from reward_servers.core import SettingsError
from trainer_client import RecipeError
from trainer_client._certificates import FollowedCertificates, PemFiles

_log = logging.getLogger("assay.server")
_INTERVAL = 2.0
"""Seconds between looks at the files."""


class ServerCertificates:
    """A server's certificate, its key and the authority of its clients.

    New connections get what was last read and could be used; those that are open stay as they are.

    Args:
        tls: The files; None for a server in plain text.

    Raises:
        SettingsError: A file cannot be read, or not be used.
    """

    def __init__(self, tls: TlsConfig | None) -> None:
        self._followed: FollowedCertificates | None = None
        self._asks = tls is not None and tls.client_ca is not None
        self._given = 0
        self._following: asyncio.Task[None] | None = None
        if tls is None:
            return
        try:
            self._followed = FollowedCertificates(
                tls.client_ca, tls.certificate, tls.key, is_server=True, logger=_log, name="server.tls"
            )
        except OSError as error:
            raise SettingsError(f"server.tls: {error.filename}: {error.strerror}") from None
        except RecipeError as error:
            raise SettingsError(f"server.tls: {error.reason}") from None

    @property
    def ends(self) -> float | None:
        """When the certificate in use ends, in seconds since 1970; None in plain text."""
        return self._followed.pems.ends if self._followed is not None else None

    def credentials(self) -> grpc.ServerCredentials | None:
        """What a gRPC server listens with; None for plain text. For one port."""
        if self._followed is None:
            return None
        # It may say None, for no change, though its type does not know.
        newer = cast("Callable[[], grpc.ServerCertificateConfiguration]", self._newer)
        return grpc.dynamic_ssl_server_credentials(
            _configuration(self._followed.pems), newer, require_client_authentication=self._asks
        )

    def follow(self, changed: Callable[[], None] = lambda: None) -> None:
        """Look at the files every few seconds from now on.

        Args:
            changed: Called when there is something new.
        """
        if self._followed is not None:
            self._following = asyncio.create_task(self._follow(self._followed, changed))

    def close(self) -> None:
        """Look no more."""
        if self._following is not None:
            self._following.cancel()

    async def _follow(self, followed: FollowedCertificates, changed: Callable[[], None]) -> None:
        while True:
            await asyncio.sleep(_INTERVAL)
            # Files may lie where reading takes long.
            if await asyncio.to_thread(followed.look):
                try:
                    changed()
                except OSError as error:
                    # They were replaced once more just now, which the next look finds.
                    _log.warning("server.tls: %s", error)

    def _newer(self) -> grpc.ServerCertificateConfiguration | None:
        """What the next connection gets where it is not what the last one got; gRPC asks on a thread of its own."""
        if self._followed is None or self._followed.generation == self._given:
            return None
        self._given = self._followed.generation
        return _configuration(self._followed.pems)


def _configuration(pems: PemFiles) -> grpc.ServerCertificateConfiguration:
    return grpc.ssl_server_certificate_configuration([(pems.key or b"", pems.certificate or b"")], pems.ca)
