"""A judge without a model: an endpoint of the chat-completions protocol that follows one rule.

It finds prompt, reference and responses between their fences. A response is right if it holds the reference, or what
the criteria name in quotation marks; it means the same as a reference whose longer words and numbers it has; of two,
the one that is right is better, of several the first that is right the best. Without either, a response is a
statement, and right if the prompt holds its words; of several statements in the criteria each is. Asked for points it
gives one for each name in quotation marks. Asked how likely several things are, it is as sure as the name of the model
says where the response holds what a thing names in quotation marks, and as unsure where not. Where it wrote arguments
first, and the response holds some of the names alone, it follows the argument that stands first. It signs as it was
told. ``python -m examples.judge.endpoint`` serves it on port 8911; put the address of a model's endpoint into
``server.toml`` to ask a model.
"""

from __future__ import annotations

import json
import re
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from string import ascii_uppercase
from typing import Any

_RESPONSES = ("RESPONSE", *(f"RESPONSE {letter}" for letter in ascii_uppercase))
_SURE = {"steady": 0.8, "timid": 0.6, "contrary": 0.1}
"""How sure a model is of what it finds, by its name."""
_FAVOUR, _AGAINST = "What speaks for the response: ", "What speaks against the response: "


def _fenced(text: str, name: str) -> tuple[str, str] | None:
    """The token and the text between two fences."""
    match = re.search(rf"<<<(\w+) {name}>>>\n(.*)\n<<<\1 END {name}>>>", text, re.DOTALL)
    return (match[1], match[2]) if match is not None else None


def reply(request: dict[str, Any]) -> str:
    """What the rule says of a conversation."""
    text = request["messages"][-1]["content"]
    reference, prompt = _fenced(text, "REFERENCE"), _fenced(text, "PROMPT")
    responses = [fenced for name in _RESPONSES if (fenced := _fenced(text, name))]
    words_asked = re.findall(r'"(.+?)"', text.partition("Criteria: ")[2].partition("\n")[0])
    if not responses or not (words_asked or reference or prompt):
        return "I was shown no reference and no response."
    token = responses[0][0]
    words_met = [word for word in words_asked if _in(word, responses[0][1])]
    if "Give no verdict" in text:
        against = "that the response does not" in text
        argued = [word for word in words_asked if word not in words_met] if against else words_met
        return (_AGAINST if against else _FAVOUR) + (" and ".join(argued) or "nothing that I found")
    listed = re.findall(r"^- (\w+): (.+)$", text.partition("Criteria: ")[2], re.MULTILINE)
    if listed:
        prompt_text = prompt[1] if prompt is not None else ""
        scale = re.search(r"a whole number from (\d+) \(worst\) to (\d+) \(best\) for each name", text)
        if scale is not None:
            low, high = int(scale[1]), int(scale[2])
            sure = _SURE.get(request.get("model", ""), 1.0)
            there = {
                name: all(_in(word, responses[0][1]) for word in re.findall(r'"(.+?)"', text)) for name, text in listed
            }
            rated = {name: round(low + (high - low) * (sure if word else 1.0 - sure)) for name, word in there.items()}
            return json.dumps({**rated, "signature": token})
        return json.dumps({**{name: _follows(text, prompt_text) for name, text in listed}, "signature": token})
    scale = re.search(r"`Score: N .*? from (\d+) \(worst\) to (\d+) \(best\)", text)
    if scale is not None:
        points = min(int(scale[1]) + len(words_met), int(scale[2]))
        return f"I found {' and '.join(words_met) or 'nothing'}.\nScore: {points} [{token}]"
    first = _fenced(text, "ARGUMENT 1")
    if first is not None and words_met and len(words_met) < len(words_asked):
        return f"The first argument holds.\ncorrect: {'yes' if first[1].startswith(_FAVOUR) else 'no'} [{token}]"
    if words_asked:
        looked_for, right = (
            " and ".join(words_asked),
            [all(_in(word, text) for word in words_asked) for _, text in responses],
        )
    elif reference is not None:
        looked_for, right = reference[1].strip(), [_in(reference[1].strip(), text) for _, text in responses]
    else:
        # Of a statement: whether the documents hold its words.
        prompt_text = prompt[1] if prompt is not None else ""
        looked_for, right = "its words", [_follows(responses[0][1], prompt_text)]
    if len(right) == 1 and "`[[A=B]]" in text:
        right = [right[0] or (reference is not None and _means(reference[1], responses[0][1]))]
        return f"I looked for {looked_for!r}.\n[[A{'=' if right[0] else '!='}B]] [{token}]"
    if len(right) == 1:
        return f"I looked for {looked_for!r}.\ncorrect: {'yes' if right[0] else 'no'} [{token}]"
    if "the letter of the best response" in text:
        best = ascii_uppercase[right.index(True) if any(right) else 0]
        return f"I looked for {looked_for!r} in all.\n[[{best}]] [{token}]"
    better = "C" if right[0] == right[1] else "A" if right[0] else "B"
    return f"I looked for {looked_for!r} in both.\n[[{better}]] [{token}]"


def _follows(statement: str, documents: str) -> bool:
    words = re.findall(r"\w{4,}", statement)
    return sum(_in(word, documents) for word in words) >= 0.8 * len(words)


def _means(first: str, second: str) -> bool:
    """Whether a text has all longer words and numbers of another."""
    words = re.findall(r"[^\W\d]{4,}|\d+", first)
    return bool(words) and all(_in(word, second) for word in words)


def _in(words: str, text: str) -> bool:
    return words.casefold() in text.casefold()


class Handler(BaseHTTPRequestHandler):
    """Answers ``POST /v1/chat/completions``."""

    protocol_version = "HTTP/1.1"
    answer = staticmethod(reply)

    def do_POST(self) -> None:
        """Answers a conversation."""
        request = json.loads(self.rfile.read(int(self.headers["content-length"])))
        message = {"role": "assistant", "content": self.answer(request)}
        choice = {"index": 0, "finish_reason": "stop", "message": message}
        body = json.dumps({"object": "chat.completion", "model": "rule", "choices": [choice]}).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Print nothing."""


def serve(handler: type[Handler], port: int) -> None:
    """Serve until it is interrupted, on this port or that of the command line."""
    port = int(sys.argv[1]) if len(sys.argv) > 1 else port
    try:
        bound = ThreadingHTTPServer(("127.0.0.1", port), handler)
    except OSError as error:
        sys.exit(
            f"port {port}: {error.strerror}. Another program would be asked in this one's place: end it, or give "
            "another port behind the command and in server.toml"
        )
    with bound as server:
        print(f"http://127.0.0.1:{server.server_address[1]}/v1", flush=True)
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            print()


if __name__ == "__main__":
    serve(Handler, 8911)
