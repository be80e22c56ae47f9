"""uvicorn's protocol with a bound for headers: its parser keeps headers, and trailers after a body, of any length."""

from __future__ import annotations

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

LONGEST_HEAD = 1 << 16
"""Bytes that may arrive before the headers or a part of the body are complete."""
_SAID = b"the head of the request is too long"
_ANSWER = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-type: text/plain; charset=utf-8\r\n"
    b"content-length: %d\r\nconnection: close\r\n\r\n%s" % (len(_SAID), _SAID)
)


class BoundedHeaderProtocol(HttpToolsProtocol):
    """Ends connections whose headers grow beyond the bound."""

    _since = 0
    _moved = False

    def data_received(self, data: bytes) -> None:
        """Take bytes, and count those that completed nothing."""
        self._moved = False
        super().data_received(data)
        self._since = 0 if self._moved else self._since + len(data)
        if self._since > LONGEST_HEAD and not self.transport.is_closing():
            if self.cycle is not None and not self.cycle.response_complete:
                self.transport.abort()  # another answer is being written
            else:
                self.transport.write(_ANSWER)
                self.transport.close()

    def on_headers_complete(self) -> None:
        """The headers are complete."""
        self._moved = True
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """A part of the body has arrived."""
        self._moved = True
        super().on_body(body)

    def on_message_complete(self) -> None:
        """The request is complete."""
        self._moved = True
        super().on_message_complete()
