"""Why a verifier is not hosted, or not retired."""

from __future__ import annotations

import grpc

from reward_servers.core import AssayServerError


class RegistrationError(AssayServerError):
    """A verifier that is not taken.

    Attributes:
        status: The status that says so.
    """

    def __init__(self, status: grpc.StatusCode, message: str) -> None:
        super().__init__(message)
        self.status = status


class NotHostedError(RegistrationError):
    """A verifier that is to be retired and is not hosted."""

    def __init__(self, message: str) -> None:
        super().__init__(grpc.StatusCode.NOT_FOUND, message)
