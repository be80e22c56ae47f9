"""Talks to any endpoint of the OpenAI chat-completions protocol, and keeps trying while that may help.

There is one retry brain, this one; the client library's is off. Every attempt lies within the budget that the caller
gives, a `Retry-After` holds all requests back and not only the one that was told, and what repeating cannot mend is
raised at once.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from random import Random
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import openai

__all__ = ["ChatClient", "ChatError", "ChatRejected", "ChatUnavailable", "Completion", "Message"]

Message = dict[str, str]

_TRANSIENT = frozenset({408, 409, 425, 429})
_FIRST_DELAY = 0.5
_LONGEST_DELAY = 20.0


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
    """It refused the request, and would again: a wrong key or model, a prompt that is too long, a spent quota."""


class _TransientError(Exception):
    def __init__(self, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


@dataclass(frozen=True, slots=True)
class Completion:
    """What came back.

    Attributes:
        text: The visible text.
        finish_reason: Why the model stopped.
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
class ChatClient:
    """One endpoint and model.

    Attributes:
        base_url: Address of the protocol's root, such as ``http://127.0.0.1:8000/v1``.
        model: Name of the model.
        api_key: The key; any text for endpoints that ask for none.
        timeout: Seconds for one attempt.
        max_retries: Attempts after the first.
        parameters: Further parameters of a request, such as the temperature.
    """

    base_url: str
    model: str
    api_key: str
    timeout: float = 60.0
    max_retries: int = 5
    parameters: Mapping[str, Any] = field(default_factory=dict)
    _client: openai.AsyncOpenAI | None = None
    _resume_at: float = 0.0

    def open(self) -> None:
        """Makes the connection pool.

        Raises:
            ImportError: The client library is not installed.
        """
        import openai

        self._client = openai.AsyncOpenAI(
            base_url=self.base_url, api_key=self.api_key, organization="", project="", max_retries=0
        )

    async def close(self) -> None:
        """Closes the connections."""
        if self._client is not None:
            await self._client.close()
            self._client = None

    async def ask(self, messages: Sequence[Message], *, budget: float, seed: int | None, jitter: Random) -> Completion:
        """Asks for one completion.

        Args:
            messages: The conversation.
            budget: Seconds that all attempts may take together.
            seed: Seed that is sent along; None for none.
            jitter: Spreads the attempts of many requests.

        Returns:
            The completion.

        Raises:
            ChatUnavailable: No attempt succeeded within the budget.
            ChatRejected: Trying again is no use.
        """
        ends = time.monotonic() + budget
        attempt = 0
        while True:
            try:
                await self._wait_until(self._resume_at, ends)
                return await self._attempt(messages, ends - time.monotonic(), seed)
            except _TransientError as error:
                delay = min(_LONGEST_DELAY, _FIRST_DELAY * 2.0**attempt) * (0.5 + jitter.random() / 2)
                if error.retry_after is not None:
                    delay = max(delay, error.retry_after)
                    self._resume_at = max(self._resume_at, time.monotonic() + error.retry_after)
                attempt += 1
                if attempt > self.max_retries or time.monotonic() + delay >= ends:
                    message = f"{self.base_url}: {error} ({attempt} attempts)"
                    raise ChatUnavailable(message, error.retry_after) from None
                await asyncio.sleep(delay)

    @staticmethod
    async def _wait_until(moment: float, ends: float) -> None:
        pause = moment - time.monotonic()
        if moment >= ends:
            raise _TransientError("it asked for a pause longer than the time left", pause)
        if pause > 0:
            await asyncio.sleep(pause)

    async def _attempt(self, messages: Sequence[Message], left: float, seed: int | None) -> Completion:
        import openai

        assert self._client is not None, "open() comes first"
        parameters = dict(self.parameters) if seed is None else {**self.parameters, "seed": seed}
        extra = {name: parameters.pop(name) for name in list(parameters) if name not in _KNOWN}
        sent: Any = list(messages)
        try:
            async with asyncio.timeout(max(0.001, min(self.timeout, left))):
                completion: Any = await self._client.chat.completions.create(
                    model=self.model,
                    messages=sent,
                    extra_body=extra or None,
                    timeout=self.timeout,
                    **parameters,
                )
        except TimeoutError:
            raise _TransientError(f"no reply within {min(self.timeout, left):.3g} s") from None
        except openai.APIStatusError as error:
            raise self._status_error(error) from None
        except (openai.APIError, ValueError) as error:
            raise _TransientError(f"{type(error).__name__}: {error}") from None
        choices = getattr(completion, "choices", None)
        if not choices or choices[0].message is None:
            raise _TransientError("the reply is not a chat completion")
        usage = completion.usage
        return Completion(
            choices[0].message.content or "",
            choices[0].finish_reason or "",
            completion.model or "",
            completion.system_fingerprint or "",
            usage.prompt_tokens if usage is not None else 0,
            usage.completion_tokens if usage is not None else 0,
        )

    def _status_error(self, error: openai.APIStatusError) -> Exception:
        status, said = error.status_code, str(error)[:500]
        if (status in _TRANSIENT or status >= 500) and error.code != "insufficient_quota":
            return _TransientError(f"status {status}: {said}", _retry_after(error.response.headers))
        return ChatRejected(f"{self.base_url} refused the request with status {status}: {said}")


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
