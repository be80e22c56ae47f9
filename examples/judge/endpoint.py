"""A judge without a model: an endpoint of the chat-completions protocol that follows one rule.

It finds reference and responses between their fences. A response is right if it holds the reference; of two, the one
that does is better. It signs as it was told. ``python -m examples.judge.endpoint`` serves it on port 8911; put the
address of a model's endpoint into ``server.toml`` to ask a model.
"""

from __future__ import annotations

import json
import re
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


def _fenced(asked: str, name: str) -> tuple[str, str] | None:
    """The token and the text between two fences."""
    found = re.search(rf"<<<(\w+) {name}>>>\n(.*)\n<<<\1 END {name}>>>", asked, re.DOTALL)
    return (found[1], found[2]) if found is not None else None


def reply(request: dict[str, Any]) -> str:
    """What the rule says of a conversation."""
    asked = request["messages"][-1]["content"]
    reference = _fenced(asked, "REFERENCE")
    shown = [found for name in ("RESPONSE", "RESPONSE A", "RESPONSE B") if (found := _fenced(asked, name))]
    if reference is None or not shown:
        return "I was shown no reference and no response."
    wanted, token = reference[1].strip(), shown[0][0]
    right = [wanted.casefold() in text.casefold() for _, text in shown]
    if len(right) == 1:
        return f"I looked for {wanted!r}.\ncorrect: {'yes' if right[0] else 'no'} [{token}]"
    better = "C" if right[0] == right[1] else "A" if right[0] else "B"
    return f"I looked for {wanted!r} in both.\n[[{better}]] [{token}]"


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
