"""A fake of what cannot be had here, a judge model: a real HTTP server that speaks the chat-completions protocol."""

from __future__ import annotations

import json
import math
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from reward_servers.engines.judging._probe import QUESTION

PROMPT_TOKENS, COMPLETION_TOKENS = 100, 7
"""What each completion says that it used."""
_HALF_OPEN_S = 30.0


@dataclass(frozen=True)
class Said:
    """One scripted behaviour: a completion, an error status, or a broken connection."""

    text: str = ""
    finish_reason: str = "stop"
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    error_code: str | None = None
    body: bytes | None = None
    delay: float = 0.0
    hang_up: bool = False
    half_closed: bool = False
    """The body stops in its middle: no more is sent, and the connection stays open for what the client sends."""
    tokens: tuple[tuple[str, dict[str, float]], ...] = ()
    """The tokens of the text, with the probabilities of what could have stood there."""


Script = Callable[[dict[str, Any], int], Said | str]


class FakeChatServer:
    """Answers requests by a script: a function of the request and its number, or a list that is used up in order.

    A judge's probe is answered by what the fake is said to be capable of, and counts as no request.
    """

    def __init__(
        self,
        script: Script | Sequence[Said | str],
        can: Sequence[str] = ("logprobs", "json_schema", "seed", "n"),
        refuses: Sequence[str] = (),
    ) -> None:
        self._script = script
        self._can = frozenset(can)
        self._refuses = frozenset(refuses)
        self.probes: list[dict[str, Any]] = []
        self._lock = threading.Lock()
        self.requests: list[dict[str, Any]] = []
        self.keys: list[str] = []
        self.connections = 0
        self.active = 0
        self.peak = 0

    def next(self, request: dict[str, Any], key: str) -> Said:
        """Record a request and say what to do."""
        with self._lock:
            number = len(self.requests)
            self.requests.append(request)
            self.keys.append(key)
            self.active += 1
            self.peak = max(self.peak, self.active)
        said = self._script(request, number) if callable(self._script) else self._script[number]
        return Said(said) if isinstance(said, str) else said

    def probed(self, request: dict[str, Any]) -> tuple[int, bytes]:
        """Answer a probe: status and body."""
        self.probes.append(request)
        asked: set[str] = {name for name in ("logprobs", "seed", "n") if name in request}
        asked |= {"json_schema"} if "response_format" in request else set()
        if asked & self._refuses:
            return 400, b'{"error": {"message": "unknown parameter"}}'
        able = asked & self._can
        text = '{"greeting": "Hello."}' if "json_schema" in able else "Hello."
        tokens = ((text, {text: 0.9, "Hi": 0.1}),) if "logprobs" in able else ()
        body = json.loads(_body(request, Said(text, tokens=tokens)))
        body["choices"] *= 2 if "n" in able else 1
        return 200, json.dumps(body).encode()

    def done(self) -> None:
        """A request is about to be answered."""
        with self._lock:
            self.active -= 1

    @contextmanager
    def running(self) -> Iterator[str]:
        """Serve on a free port; yield the protocol's root."""
        fake = self

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 512

            def handle_error(self, request: Any, client_address: Any) -> None:
                """A client that goes away is part of what is tested."""

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def setup(self) -> None:
                fake.connections += 1
                super().setup()

            def log_message(self, *_: Any) -> None:
                """Keep the output of tests clean."""

            def do_POST(self) -> None:
                request = json.loads(self.rfile.read(int(self.headers["content-length"])))
                if request["messages"][0]["content"] == QUESTION:
                    self._reply(*fake.probed(request), {})
                    return
                said = fake.next(request, self.headers.get("authorization", ""))
                time.sleep(said.delay)
                # Before the answer goes out: whoever gets it may send the next request at once.
                fake.done()
                if said.hang_up:
                    self.close_connection = True
                    return
                body = said.body if said.body is not None else _body(request, said)
                if said.half_closed:
                    _half(self, said.status, body)
                else:
                    self._reply(said.status, body, said.headers)

            def _reply(self, status: int, body: bytes, headers: Mapping[str, str]) -> None:
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

        server = Server(("127.0.0.1", 0), Handler)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}/v1"
        finally:
            server.shutdown()
            server.server_close()
            thread.join()


def _half(handler: BaseHTTPRequestHandler, status: int, body: bytes) -> None:
    """Send the head and half of a body, and half close the connection."""
    handler.close_connection = True
    handler.send_response(status)
    handler.send_header("content-type", "application/json")
    handler.send_header("content-length", str(len(body)))
    handler.end_headers()
    handler.wfile.write(body[: len(body) // 2])
    handler.connection.shutdown(socket.SHUT_WR)
    # Until the client gives it up too; one that never does is left after a while.
    handler.connection.settimeout(_HALF_OPEN_S)
    with suppress(OSError):
        handler.rfile.read(1)


def _body(request: dict[str, Any], said: Said) -> bytes:
    if said.status != 200:
        return json.dumps({"error": {"message": said.text or "scripted", "code": said.error_code}}).encode()
    text = said.text or "".join(token for token, _ in said.tokens)
    message = {"role": "assistant", "content": text}
    listed = [
        {
            "token": token,
            "logprob": math.log(chances.get(token, 1.0)),
            "top_logprobs": [{"token": other, "logprob": math.log(chance)} for other, chance in chances.items()],
        }
        for token, chances in said.tokens
    ]
    logprobs = {"content": listed} if listed and request.get("logprobs") else None
    return json.dumps(
        {
            "id": "chatcmpl-1",
            "object": "chat.completion",
            "created": 1,
            "model": request["model"] + "-served",
            "system_fingerprint": "fp_1",
            "choices": [{"index": 0, "message": message, "finish_reason": said.finish_reason, "logprobs": logprobs}],
            "usage": {
                "prompt_tokens": PROMPT_TOKENS,
                "completion_tokens": COMPLETION_TOKENS,
                "total_tokens": PROMPT_TOKENS + COMPLETION_TOKENS,
            },
        }
    ).encode()
