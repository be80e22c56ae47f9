"""How many processors this process may use."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from pathlib import Path

MOST_WORKERS = 1024
"""Worker processes of one server at most."""
_GROUPS = Path("/sys/fs/cgroup")


def usable_processors() -> int:
    """Processors that this process may use: those of its affinity, or of its container's quota where that is less.

    A container that is given two of a host's sixty-four processors sees all of them.
    """
    return min([len(os.sched_getaffinity(0)), *map(math.ceil, _quotas())])


def _quotas(groups: Path = _GROUPS, own: Path = Path("/proc/self/cgroup")) -> Iterator[float]:
    """Processors that a second's share is worth, by each control group that bounds it."""
    for hierarchy, path in _places(own):
        version_2 = not hierarchy
        root = groups if version_2 else groups / hierarchy
        # Within a container the mount begins at its own group, whatever the path says.
        folder = root / path.lstrip("/")
        for place in (folder, *folder.parents):
            if not place.is_relative_to(root):
                break
            try:
                if version_2:
                    share, period = (place / "cpu.max").read_text().split()
                else:
                    share, period = ((place / f"cpu.cfs_{name}_us").read_text() for name in ("quota", "period"))
                if share != "max" and int(share) > 0:
                    yield int(share) / int(period)
            except (OSError, ValueError, ZeroDivisionError):
                continue


def _places(own: Path) -> Iterator[tuple[str, str]]:
    """The hierarchies that bound processor time, by the name of their mount (empty for version 2), with our group."""
    try:
        lines = own.read_text().splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if not controllers or "cpu" in controllers.split(","):
            yield controllers, path
