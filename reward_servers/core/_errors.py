"""Errors of the server side; each says whose fault it was.

AssayServerError
├─ VerifierDefinitionError   the author of a verifier: the declaration cannot work
├─ VerifierNotFoundError     the operator or the caller: no such verifier is installed
├─ SettingsError             the operator: settings that the server cannot start with
├─ StartupError              the host: what the verifier needs is missing here, with the remedy
├─ RequestError              the caller: the request as a whole cannot be served
│  └─ OverloadedError        no one: the server is full; try again after a delay
└─ FaultError                raised inside a verifier: this item cannot be judged
   ├─ DatasetError           the reference cannot be used
   ├─ UpstreamError          something the verifier depends on failed
   ├─ ServiceError           the service failed
   │  └─ DeviceLostError     its device computes no more
   └─ CallerError            what the caller asked for this item cannot be done
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from reward_servers.core._outcomes import Fault, Party, encode_evidence

_SHOWN = 200
"""Characters of a caller's own words that are repeated to it: what is echoed must never be what costs."""


def quoted(text: str) -> str:
    """A caller's words as a message repeats them: quoted, and cut."""
    return repr(text) if len(text) <= _SHOWN else f"{text[:_SHOWN]!r}... ({len(text)} characters)"


_KINDS = {
    "unknown_verifier": "not_found",
    "version_mismatch": "precondition",
    "digest_mismatch": "precondition",
    "overloaded": "overloaded",
}


class AssayServerError(Exception):
    """Root of the server side's errors."""


class VerifierDefinitionError(AssayServerError, TypeError):
    """A verifier is declared in a way that cannot work."""


class VerifierNotFoundError(AssayServerError, LookupError):
    """No verifier of that name is installed."""


class SettingsError(AssayServerError, ValueError):
    """Settings name the key and the remedy."""


class StartupError(AssayServerError, RuntimeError):
    """A verifier refuses to start here: what is missing and the remedy."""


class RequestError(AssayServerError, ValueError):
    """The request cannot be served as a whole.

    Attributes:
        code: Short stable code, one that faults of the caller have.
    """

    def __init__(self, message: str, code: str = "invalid_request") -> None:
        super().__init__(message)
        self.code = code

    @property
    def kind(self) -> str:
        """``"invalid"``, ``"not_found"``, ``"precondition"`` or ``"overloaded"``; a face maps it to its own status."""
        return _KINDS.get(self.code, "invalid")


class OverloadedError(RequestError):
    """The server is full.

    Attributes:
        retry_after: Seconds to wait before asking again.
    """

    def __init__(self, message: str, retry_after: float) -> None:
        super().__init__(message, "overloaded")
        self.retry_after = retry_after


class FaultError(AssayServerError):
    """This item cannot be judged, and the candidate is not to blame.

    Attributes:
        code: Short stable code.
        retryable: Whether the same item may succeed later.
        retry_after: Seconds to wait before that.
        evidence: What was tried, as values or as JSON. Private: may quote references.
    """

    party = Party.SERVICE
    default_code = "service_fault"

    def __init__(
        self,
        message: str,
        *,
        code: str = "",
        retryable: bool = False,
        retry_after: float | None = None,
        evidence: Mapping[str, Any] | bytes | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code or self.default_code
        self.retryable = retryable
        self.retry_after = retry_after
        self.evidence = evidence

    def to_fault(self) -> Fault:
        """The same as data."""
        evidence = self.evidence if isinstance(self.evidence, bytes) else encode_evidence(self.evidence)
        return Fault(self.party, self.code, str(self), self.retryable, self.retry_after, evidence)


class DatasetError(FaultError):
    """The reference is missing or unusable."""

    party = Party.DATASET
    default_code = "invalid_reference"


class UpstreamError(FaultError):
    """Something the verifier depends on failed, such as a judge model."""

    party = Party.UPSTREAM
    default_code = "upstream_failed"


class ServiceError(FaultError):
    """The service itself failed."""

    party = Party.SERVICE
    default_code = "service_failed"


class DeviceLostError(ServiceError):
    """The device of a batching verifier computes no more, whatever it is asked: its process is replaced by a fresh one.

    Where none can be started, the server drains, so that clients go to other replicas.
    """

    default_code = "device_lost"


class CallerError(FaultError):
    """What the caller asked for this item cannot be done."""

    party = Party.CALLER
    default_code = "invalid_item"
