"""What all routes share: bounds on what is under way, ends for work whose caller left, one rule for missing rewards."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from http import HTTPStatus
from typing import NamedTuple, TypeVar

from starlette.requests import ClientDisconnect, Request

from reward_servers.gateway.errors import HttpError, error_of
from reward_servers.gateway.settings import GatewayConfig
from trainer_client import AsyncRewardClient, RewardError, Rollout, RolloutResult, ScoreTable
from trainer_client.adapters.missing import (
    Breaker,
    MissingRewardError,
    OnMissing,
    check_on_missing,
    reasons_of,
    refuse_sibling_rules,
    reward_or_rule,
)

_T = TypeVar("_T")


class Judged(NamedTuple):
    """A rollout as the routes of single rollouts answer it.

    Attributes:
        reward: its reward, or what stands for one that is missing.
        valid: whether it is a reward.
        result: its scores.
    """

    reward: float | None
    valid: bool
    result: RolloutResult

    @property
    def reason(self) -> str:
        """Why there is no reward."""
        return str(MissingRewardError(self.result.rollout_id, reasons_of(self.result)))


class Scoring:
    """A client with the gateway's bounds and rules.

    Attributes:
        client: asks the servers.
        config: the gateway's settings.
    """

    def __init__(self, client: AsyncRewardClient, config: GatewayConfig) -> None:
        self.client = client
        self.config = config
        self._rule: OnMissing = check_on_missing("none" if config.on_missing == "null" else config.on_missing)
        self._breaker = Breaker(config.fault_limit)
        self._under_way = 0
        self._singles_fit = False
        # How many scores may be missing is said beside them: a batch that lacks many is an answer, not an error.
        self._all = client.with_recipe(replace(client.recipe, max_missing=1.0))
        self._plain = client.with_recipe(replace(client.recipe, max_missing=1.0, advantage=None, inputs={}))

    def batches(self, advantages: bool) -> AsyncRewardClient:
        """The client for batches, which tolerates any share of missing scores."""
        return self._all if advantages else self._plain

    @property
    def under_way(self) -> int:
        """Rollouts that are being scored."""
        return self._under_way

    @contextmanager
    def hold(self, count: int) -> Generator[None, None, None]:
        """Have room for rollouts.

        Raises:
            HttpError: 429, there is none at present; 413, there never is.
        """
        most = self.config.limits.items
        if count > self.config.limits.batch_items:
            said = f"{count} rollouts in one request, more than {self.config.limits.batch_items} (limits.batch_items)"
            raise HttpError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "too_many_items", f"{said}; send smaller batches")
        if self._under_way + count > most:
            said = f"{self._under_way} rollouts are under way, of {most} (limits.items); try again"
            raise HttpError(HTTPStatus.TOO_MANY_REQUESTS, "full", said, headers={"retry-after": "1"})
        self._under_way += count
        try:
            yield
        finally:
            self._under_way -= count

    async def one(self, request: Request, rollout: Rollout) -> Judged:
        """Judge one rollout, and apply the rule where it has no reward.

        Raises:
            HttpError: it has none, and the rule is an error; or the recipe cannot be used for single rollouts.
        """
        (judged,) = await self.each(request, [rollout])
        if isinstance(judged, HttpError):
            raise judged
        return judged

    async def all(self, request: Request, rollouts: Sequence[Rollout]) -> list[Judged]:
        """Judge rollouts that are answered together.

        Raises:
            HttpError: see `one`.
        """
        judged = []
        for answer in await self.each(request, rollouts):
            if isinstance(answer, HttpError):
                raise answer
            judged.append(answer)
        return judged

    async def each(self, request: Request, rollouts: Sequence[Rollout]) -> list[Judged | HttpError]:
        """Judge rollouts each on its own, and apply the rule; an error of one costs no other anything.

        Raises:
            HttpError: there is no room, or the recipe cannot be used for single rollouts.
        """
        answers: list[Judged | HttpError] = []
        for result in await self.results(request, rollouts):
            try:
                answers.append(result if isinstance(result, HttpError) else self._judged(result))
            except RewardError as error:
                answers.append(error_of(error))
        return answers

    async def results(self, request: Request, rollouts: Sequence[Rollout]) -> list[RolloutResult | HttpError]:
        """Judge rollouts each on its own.

        Raises:
            HttpError: see `each`.
        """
        if not self._singles_fit:
            await self._check_singles()
        with self.hold(len(rollouts)):
            waiting = [self.client.submit(rollout) for rollout in rollouts]
            results: list[RolloutResult | BaseException]
            if len(waiting) == 1:
                try:
                    first = await unless_gone(request, waiting[0])
                    results = [first]
                except RewardError as error:
                    results = [error]
            else:
                results = await unless_gone(request, asyncio.gather(*waiting, return_exceptions=True))
        answers: list[RolloutResult | HttpError] = []
        for result in results:
            if isinstance(result, RewardError):
                answers.append(error_of(result))
            elif isinstance(result, BaseException):
                raise result
            else:
                answers.append(result)
        return answers

    def _judged(self, result: RolloutResult) -> Judged:
        missing = result.reward is None
        self._breaker.count(missing, "; ".join(reasons_of(result).values()) if missing else "")
        return Judged(reward_or_rule(result, self._rule), not missing, result)

    async def _check_singles(self) -> None:
        """Refuse what needs siblings: a single rollout has none here."""
        remedy = "send whole groups to /v1/score"
        try:
            refuse_sibling_rules(self.client.recipe, remedy)
            described = await self.client.describe()
        except RewardError as error:
            raise error_of(error) from None
        for name, info in described.items():
            if info.judges_groups:
                said = f"reward {name!r} is of a verifier that judges groups, and a single rollout is none; {remedy}"
                raise HttpError(HTTPStatus.CONFLICT, "needs_groups", said)
        self._singles_fit = True

    async def batch(
        self, request: Request, rollouts: Sequence[Rollout], *, run: str, step: int | None, seed: int, advantages: bool
    ) -> ScoreTable:
        """Judge a batch of whole groups.

        Raises:
            HttpError: it cannot be judged at all.
        """
        scoring = self.batches(advantages).score(rollouts, run=run, step=step, seed=seed)
        try:
            return await unless_gone(request, asyncio.ensure_future(scoring))
        except RewardError as error:
            raise error_of(error) from None


async def unless_gone(request: Request, work: asyncio.Future[_T]) -> _T:
    """Wait for work, whose body has been read, and end it when the caller hangs up.

    Raises:
        ClientDisconnect: The caller has gone.
    """
    leaving = asyncio.ensure_future(_gone(request))
    try:
        await asyncio.wait((work, leaving), return_when=asyncio.FIRST_COMPLETED)
        if not work.done():
            raise ClientDisconnect
        return work.result()
    finally:
        leaving.cancel()
        if not work.done():
            work.cancel()


async def _gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


async def settled(work: Awaitable[_T]) -> _T:
    """Wait for work of the client, whose errors become answers.

    Raises:
        HttpError: it failed.
    """
    try:
        return await work
    except RewardError as error:
        raise error_of(error) from None
