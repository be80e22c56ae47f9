"""What an endpoint can do, found out before it is needed, and from what it does: many accept a parameter in vain."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, fields
from functools import partial
from typing import Any, TypeVar
from typing import Protocol as Interface

from reward_servers.engines.judging._completion import ChatError, TransientError, completion_of

QUESTION = "Say hello in one short sentence."
"""What a probe asks. The form of the reply is asked for by the schema alone."""
_SCHEMA: Mapping[str, Any] = {
    "type": "object",
    "properties": {"greeting": {"type": "string"}},
    "required": ["greeting"],
    "additionalProperties": False,
}
_ASKED: Mapping[str, Mapping[str, Any]] = {
    "logprobs": {"logprobs": True, "top_logprobs": 2},
    "json_schema": {
        "response_format": {"type": "json_schema", "json_schema": {"name": "probe", "strict": True, "schema": _SCHEMA}}
    },
    "seed": {"seed": 1},
    "n": {"n": 2},
}

_LONGEST_WAIT = 10.0
"""Seconds that a question waits for the first probe of its endpoints."""
_FIRST_PAUSE, _LONGEST_PAUSE = 1.0, 60.0
"""Seconds between two probes of an endpoint that is away."""

Create = Callable[[Mapping[str, Any]], Awaitable[Any]]
"""Sends the probe's question with some parameters and gives the reply as the client library reads it."""


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What an endpoint does when it is asked to; None for what could not be told.

    Attributes:
        logprobs: It tells the alternatives of its tokens.
        json_schema: It keeps to a schema.
        seed: It accepts a seed.
        n: It gives several completions for one request.
        problem: Why nothing could be told.
    """

    logprobs: bool | None = None
    json_schema: bool | None = None
    seed: bool | None = None
    n: bool | None = None
    problem: str = ""

    def __str__(self) -> str:
        """For an operator."""
        if self.problem:
            return f"unknown: {self.problem}"
        words = {None: "unknown", True: "yes", False: "no"}
        return ", ".join(f"{field.name} {words[getattr(self, field.name)]}" for field in fields(self)[:-1])


UNKNOWN = Capabilities(problem="not asked yet")


class ProbedInterface(Interface):
    """What is probed."""

    can: Capabilities


_P = TypeVar("_P", bound=ProbedInterface)


class Probes:
    """Asks endpoints what they can do, once each; one that is away is asked again until it answers."""

    def __init__(self) -> None:
        """Begin with none."""
        self._tasks: list[asyncio.Task[None]] = []
        self._first: list[asyncio.Event] = []

    def begin(self, endpoints: Sequence[_P], create: Callable[[_P, Mapping[str, Any]], Awaitable[Any]]) -> None:
        """Begin, where that has not been done.

        Args:
            endpoints: What is asked; `ProbedInterface.can` is set.
            create: Sends the probe's question to an endpoint with some parameters.
        """
        if self._tasks:
            return
        self._first = [asyncio.Event() for _ in endpoints]
        self._tasks = [
            asyncio.ensure_future(self._until_told(endpoint, partial(create, endpoint), first_asked))
            for endpoint, first_asked in zip(endpoints, self._first, strict=True)
        ]

    async def first(self) -> None:
        """Wait until each was asked once, or for a while."""
        if not all(event.is_set() for event in self._first):
            with suppress(TimeoutError):
                async with asyncio.timeout(_LONGEST_WAIT):
                    for event in self._first:
                        await event.wait()
            for event in self._first:
                event.set()

    async def close(self) -> None:
        """End those that still ask."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _until_told(self, endpoint: ProbedInterface, create: Create, first_asked: asyncio.Event) -> None:
        pause = _FIRST_PAUSE
        while True:
            try:
                endpoint.can = await probe(create)
            except (TransientError, ChatError) as error:
                endpoint.can = Capabilities(problem=str(error))
            first_asked.set()
            if not endpoint.can.problem:
                return
            await asyncio.sleep(pause)
            pause = min(_LONGEST_PAUSE, 2 * pause)


async def probe(create: Create) -> Capabilities:
    """Find out what an endpoint can do: in one request, and where that is refused, in one for each.

    Raises:
        TransientError: It cannot be reached or fails at present.
        ChatError: It refuses every request.
    """
    together = {name: value for parameters in _ASKED.values() for name, value in parameters.items()}
    try:
        return _read(await create(together))
    except ChatError:
        # Whether one of the parameters is refused, or any request.
        await create({})
    facts: dict[str, Any] = {}
    for name, parameters in _ASKED.items():
        try:
            facts[name] = getattr(_read(await create(parameters)), name)
        except ChatError:
            facts[name] = False
        except TransientError:
            continue
    return Capabilities(**facts)


def _read(reply: Any) -> Capabilities:
    completion = completion_of(reply)
    if completion is None:
        raise TransientError("the reply is not a chat completion")
    keeps_schema: bool | None = _keeps_to_schema(completion.text)
    if not keeps_schema and completion.finish_reason == "length":
        # It may still have been thinking.
        keeps_schema = None
    tokens = getattr(getattr(reply.choices[0], "logprobs", None), "content", None)
    alternatives = isinstance(tokens, list) and any(
        len(getattr(token, "top_logprobs", None) or ()) > 1 for token in tokens
    )
    return Capabilities(alternatives, keeps_schema, True, len(reply.choices) > 1)


def _keeps_to_schema(text: str) -> bool:
    try:
        decoded = json.loads(text)
    except ValueError:
        return False
    return isinstance(decoded, dict) and list(decoded) == ["greeting"] and isinstance(decoded["greeting"], str)
