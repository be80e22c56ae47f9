"""`Discovery`: keeps a fleet's replicas where its addresses are."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Callable

from trainer_client._transport.addresses import AddressBook
from trainer_client._transport.fleet import DeadlineExpiredError, Fleet
from trainer_client._transport.replica import task_is_cancelled

logger = logging.getLogger("trainer_client")

_UNUSED = 30.0
"""Seconds without work after which no one looks any more, until there is work again."""


class Discovery:
    """Looks up the addresses of a server, first when it is used, and then again and again for as long as it is.

    Args:
        book: the addresses.
        fleet: the replicas.
        waits: whether someone waits for a replica, so that a new address may end the wait.
    """

    def __init__(self, book: AddressBook, fleet: Fleet, waits: Callable[[], bool]) -> None:
        self._book = book
        self._fleet = fleet
        self._waits = waits
        self._looked = -math.inf
        self._unforeseen = ""
        self._used = -math.inf
        self._first: asyncio.Task[None] | None = None
        self._task: asyncio.Task[None] | None = None

    async def use(self, expires: float) -> None:
        """The server is used: its addresses are known when this returns, and followed from now on.

        Args:
            expires: when to give up, on the loop's clock: a name service may take longer than any work can wait.

        Raises:
            DeadlineExpiredError: that time has come.
        """
        loop = asyncio.get_running_loop()
        self._used = loop.time()
        if self._looked == -math.inf:
            if self._first is None:
                self._first = loop.create_task(self._look())
            # Several callers may wait for it, and one of them may be cancelled.
            try:
                async with asyncio.timeout_at(expires if expires < math.inf else None):
                    await asyncio.shield(self._first)
            except TimeoutError:
                raise DeadlineExpiredError from None
        if self._book.interval is not None and (self._task is None or self._task.done()):
            self._task = loop.create_task(self._follow(self._book.interval))

    async def _look(self) -> None:
        try:
            await self._look_once()
        except Exception as error:
            if self._book.interval is None:
                # No one looks again, so whoever waits has to be told.
                raise
            self._looked = asyncio.get_running_loop().time()
            words = f"looking for addresses failed ({error!r}); what was found last counts"
            if words != self._unforeseen:
                self._unforeseen = words
                logger.warning("server %r: %s", self._fleet.server, words, exc_info=error)
            self._fleet.trouble = words
            self._fleet.start_probes()
        else:
            self._unforeseen = ""

    async def _look_once(self) -> None:
        places = await self._book.look()
        self._looked = asyncio.get_running_loop().time()
        self._fleet.trouble = "" if places else self._book.trouble
        await self._fleet.update(places)

    async def _follow(self, interval: float) -> None:
        loop = asyncio.get_running_loop()
        while self._fleet.busy or self._waits() or loop.time() - self._used < _UNUSED:
            if loop.time() - self._looked >= interval:
                try:
                    await self._look()
                except asyncio.CancelledError:
                    if task_is_cancelled():
                        raise
            await asyncio.sleep(interval)

    async def close(self) -> None:
        """Stop looking."""
        tasks = [task for task in (self._first, self._task) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
