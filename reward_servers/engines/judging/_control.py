"""Control calls: whether a judge fails on a response because of that response, or on anything that it is asked."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import fields, replace
from hashlib import blake2b

from reward_servers.engines.judging._backend import Backend
from reward_servers.engines.judging._completion import ChatError
from reward_servers.engines.judging._exchange import Exchange
from reward_servers.engines.judging._question import Question

_NEUTRAL = "I do not know the answer to this."
_KEPT = 4096
_PROVABLE = ("context", "refused", "filtered", "planted")


class Controls:
    """Asks the same questions about neutral responses, once for each prompt, criteria and kind of failure."""

    def __init__(self) -> None:
        """Begin with nothing known."""
        self._known: OrderedDict[bytes, asyncio.Future[bool]] = OrderedDict()

    async def provokers(
        self, failure: str, question: Question, backend: Backend, budget: float, count: Callable[[Exchange], None]
    ) -> tuple[bool, ...]:
        """For each response, whether it is proved to be what the judge fails on.

        The question must pass when no response is shown. Of several responses, one is to blame if the question fails
        with it alone.

        Args:
            failure: ``"context"`` is tried with an empty response; ``"refused"``, ``"filtered"`` and ``"planted"`` with
                a neutral one. No other failure can be proved in this way.
            question: The question that failed.
            backend: The judge.
            budget: Seconds for each control call.
            count: Told the exchange of a control call, which costs as much as any other.
        """
        size = len(question.responses)
        if failure not in _PROVABLE:
            return (False,) * size
        neutral = "" if failure == "context" else _NEUTRAL
        control = replace(question, responses=(neutral,) * size, response_images=(), arguments=(), seed=0)
        if not await self._once(
            _key(failure, control, backend.identity), lambda: _passes(failure, control, backend, budget, count)
        ):
            return (False,) * size
        if size == 1:
            return (True,)
        alone = [
            replace(
                control,
                responses=tuple(response if at == place else neutral for at, response in enumerate(question.responses)),
                response_images=tuple(
                    image if at == place else () for at, image in enumerate(question.response_images)
                ),
            )
            for place in range(size)
        ]
        passed = await asyncio.gather(*(_passes(failure, place, backend, budget, count) for place in alone))
        return tuple(not passes for passes in passed)

    async def _once(self, key: bytes, ask: Callable[[], Awaitable[bool]]) -> bool:
        while (pending := self._known.get(key)) is not None:
            await asyncio.wait([pending])
            if not pending.cancelled():
                return pending.result()
            # Whoever asked was cancelled; another one asks.
        future = self._known[key] = asyncio.get_running_loop().create_future()
        try:
            passed = await ask()
        except BaseException as error:
            # An outage proves nothing, and is not remembered.
            self._known.pop(key, None)
            if isinstance(error, ChatError):
                future.set_exception(error)
                # Where no one else waits it is not told twice.
                future.exception()
            else:
                future.cancel()
            raise
        future.set_result(passed)
        while len(self._known) > _KEPT:
            self._known.popitem(last=False)
        return passed


def _key(failure: str, control: Question, backend: str) -> bytes:
    """A digest of all that the answer to a control call depends on: written out, no two lists of values are alike."""
    values = [getattr(control, field.name) for field in fields(control) if field.name != "template"]
    return blake2b(repr([failure, backend, control.worded, values]).encode(), digest_size=16).digest()


async def _passes(
    failure: str, control: Question, backend: Backend, budget: float, count: Callable[[Exchange], None]
) -> bool:
    exchange = Exchange(control)
    try:
        await exchange.run(backend, reasks=0, budget=budget, send_seed=False)
    except ChatError as error:
        if getattr(error, "reason", "") in ("context", "filtered"):
            return False
        raise
    finally:
        count(exchange)
    return not exchange.failure if failure == "planted" else exchange.failure not in _PROVABLE
