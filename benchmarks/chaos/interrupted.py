"""A client that scores for ever, until it is interrupted."""

from __future__ import annotations

import signal
import sys

from trainer_client import Recipe, Reward, RewardClient, Rollout


def main() -> None:
    """Score batch after batch."""
    # A shell that starts the command in the background has it ignored.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    recipe = Recipe(rewards=(Reward("main", "chaos/counted"),), max_missing=1.0)
    with RewardClient(recipe, sys.argv[1:]) as client:
        client.score([Rollout("warm", "p", "warm")])
        print("scoring", flush=True)
        while True:
            client.score([Rollout(f"i{n}", "p", f"interrupted {n}", f"i{n // 8}") for n in range(2000)])


if __name__ == "__main__":
    main()
