"""CPU time of importing the client against ``import grpc, numpy``: medians of fresh interpreters in turns.

What is timed is what a trainer writes, ``from trainer_client import Recipe, RewardClient, Rollout``, and that together
with the making of a client, which loads everything that scoring a batch needs: the transport, gRPC and protobuf's
messages. The goal of an import is a ratio of at most 1.3.

    python -m benchmarks.client.imports
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile

GOAL = 1.3
BASE = "import grpc, numpy"
OURS = (
    "import trainer_client",
    "from trainer_client import Recipe, RewardClient, Rollout, ScoreTable",
    "import numpy; from trainer_client import Recipe, RewardClient; "
    """RewardClient(Recipe.loads('[rewards.a]\\nverifier = "m"'), "127.0.0.1:1")""",
)


def seconds(statement: str, cache: str) -> float:
    """CPU time of one statement in a fresh interpreter; the wall clock would measure the machine's other work."""
    program = f"import time; started = time.process_time(); {statement}; print(time.process_time() - started)"
    # Compiled once for all rounds, wherever the sources may be written to.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    environment["PYTHONPYCACHEPREFIX"] = cache
    command = [sys.executable, "-c", program]
    return float(subprocess.run(command, capture_output=True, text=True, check=True, env=environment).stdout)


def main(rounds: int = 15) -> None:
    """Print one line for each way to import."""
    times: dict[str, list[float]] = {statement: [] for statement in (BASE, *OURS)}
    with tempfile.TemporaryDirectory() as cache:
        for number in range(rounds + 1):
            for statement, found in times.items():
                elapsed = seconds(statement, cache)
                if number:
                    found.append(elapsed)
    base = statistics.median(times[BASE])
    print(f"{base * 1e3:6.1f} ms  {BASE}")
    for statement in OURS:
        ours = statistics.median(times[statement])
        print(f"{ours * 1e3:6.1f} ms  {statement}: ratio {ours / base:.2f} (goal {GOAL})")


if __name__ == "__main__":
    main()
