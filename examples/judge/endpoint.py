"""A judge without a model: an endpoint of the chat-completions protocol that follows one rule.

It finds reference and response between their fences, says yes if the response holds the reference, and signs as it was
told. ``python -m examples.judge.endpoint`` serves it on port 8911; put the address of a model's endpoint into
``server.toml`` to ask a model.
"""

from __future__ import annotations

import json
import re
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

_FENCED = r"<<<(\w+) {name}>>>\n(.*)\n<<<\1 END {name}>>>"


def reply(request: dict[str, Any]) -> str:
    """What the rule says of a conversation."""
    asked = request["messages"][1]["content"]
    reference = re.search(_FENCED.format(name="REFERENCE"), asked, re.DOTALL)
    response = re.search(_FENCED.format(name="RESPONSE"), asked, re.DOTALL)
    if reference is None or response is None:
        return "I was shown no reference and no response."
    right = reference[2].strip().casefold() in response[2].casefold()
    return f"I looked for {reference[2].strip()!r}.\ncorrect: {'yes' if right else 'no'} [{response[1]}]"


class Handler(BaseHTTPRequestHandler):
    """Answers ``POST /v1/chat/completions``."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        """Answers a conversation."""
        request = json.loads(self.rfile.read(int(self.headers["content-length"])))
        choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": reply(request)}}
        body = json.dumps({"object": "chat.completion", "model": "rule", "choices": [choice]}).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Print nothing."""


def main() -> None:
    """Serve until it is interrupted."""
    port = int(sys.argv[1]) if len(sys.argv) > 1 else 8911
    with ThreadingHTTPServer(("127.0.0.1", port), Handler) as server:
        print(f"http://127.0.0.1:{server.server_address[1]}/v1", flush=True)
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            print()


if __name__ == "__main__":
    main()
