"""Servers on this host for as long as a block runs: for notebooks, tests and laptops.

with LocalServers("recipe.toml") as endpoints, RewardClient("recipe.toml", endpoints) as client:
table = client.score(rollouts)
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Self

from reward_servers.fleet import addresses_elsewhere, programs_of, verifiers_elsewhere
from reward_servers.supervisor import Log, ServerProcess, Supervisor
from trainer_client import Recipe

_GRACE = 5.0


class ServerThread:
    """Server processes kept running from a thread, as a context manager (``with`` or ``async with``).

    A server that dies is started again. One that cannot be kept running ends the block with its reason, where the block
    does not end with an error of its own. The servers end with the block, and with the process however it ends.

    Attributes:
        endpoints: Addresses of each server, once the block has begun.
        verifiers: Names that each server hosts, as it announced them.
        restarts: How often a server was started again after it had died.
    """

    def __init__(
        self,
        programs: Sequence[ServerProcess],
        *,
        elsewhere: Mapping[str, Sequence[str]] | None = None,
        log: Log | None = None,
    ) -> None:
        """Prepare; nothing is started yet.

        Args:
            programs: What to run.
            elsewhere: Addresses of verifiers on servers that others run, for verifiers here that ask them.
            log: Takes the label of a server and a line that it wrote; None drops them.
        """
        self.endpoints: dict[str, list[str]] = {}
        self.verifiers: dict[str, tuple[str, ...]] = {}
        self._programs = programs
        self._elsewhere = elsewhere
        self._log = log
        self._supervisor: Supervisor | None = None
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._task: asyncio.Task[None] | None = None
        self._begun = threading.Event()
        self._cancelled = threading.Event()
        self._ready = threading.Event()
        self._error: BaseException | None = None

    @property
    def restarts(self) -> int:
        """How often a server was started again after it had died."""
        return self._supervisor.restarts if self._supervisor is not None else 0

    @property
    def pids(self) -> dict[str, int]:
        """Process id of each running server, by its label."""
        return self._supervisor.pids if self._supervisor is not None else {}

    def start(self) -> None:
        """Start the servers and wait until all of them answer.

        Raises:
            ServerRefusedError: One of them cannot be started; the others are stopped.
            RuntimeError: They were started before.
        """
        if self._begun.is_set() or self._cancelled.is_set():
            raise RuntimeError("these servers were started before; make another object to start others")
        # The kernel ends a server when the thread that started it ends: so this thread lives as long as they do.
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), name="local-servers", daemon=True)
        self._thread.start()
        try:
            self._ready.wait()
        except BaseException:
            self.stop()
            raise
        if self._error is not None:
            self.stop()

    async def _run(self) -> None:
        self._loop, self._task = asyncio.get_running_loop(), asyncio.current_task()
        self._begun.set()
        if self._cancelled.is_set():
            self._ready.set()
            return
        self._supervisor = Supervisor(self._programs, elsewhere=self._elsewhere, log=self._log, grace_s=_GRACE)
        try:
            async with self._supervisor as supervisor:
                self.endpoints = {name: list(addresses) for name, addresses in supervisor.endpoints.items()}
                self.verifiers = supervisor.verifiers
                self._ready.set()
                await supervisor.wait()
        except asyncio.CancelledError:
            pass  # by `stop`: the servers have ended by now
        except Exception as error:  # noqa: BLE001 (raised in the thread that waits)
            self._error = error
        finally:
            self._ready.set()

    def cancel(self) -> None:
        """Tell the servers to stop, or to start no more, without waiting for it."""
        self._cancelled.set()
        if self._loop is not None and self._task is not None and not self._loop.is_closed():
            # The loop may close in between.
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._task.cancel)

    def stop(self) -> None:
        """Stop the servers; they may finish what is under way for a few seconds.

        Raises:
            ServerRefusedError: One of them could not be kept running.
        """
        thread, self._thread = self._thread, None
        if thread is None:
            return
        if not self._cancelled.is_set():
            self._begun.wait()
            self.cancel()
        thread.join()
        if self._error is not None:
            raise self._error

    def _leave(self, error: BaseException | None) -> None:
        try:
            self.stop()
        except Exception:
            # The block's own error is the one to see; that a server ended is most likely its cause, and was logged.
            if error is None:
                raise

    def __enter__(self) -> Self:
        """Start."""
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop."""
        self._leave(error)


class LocalServers:
    """The servers of a recipe, on free ports of this host, in plain text on loopback.

    Use it as a context manager (``with`` or ``async with``), which gives the endpoints of every server of the recipe as
    a client takes them. Servers that the recipe says run elsewhere are left where they are.
    """

    def __init__(
        self,
        recipe: Recipe | str | os.PathLike[str],
        *,
        workers: int | None = None,
        import_path: Sequence[str] = (),
        log: Log | None = None,
    ) -> None:
        """Prepare; nothing is started yet.

        Args:
            recipe: The recipe, or the path of one. Settings files that it names are relative to its folder; of a
                recipe made in code, to the current one.
            workers: Worker processes of each server; by default one per core.
            import_path: Folders that verifiers given as ``module:attribute`` may be imported from.
            log: Takes the label of a server and a line that it wrote; None drops them.

        Raises:
            RecipeError: The recipe cannot be used.
        """
        loaded = recipe if isinstance(recipe, Recipe) else Recipe.load(recipe)
        folder = Path() if isinstance(recipe, Recipe) else Path(recipe).parent
        servers = loaded.all_servers
        self._elsewhere = addresses_elsewhere(servers, {})
        programs = programs_of(servers, folder, host="127.0.0.1", port=0, workers=workers, plain=True)
        self._servers = ServerThread(
            [replace(program, import_path=tuple(import_path)) for program in programs],
            elsewhere=verifiers_elsewhere(servers, self._elsewhere),
            log=log,
        )

    def start(self) -> dict[str, list[str]]:
        """Start the servers and wait until all of them answer.

        Returns:
            Addresses by the recipe's names of servers.

        Raises:
            ServerRefusedError: One of them cannot be started; the others are stopped.
        """
        self._servers.start()
        return self.endpoints

    @property
    def endpoints(self) -> dict[str, list[str]]:
        """Addresses by the recipe's names of servers."""
        elsewhere = {name: list(addresses) for name, addresses in self._elsewhere.items()}
        return {**elsewhere, **self._servers.endpoints}

    @property
    def pids(self) -> dict[str, int]:
        """Process id of each running server, by its label."""
        return self._servers.pids

    def stop(self) -> None:
        """Stop the servers.

        Raises:
            ServerRefusedError: One of them could not be kept running.
        """
        self._servers.stop()

    def __enter__(self) -> dict[str, list[str]]:
        """Start."""
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop."""
        self._servers.__exit__(kind, error, trace)

    async def __aenter__(self) -> dict[str, list[str]]:
        """Start."""
        starting = asyncio.create_task(asyncio.to_thread(self.start))
        try:
            return await asyncio.shield(starting)
        except asyncio.CancelledError:
            # The thread that starts them cannot be cancelled: it is told to stop, and waited for.
            self._servers.cancel()
            await asyncio.wait({starting})
            await asyncio.to_thread(self.stop)
            raise

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop."""
        await asyncio.to_thread(self.__exit__, kind, error, trace)
