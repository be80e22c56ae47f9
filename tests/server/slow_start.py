"""A verifier that is never ready."""

from __future__ import annotations

import time
from pathlib import Path

from reward_servers import Rollout, Settings, verifier


class Where(Settings):
    """Where it says that it is being set up."""

    begun: str


@verifier("test/never-ready", version="1")
class NeverReady:
    """Loads for ever."""

    def setup(self, settings: Where) -> None:
        """Say so, and load."""
        Path(settings.begun).touch()
        time.sleep(3600)

    def score(self, rollout: Rollout) -> float:
        """Never called."""
        return 0.0
