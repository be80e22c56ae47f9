"""What is no reward server at all: a proxy's page in real HTTP/2 frames, a web server, noise."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator

PAGES = ("HTTP/2 404", "HTTP/2 501", "HTTP/2 503", "HTTP/2 200", "HTTP/1.1", "noise", "closes", "says nothing")


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    """An HTTP/2 frame."""
    return len(payload).to_bytes(3, "big") + bytes((kind, flags)) + stream.to_bytes(4, "big") + payload


def frames(data: bytearray) -> Iterator[tuple[int, int]]:
    """Type and stream of the whole frames in a buffer, which are taken out of it."""
    while len(data) >= 9 and len(data) >= 9 + int.from_bytes(data[:3], "big"):
        yield data[3], int.from_bytes(data[5:9], "big") & 0x7FFFFFFF
        del data[: 9 + int.from_bytes(data[:3], "big")]


class Page:
    """What is no reward server at all: a proxy's page, a web server, noise."""

    def __init__(self, kind: str) -> None:
        self._kind = kind
        self._connections: set[asyncio.StreamWriter] = set()

    async def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._connections.add(writer)
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            await self._answer(reader, writer)
        if self._kind != "says nothing":
            writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._kind == "HTTP/1.1":
            await reader.read(100)
            writer.write(b"HTTP/1.1 404 Not Found\r\ncontent-length: 3\r\n\r\nno!")
        elif self._kind == "noise":
            writer.write(bytes(range(256)) * 4)
        elif self._kind == "says nothing":
            while await reader.read(1024):
                pass
        elif self._kind.startswith("HTTP/2"):
            await reader.readexactly(24)
            writer.write(frame(4, 0, 0))
            # ":status" without indexing: name 8 of the static table.
            page = b"\x08\x03" + self._kind[-3:].encode()
            data = bytearray()
            while got := await reader.read(4096):
                data += got
                for kind, stream in frames(data):
                    if kind == 4:
                        writer.write(frame(4, 1, 0))
                    elif kind == 1:
                        writer.write(frame(1, 0x5, stream, page))

    def close(self) -> None:
        for writer in self._connections:
            writer.transport.abort()


@contextlib.asynccontextmanager
async def serve_page(kind: str) -> AsyncIterator[str]:
    """Serve a page on a free port; gives the address."""
    page = Page(kind)
    server = await asyncio.start_server(page.accept, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()
    try:
        yield f"{host}:{port}"
    finally:
        server.close()
        page.close()
