"""Bounds the memory that requests and answers of all callers take together.

A bound per connection is not enough: each connection may hold a body and an answer of the largest size, and callers who
never read their answers would fill the memory. An answer counts until its caller has read it. uvicorn reports an answer
as complete while it still waits in uvicorn's buffer.
"""

from __future__ import annotations

from http import HTTPStatus

from starlette.types import Message, Receive, Send

from reward_servers.gateway.errors import HttpError

_SMALL = 1 << 16
"""Bytes that every request may have, however much others hold, so that large requests do not keep small ones out.
Answers up to this size are not counted: the transport's buffer takes them whether or not the caller reads."""


class ByteBudget:
    """Bytes of requests and answers under way.

    Args:
        most: bytes above which further bodies are refused, except small ones; a request that is alone may be larger.

    Attributes:
        bytes: held now.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self.bytes = 0

    def take(self, count: int, own: int) -> None:
        """Hold more of a body.

        Args:
            count: bytes to add.
            own: bytes that the same request holds already.

        Raises:
            HttpError: other requests and answers hold too much.
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
    """The bytes of one request and its answer that are in memory.

    Args:
        budget: counts the bytes of all requests and answers.
        receive: gives the messages of the request.
        send: takes those of the answer.
    """

    __slots__ = ("_budget", "_own", "_receive", "_send")

    def __init__(self, budget: ByteBudget, receive: Receive, send: Send) -> None:
        self._budget = budget
        self._receive = receive
        self._send = send
        self._own = 0

    async def receive(self) -> Message:
        """A message of the request.

        Raises:
            HttpError: see `ByteBudget.take`.
        """
        message = await self._receive()
        count = len(message.get("body", b""))
        self._budget.take(count, self._own)
        self._own += count
        return message

    async def send(self, message: Message) -> None:
        """Send a message of the answer. A long last message returns once the caller has read it."""
        count = len(message.get("body", b""))
        if count <= _SMALL:
            await self._send(message)
            return
        self._budget.bytes += count
        self._own += count
        await self._send({**message, "more_body": True})
        if not message.get("more_body", False):
            # A server waits for its buffer before it takes more: see "flow control" of ASGI's HTTP.
            await self._send({"type": "http.response.body", "body": b"", "more_body": False})

    def end(self) -> None:
        """Give all bytes of this request back."""
        self._budget.bytes -= self._own
        self._own = 0
