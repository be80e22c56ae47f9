"""What all routes share: bounds on what is under way, ends for work whose caller left, one rule for missing rewards."""

from __future__ import annotations

import asyncio
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from http import HTTPStatus
from typing import Any, NamedTuple, TypeVar

from starlette.requests import ClientDisconnect, Request

from reward_servers.gateway.asked_servers import AskedServers
from reward_servers.gateway.errors import HttpError, error_of
from reward_servers.gateway.settings import GatewayConfig
from trainer_client import AsyncRewardClient, RewardError, Rollout, RolloutResult, ScoreTable, ServerUnavailableError
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
_UNWATCHED = 0.05
"""Seconds in which work that is quick ends without a task that watches its caller."""


class ScoredRollout(NamedTuple):
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
        servers: what is known of the servers.
    """

    def __init__(self, client: AsyncRewardClient, config: GatewayConfig, servers: AskedServers) -> None:
        self.client = client
        self.config = config
        self.servers = servers
        self._rule: OnMissing = check_on_missing("none" if config.on_missing == "null" else config.on_missing)
        self._breaker = Breaker(config.max_missing)
        self._under_way = 0
        self._fit_for_singles: set[str] = set()
        # How many scores may be missing is said beside them: a batch that lacks many is an answer, not an error.
        self._whole = client.with_recipe(replace(client.recipe, max_missing=1.0))
        plain = replace(client.recipe, max_missing=1.0, advantage=None, inputs={})
        self._plain = client.with_recipe(plain)
        details = plain.record is not None
        self._plain_scores = client.with_recipe(replace(plain, details=details))
        scores = replace(plain, max_missing=client.recipe.max_missing, details=details)
        self._scores = client.with_recipe(scores)
        # Under another name, so that what waits for a server of which nothing is known yet travels with nothing else:
        # a refusal ends all that travels together.
        self._apart = {
            True: client.with_recipe(replace(client.recipe, name=f"{client.recipe.name} (awaited)")),
            False: client.with_recipe(replace(scores, name=f"{scores.name} (awaited)")),
        }

    def batches(self, *, advantages: bool, detail: bool) -> AsyncRewardClient:
        """The client for batches, which tolerates any share of missing scores."""
        return self._whole if advantages else self._plain if detail else self._plain_scores

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
        most = self.config.limits.max_items
        batch = self.config.limits.max_batch_items
        if count > batch:
            message = f"{count} rollouts in one request, more than {batch} (limits.max_batch_items)"
            raise HttpError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "too_many_items", f"{message}; send smaller batches")
        if self._under_way + count > most:
            message = f"{self._under_way} rollouts are under way, of {most} (limits.max_items); try again"
            raise HttpError(HTTPStatus.TOO_MANY_REQUESTS, "full", message, headers={"retry-after": "1"})
        self._under_way += count
        try:
            yield
        finally:
            self._under_way -= count

    async def one(self, request: Request, rollout: Rollout, *, details: bool = True) -> ScoredRollout:
        """Judge one rollout, and apply the rule where it has no reward.

        Args:
            request: who asks.
            rollout: what to judge.
            details: whether more of a verdict is wanted than score and code, such as its aspects.

        Raises:
            HttpError: it has none, and the rule is an error; or the recipe cannot be used for single rollouts.
        """
        (judged,) = await self.each(request, [rollout], details=details)
        if isinstance(judged, HttpError):
            raise judged
        return judged

    async def all(self, request: Request, rollouts: Sequence[Rollout], *, details: bool = True) -> list[ScoredRollout]:
        """Judge rollouts that are answered together: see `one`.

        Raises:
            HttpError: see `one`.
        """
        judged = []
        for answer in await self.each(request, rollouts, details=details):
            if isinstance(answer, HttpError):
                raise answer
            judged.append(answer)
        return judged

    async def each(
        self, request: Request, rollouts: Sequence[Rollout], *, details: bool = True
    ) -> list[ScoredRollout | HttpError]:
        """Judge rollouts each on its own, and apply the rule; an error of one costs no other anything: see `one`.

        Raises:
            HttpError: there is no room, or the recipe cannot be used for single rollouts.
        """
        answers: list[ScoredRollout | HttpError] = []
        for result in await self.results(request, rollouts, details=details):
            try:
                answers.append(result if isinstance(result, HttpError) else self._judged(result))
            except RewardError as error:
                answers.append(error_of(error))
        return answers

    async def results(
        self, request: Request, rollouts: Sequence[Rollout], *, details: bool = True
    ) -> list[RolloutResult | HttpError]:
        """Judge rollouts each on its own: see `one`.

        Raises:
            HttpError: see `each`.
        """
        if len(self._fit_for_singles) < len(self.client.recipe.rewards):
            await self._check_singles(rollouts)
        with self.hold(len(rollouts)):
            if self.servers.all_fit:
                return await self._submitted(request, self.client if details else self._scores, rollouts)
            return await self._results_of_some(request, rollouts, details)

    async def _results_of_some(
        self, request: Request, rollouts: Sequence[Rollout], details: bool
    ) -> list[RolloutResult | HttpError]:
        """The same where some servers are awaited or do not fit: what does not ask those is judged as ever."""
        needs = [self.servers.rewards_of([rollout.task]) for rollout in rollouts]
        answers: list[RolloutResult | HttpError | None] = [self.servers.refusal(need) for need in needs]
        awaited = [self.servers.await_any(need) for need in needs]
        for apart in (False, True):
            places = [place for place, told in enumerate(answers) if told is None and awaited[place] is apart]
            if not places:
                continue
            client = self._apart[details] if apart else self.client if details else self._scores
            results = await self._submitted(request, client, [rollouts[place] for place in places])
            for place, result in zip(places, results, strict=True):
                answers[place] = await self._confirmed(result)
        return [answer for answer in answers if answer is not None]

    async def _confirmed(self, result: RolloutResult | HttpError) -> RolloutResult | HttpError:
        """A result, if what gave it fits the recipe."""
        if isinstance(result, RolloutResult):
            try:
                await self.servers.confirm([name for name, score in result.scores.items() if score is not None])
            except HttpError as error:
                return error
        return result

    async def _submitted(
        self, request: Request, client: AsyncRewardClient, rollouts: Sequence[Rollout]
    ) -> list[RolloutResult | HttpError]:
        results: list[RolloutResult | BaseException]
        if len(rollouts) == 1:
            # What comes within a turn of the loop, from whatever callers, is handed over at once.
            try:
                only = await unless_gone(request, client.submit(rollouts[0]))
                results = [only]
            except RewardError as error:
                results = [error]
        else:
            results = await unless_gone(request, client.submit_together(rollouts))
        answers: list[RolloutResult | HttpError] = []
        for result in results:
            if isinstance(result, RewardError):
                answers.append(error_of(result))
            elif isinstance(result, BaseException):
                raise result
            else:
                answers.append(result)
        return answers

    def _judged(self, result: RolloutResult) -> ScoredRollout:
        missing = result.reward is None
        self._breaker.count(missing, "; ".join(reasons_of(result).values()) if missing else "")
        return ScoredRollout(reward_or_rule(result, self._rule), not missing, result)

    async def _check_singles(self, rollouts: Sequence[Rollout]) -> None:
        """Refuse what needs siblings: a single rollout has none here."""
        remedy = "send whole groups to /v1/score"
        try:
            refuse_sibling_rules(self.client.recipe, remedy)
        except RewardError as error:
            raise error_of(error) from None
        rewards = self.servers.rewards_of(rollout.task for rollout in rollouts) - self._fit_for_singles
        if not rewards:
            return
        described, troubles = await self.servers.describe(rewards)
        for name, trouble in troubles.items():
            # One that is away has said nothing of groups; that it is away is told by each result.
            if not isinstance(trouble, ServerUnavailableError) and self.servers.refusal([name]) is None:
                raise error_of(trouble)
        for name, info in described.items():
            if info.judges_groups:
                message = f"reward {name!r} is of a verifier that judges groups, and a single rollout is none; {remedy}"
                raise HttpError(HTTPStatus.CONFLICT, "needs_groups", message)
        self._fit_for_singles |= described.keys()

    async def batch(
        self,
        request: Request,
        rollouts: Sequence[Rollout],
        *,
        run: str,
        step: int | None,
        seed: int,
        advantages: bool,
        detail: bool,
    ) -> ScoreTable:
        """Judge a batch of whole groups.

        Raises:
            HttpError: it cannot be judged at all.
        """
        self.refuse_unfit(rollouts)
        client = self.batches(advantages=advantages, detail=detail)
        scoring = client.score(rollouts, run=run, step=step, seed=seed)
        try:
            table = await unless_gone(request, asyncio.ensure_future(scoring))
        except RewardError as error:
            raise error_of(error) from None
        await self.confirm(table)
        return table

    def refuse_unfit(self, rollouts: Sequence[Rollout]) -> None:
        """Refuse a batch that asks a server which does not fit the recipe, before it costs anything.

        Raises:
            HttpError: it does.
        """
        if not self.servers.all_fit:
            refusal = self.servers.refusal(self.servers.rewards_of({rollout.task for rollout in rollouts}))
            if refusal is not None:
                raise refusal

    async def confirm(self, table: ScoreTable) -> None:
        """Make sure that what gave the scores of a table fits the recipe.

        Raises:
            HttpError: it does not.
        """
        if not self.servers.all_fit:
            counts = table.valid.sum(axis=0).tolist()
            await self.servers.confirm([name for name, count in zip(table.columns, counts, strict=True) if count])


async def unless_gone(request: Request, work: asyncio.Future[_T]) -> _T:
    """Wait for work, whose body has been read, and end it when the caller hangs up.

    Raises:
        ClientDisconnect: The caller has gone.
    """
    watch = _Watch(request, work)
    timer = asyncio.get_running_loop().call_later(_UNWATCHED, watch.start)
    try:
        return await work
    except asyncio.CancelledError:
        if watch.gone:
            raise ClientDisconnect from None
        raise
    finally:
        timer.cancel()
        watch.stop()
        if not work.done():
            work.cancel()
        # Both hold its error, which holds this frame and those above, with the body that was read.
        del work, watch


class _Watch:
    """Cancels work when its caller hangs up.

    Attributes:
        gone: whether it has.
    """

    def __init__(self, request: Request, work: asyncio.Future[Any]) -> None:
        self._request = request
        self._work = work
        self._task: asyncio.Task[None] | None = None
        self.gone = False

    def start(self) -> None:
        """Begin to look."""
        self._task = asyncio.ensure_future(self._look())

    def stop(self) -> None:
        """Look no more."""
        if self._task is not None:
            self._task.cancel()
            # What ends the task holds its frame, and that this: kept here, they would be a circle.
            self._task = None

    async def _look(self) -> None:
        await _gone(self._request)
        self.gone = True
        self._work.cancel()


async def _gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
