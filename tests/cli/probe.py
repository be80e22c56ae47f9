"""Verifiers that misbehave on demand, installed for the tests of the command as a package of their own."""

import os
import time
from pathlib import Path

from reward_servers import DatasetError, Options, Rollout, Score, ServiceError, Settings, StartupError, verifier


class Shift(Options):
    by: float = 0.0


@verifier("probe/length", version="3", score_range=(0.0, 1000.0))
def length(rollout: Rollout, options: Shift) -> Score:
    """The length of the response; faults and notes on demand."""
    if rollout.response == "fault":
        raise DatasetError("the reference is unusable", code="bad_reference")
    value = len(rollout.response) + options.by
    return Score(value, note="counted", evidence={"extracted": rollout.response, "expected": 1})


def _is_held(seen: Path) -> bool:
    """Whether as many have been seen as a file beside it lets pass."""
    try:
        return seen.stat().st_size >= int(Path(f"{seen}.held").read_text())
    except FileNotFoundError:
        return False


@verifier("probe/slow", version="1")
def slow(rollout: Rollout) -> float:
    """Take its time, and say so in a file once it is under way; wait where a file beside it holds it."""
    time.sleep(0.01)
    seen = Path(os.environ["PROBE_SEEN"])
    while _is_held(seen):
        time.sleep(0.01)
    with seen.open("a") as file:
        file.write(".")
    return len(rollout.response) / 1000


@verifier("probe/down", version="1")
def down(rollout: Rollout) -> float:
    """Never judges."""
    raise ServiceError("nothing works", code="broken")


class Nothing(Settings):
    remedy: str = "install the missing thing"


@verifier("probe/refuses", version="1")
class Refuses:
    """Refuses to start."""

    def setup(self, settings: Nothing) -> None:
        raise StartupError(f"a thing is missing here; {settings.remedy}")

    async def score(self, rollout: Rollout) -> float:
        return 0.0


@verifier("probe/crashes", version="1")
class Crashes:
    """Ends its server while it starts."""

    def setup(self) -> None:
        os._exit(7)

    async def score(self, rollout: Rollout) -> float:
        return 0.0


class Named(Options):
    key: str


@verifier("probe/given", version="1", score_range=(-1e9, 1e9))
def given(rollout: Rollout, options: Named) -> float:
    """A number that the rollout's metadata hold, and a fault where they hold none."""
    value = (rollout.metadata or {}).get(options.key)
    if value is None:
        raise ServiceError("nothing was given", code="not_given")
    return float(value)


@verifier("probe/share", version="1")
def share(rollout: Rollout, options: Named) -> float:
    """The same for numbers of 0 to 1."""
    return float(given(rollout, options))


@verifier("probe/gain", version="1", score_range=(0.0, 1e9))
def gain(rollout: Rollout, options: Named) -> float:
    """The same for numbers that are not negative."""
    return float(given(rollout, options))
