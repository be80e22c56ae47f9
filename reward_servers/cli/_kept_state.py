"""What a run over a file carries on from an earlier one: the state of its method, and its place in the training."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from reward_servers.cli._errors import UserError
from reward_servers.cli._whole_file import whole_file

if TYPE_CHECKING:
    from trainer_client import AsyncRewardClient


class Labels(NamedTuple):
    """The run that rollouts belong to, and its step."""

    run: str = ""
    step: int = 0


class KeptState:
    """The file of a method's state; without one nothing is kept.

    Args:
        path: The file; None for none.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._client: AsyncRewardClient | None = None

    def load(self, client: AsyncRewardClient) -> None:
        """Go on where the file was written, when it is there.

        Raises:
            UserError: It holds no JSON.
            StateError: It was written under another recipe.
        """
        self._client = client
        if self._path is None or not self._path.exists():
            return
        try:
            state = json.loads(self._path.read_text("utf-8"))
        except (ValueError, RecursionError) as error:
            raise UserError(
                f"--state {self._path}: not a state ({error}); remove the file to begin without a state"
            ) from None
        client.load_state_dict(state)

    def save(self) -> None:
        """Write the state as it is now."""
        if self._path is not None and self._client is not None:
            with whole_file(self._path) as file:
                file.write(json.dumps(self._client.state_dict()) + "\n")
