"""`AskedServers`: what is known of each of a recipe's servers, so that one that is away costs its own rewards alone."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection, Iterable
from http import HTTPStatus
from pathlib import Path

from reward_servers.gateway.errors import HttpError, error_of
from reward_servers.recipes import Offers, check_recipe
from trainer_client import (
    AsyncRewardClient,
    Recipe,
    RecipeError,
    RequestRejectedError,
    Reward,
    RewardError,
    ServerUnavailableError,
    VerifierInfo,
)
from trainer_client._settings import is_list

_log = logging.getLogger("assay.gateway")
_PAUSE = 1.0
"""Seconds between looks for a server that is awaited."""


class AskedServers:
    """The servers of a client's recipe, each asked on its own.

    What a server hosts is compared with the recipe before it counts. Of one that did not answer at the start, that is
    done when it comes. Until it fits, what asks it is refused.

    Attributes:
        away: Servers that have not answered since the start, by name, with the reason.
        unfit: Servers that answer and do not fit the recipe, by name, with the reason.
    """

    def __init__(self, client: AsyncRewardClient, offers: Offers | None = None, path: Path | None = None) -> None:
        """Prepare.

        Args:
            client: Asks the servers.
            offers: What the servers offer, as it was compared with the recipe; those that were silent are awaited.
            path: The recipe's file.
        """
        recipe = client.recipe
        self._client = client
        self._offers = offers
        self._path = path
        self._host = {reward.name: recipe.server_of(reward.verifier_name).name for reward in recipe.rewards}
        self._askers = {reward.name: client.with_recipe(_asking(reward, recipe)) for reward in recipe.rewards}
        # Which servers a registry or a file lists is the client's to find out: those are not compared at the start.
        listed = {s.name for s in recipe.all_servers if offers and any(map(is_list, offers.addresses(s)))}
        silent = offers.silent if offers is not None else {}
        self.away = {name: reason for name, reason in silent.items() if name not in listed}
        self.unfit: dict[str, str] = {}
        self._turn = asyncio.Lock()

    @property
    def all_fit(self) -> bool:
        """Whether every server has been compared with the recipe, and fits."""
        return not (self.away or self.unfit)

    def rewards_of(self, tasks: Iterable[str]) -> set[str]:
        """Names of the rewards that rollouts of some tasks are asked for."""
        tasks = set(tasks)
        return {reward.name for reward in self._client.recipe.rewards if any(map(reward.applies_to, tasks))}

    def await_any(self, rewards: Iterable[str]) -> bool:
        """Whether a server of some rewards is still awaited."""
        return any(self._host[name] in self.away for name in rewards)

    def refusal(self, rewards: Iterable[str]) -> HttpError | None:
        """Why some rewards cannot be asked for together: a server of theirs does not fit the recipe."""
        server = next((self._host[name] for name in rewards if self._host[name] in self.unfit), None)
        return None if server is None else error_of(self._refused(server))

    async def confirm(self, scored: Collection[str]) -> None:
        """Make sure that what has given scores fits the recipe: a server may come while it is waited for.

        Raises:
            HttpError: It does not, or that cannot be told.
        """
        for server in {self._host[name] for name in scored} & self.away.keys():
            await self._look(server)
            if server in self.away:
                message = f"server {server!r} answered, and was away before its verifiers could be compared with the "
                raise HttpError(HTTPStatus.SERVICE_UNAVAILABLE, "server_unavailable", f"{message}recipe; ask again")
        if (refusal := self.refusal(scored)) is not None:
            raise refusal

    async def describe(
        self, rewards: Collection[str] | None = None, within: float | None = None
    ) -> tuple[dict[str, VerifierInfo], dict[str, RewardError]]:
        """What the servers say of each reward's verifier, and why they say nothing of the others.

        Args:
            rewards: Names of rewards; None for all.
            within: Seconds to wait at most; the client's patience if not given.
        """
        names = list(self._askers) if rewards is None else [name for name in self._askers if name in rewards]
        asked = {name: asyncio.ensure_future(self._askers[name].describe()) for name in names}
        known: dict[str, VerifierInfo] = {}
        troubles: dict[str, RewardError] = {}
        try:
            if asked:
                await asyncio.wait(asked.values(), timeout=within)
            for name, question in asked.items():
                server = self._host[name]
                if server in self.unfit:
                    troubles[name] = self._refused(server)
                elif not question.done():
                    troubles[name] = ServerUnavailableError(server, await self._silence(server, within))
                elif isinstance(error := question.exception(), RewardError):
                    troubles[name] = error
                else:
                    known |= question.result()
        finally:
            for question in asked.values():
                question.cancel()
            await asyncio.gather(*asked.values(), return_exceptions=True)
        return known, troubles

    async def troubles(self, within: float) -> dict[str, str]:
        """Servers that cannot be asked, by name, with the reason."""
        _, troubles = await self.describe(within=within)
        return {self._host[name]: getattr(error, "reason", str(error)) for name, error in troubles.items()}

    async def watch(self) -> None:
        """Look for the servers that are awaited until all of them fit."""
        while not self.all_fit:
            await asyncio.sleep(_PAUSE)
            for server in (*self.away, *self.unfit):
                await self._look(server)

    async def _look(self, server: str) -> None:
        """Compare what a server offers with the recipe, if it answers by now."""
        async with self._turn:
            before = self.unfit.get(server)
            if before is None and server not in self.away:
                return
            away, unfit = await asyncio.to_thread(self._compare, server)
            self.away.pop(server, None)
            self.unfit.pop(server, None)
            if away:
                self.away[server] = away
            elif unfit:
                self.unfit[server] = unfit
                if unfit != before:
                    _log.error(
                        "server %r answers and does not fit the recipe, so that it is not asked: %s", server, unfit
                    )
            else:
                _log.warning("server %r answers, and fits the recipe", server)

    def _compare(self, server: str) -> tuple[str, str]:
        """Why a server does not answer, and why it does not fit; both empty if it does."""
        offers = self._offers
        assert offers is not None
        offers.ask_again(server)
        try:
            check_recipe(self._client.recipe, self._path, offers)
        except RecipeError as error:
            # It is the only one that was asked. Left out, it does not count against others that come later.
            reason = "; ".join(dict.fromkeys(f"{problem.key}: {problem.reason}" for problem in error.all))
            offers.leave_out(server, reason)
            return "", reason
        except OSError as error:
            offers.leave_out(server, str(error))
        return offers.silent.get(server, ""), ""

    def _refused(self, server: str) -> RequestRejectedError:
        return RequestRejectedError(self.unfit[server], "unfit_server", server)

    async def _silence(self, server: str, within: float | None) -> str:
        """What is known of a server that has not answered in time."""
        waits = await self._client.waits()
        known = [f"{wait.address}: {wait.reason}" for wait in waits if wait.server == server and wait.reason]
        return "; ".join(known) or self.away.get(server) or f"no answer within {within:g} s"


def _asking(reward: Reward, recipe: Recipe) -> Recipe:
    """A recipe of one reward alone, for asking its server of its verifier."""
    return Recipe((Reward(reward.name, reward.verifier),), servers=recipe.servers, advantage=None)
