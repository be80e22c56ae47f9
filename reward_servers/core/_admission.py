"""How much a server takes in at a time, and how much of that from each of its clients."""

from __future__ import annotations

from dataclasses import dataclass

from reward_servers.core._errors import OverloadedError, RequestError


@dataclass(frozen=True, slots=True)
class ServerLimits:
    """Bounds of a server.

    Attributes:
        max_items: Rollouts times evaluations that are admitted and not finished.
        max_bytes: Bytes of the requests that are admitted and not finished.
        max_client_items: The same for one client; 0 for no quota beside its fair share.
        max_client_bytes: The same for one client; 0 for no quota beside its fair share.
        max_call_items: Rollouts times evaluations in one call.
        max_message_bytes: Size of one message.
        suggested_items: A batch size at which the server works well.
        cache_bytes: Size of the verdict cache.
    """

    max_items: int = 65_536
    max_bytes: int = 1 << 30
    max_client_items: int = 0
    max_client_bytes: int = 0
    max_call_items: int = 32_768
    max_message_bytes: int = 64 << 20
    suggested_items: int = 256
    cache_bytes: int = 128 << 20


@dataclass(slots=True)
class Share:
    """What one client has in flight.

    Attributes:
        items: Its items.
        bytes: Bytes of its requests.
    """

    items: int = 0
    bytes: int = 0


class Reservation:
    """Bytes of a message, counted from its arrival until they are given back. As a context, it ends with the block."""

    def __init__(self, admission: Admission, size: int, client: str) -> None:
        self._admission = admission
        self._size = size
        self._client = client

    def release(self) -> None:
        """Give the bytes back; once is enough."""
        self._admission.give_back(self._client, size=self._size)
        self._size = 0

    def __enter__(self) -> Reservation:
        """Begin the block."""
        return self

    def __exit__(self, *_: object) -> None:
        """Give the bytes back."""
        self.release()


_KEPT_FREE = 8
"""Of every so many items and bytes one is kept free for clients that have less than their fair share in flight."""


class Admission:
    """Counts what is in flight and refuses what does not fit.

    A client alone may use nearly all of a server. What it cannot do is fill it: a part stays free for clients that have
    less than their fair share, which is the whole divided by the number of clients that are there.
    """

    def __init__(self, limits: ServerLimits) -> None:
        self.limits = limits
        self.items = 0
        self.bytes = 0
        self.shares: dict[str, Share] = {}
        self.refused = 0

    def hold(self, size: int, client: str = "") -> Reservation:
        """Take the bytes of a message in.

        Raises:
            RequestError: They could never fit.
            OverloadedError: They do not fit now.
        """
        quota = self.limits.max_client_bytes or self.limits.max_bytes
        if size > min(quota, self.limits.max_bytes):
            limit = min(quota, self.limits.max_bytes)
            raise RequestError(f"groups: {size} bytes in one call, the limit is {limit}; send smaller batches")
        share = self.shares.get(client)
        if not self._fits(size, share.bytes if share else None, self.bytes, self.limits.max_bytes, quota):
            raise self._overloaded(client)
        self.bytes += size
        self.shares.setdefault(client, Share()).bytes += size
        return Reservation(self, size, client)

    def admit(self, items: int, client: str = "") -> None:
        """Take that many items in.

        Raises:
            RequestError: They could never fit.
            OverloadedError: They do not fit now.
        """
        quota = self.limits.max_client_items or self.limits.max_items
        most = min(self.limits.max_call_items, self.limits.max_items, quota)
        if items > most:
            raise RequestError(
                f"groups: {items} rollouts times evaluations in one call, the limit is {most}; send smaller batches"
            )
        share = self.shares.get(client)
        if not self._fits(items, share.items if share else None, self.items, self.limits.max_items, quota):
            raise self._overloaded(client)
        self.items += items
        self.shares.setdefault(client, Share()).items += items

    def _fits(self, more: int, own: int | None, total: int, limit: int, quota: int) -> bool:
        clients = len(self.shares) + (own is None)
        after = (own or 0) + more
        if after > quota or total + more > limit:
            return False
        within_share = clients > 1 and after <= limit // clients
        return within_share or total == 0 or total + more <= limit - limit // _KEPT_FREE

    def give_back(self, client: str, items: int = 0, size: int = 0) -> None:
        """Give back what was taken in for a client."""
        self.items -= items
        self.bytes -= size
        share = self.shares.get(client)
        if share is not None:
            share.items -= items
            share.bytes -= size
            if share.items <= 0 and share.bytes <= 0:
                del self.shares[client]

    def _overloaded(self, client: str) -> OverloadedError:
        self.refused += 1
        share = self.shares.get(client, Share())
        return OverloadedError(
            f"{self.items} items and {self.bytes} bytes are in flight, {share.items} and {share.bytes} of them yours; "
            f"the limits are {self.limits.max_items} and {self.limits.max_bytes}, "
            "a part of which is kept for other clients",
            retry_after=self.retry_after(),
        )

    def retry_after(self) -> float:
        """Seconds after which to ask again: longer the fuller the server is."""
        return 0.05 + 0.45 * min(1.0, self.items / self.limits.max_items)
