"""How much a server takes in at a time."""

from __future__ import annotations

from dataclasses import dataclass

from reward_servers.core._errors import Overloaded, RequestError

__all__ = ["Admission", "ServerLimits"]


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


class Admission:
    """Counts what is in flight and refuses what does not fit."""

    def __init__(self, limits: ServerLimits) -> None:
        self.limits = limits
        self.items = 0
        self.bytes = 0

    def fits(self, items: int, size: int) -> bool:
        """Whether that much more would fit now."""
        return self.items + items <= self.limits.items and self.bytes + size <= self.limits.bytes

    def check_size(self, items: int, size: int) -> None:
        """Refuses what could never fit.

        Raises:
            RequestError: The message names the limit.
        """
        most = min(self.limits.call_items, self.limits.items)
        if items > most:
            raise RequestError(
                f"groups: {items} rollouts times evaluations in one call, the limit is {most}; send smaller batches"
            )
        if size > self.limits.bytes:
            raise RequestError(
                f"groups: {size} bytes in one call, the limit is {self.limits.bytes}; send smaller batches"
            )

    def admit(self, items: int, size: int) -> None:
        """Takes that much in.

        Raises:
            RequestError: It could never fit.
            Overloaded: It does not fit now.
        """
        self.check_size(items, size)
        if not self.fits(items, size):
            raise Overloaded(
                f"{self.items} items and {self.bytes} bytes are in flight; the limits are "
                f"{self.limits.items} and {self.limits.bytes}",
                retry_after=self.retry_after(),
            )
        self.items += items
        self.bytes += size

    def release(self, items: int, size: int) -> None:
        """Gives back what has finished."""
        self.items -= items
        self.bytes -= size

    def retry_after(self) -> float:
        """Seconds after which to ask again: longer the fuller the server is."""
        return 0.05 + 0.45 * min(1.0, self.items / self.limits.items)
