"""Requests and tokens per minute: an endpoint is asked no faster than its operator says."""

from __future__ import annotations

import asyncio
import time

_BURST = 1.0
"""Seconds' worth that may come at once."""
_FIRST_RATIO = 1 / 3


class Rate:
    """Paces the requests to one model, in the order in which they come.

    Each request moves the time from which the next one may start. Tokens are estimated by the size of a question and
    put right once they are known.
    """

    def __init__(self, max_requests_per_minute: int, max_tokens_per_minute: int) -> None:
        """Begin with nothing used; 0 for no bound."""
        self._seconds_per_request = 60 / max_requests_per_minute if max_requests_per_minute else 0.0
        self._seconds_per_token = 60 / max_tokens_per_minute if max_tokens_per_minute else 0.0
        self._requests_at = self._tokens_at = 0.0
        self._ratio = _FIRST_RATIO
        self._turn = asyncio.Lock()

    async def wait(self, size: int, output_tokens: int) -> float:
        """Wait until a request may be sent.

        Args:
            size: Bytes of the question.
            output_tokens: Tokens of the reply at most.

        Returns:
            The tokens that it counts for until they are known.
        """
        if not (self._seconds_per_request or self._seconds_per_token):
            return 0.0
        async with self._turn:
            now = time.monotonic()
            # What was not used in the past is lost, but for a moment's worth.
            self._requests_at = max(self._requests_at, now - _BURST)
            self._tokens_at = max(self._tokens_at, now - _BURST)
            pause = max(self._requests_at, self._tokens_at) - now
            if pause > 0:
                await asyncio.sleep(pause)
            tokens = size * self._ratio + output_tokens
            self._requests_at += self._seconds_per_request
            self._tokens_at += self._seconds_per_token * tokens
        return tokens

    def settle(self, counted: float, size: int, input_tokens: int, output_tokens: int) -> None:
        """Put right what a request counted for; one that told no usage stays as it was estimated."""
        if not (counted and (input_tokens or output_tokens)):
            return
        self._tokens_at += self._seconds_per_token * (input_tokens + output_tokens - counted)
        if size and input_tokens:
            self._ratio += 0.1 * (input_tokens / size - self._ratio)
