"""Talks to endpoints of the OpenAI chat-completions protocol, and keeps trying while that may help.

There is one retry brain, this one; the client library's is off. Attempts are bounded by the time that the caller gives
and not by their number; what waits for its next attempt holds no place.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from random import Random
from typing import Any

from reward_servers.engines.judging._backend import CompletionRequest
from reward_servers.engines.judging._body import BodyTooLongError, bounded
from reward_servers.engines.judging._budget import Spend, SpendExceededError
from reward_servers.engines.judging._completion import (
    UNREADABLE,
    ChatRejectedError,
    ChatUnavailableError,
    Completion,
    Message,
    TransientError,
    meaning_of,
    read_reply,
    without_key,
)
from reward_servers.engines.judging._endpoint import Endpoint, next_of
from reward_servers.engines.judging._probe import QUESTION, Probes
from reward_servers.engines.judging._rate import Rate
from reward_servers.engines.judging._window import Window

_ALTERNATIVES = 20
_FIRST_DELAY = 0.5
_LONGEST_DELAY = 20.0
_PER_PICTURE = 4_096
_PROBE_TOKENS = 512
_PER_MESSAGE = 64
"""Tokens that a template adds to a message at most."""

_KNOWN = frozenset(
    {
        "temperature",
        "top_p",
        "max_tokens",
        "max_completion_tokens",
        "seed",
        "reasoning_effort",
        "stop",
        "logprobs",
        "top_logprobs",
    }
)


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
        rate: How fast it may be asked.
        probed: Whether the endpoints are asked at start what they can do.
        structured: Whether replies that are JSON objects are held to a schema by the endpoint.
        weights: In which proportion the addresses share the requests; none where they share them by their room.
    """

    urls: Sequence[str] = field(repr=False)
    model: str
    api_key: str = field(repr=False)
    concurrency: int = 64
    timeout: float = 60.0
    parameters: Mapping[str, Any] = field(default_factory=dict)
    spend: Spend = field(default_factory=Spend)
    rate: Rate = field(default_factory=lambda: Rate(0, 0))
    probed: bool = True
    structured: bool = False
    weights: Sequence[float] = ()
    _endpoints: list[Endpoint] = field(default_factory=list)
    _probes: Probes = field(default_factory=Probes)

    def open(self) -> None:
        """Make the connection pools.

        Raises:
            ImportError: The client library is not installed.
        """
        import openai

        # One line for every request would drown the server's own log; what is told for debugging may hold the key.
        for name in ("httpx", "httpx2", "httpcore", "openai"):
            logging.getLogger(name).setLevel(logging.WARNING)
        for url, weight in zip(self.urls, self.weights or [1.0] * len(self.urls), strict=True):
            client = openai.AsyncOpenAI(
                base_url=url,
                api_key=self.api_key,
                organization="",
                project="",
                max_retries=0,
                default_headers={"Accept-Encoding": "identity"},
                http_client=openai.DefaultAsyncHttpxClient(
                    # What is judged, and its reference, go to no address but the one that the operator gave.
                    base_url=url,
                    follow_redirects=False,
                    event_hooks={"response": [bounded]},
                ),
            )
            self._endpoints.append(Endpoint(url, Window(self.concurrency), client, weight=weight))
        if self.probed:
            with suppress(RuntimeError):
                # Without a running loop the first question begins them.
                asyncio.get_running_loop()
                self._probes.begin(self._endpoints, self._ask_probe)

    def facts(self) -> dict[str, str]:
        """What each endpoint can do, by its address."""
        return {endpoint.name: str(endpoint.can) for endpoint in self._endpoints}

    async def close(self) -> None:
        """Close the connections."""
        await self._probes.close()
        while self._endpoints:
            await self._endpoints.pop().client.close()

    @property
    def identity(self) -> str:
        """The model and its parameters."""
        return json.dumps([self.model, dict(self.parameters)], sort_keys=True, default=str)

    async def ask(self, request: CompletionRequest, *, budget: float, jitter: Random) -> Completion:
        """Ask for one completion.

        Args:
            request: What is asked.
            budget: Seconds that all attempts may take together; the wait for a first place does not count.
            jitter: Spreads the attempts of many requests.

        Returns:
            The completion.

        Raises:
            ChatUnavailableError: No attempt succeeded within the budget.
            ChatRejectedError: Trying again is no use.
        """
        ends = float("inf")
        attempt, failed = 0, ""
        if self.probed:
            self._probes.begin(self._endpoints, self._ask_probe)
            await self._probes.first()
        while True:
            able = self._able(request)
            counted = await self._paced(request, ends)
            endpoint = next_of(able, failed, weighted=bool(self.weights))
            try:
                in_flight = await endpoint.window.enter(ends, partial(self._patience, endpoint, budget))
            except TimeoutError:
                shortest = min(endpoint.window.pause for endpoint in able)
                if time.monotonic() < ends and shortest <= budget:
                    failed = endpoint.url
                    continue
                message = f"{endpoint.name}: no place was free within the budget"
                raise ChatUnavailableError(message, shortest or None) from None
            sent_at = time.monotonic()
            if ends == float("inf"):
                ends = sent_at + budget
            try:
                completion = await self._attempt(endpoint, request, ends - sent_at)
                self.rate.settle(counted, _size(request), completion.input_tokens, completion.output_tokens)
            except TransientError as error:
                if error.busy:
                    endpoint.window.refused(sent_at, in_flight, error.retry_after)
                else:
                    endpoint.window.failed(sent_at)
                    endpoint.tell(error)
                problem = error
            except ChatRejectedError as error:
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

    async def _paced(self, request: CompletionRequest, ends: float) -> float:
        """Wait for the pace that the operator sets, without a place; the tokens that the request counts for.

        Raises:
            ChatUnavailableError: The time is up.
        """
        try:
            async with asyncio.timeout(None if ends == float("inf") else max(0.0, ends - time.monotonic())):
                return await self.rate.wait(_size(request), self._max_output_tokens)
        except TimeoutError:
            raise ChatUnavailableError(f"{self.model}: the pace per minute left no time within the budget") from None

    @property
    def _max_output_tokens(self) -> int:
        """Tokens of a reply at most."""
        return int(self.parameters.get("max_tokens") or self.parameters.get("max_completion_tokens") or 0)

    def _able(self, request: CompletionRequest) -> list[Endpoint]:
        """The endpoints that can do what is asked, as far as that is known.

        Raises:
            ChatRejectedError: None can.
        """
        assert self._endpoints, "open() comes first"
        able = [endpoint for endpoint in self._endpoints if not request.logprobs or endpoint.can.logprobs is not False]
        if not able:
            raise ChatRejectedError(
                f"{self.model}: no endpoint tells probabilities, as was found at start", "no_logprobs"
            )
        if self.structured and request.schema is not None:
            able = [endpoint for endpoint in able if endpoint.can.json_schema is not False]
            if not able:
                message = f"{self.model}: no endpoint keeps to a schema, as was found at start; set structured = false"
                raise ChatRejectedError(message, "no_json_schema")
        return able

    def _patience(self, endpoint: Endpoint, budget: float) -> float:
        """The longest pause of an endpoint that is worth waiting for: no longer than that of another."""
        return min([budget, *(e.window.pause for e in self._endpoints if e is not endpoint)])

    async def _pause(
        self, endpoint: Endpoint, problem: TransientError, attempt: int, ends: float, jitter: Random
    ) -> None:
        """Wait before the next attempt, without a place.

        Raises:
            ChatUnavailableError: The time is up.
        """
        delay = min(_LONGEST_DELAY, _FIRST_DELAY * 2.0 ** (attempt - 1)) * (0.5 + jitter.random() / 2)
        # The window paces those that were told for how long; a pause of nothing is no pace.
        paced = problem.busy and (problem.retry_after or 0.0) >= _FIRST_DELAY
        if paced or (len(self._endpoints) > 1 and not problem.busy):
            delay = 0.0
        resumes = min(endpoint.window.pause for endpoint in self._endpoints)
        if time.monotonic() + max(delay, resumes) >= ends:
            message = f"{endpoint.name}: {problem} ({attempt} attempts)"
            raise ChatUnavailableError(message, problem.retry_after) from None
        if delay:
            await asyncio.sleep(delay)

    async def _attempt(self, endpoint: Endpoint, request: CompletionRequest, left: float) -> Completion:
        parameters = dict(self.parameters)
        if request.seed is not None and endpoint.can.seed is not False:
            parameters["seed"] = request.seed
        if request.logprobs:
            parameters |= {"logprobs": True, "top_logprobs": _ALTERNATIVES}
        if self.structured and request.schema is not None:
            schema = {"name": "verdict", "strict": True, "schema": dict(request.schema)}
            parameters["response_format"] = {"type": "json_schema", "json_schema": schema}
        _, completion = await self._paid(endpoint, request, left, parameters, self._max_output_tokens)
        cost = self.spend.prices.of(completion.input_tokens, completion.output_tokens)
        return replace(without_key(completion, self.api_key), cost=cost)

    async def _paid(
        self,
        endpoint: Endpoint,
        request: CompletionRequest,
        left: float,
        parameters: dict[str, Any],
        output_tokens: int,
    ) -> tuple[Any, Completion]:
        """Send one request within what may be spent; the reply as it came, and as a completion.

        Raises:
            TransientError: This attempt failed.
            ChatRejectedError: The endpoint refused it, or it could exceed the spend.
            ChatUnavailableError: It might not have exceeded the spend, had others ended in time.
        """
        messages = request.messages
        begun = time.monotonic()
        try:
            async with asyncio.timeout(max(0.001, left)):
                reserved = await self.spend.reserve(_size(request) + _PER_MESSAGE * len(messages), output_tokens)
        except SpendExceededError as error:
            raise ChatRejectedError(f"{endpoint.name} was not asked: {error}", "budget") from None
        except TimeoutError:
            message = f"{self.model}: what is left of the spend was reserved for calls under way all the time"
            raise ChatUnavailableError(message) from None
        used, refused = (0, 0), False
        try:
            reply = await self._create(endpoint, messages, left - (time.monotonic() - begun), parameters)
            completion = read_reply(reply)
            used = completion.input_tokens, completion.output_tokens
        except (TransientError, ChatRejectedError) as error:
            refused = isinstance(error, ChatRejectedError) or error.busy
            raise
        finally:
            # Any other failed call may have been worked on, and is paid for as if it had.
            if refused:
                self.spend.release(reserved)
            else:
                self.spend.settle(reserved, *used)
        return reply, completion

    async def _create(
        self, endpoint: Endpoint, messages: Sequence[Message], left: float, parameters: dict[str, Any]
    ) -> Any:
        """Send one request; the reply as the client library reads it.

        Raises:
            TransientError: This attempt failed.
            ChatRejectedError: The endpoint refused it.
        """
        import openai

        extra = {name: parameters.pop(name) for name in list(parameters) if name not in _KNOWN}
        chat: Any = list(messages)
        try:
            async with asyncio.timeout(max(0.001, min(self.timeout, left))):
                return await endpoint.client.chat.completions.create(
                    model=self.model, messages=chat, extra_body=extra or None, timeout=self.timeout, **parameters
                )
        except TimeoutError:
            raise TransientError(f"no reply within {min(self.timeout, left):.3g} s") from None
        except openai.APIStatusError as error:
            raise meaning_of(endpoint.name, error) from None
        except (openai.APIError, BodyTooLongError, *UNREADABLE) as error:
            raise TransientError(type(error).__name__) from None

    async def _ask_probe(self, endpoint: Endpoint, parameters: Mapping[str, Any]) -> Any:
        """Ask a probe's question; it is paid for and paced like any other."""
        request = CompletionRequest([{"role": "user", "content": QUESTION}])
        limits = [name for name in ("max_tokens", "max_completion_tokens") if name in self.parameters]
        output_tokens = min([_PROBE_TOKENS, *(int(self.parameters[name]) for name in limits)])
        merged = {**self.parameters, **parameters, **dict.fromkeys(limits or ["max_tokens"], output_tokens)}
        all_output_tokens = output_tokens * int(parameters.get("n", 1))
        await self.rate.wait(_size(request), all_output_tokens)
        return (await self._paid(endpoint, request, self.timeout, merged, all_output_tokens))[0]


def _size(request: CompletionRequest) -> int:
    """Bytes of a question; a picture counts for as much as it may cost in tokens."""
    size = 0
    for message in request.messages:
        content = message["content"]
        parts = [{"type": "text", "text": content}] if isinstance(content, str) else content
        for part in parts:
            size += len(part["text"].encode("utf-8", "replace")) if part["type"] == "text" else _PER_PICTURE
    return size
