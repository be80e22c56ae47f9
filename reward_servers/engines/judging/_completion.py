"""What an endpoint of the OpenAI chat-completions protocol sends back, and what its failures mean.

Nothing that an endpoint writes into an error reaches a message: it may hold the key.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import openai

Message = dict[str, Any]

_TRANSIENT = frozenset({408, 409, 425, 429})
_BUSY = frozenset({429, 503, 529})
_FILTERED = re.compile(r"content[_ ]filter|content[_ ]management|responsible_?ai|content[_ ]policy", re.IGNORECASE)
_TOO_LONG = re.compile(
    r"context[_ ]length|maximum context|context window|too many (?:input )?tokens|prompt is too long|string_above_max"
    r"|longer than the maximum|exceeds? the (?:maximum|model)|context[_ ]size|available context|max(?:imum)?[_ ]context"
    r"|max_(?:new_tokens|total_tokens|input_length|model_len)|(?:input|prompt|request)[^.]{0,40} too (?:long|large)"
    r"|reduce the length|token limit|longer than the model|exceed(?:s|ed)? [^.]{0,40}(?:tokens|context)"
    r"|tokens [^.]{0,40}exceed",
    re.IGNORECASE,
)
UNREADABLE = (ValueError, TypeError, AttributeError, LookupError, OverflowError, RecursionError, MemoryError)
"""What reading a body can raise. All of it is the endpoint's fault: a candidate does not write bodies."""

_LONGEST_NAME = 128
_MOST_TOKENS = 1 << 31
_SHORTEST_KEY = 8
_CODE = re.compile(r"[a-z][a-z_]{2,39}")


class ChatError(Exception):
    """The endpoint gave no completion."""


class ChatUnavailableError(ChatError):
    """It could not be reached, was too busy, or failed, for as long as the budget lasted.

    Attributes:
        retry_after: Seconds after which it may work, when the endpoint said so.
    """

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class ChatRejectedError(ChatError):
    """It refused the request, and would again.

    Attributes:
        reason: ``"filtered"``: a filter of content; ``"context"``: the prompt is too long; ``"budget"``: the spend of
            this server is used up; ``"rejected"``: a wrong key or model, a spent quota.
    """

    def __init__(self, message: str, reason: str = "rejected") -> None:
        super().__init__(message)
        self.reason = reason


class TransientError(Exception):
    """This attempt failed; another may not."""

    def __init__(self, message: str, retry_after: float | None = None, *, busy: bool = False) -> None:
        super().__init__(message)
        self.retry_after = retry_after
        self.busy = busy


@dataclass(frozen=True, slots=True)
class Token:
    """A token of a reply.

    Attributes:
        text: Its text.
        alternatives: Natural logarithms of the probabilities of what could have stood there, itself among them; empty
            where they are not known.
    """

    text: str
    alternatives: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Completion:
    """What came back.

    Attributes:
        text: The visible text, and the arguments of calls behind it.
        finish_reason: Why the model stopped; ``"refusal"`` where the endpoint says that it declined.
        model: The model that answered, as the endpoint calls it.
        fingerprint: The endpoint's own mark of its configuration; empty when it gives none.
        input_tokens: Tokens of the conversation, as the endpoint counts them.
        output_tokens: Tokens of the reply.
        tokens: The tokens of ``text``, where their probabilities were asked for and told.
        cost: What it cost, in the currency of the prices that the operator gave.
    """

    text: str
    finish_reason: str
    model: str
    fingerprint: str
    input_tokens: int
    output_tokens: int
    tokens: tuple[Token, ...] = ()
    cost: float = 0.0


def read_reply(reply: Any) -> Completion:
    """A reply as a completion.

    Raises:
        TransientError: It is none.
    """
    try:
        completion = completion_of(reply)
    except UNREADABLE as error:
        raise TransientError(f"the reply cannot be read ({type(error).__name__})") from None
    if completion is None:
        raise TransientError("the reply is not a chat completion")
    return completion


def meaning_of(url: str, error: openai.APIStatusError) -> Exception:
    """What a refusal means; one whose body cannot be read is a failed attempt."""
    try:
        return _status_error(url, error)
    except UNREADABLE as unread:
        return TransientError(f"status {error.status_code}, and its body cannot be read ({type(unread).__name__})")


def without_key(completion: Completion, key: str) -> Completion:
    """A completion without the key, which an endpoint may repeat anywhere."""
    texts = (completion.text, completion.model, completion.fingerprint)
    if len(key) < _SHORTEST_KEY or not any(key in field_text for field_text in texts):
        return completion
    text, model, fingerprint = (field_text.replace(key, "[key]") for field_text in texts)
    return replace(completion, text=text, model=model, fingerprint=fingerprint, tokens=())


def completion_of(reply: Any) -> Completion | None:
    choices = getattr(reply, "choices", None)
    if not isinstance(choices, list) or not choices or getattr(choices[0], "message", None) is None:
        return None
    message, usage = choices[0].message, getattr(reply, "usage", None)
    refusal, declined = getattr(message, "refusal", None), _declined(message.content)
    # What a call says stands behind the text, as another part of the same reply: where both hold a verdict, the rules
    # for several of them decide.
    text = "\n".join(filter(None, (_text(message.content), *_called(message), declined)))
    finish_reason = choices[0].finish_reason or ""
    if declined:
        finish_reason = "refusal"
    elif isinstance(refusal, str) and refusal and not text:
        text, finish_reason = refusal, "refusal"
    return Completion(
        text,
        str(finish_reason),
        _printable(reply.model),
        _printable(getattr(reply, "system_fingerprint", None)),
        _count(getattr(usage, "prompt_tokens", 0)),
        _count(getattr(usage, "completion_tokens", 0)),
        _tokens(choices[0], text),
    )


def _count(value: Any) -> int:
    """A number of tokens; 0 for what is none, as if it were not told."""
    counts = isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= _MOST_TOKENS
    return int(value) if counts else 0


def _printable(value: Any) -> str:
    """A name as an endpoint gives it, without what does not belong into one."""
    return re.sub(r"[^\x20-\x7e]", "?", str(value or ""))[:_LONGEST_NAME]


def _tokens(choice: Any, text: str) -> tuple[Token, ...]:
    """The tokens of a text with their alternatives; none where they are not told or are not those of the text."""
    listed = getattr(getattr(choice, "logprobs", None), "content", None)
    if not isinstance(listed, list):
        return ()
    tokens = []
    for token in listed:
        alternatives = [token, *(getattr(token, "top_logprobs", None) or [])]
        chances = {
            str(alternative.token): float(alternative.logprob)
            for alternative in alternatives
            if _is_chance(alternative)
        }
        tokens.append(Token(str(getattr(token, "token", "")), chances))
    return _those_of(tokens, text)


def _those_of(tokens: list[Token], text: str) -> tuple[Token, ...]:
    """The tokens that make up a text: endpoints may list those of the reasoning before it and a mark of its end."""
    at, starts = 0, {}
    for place, token in enumerate(tokens):
        starts[at] = place
        at += len(token.text)
    starts[at] = len(tokens)
    begin = "".join(token.text for token in tokens).rfind(text) if text else -1
    if begin not in starts or begin + len(text) not in starts:
        return ()
    return tuple(tokens[starts[begin] : starts[begin + len(text)]])


def _is_chance(token: Any) -> bool:
    value = getattr(token, "logprob", None)
    return isinstance(getattr(token, "token", None), str) and isinstance(value, int | float) and value <= 1e-6


def _text(content: Any) -> str:
    """The visible text of a message; parts that hold reasoning or no text are left out."""
    if isinstance(content, str):
        return content
    parts = [part for part in _parts(content) if part.get("type") in ("text", "output_text", None)]
    return "".join(str(part.get("text") or "") for part in parts)


def _declined(content: Any) -> str:
    """What the parts of a message say with which a model declines."""
    parts = [part for part in _parts(content) if part.get("type") == "refusal"]
    return "".join(str(part.get("refusal") or part.get("text") or "declined") for part in parts)


def _parts(content: Any) -> list[Mapping[str, Any]]:
    parts = content if isinstance(content, list) else []
    return [part if isinstance(part, dict) else getattr(part, "__dict__", {}) for part in parts]


def _called(message: Any) -> list[str]:
    """The arguments of the calls of a message, in which a judge that is held to a tool says its verdict.

    Two calls that say the same are one: some endpoints tell a call under its old name as well.
    """
    calls = getattr(message, "tool_calls", None)
    called = [_field(call, "function") for call in (calls if isinstance(calls, list) else [])]
    arguments = [_field(call, "arguments") for call in (*called, getattr(message, "function_call", None))]
    texts = [
        json.dumps(argument, ensure_ascii=False) if isinstance(argument, dict) else argument for argument in arguments
    ]
    return list(dict.fromkeys(text for text in texts if isinstance(text, str) and text.strip() not in ("", "{}")))


def _field(holder: Any, name: str) -> Any:
    return holder.get(name) if isinstance(holder, dict) else getattr(holder, name, None)


def _status_error(url: str, error: openai.APIStatusError) -> Exception:
    """What a status means. Of the body only a code of known form is shown, and only to those who wrote no key there."""
    status, code = error.status_code, str(error.code or "")
    message = f"status {status}" + (f" ({code})" if _CODE.fullmatch(code) else "")
    body = f"{code} {error} {error.body}"
    if (status in _TRANSIENT or status >= 500) and code != "insufficient_quota":
        return TransientError(message, _retry_after(error.response.headers), busy=status in _BUSY)
    reason = "rejected"
    if 300 <= status < 400:
        message += ": it sends requests on to another address; set base_url to that one"
    if status in (400, 413, 422):
        too_long = status == 413 or _TOO_LONG.search(body)
        reason = "filtered" if _FILTERED.search(body) else "context" if too_long else "rejected"
    return ChatRejectedError(f"{url} refused the request with {message}", reason)


def _retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds to wait (RFC 9110, section 10.2.3: a number or a date), or the common ``retry-after-ms``."""
    try:
        if "retry-after-ms" in headers:
            wait_ms = float(headers["retry-after-ms"]) / 1000
            return max(0.0, wait_ms) if math.isfinite(wait_ms) else None
        header = headers.get("retry-after", "")
        if header.strip().replace(".", "", 1).isdigit():
            return float(header)
        return max(0.0, (parsedate_to_datetime(header) - datetime.now(UTC)).total_seconds()) if header else None
    except (ValueError, TypeError):
        return None
