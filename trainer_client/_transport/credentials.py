"""The credentials of encrypted connections."""

from __future__ import annotations

from typing import TYPE_CHECKING

import grpc

from trainer_client._settings import TLS, is_encrypted, target_of

if TYPE_CHECKING:
    from trainer_client._certificates import FollowedCertificates


class Credentials:
    """Credentials for connections, from files that are looked at again.

    Args:
        tls: the files; None for the system's authorities and no certificate.
    """

    def __init__(self, tls: TLS | None) -> None:
        self.tls = tls
        self._followed: FollowedCertificates | None = None

    def look(self) -> int:
        """Read the files again, and say how often they have changed."""
        if self._followed is None:
            return 0
        self._followed.look()
        return self._followed.generation

    def of(self, address: str) -> tuple[str, grpc.ChannelCredentials | None]:
        """The address without its scheme, and the credentials for it; None for plain text.

        Raises:
            OSError: a file cannot be read, and never could.
            RecipeError: what it holds cannot be used, and never could.
        """
        target = target_of(address)
        if not is_encrypted(address, self.tls):
            return target, None
        if self.tls is None:
            return target, grpc.ssl_channel_credentials()
        if self._followed is None:
            self._followed = self.tls.followed()
        pems = self._followed.pems
        return target, grpc.ssl_channel_credentials(pems.ca, pems.key, pems.certificate)
