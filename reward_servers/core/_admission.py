"""How much a server takes in at a time."""

from __future__ import annotations

from dataclasses import dataclass

from reward_servers.core._errors import OverloadedError, RequestError

__all__ = ["Admission", "Hold", "ServerLimits"]


@dataclass(frozen=True, slots=True)
class ServerLimits:
    """Bounds of a server.

    Attributes:
        items: Rollouts times evaluations that are admitted and not finished.
        bytes: Bytes of the requests that are admitted and not finished.
        call_items: Rollouts times evaluations in one call.
        message_bytes: Size of one message.
        suggested_items: A batch size at which the server works well.
        cache_bytes: Size of the verdict cache.
    """

    items: int = 65_536
    bytes: int = 1 << 30
    call_items: int = 32_768
    message_bytes: int = 64 << 20
    suggested_items: int = 256
    cache_bytes: int = 128 << 20


class Hold:
    """Bytes of a message, counted from its arrival until they are given back. As a context, it ends with the block."""

    def __init__(self, admission: Admission, size: int) -> None:
        self._admission = admission
        self._size = size

    def release(self) -> None:
        """Gives the bytes back; once is enough."""
        self._admission.bytes -= self._size
        self._size = 0

    def __enter__(self) -> Hold:
        """Begins the block."""
        return self

    def __exit__(self, *_: object) -> None:
        """Gives the bytes back."""
        self.release()


class Admission:
    """Counts what is in flight and refuses what does not fit."""

    def __init__(self, limits: ServerLimits) -> None:
        self.limits = limits
        self.items = 0
        self.bytes = 0

    def hold(self, size: int) -> Hold:
        """Takes the bytes of a message in.

        Raises:
            RequestError: They could never fit.
            OverloadedError: They do not fit now.
        """
        if size > self.limits.bytes:
            raise RequestError(
                f"groups: {size} bytes in one call, the limit is {self.limits.bytes}; send smaller batches"
            )
        if self.bytes + size > self.limits.bytes:
            raise self._overloaded()
        self.bytes += size
        return Hold(self, size)

    def admit(self, items: int) -> None:
        """Takes that many items in.

        Raises:
            RequestError: They could never fit.
            OverloadedError: They do not fit now.
        """
        most = min(self.limits.call_items, self.limits.items)
        if items > most:
            raise RequestError(
                f"groups: {items} rollouts times evaluations in one call, the limit is {most}; send smaller batches"
            )
        if self.items + items > self.limits.items:
            raise self._overloaded()
        self.items += items

    def _overloaded(self) -> OverloadedError:
        return OverloadedError(
            f"{self.items} items and {self.bytes} bytes are in flight; the limits are "
            f"{self.limits.items} and {self.limits.bytes}",
            retry_after=self.retry_after(),
        )

    def retry_after(self) -> float:
        """Seconds after which to ask again: longer the fuller the server is."""
        return 0.05 + 0.45 * min(1.0, self.items / self.limits.items)
