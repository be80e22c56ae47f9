"""How much the gateway holds of its callers: bodies that have come, and answers that are not taken yet.

Without a bound in all, each connection may hold a body and an answer of the largest size, and callers who read nothing
fill the memory. An answer counts until its caller has taken it: uvicorn calls one done that still waits in its buffer.
"""

from __future__ import annotations

from http import HTTPStatus

from starlette.types import Message, Receive, Send

from reward_servers.gateway.errors import HttpError

_SMALL = 1 << 16
"""Bytes that a request may have in any case, so that large ones keep no small ones out; and an answer, which a
transport takes without a word, whether or not any one reads it."""


class Held:
    """Bytes of requests and answers under way.

    Args:
        most: bytes from which further bodies are refused, but for small ones; a sole request may be larger.

    Attributes:
        bytes: held at present.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self.bytes = 0

    def take(self, count: int, own: int) -> None:
        """Hold more of a body.

        Args:
            count: how much more.
            own: what the same request holds already.

        Raises:
            HttpError: it is too much beside what others hold.
        """
        other_bytes = self.bytes - own
        if own + count > _SMALL and other_bytes and self.bytes + count > self._most:
            raise HttpError(
                HTTPStatus.TOO_MANY_REQUESTS,
                "full",
                f"{other_bytes} bytes of other requests and of answers that are not read yet are held, of {self._most} "
                "(limits.max_held_bytes); read answers, and try again",
                headers={"retry-after": "1"},
            )
        self.bytes += count


class Exchange:
    """A request and its answer, as far as they are held.

    Args:
        held: what all hold.
        receive: gives the messages of the request.
        send: takes those of the answer.
    """

    __slots__ = ("_held", "_own", "_receive", "_send")

    def __init__(self, held: Held, receive: Receive, send: Send) -> None:
        self._held = held
        self._receive = receive
        self._send = send
        self._own = 0

    async def receive(self) -> Message:
        """A message of the request.

        Raises:
            HttpError: see `Held.take`.
        """
        message = await self._receive()
        count = len(message.get("body", b""))
        self._held.take(count, self._own)
        self._own += count
        return message

    async def send(self, message: Message) -> None:
        """Send a message of the answer; the last one has been sent when the caller has taken what is long."""
        count = len(message.get("body", b""))
        if count <= _SMALL:
            await self._send(message)
            return
        self._held.bytes += count
        self._own += count
        await self._send({**message, "more_body": True})
        if not message.get("more_body", False):
            # A server waits for its buffer before it takes more: see "flow control" of ASGI's HTTP.
            await self._send({"type": "http.response.body", "body": b"", "more_body": False})

    def end(self) -> None:
        """It holds nothing any more."""
        self._held.bytes -= self._own
        self._own = 0
