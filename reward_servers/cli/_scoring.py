"""Scores the rollouts of a file: in windows, so that a recipe's deadlines mean what they mean in training."""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections.abc import AsyncIterator, Awaitable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Protocol, TypeVar

from reward_servers.cli._console import Progress
from reward_servers.cli._errors import UserError
from reward_servers.cli._fleet import QuietLog, endpoints_of
from reward_servers.cli._kept_state import Labels
from reward_servers.cli._remote import require
from reward_servers.cli._resume import ResumingClient
from reward_servers.fleet import addresses_elsewhere, programs_of, verifiers_elsewhere
from reward_servers.recipes import Offers, check_recipe
from reward_servers.supervisor import Log, ServerProcess, Supervisor
from trainer_client import (
    TLS,
    AsyncRewardClient,
    ClientClosedError,
    IncompleteBatchError,
    Recipe,
    RecipeError,
    Retries,
    Rollout,
    ScoreTable,
)
from trainer_client.recipe.client_options import ClientOptions
from trainer_client.recipe.rewards import Server

_T = TypeVar("_T")

_SIDE_BY_SIDE = 2
_FIRST_WINDOW = 32
_LARGEST_WINDOW = 2048
_QUICK, _SLOW = 0.05, 0.25
_GRACE = 10.0
_LOOK, _SILENT = 1.0, 3.0


class WindowCallback(Protocol):
    """Told of a window that is done."""

    def __call__(self, place: int, window: Sequence[Rollout], table: ScoreTable) -> None:
        """Take its place among the windows, its rollouts and their scores."""


class Session:
    """A client, and the servers that were started for it.

    Attributes:
        client: The client.
        supervisor: Keeps the servers running; None when all of them run elsewhere.
        offers: The verifiers that the recipe was compared with; None for no such comparison.
    """

    def __init__(
        self,
        programs: Sequence[ServerProcess],
        log: Log,
        endpoints: Mapping[str, Sequence[str]] | None = None,
        tls: TLS | None = None,
        verifiers: Mapping[str, Sequence[str]] | None = None,
        token: str | None = None,
        servers: Sequence[Server] = (),
        offers: Offers | None = None,
        may_be_away: bool = False,
    ) -> None:
        """Prepare.

        Args:
            programs: Servers to start.
            log: Takes what they say.
            endpoints: Where the other servers are.
            tls: Files for asking those over TLS.
            verifiers: Where verifiers of the other servers are, for verifiers that ask them.
            token: Token, where those ask for one.
            servers: Servers of the recipe, which may say how they are asked themselves.
            offers: The verifiers that the recipe was compared with.
            may_be_away: Whether servers that run elsewhere may come later.
        """
        self.offers = offers
        self._may_be_away = may_be_away
        self._servers = servers
        self._verifiers = verifiers
        self._programs = programs
        self._log = log
        self._endpoints = dict(endpoints or {})
        self._tls = tls
        self._token = token
        self._stack = AsyncExitStack()
        self.supervisor: Supervisor | None = None

    async def __aenter__(self) -> Session:
        own = {server.name: server.access(self._tls, self._token) for server in self._servers}
        for name, addresses in self._endpoints.items():
            tls, token = own.get(name, (self._tls, self._token))
            await asyncio.to_thread(require, name, addresses, tls, token, may_be_away=self._may_be_away)
        async with AsyncExitStack() as stack:
            if self._programs:
                supervisor = Supervisor(self._programs, elsewhere=self._verifiers, log=self._log, grace_s=_GRACE)
                self.supervisor = await stack.enter_async_context(supervisor)
                started = {name: _plain(addresses) for name, addresses in supervisor.endpoints.items()}
                self._endpoints |= started
            self._stack = stack.pop_all()
        return self

    async def __aexit__(self, *exception: object) -> None:
        await self._stack.aclose()

    async def client(self, recipe: Recipe, *, logs_waits: bool = False) -> AsyncRewardClient:
        """A client of the servers, which is closed with the session. It keeps no record beside the command's files.

        Args:
            recipe: What it asks.
            logs_waits: Whether it logs long waits; a command with a line of progress says them there.
        """
        retries = (recipe.client or ClientOptions()).retries or Retries()
        client = AsyncRewardClient(
            replace(recipe, record=None),
            self._endpoints,
            tls=self._tls,
            token=self._token,
            retries=retries if logs_waits else replace(retries, report_interval_s=math.inf),
        )
        return await self._stack.enter_async_context(client)

    async def run(self, work: Awaitable[_T]) -> _T:
        """Wait for work that needs the servers.

        Raises:
            ServerRefusedError: A server cannot be kept running; the work is abandoned.
        """
        if self.supervisor is None:
            return await work
        working = asyncio.ensure_future(work)
        watching = asyncio.ensure_future(self.supervisor.wait())
        try:
            await asyncio.wait({working, watching}, return_when=asyncio.FIRST_COMPLETED)
            if watching.done() and not working.done():
                await watching
            return await working
        finally:
            working.cancel()
            watching.cancel()
            await asyncio.gather(working, watching, return_exceptions=True)


def session_of(
    recipe: Recipe,
    path: Path | None,
    where: tuple[Path | None, Sequence[str] | None],
    access: tuple[TLS | None, str | None],
    workers: int | None,
    *,
    verbose: bool,
    may_be_away: bool = False,
) -> Session:
    """The recipe's servers: those that run elsewhere, and those that are started for this command alone.

    Args:
        recipe: The recipe.
        path: Its file; None for one made by the command.
        where: Where servers run: a file that says it, or replicas of one that hosts everything.
        access: How those are asked: TLS files and token.
        workers: Worker processes of each server that is started.
        verbose: Whether what the servers log is shown.
        may_be_away: Whether servers that run elsewhere may come later.

    Raises:
        RecipeError: It cannot work with the verifiers that are installed here or run elsewhere.
    """
    servers = recipe.all_servers
    elsewhere = addresses_elsewhere(servers, endpoints_of(servers, *where))
    client_options = recipe.client or ClientOptions()
    tls, token = access[0] or client_options.tls, access[1] or client_options.token
    folder = path.parent if path is not None else Path()
    offers = Offers(elsewhere, tls, token, folder=folder)
    check_offers(recipe, path, offers)
    local = [server for server in servers if server.name not in elsewhere]
    # On free ports and in plain text, whatever the settings say for servers that stay.
    programs = programs_of(local, folder, host="127.0.0.1", port=0, workers=workers, plain=True)
    hosts = verifiers_elsewhere(servers, elsewhere)
    return Session(programs, QuietLog(verbose), elsewhere, tls, hosts, token, servers, offers, may_be_away)


def check_offers(recipe: Recipe, path: Path | None, offers: Offers) -> None:
    """Refuse a recipe that cannot work, before a server is started.

    Args:
        recipe: The recipe.
        path: Its file; None for one made by the command.
        offers: The verifiers that are there.

    Raises:
        RecipeError: What is wrong with the file.
        UserError: What is wrong with the command's own options.
    """
    try:
        check_recipe(recipe, path, offers, "a file (--config)" if path is None else "")
    except RecipeError as error:
        if path is not None:
            raise
        raise UserError("; ".join(_of_command_line(problem, recipe) for problem in error.all)) from None


def _of_command_line(problem: RecipeError, recipe: Recipe) -> str:
    """A problem of a recipe that the command line's own options made, in their words."""
    section, name, key = problem.key.split(".", 2)
    if section == "servers":
        return f"--{'config' if key == 'config' else 'verifier'}: {problem.reason}"
    if key.startswith("options"):
        return f"--{key}: {problem.reason}"
    verifier = next((reward.verifier for reward in recipe.rewards if reward.name == name), name)
    return f"--verifier {verifier}: {problem.reason}"


async def score_all(
    client: AsyncRewardClient, rollouts: Sequence[Rollout], advance: Progress, labels: Labels | None = None
) -> ScoreTable:
    """Score rollouts: see `score_groups`.

    Returns:
        One table of all rollouts, groups in the order of their first rollout.
    """
    groups: dict[str, list[Rollout]] = {}
    for rollout in rollouts:
        groups.setdefault(rollout.group_id, []).append(rollout)
    return await score_groups(client, iter(groups.values()), advance, labels or Labels())


async def score_groups(
    client: AsyncRewardClient | ResumingClient,
    groups: Iterator[list[Rollout]],
    advance: Progress,
    labels: Labels,
    done: WindowCallback | None = None,
) -> ScoreTable:
    """Score groups.

    A deadline counts from the moment when a rollout is handed over, so they are handed over in windows of whole
    groups, small enough that waiting for each other takes a small part of the shortest deadline.

    Args:
        client: The client, with the recipe.
        groups: At least one; they are taken as they are needed.
        advance: Told of rollouts that are done.
        labels: The run and the step.
        done: Told of each window when it is done, in any order.

    Returns:
        One table of all rollouts, groups in the order given.
    """
    deadline = min(reward.deadline_s for reward in client.recipe.rewards)
    size = _FIRST_WINDOW
    # By place, since windows finish in any order: the order of rows must not depend on it, nor must the last digits of
    # what is computed over the whole file.
    tables: dict[int, ScoreTable] = {}
    places = count()

    async def work() -> None:
        nonlocal size
        while window := _take(groups, size):
            place = next(places)
            table = tables[place] = await _score(client, window, labels)
            if table.seconds > _SLOW * deadline:
                size = max(1, min(size, len(window)) // 2)
            elif table.seconds < _QUICK * deadline:
                size = min(_LARGEST_WINDOW, max(size, 2 * len(window)))
            if done is not None:
                done(place, window, table)
            advance(len(window))

    try:
        async with telling_waits(client, advance), asyncio.TaskGroup() as tasks:
            for _ in range(_SIDE_BY_SIDE):
                tasks.create_task(work())
    except ExceptionGroup as error:
        raise error.exceptions[0] from None
    return ScoreTable.concat([tables[place] for place in sorted(tables)])


@contextlib.asynccontextmanager
async def telling_waits(client: AsyncRewardClient | ResumingClient, progress: Progress) -> AsyncIterator[None]:
    """While the block runs, say what is waited for, when it is silent for long."""
    telling = asyncio.create_task(_tell_waits(client, progress))
    try:
        yield
    finally:
        telling.cancel()


async def _tell_waits(client: AsyncRewardClient | ResumingClient, progress: Progress) -> None:
    """Say which verifier is waited for, at which endpoint, since when."""
    with contextlib.suppress(ClientClosedError):
        while True:
            await asyncio.sleep(_LOOK)
            silent = [wait for wait in await client.waits() if wait.seconds >= _SILENT]
            more = f" and {len(silent) - 1} more" if len(silent) > 1 else ""
            progress.explain(f"waiting for {silent[0]}{more}" if silent else "")


def _plain(addresses: Sequence[str]) -> list[str]:
    """The addresses of our own servers, which speak plain text on loopback whatever the others do."""
    return [f"grpc://{address}" for address in addresses]


def _take(groups: Iterator[list[Rollout]], size: int) -> list[Rollout]:
    window: list[Rollout] = []
    for group in groups:
        window += group
        if len(window) >= size:
            break
    return window


async def _score(client: AsyncRewardClient | ResumingClient, window: Sequence[Rollout], labels: Labels) -> ScoreTable:
    try:
        return await client.score(window, run=labels.run, step=labels.step)
    except IncompleteBatchError as error:
        # Whether too many scores are missing is a question about the whole file.
        return error.table
