"""One question is asked once: a caller that asks the same while it is under way waits for the same completion."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from random import Random
from time import monotonic

from reward_servers.engines.judging._backend import Backend, CompletionRequest
from reward_servers.engines.judging._completion import ChatRejectedError, ChatUnavailableError, Completion
from reward_servers.engines.judging._recording import Recording, key_of

_LONGEST_NAME = 120


class SharedBackend:
    """A model behind a recording, if there is one; equal questions under way are one.

    Attributes:
        identity: The model as it is configured.
    """

    def __init__(self, configured: str, backend: Backend | None, recording: Recording | None) -> None:
        """Take the model.

        Args:
            configured: What its completions depend on, as far as it is configured.
            backend: The model; None where it is only replayed.
            recording: The file; None for none.
        """
        self.identity = configured
        self._backend = backend
        self._recording = recording
        self._under_way: dict[str, asyncio.Task[Completion]] = {}
        self._waiting: dict[str, int] = {}

    async def ask(self, request: CompletionRequest, *, budget: float, jitter: Random) -> Completion:
        """Ask for one completion.

        Raises:
            ChatUnavailableError: There was none within the budget.
            ChatRejectedError: Trying again is no use.
        """
        key, ends = key_of(self.identity, request), monotonic() + budget
        entry = None if self._recording is None else self._recording.get(key, self._model)
        if isinstance(entry, ChatRejectedError):
            raise entry
        if entry is not None:
            return entry
        if self._backend is None:
            assert self._recording is not None
            raise ChatRejectedError(
                f"the recording holds no reply to this question of {self.identity[:_LONGEST_NAME]} (its replies are "
                f"of {self._recording.models}); model, settings, words and rollout must be those of the recording",
                "not_recorded",
            )
        while True:
            first = key not in self._under_way
            try:
                return await self._joined(key, self._backend, request, ends - monotonic(), jitter)
            except ChatUnavailableError:
                # The caller that asked first may have had less time.
                if first or ends - monotonic() <= 0:
                    raise

    def facts(self) -> Mapping[str, str]:
        """What is known of the model; of one that is only replayed, that it is."""
        return {"recording": "replayed, no model is asked"} if self._backend is None else self._backend.facts()

    async def close(self) -> None:
        """Close the model."""
        if self._backend is not None:
            await self._backend.close()

    @property
    def _model(self) -> str:
        return "" if self._backend is None else self._backend.identity

    async def _joined(
        self, key: str, backend: Backend, request: CompletionRequest, budget: float, jitter: Random
    ) -> Completion:
        task = self._under_way.get(key)
        if task is None:
            task = asyncio.ensure_future(self._stored_reply(key, backend, request, budget, jitter))
            self._under_way[key] = task
        self._waiting[key] = self._waiting.get(key, 0) + 1
        try:
            return await asyncio.shield(task)
        finally:
            self._waiting[key] -= 1
            if not self._waiting[key]:
                # No one waits any more: what is under way stops at the model too.
                del self._waiting[key], self._under_way[key]
                task.cancel()

    async def _stored_reply(
        self, key: str, backend: Backend, request: CompletionRequest, budget: float, jitter: Random
    ) -> Completion:
        entry: Completion | ChatRejectedError
        try:
            entry = await backend.ask(request, budget=budget, jitter=jitter)
        except ChatRejectedError as error:
            entry = error
        if self._recording is not None:
            self._recording.put(key, backend.identity, entry)
        if isinstance(entry, ChatRejectedError):
            raise entry
        return entry
