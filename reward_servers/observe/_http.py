"""A small HTTP server for metrics: GET of a few pages, and nothing else."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from http import HTTPStatus

Page = Callable[[], tuple[str, bytes]]
"""Gives the content type and the body of a page."""

_LONGEST_HEAD = 16 << 10
_TIMEOUT = 10.0
_MOST = 64


class MetricsServer:
    """Serves pages on a port of its own."""

    def __init__(self, pages: Mapping[str, Page]) -> None:
        """Prepare.

        Args:
            pages: What answers which path.
        """
        self._pages = pages
        self._server: asyncio.Server | None = None
        self._open = 0

    async def start(self, host: str, port: int) -> str:
        """Begin to listen.

        Returns:
            ``host:port``.

        Raises:
            OSError: The port cannot be bound.
        """
        self._server = await asyncio.start_server(self._answer, host, port, limit=_LONGEST_HEAD)
        return f"{host}:{self._server.sockets[0].getsockname()[1]}"

    async def close(self) -> None:
        """Stop."""
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open += 1
        try:
            if self._open <= _MOST:
                await asyncio.wait_for(self._serve(reader, writer), _TIMEOUT)
        except (TimeoutError, ConnectionError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass  # a peer that does not ask, or does not listen, gets no answer
        finally:
            self._open -= 1
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        method, _, target = head.partition("\r\n")[0].partition(" ")
        path = target.partition(" ")[0].partition("?")[0]
        page = self._pages.get(path)
        status, kind, body = HTTPStatus.OK, "text/plain; charset=utf-8", b""
        if method not in ("GET", "HEAD"):
            status = HTTPStatus.METHOD_NOT_ALLOWED
        elif page is None:
            status, body = HTTPStatus.NOT_FOUND, f"there are: {' '.join(self._pages)}\n".encode()
        else:
            kind, body = page()
        lines = (
            f"HTTP/1.1 {status.value} {status.phrase}",
            f"Content-Type: {kind}",
            f"Content-Length: {len(body)}",
            "Connection: close",
        )
        writer.write("\r\n".join((*lines, "", "")).encode() + (b"" if method == "HEAD" else body))
        await writer.drain()
