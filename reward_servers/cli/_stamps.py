"""Whether files stay as they are while they are read."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypeAlias

from reward_servers.cli._errors import UserError

_Stamp: TypeAlias = tuple[int, int, int, int] | None
"""Device, inode, bytes, and time of the last change in nanoseconds; None where there is no file."""


class Stamps:
    """The state of files when a command began to read them.

    Args:
        sources: Files, folders or patterns.
    """

    def __init__(self, sources: Sequence[Path]) -> None:
        self._sources = sources
        self._stamps = self._now()

    def _now(self) -> Mapping[str, _Stamp]:
        from trainer_client.rollout.files import files_of

        return {str(file): _stamp(file) for source in self._sources for file in files_of(source)}

    def check(self) -> None:
        """Refuse files that are not as they were.

        Raises:
            UserError: With the name of one.
        """
        from trainer_client import RolloutError

        try:
            now = self._now()
        except (RolloutError, OSError):  # a folder that has none of its files any more
            now = {}
        before = self._stamps
        changed = next((name for name in {**before, **now} if before.get(name) != now.get(name)), None)
        if changed is not None:
            raise changed_source(changed)


def changed_source(name: str) -> UserError:
    """The error of a file that is not what it was when it was first read."""
    return UserError(
        f"{name}: it changed while it was read, so no results are written; score a copy that nothing writes to"
    )


def _stamp(file: Path) -> _Stamp:
    try:
        state = os.stat(file)
    except OSError:
        return None
    return state.st_dev, state.st_ino, state.st_size, state.st_mtime_ns
