"""Trains a tiny model with TRL on rewards from a server in another process, and prints how the mean reward rises.

Usage: ``python -m examples.trl``; with a method of ours in the place of GRPO: ``python -m examples.trl rloo``
"""

from __future__ import annotations

import sys

from examples.trl.task import RECIPE, STEPS, Run, train
from reward_servers.local import ServerThread
from reward_servers.supervisor import ServerProcess

_EVERY = 20


def main() -> None:
    """Run one training."""
    run = Run("one run", method=sys.argv[1] if len(sys.argv) > 1 else "grpo")
    print(f"{RECIPE.name}: advantages by {run.method}; {STEPS} steps of 8 prompts x 8 rollouts, on the CPU")
    means: list[float] = []

    def tell(step: int, mean: float) -> None:
        means.append(mean)
        if step % _EVERY == 0:
            recent = sum(means[-_EVERY:]) / _EVERY
            print(f"step {step:>4}  mean reward {recent:.3f}  {'#' * round(40 * recent)}", flush=True)

    program = ServerProcess("example/letters", ("examples.trl.verifiers:letters",), None, "127.0.0.1", 0, 1)
    with ServerThread([program]) as servers:
        train(run, servers.endpoints, seed=0, tell=tell)
    first, last = sum(means[:_EVERY]) / _EVERY, sum(means[-_EVERY:]) / _EVERY
    print(f"the first {_EVERY} steps {first:.3f}, the last {_EVERY} steps {last:.3f}")


if __name__ == "__main__":
    main()
