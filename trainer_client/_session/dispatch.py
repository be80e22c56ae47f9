"""`BatchRunner`: gets every cell of a batch settled.

A batch is planned into specs (`plan`), cut into chunks, and each chunk is delivered: sent to a replica, its
results taken as they come, and what a call leaves open sent again until the deadline. Items are sent again, not calls.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection, Mapping, Sequence

from trainer_client._errors import RewardError
from trainer_client._settings import Batching, Retries
from trainer_client._transport.dispatcher import Dispatcher
from trainer_client._transport.encoding import EncodedGroup, encode_groups
from trainer_client._transport.plan import select
from trainer_client._transport.pool import Pool
from trainer_client._transport.retry import RetryBudget
from trainer_client.result.batch import Batch
from trainer_client.result.outcomes import ClientOutcome, Outcome, Party

logger = logging.getLogger("trainer_client")

_FORGOTTEN = ClientOutcome(
    Outcome.FAULT, "client_error", Party.SERVICE, "the client ended the batch without an outcome for this item"
)


class BatchRunner:
    """Settles batches over the pools of a client. Lives on one event loop."""

    def __init__(self, batching: Batching, retries: Retries) -> None:
        self._batching = batching
        self._retries = retries
        floor = float(retries.budget_floor)
        self._budget = RetryBudget(floor, retries.budget_ratio, floor + 1000.0)
        self._hedges = RetryBudget(floor, retries.hedge_ratio, floor + 1000.0)

    async def settle(self, batch: Batch, pools: Mapping[str, Pool]) -> None:
        """Settle every cell of a batch.

        Raises:
            RequestRejectedError: a server refuses what it is asked.
            RolloutError: rollouts do not fit together.
        """
        try:
            await self._settle(batch, pools)
        finally:
            batch.end()

    async def _settle(self, batch: Batch, pools: Mapping[str, Pool]) -> None:
        groups, unusable = encode_groups(batch.rollouts, batch.sizes)
        chosen = select(batch.recipe, batch.rollouts)
        store = batch.store
        for column, rows in enumerate(chosen):
            store.ask(rows, column)
        for row, outcome in unusable.items():
            store.settle([(row, column) for column in range(store.width)], outcome)
        columns_of: dict[str, list[int]] = {}
        for column, reward in enumerate(batch.recipe.rewards):
            if chosen[column]:
                columns_of.setdefault(batch.recipe.server_of(reward.verifier_name).name, []).append(column)
        error = await self._run(batch, pools, columns_of, groups)
        if error is not None:
            try:
                raise error
            finally:
                del error
        if left := store.settle_rest(_FORGOTTEN):
            logger.error("%d items were left without an outcome; this is a mistake of the client", left)
        store.announce(_unasked(len(batch.rollouts), chosen))

    async def _run(
        self,
        batch: Batch,
        pools: Mapping[str, Pool],
        columns_of: Mapping[str, Sequence[int]],
        groups: Sequence[EncodedGroup],
    ) -> BaseException | None:
        """Have every cell settled; the error that ends the batch, if one does.

        It is raised elsewhere, by a frame that holds nothing of what runs here: an error that knows a frame which
        knows the task that the error ended, or the group that the error came in, is a circle in which the batch would
        stay.
        """
        try:
            async with asyncio.TaskGroup() as tasks:
                for server, columns in columns_of.items():
                    dispatcher = Dispatcher(
                        batch, pools[server], tasks, self._batching, self._retries, self._budget, self._hedges
                    )
                    tasks.create_task(dispatcher.run(columns, groups))
        except BaseExceptionGroup as group:
            error = _first(group)
            group.__traceback__ = None
            if isinstance(error, RewardError):
                # What an error of ours has to say is in its words.
                error.__traceback__ = error.__context__ = None
            return error
        return None


def _unasked(count: int, chosen: Sequence[Collection[int]]) -> list[int]:
    """Rows to which no reward applies: they are complete already."""
    if any(len(rows) == count for rows in chosen):
        return []
    return sorted(set(range(count)).difference(*chosen))


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
