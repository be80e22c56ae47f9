"""Loads verifiers into the server's own process, and gives up those that do not come to an end."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable
from functools import partial

from reward_servers.core import BoundVerifier, StartupError, Verifier, load_fresh, module_of


class Loader:
    """Loads verifiers, each in a thread of its own: one that never ends holds neither the server nor its end.

    Args:
        host: Binds a verifier to its settings.
    """

    def __init__(self, host: Callable[[Verifier], BoundVerifier]) -> None:
        self._host = host
        self._given_up: set[str] = set()

    async def load(self, path: str, seconds: float) -> BoundVerifier:
        """A verifier as its files are now.

        Args:
            path: ``module:attribute``.
            seconds: How long it may take.

        Raises:
            StartupError: It does not end in time, or an earlier try has not ended.
            AssayServerError: It cannot be loaded.
        """
        package = module_of(path).partition(".")[0]
        if package in self._given_up:
            raise StartupError(
                f"an earlier import of {package} has not ended in this server; try again later, or mend the module and "
                "restart the server"
            )
        loading = self._start(path)
        try:
            await asyncio.wait({loading}, timeout=seconds)
        finally:
            # Also where the caller has left.
            if not loading.done():
                self._given_up.add(package)
                loading.add_done_callback(partial(self._note_end, package))
        if not loading.done():
            raise StartupError(
                f"{path} could be loaded alone, and its import in this server did not end within {seconds:g} s; mend "
                "the module, and restart the server before you register it again"
            )
        return loading.result()

    def _note_end(self, package: str, ended: asyncio.Future[BoundVerifier]) -> None:
        self._given_up.discard(package)
        ended.exception()  # told to nobody any more

    def _start(self, path: str) -> asyncio.Future[BoundVerifier]:
        """Start to load. Not in the loop's own threads: the process waits for those when it ends."""
        loop = asyncio.get_running_loop()
        loaded: asyncio.Future[BoundVerifier] = loop.create_future()

        def load() -> None:
            try:
                hosted = self._host(load_fresh(path))
            except Exception as error:  # noqa: BLE001 - raised again where it is waited for
                tell = partial(loaded.set_exception, error)
            else:
                tell = partial(loaded.set_result, hosted)
            with contextlib.suppress(RuntimeError):  # the loop has ended
                loop.call_soon_threadsafe(tell)

        threading.Thread(target=load, name=f"load {path}", daemon=True).start()
        return loaded
