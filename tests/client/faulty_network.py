"""A connection that misbehaves: what comes between a client and a server in bad times."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable

_CHUNK = 16_384
_DROP = 64


class Link:
    """Passes bytes between callers and one server, until it is told not to.

    Attributes:
        address: where callers connect.
        fault: ``"none"``; ``"silent"``: nothing passes and nothing is closed; ``"mute"``: answers do not pass;
            ``"trickle"``: a few bytes at a time; ``"corrupt"``: answers are garbled.
    """

    def __init__(self, target: str) -> None:
        self._host, _, self._port = target.rpartition(":")
        self._writers: set[asyncio.StreamWriter] = set()
        self._pumps: set[asyncio.Task[None]] = set()
        self.address = ""
        self.fault = "none"

    async def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection."""
        try:
            far_reader, far_writer = await asyncio.open_connection(self._host, int(self._port))
        except OSError:
            writer.transport.abort()
            return
        self._writers |= {writer, far_writer}
        for way in (self._pass(reader, far_writer), self._pass(far_reader, writer, answers=True)):
            pump = asyncio.create_task(way)
            self._pumps.add(pump)
            pump.add_done_callback(self._pumps.discard)

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, answers: bool = False) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(_CHUNK):
                while self.fault == "silent" or (self.fault == "mute" and answers):
                    await asyncio.sleep(0.02)
                if self.fault == "corrupt" and answers:
                    data = bytes(byte ^ 0x55 for byte in data)
                size = _DROP if self.fault == "trickle" else _CHUNK
                for start in range(0, len(data), size):
                    writer.write(data[start : start + size])
                    await writer.drain()
                    if self.fault == "trickle":
                        await asyncio.sleep(0.02)
            writer.close()

    def cut(self) -> None:
        """Reset every connection; new ones are accepted."""
        for writer in self._writers:
            writer.transport.abort()
        self._writers.clear()

    async def close(self) -> None:
        """End everything."""
        self.cut()
        for pump in list(self._pumps):
            pump.cancel()
        await asyncio.gather(*self._pumps, return_exceptions=True)


@contextlib.asynccontextmanager
async def link(target: str) -> AsyncIterator[Link]:
    """A link to a server."""
    made = Link(target)
    accept: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]] = made.accept
    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()
    made.address = f"{host}:{port}"
    try:
        yield made
    finally:
        server.close()
        await made.close()
