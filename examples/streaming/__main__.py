"""Trains twice, with rewards after generation and while it goes on: prints the idle share and how stale groups were.

Usage: ``python -m examples.streaming [STEPS]``
"""

from __future__ import annotations

import asyncio
import statistics
import sys
from pathlib import Path

from examples.streaming.loop import GROUP, GROUPS, train
from reward_servers.local import ServerThread
from reward_servers.supervisor import ServerProcess

RECIPE = Path(__file__).with_name("recipe.toml")


def main() -> None:
    """Run both."""
    steps = int(sys.argv[1]) if len(sys.argv) > 1 else 30
    print(f"{steps} steps of {GROUPS} prompts x {GROUP} rollouts; the judge takes 50 to 400 ms, one time in 200 2 s")
    program = ServerProcess("slow", ("examples.streaming.verifiers:slow_letters",), None, "127.0.0.1", 0, 1)
    with ServerThread([program]) as servers:
        for name, streaming in (("in turn", False), ("streaming", True)):
            figures = asyncio.run(train(RECIPE, servers.endpoints["slow"], steps=steps, streaming=streaming))
            part = max(1, steps // 4)
            first, last = statistics.fmean(figures.means[:part]), statistics.fmean(figures.means[-part:])
            print(
                f"{name:<10} {figures.seconds:6.1f} s, idle {figures.idle_share:4.0%}; staleness mean "
                f"{statistics.fmean(figures.staleness):.2f}, at most {max(figures.staleness):.0f} steps; mean reward "
                f"of the first and last quarter {first:.2f}, {last:.2f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
