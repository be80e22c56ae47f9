"""Talks to endpoints of the OpenAI chat-completions protocol, and keeps trying while that may help.

There is one retry brain, this one; the client library's is off. Attempts are bounded by the time that the caller gives
and not by their number; what waits for its next attempt holds no place. Nothing that an endpoint writes into an error
reaches a message: it may hold the key.
"""

from __future__ import annotations

import asyncio
import logging
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from random import Random
from typing import TYPE_CHECKING, Any

from reward_servers.engines.judging._spend import Spend, SpendExceeded
from reward_servers.engines.judging._window import Window

if TYPE_CHECKING:
    import openai

__all__ = ["ChatClient", "ChatError", "ChatRejected", "ChatUnavailable", "Completion", "Message"]

Message = dict[str, str]

_TRANSIENT = frozenset({408, 409, 425, 429})
_BUSY = frozenset({429, 503, 529})
_FIRST_DELAY = 0.5
_LONGEST_DELAY = 20.0
_PER_MESSAGE = 64
"""Tokens that a template adds to a message at most."""

_FILTERED = re.compile(r"content[_ ]filter|content[_ ]management|responsible_?ai|content[_ ]policy", re.IGNORECASE)
_TOO_LONG = re.compile(
    r"context[_ ]length|maximum context|context window|too many (?:input )?tokens|prompt is too long|string_above_max"
    r"|longer than the maximum|exceeds? the (?:maximum|model)",
    re.IGNORECASE,
)
_CODE = re.compile(r"[a-z][a-z_]{2,39}")


class ChatError(Exception):
    """The endpoint gave no completion."""


class ChatUnavailable(ChatError):
    """It could not be reached, was too busy, or failed, for as long as the budget lasted.

    Attributes:
        retry_after: Seconds after which it may work, when the endpoint said so.
    """

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class ChatRejected(ChatError):
    """It refused the request, and would again.

    Attributes:
        reason: ``"filtered"``: a filter of content; ``"context"``: the prompt is too long; ``"budget"``: the spend of
            this server is used up; ``"rejected"``: a wrong key or model, a spent quota.
    """

    def __init__(self, message: str, reason: str = "rejected") -> None:
        super().__init__(message)
        self.reason = reason


class _TransientError(Exception):
    def __init__(self, message: str, retry_after: float | None = None, *, busy: bool = False) -> None:
        super().__init__(message)
        self.retry_after = retry_after
        self.busy = busy


@dataclass(frozen=True, slots=True)
class Completion:
    """What came back.

    Attributes:
        text: The visible text.
        finish_reason: Why the model stopped; ``"refusal"`` where the endpoint says that it declined.
        model: The model that answered, as the endpoint calls it.
        fingerprint: The endpoint's own mark of its configuration; empty when it gives none.
        input_tokens: Tokens of the conversation, as the endpoint counts them.
        output_tokens: Tokens of the reply.
    """

    text: str
    finish_reason: str
    model: str
    fingerprint: str
    input_tokens: int
    output_tokens: int


@dataclass(slots=True)
class _Endpoint:
    url: str
    window: Window
    client: openai.AsyncOpenAI


@dataclass(slots=True)
class ChatClient:
    """One model, at one address or several.

    Attributes:
        urls: Addresses of the protocol's root, such as ``http://127.0.0.1:8000/v1``.
        model: Name of the model.
        api_key: The key; any text for endpoints that ask for none.
        concurrency: Requests in flight at most, at each address.
        timeout: Seconds for one attempt.
        parameters: Further parameters of a request, such as the temperature.
        spend: What may be spent.
        attempts: Attempts made so far.
    """

    urls: Sequence[str]
    model: str
    api_key: str
    concurrency: int = 64
    timeout: float = 60.0
    parameters: Mapping[str, Any] = field(default_factory=dict)
    spend: Spend = field(default_factory=Spend)
    attempts: int = 0
    _endpoints: list[_Endpoint] = field(default_factory=list)

    def open(self) -> None:
        """Makes the connection pools.

        Raises:
            ImportError: The client library is not installed.
        """
        import openai

        # One line for every request would drown the server's own log.
        for name in ("httpx", "httpx2"):
            logging.getLogger(name).setLevel(logging.WARNING)
        for url in self.urls:
            client = openai.AsyncOpenAI(base_url=url, api_key=self.api_key, organization="", project="", max_retries=0)
            self._endpoints.append(_Endpoint(url, Window(self.concurrency), client))

    async def close(self) -> None:
        """Closes the connections."""
        while self._endpoints:
            await self._endpoints.pop().client.close()

    async def ask(self, messages: Sequence[Message], *, budget: float, seed: int | None, jitter: Random) -> Completion:
        """Asks for one completion.

        Args:
            messages: The conversation.
            budget: Seconds that all attempts may take together; the wait for a first place does not count.
            seed: Seed that is sent along; None for none.
            jitter: Spreads the attempts of many requests.

        Returns:
            The completion.

        Raises:
            ChatUnavailable: No attempt succeeded within the budget.
            ChatRejected: Trying again is no use.
        """
        ends = float("inf")
        attempt, failed = 0, ""
        while True:
            endpoint = self._best(failed)
            try:
                in_flight = await endpoint.window.enter(ends, budget)
            except TimeoutError:
                pause = endpoint.window.resume_at - time.monotonic()
                message = f"{endpoint.url}: no place was free within the budget"
                raise ChatUnavailable(message, pause if pause > 0 else None) from None
            sent_at = time.monotonic()
            if ends == float("inf"):
                ends = sent_at + budget
            try:
                completion = await self._attempt(endpoint, messages, ends - sent_at, seed)
            except _TransientError as error:
                if error.busy:
                    endpoint.window.refused(sent_at, in_flight, error.retry_after)
                else:
                    endpoint.window.failed()
                problem = error
            except ChatRejected as error:
                if error.reason != "budget":
                    endpoint.window.succeeded()
                raise
            else:
                endpoint.window.succeeded()
                return completion
            finally:
                endpoint.window.leave()
            attempt, failed = attempt + 1, endpoint.url
            await self._pause(endpoint, problem, attempt, ends, jitter)

    def _best(self, failed: str) -> _Endpoint:
        """The endpoint with most room, another than the one that has just failed where there is one."""
        assert self._endpoints, "open() comes first"
        return max(
            self._endpoints,
            key=lambda one: (
                one.window.room > 0,
                one.url != failed,
                -one.window.resume_at if one.window.room == 0 else 0.0,
                one.window.room,
            ),
        )

    async def _pause(
        self, endpoint: _Endpoint, problem: _TransientError, attempt: int, ends: float, jitter: Random
    ) -> None:
        """Waits before the next attempt, without a place.

        Raises:
            ChatUnavailable: The time is up.
        """
        delay = min(_LONGEST_DELAY, _FIRST_DELAY * 2.0 ** (attempt - 1)) * (0.5 + jitter.random() / 2)
        if problem.busy or len(self._endpoints) > 1:
            # The window paces those that were refused for load; another endpoint may have time at once.
            delay = 0.0 if problem.retry_after is not None or not problem.busy else delay
        resumes = min(one.window.resume_at for one in self._endpoints) - time.monotonic()
        if time.monotonic() + max(delay, resumes) >= ends:
            message = f"{endpoint.url}: {problem} ({attempt} attempts)"
            raise ChatUnavailable(message, problem.retry_after) from None
        if delay:
            await asyncio.sleep(delay)

    async def _attempt(
        self, endpoint: _Endpoint, messages: Sequence[Message], left: float, seed: int | None
    ) -> Completion:
        parameters = dict(self.parameters) if seed is None else {**self.parameters, "seed": seed}
        written = int(parameters.get("max_tokens") or parameters.get("max_completion_tokens") or 0)
        read = sum(len(one["content"].encode("utf-8", "replace")) + _PER_MESSAGE for one in messages)
        try:
            reserved = self.spend.reserve(read, written)
        except SpendExceeded as error:
            raise ChatRejected(f"{endpoint.url} was not asked: {error}", "budget") from None
        self.attempts += 1
        try:
            completion = await self._send(endpoint, messages, left, parameters)
        except (_TransientError, ChatRejected) as error:
            # Any other failed call may have been worked on, and is paid for as if it had.
            if isinstance(error, ChatRejected) or error.busy:
                self.spend.release(reserved)
            raise
        self.spend.settle(reserved, completion.input_tokens, completion.output_tokens)
        return completion

    async def _send(
        self, endpoint: _Endpoint, messages: Sequence[Message], left: float, parameters: dict[str, Any]
    ) -> Completion:
        import openai

        extra = {name: parameters.pop(name) for name in list(parameters) if name not in _KNOWN}
        sent: Any = list(messages)
        try:
            async with asyncio.timeout(max(0.001, min(self.timeout, left))):
                reply: Any = await endpoint.client.chat.completions.create(
                    model=self.model, messages=sent, extra_body=extra or None, timeout=self.timeout, **parameters
                )
        except TimeoutError:
            raise _TransientError(f"no reply within {min(self.timeout, left):.3g} s") from None
        except openai.APIStatusError as error:
            raise _status_error(endpoint.url, error) from None
        except (openai.APIError, ValueError) as error:
            raise _TransientError(type(error).__name__) from None
        completion = _completion(reply)
        if completion is None:
            raise _TransientError("the reply is not a chat completion")
        return completion


def _completion(reply: Any) -> Completion | None:
    choices = getattr(reply, "choices", None)
    if not isinstance(choices, list) or not choices or getattr(choices[0], "message", None) is None:
        return None
    message, usage = choices[0].message, getattr(reply, "usage", None)
    refusal = getattr(message, "refusal", None)
    text = _text(message.content)
    finish_reason = choices[0].finish_reason or ""
    if isinstance(refusal, str) and refusal and not text:
        text, finish_reason = refusal, "refusal"
    return Completion(
        text,
        str(finish_reason),
        str(reply.model or ""),
        str(getattr(reply, "system_fingerprint", None) or ""),
        int(getattr(usage, "prompt_tokens", 0) or 0),
        int(getattr(usage, "completion_tokens", 0) or 0),
    )


def _text(content: Any) -> str:
    """The visible text of a message; parts that hold reasoning or no text are left out."""
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, list) else []
    said = [part if isinstance(part, dict) else getattr(part, "__dict__", {}) for part in parts]
    return "".join(str(part.get("text") or "") for part in said if part.get("type") in ("text", "output_text", None))


def _status_error(url: str, error: openai.APIStatusError) -> Exception:
    """What a status means. Of the body only a code of known form is shown, and only to those who wrote no key there."""
    status, code = error.status_code, str(error.code or "")
    said = f"status {status}" + (f" ({code})" if _CODE.fullmatch(code) else "")
    body = f"{code} {error} {error.body}"
    if (status in _TRANSIENT or status >= 500) and code != "insufficient_quota":
        return _TransientError(said, _retry_after(error.response.headers), busy=status in _BUSY)
    reason = "rejected"
    if status in (400, 413, 422):
        reason = "filtered" if _FILTERED.search(body) else "context" if _TOO_LONG.search(body) else "rejected"
    return ChatRejected(f"{url} refused the request with {said}", reason)


_KNOWN = frozenset({"temperature", "top_p", "max_tokens", "max_completion_tokens", "seed", "reasoning_effort", "stop"})


def _retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds to wait (RFC 9110, section 10.2.3: a number or a date), or the common ``retry-after-ms``."""
    try:
        if "retry-after-ms" in headers:
            return max(0.0, float(headers["retry-after-ms"]) / 1000)
        said = headers.get("retry-after", "")
        if said.strip().replace(".", "", 1).isdigit():
            return float(said)
        return max(0.0, (parsedate_to_datetime(said) - datetime.now(UTC)).total_seconds()) if said else None
    except (ValueError, TypeError):
        return None
