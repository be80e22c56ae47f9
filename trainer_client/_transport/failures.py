"""What can go wrong with a call, and what follows from it: the one table of failure classes.

A status is what the other side says, so it may be wrong. Each class has one consequence, and where a status could end
a batch or an item, it has to be believable: a deadline must be near, a refusal is confirmed by a second replica.
"""

from __future__ import annotations

import contextlib
import enum
import math
from collections.abc import Mapping
from typing import Final, NamedTuple

import grpc
import grpc.aio

from trainer_client._errors import RewardError

_LONGEST_PUSHBACK: Final = 60.0
"""Seconds: a server that asks for more is asked again all the same."""
_EARLY: Final = 0.25
"""Seconds before our own deadline from which on we believe another's clock that it has passed."""


class FailureClass(enum.Enum):
    """What follows from the end of a call."""

    DEADLINE = enum.auto()
    """The items' time is over."""
    OVERLOADED = enum.auto()
    """The server has no room: later, or elsewhere."""
    TOO_LARGE = enum.auto()
    """The server takes no such message: smaller ones."""
    REFUSED = enum.auto()
    """The server says that the request is wrong: the caller is told when a second replica says the same."""
    WRONG_VERSION = enum.auto()
    """The replica hosts another version than the one pinned: elsewhere."""
    GONE = enum.auto()
    """The replica is not reached: it is left out until it answers, its items go elsewhere."""
    BROKEN = enum.auto()
    """The call broke: elsewhere; a replica that breaks several is left out."""
    UNUSABLE = enum.auto()
    """The reply cannot be what was asked for: elsewhere; the replica is not trusted for a while."""
    STALLED = enum.auto()
    """Nothing came for long while others had time: elsewhere."""
    INTERRUPTED = enum.auto()
    """Ended by this client, to let the process fork: once more."""
    SETTLED = enum.auto()
    """Ended by this client, since no item of it is waited for any more."""


class CallFailure(NamedTuple):
    """How a call ended that did not end well.

    Attributes:
        kind: what follows from it.
        status: name of gRPC's status; of the class, where it did not come from gRPC.
        details: the server's words.
        retry_after: seconds after which to come back, if the server said so.
        code: why the server refused the call.
    """

    kind: FailureClass
    status: str
    details: str
    retry_after: float = 0.0
    code: str = ""

    def __str__(self) -> str:
        return f"{self.status}: {self.details}" if self.details else self.status


class UnusableReplyError(RewardError):
    """A reply cannot be what was asked for, so nothing in it is believed."""


class CallInterruptedError(RewardError):
    """A call cannot start now, since the process is about to fork."""


INTERRUPTED: Final = CallFailure(FailureClass.INTERRUPTED, "INTERRUPTED", "paused by this client")
SETTLED: Final = CallFailure(FailureClass.SETTLED, "SETTLED", "nothing of it is waited for")
OUT_OF_TIME: Final = CallFailure(FailureClass.DEADLINE, "DEADLINE_EXCEEDED", "")

_CLASSES: Final[Mapping[grpc.StatusCode, tuple[FailureClass, str]]] = {
    grpc.StatusCode.DEADLINE_EXCEEDED: (FailureClass.DEADLINE, "deadline"),
    grpc.StatusCode.RESOURCE_EXHAUSTED: (FailureClass.OVERLOADED, "overloaded"),
    grpc.StatusCode.INVALID_ARGUMENT: (FailureClass.REFUSED, "invalid_request"),
    grpc.StatusCode.OUT_OF_RANGE: (FailureClass.REFUSED, "invalid_request"),
    grpc.StatusCode.NOT_FOUND: (FailureClass.REFUSED, "unknown_verifier"),
    grpc.StatusCode.UNIMPLEMENTED: (FailureClass.REFUSED, "not_a_reward_server"),
    grpc.StatusCode.UNAUTHENTICATED: (FailureClass.REFUSED, "unauthenticated"),
    grpc.StatusCode.PERMISSION_DENIED: (FailureClass.REFUSED, "permission_denied"),
    grpc.StatusCode.FAILED_PRECONDITION: (FailureClass.WRONG_VERSION, "digest_mismatch"),
    grpc.StatusCode.UNAVAILABLE: (FailureClass.GONE, "unavailable"),
}
"""Class and code of a status; what is not listed is BROKEN."""

REFUSAL_CODES: Final = frozenset(
    {"unknown_verifier", "invalid_options", "version_mismatch", "digest_mismatch", "invalid_request"}
)
"""Codes of a single item's fault that concern the request and not the item."""

NOT_A_SERVICE: Final[Mapping[str, str]] = {
    "not_a_reward_server": "is not a reward server",
    "unauthenticated": "asks for credentials",
    "permission_denied": "denies access",
}
"""In words: refusals to be asked at all, which waiting does not mend."""


def read_failure(error: grpc.aio.AioRpcError, remaining: float = math.inf) -> CallFailure:
    """Read how a call failed.

    A server says in ``grpc-retry-pushback-ms`` when to come back, and in ``assay-code`` why it refuses.

    Args:
        error: as gRPC raised it.
        remaining: seconds until the call's own deadline, which tell whether a status DEADLINE_EXCEEDED can be true.
    """
    status, details = error.code(), error.details() or ""
    kind, code = _CLASSES.get(status, (FailureClass.BROKEN, "server_error"))
    delay = 0.0
    for key, value in error.trailing_metadata() or ():
        if key == "grpc-retry-pushback-ms":
            with contextlib.suppress(ValueError):
                delay = bounded_delay(float(value) / 1000)
        elif key == "assay-code":
            code = str(value)
    if kind is FailureClass.DEADLINE and remaining > _EARLY:
        kind = FailureClass.BROKEN
        details = f"{details} (with {remaining:.1f} s left before the deadline)".lstrip()
    elif kind is FailureClass.OVERLOADED and "larger than max" in details:
        kind = FailureClass.UNUSABLE if details.startswith("CLIENT:") else FailureClass.TOO_LARGE
    return CallFailure(kind, status.name, details, delay, code)


def unusable(words: str) -> CallFailure:
    """A reply that cannot be what was asked for."""
    return CallFailure(FailureClass.UNUSABLE, "unusable reply", words, code="invalid_reply")


def bounded_delay(seconds: float) -> float:
    """How long to wait where a server asks for that many seconds; 0 for what is no time."""
    return min(seconds, _LONGEST_PUSHBACK) if seconds > 0 else 0.0
